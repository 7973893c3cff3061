"""The report: what it says of whole, unfinished and damaged runs."""

import html.parser
import json
import re
import subprocess
import sys

import pytest
from PIL import Image

from enhance_jax import errors, report
from enhance_jax.reporting import page, runs
from tests import report_runs
from tests.runs import ROOT


@pytest.fixture
def run_folder(tmp_path):
  return report_runs.write(tmp_path / "run")


@pytest.fixture
def panels(monkeypatch):
  return report_runs.capture(monkeypatch)


def written(folders, out, *more):
  """The Markdown of a report, its marks undone, and its HTML."""
  assert report.main([*map(str, folders), "-o", str(out), *more]) == 0
  text = re.sub(r"\\(.)", r"\1", (out / "report.md").read_text())
  return text, (out / "report.html").read_text()


def cells(text, *begin):
  """The table line whose first cells are these."""
  start = "| " + " | ".join(begin) + " |"
  found = [line for line in text.splitlines() if line.startswith(start)]
  assert len(found) == 1, (start, found)
  return [cell.strip() for cell in found[0].strip("|").split("|")]


@pytest.mark.slow
def test_a_report_is_whole_and_asks_for_nothing(run_folder, tmp_path, capsys):
  text, page_text = written([run_folder], tmp_path / "out")
  told = capsys.readouterr().out
  assert told.startswith("written: ") and "report.html" in told
  seen = []

  class Reader(html.parser.HTMLParser):
    def handle_starttag(self, tag, attrs):
      seen.append((tag, dict(attrs)))

  Reader().feed(page_text)
  images = [a for tag, a in seen if tag == "img"]
  assert len(images) == 5 and all(a["alt"] for a in images)
  for tag, attrs in seen:
    for name in ("src", "srcset", "href", "action", "data"):
      if name in attrs:
        assert attrs[name].startswith(("data:image/png;base64,", "#")), tag
  assert "url(" not in page_text and "@import" not in page_text
  links = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
  assert len(links) == 5
  for link in links:
    with Image.open(tmp_path / "out" / link) as picture:
      assert picture.format == "PNG"


def test_what_a_run_is(run_folder, tmp_path, panels):
  text, _ = written([run_folder], tmp_path / "out")
  for name, value in (
    ("configuration", "srgan-test"),
    ("task", "x4, RGB, LR by resize (kernel bicubic)"),
    ("generator", "srresnet (width 8, blocks 1)"),
    # 3*3*3*8 + 8; the statistics are not trained.
    ("its parameters", "224"),
    ("training pictures", "samples: 12; crops of 32x32, batches of 8"),
    ("fingerprint of them", "abc123"),
    ("seed", "7"),
    ("updates", "8 of 8"),
    ("devices", "1 x cpu"),
    ("revision", "0123456789ab"),
    ("versions", "python 3.11.7, jax 0.10.2"),
  ):
    assert cells(text, name)[1] == value
  # 2 updates of 8 at 4 a second, 6 at 16.
  assert cells(text, "time")[1].startswith("7 s of updates")
  assert cells(text, "gan") == [
    "gan",
    "1 vgg54 + 0.001 adversarial",
    "bce",
    "adam, rate 0.0001, x0.5 every 2",
    "yes",
    "4",
  ]


def test_published_numbers_stand_beside_ours(run_folder, tmp_path, panels):
  text, _ = written([run_folder], tmp_path / "out")
  line = cells(text, "SRGAN-VGG54", "Set5", "PSNR dB", "29.40")
  assert line[4:6] == ["29.200", "-0.200"]
  assert line[6] == "luma, 4 px"
  assert line[7].startswith("SRGAN paper")
  assert line[8] == report_runs.PROTOCOL["text"]
  line = cells(text, "SRGAN-VGG54", "Set5", "SSIM", "0.8472")
  assert line[5] == "not comparable: SSIM of daala and wang"
  assert cells(text, "SRResNet", "Set5", "PSNR dB", "32.05")[5] == "-2.000"
  assert cells(text, "bicubic", "Set5", "SSIM", "0.8104")[5] == "+0.0007"
  assert "SRResNet | Set14 | PSNR dB | 28.49" in text.split("<details>")[-1]


def test_daalas_ssim_is_compared_where_the_run_uses_it(
  run_folder, tmp_path, panels
):
  path = run_folder / "evaluation.set5.json"
  report_runs.change(path, "protocol", "ssim", value="daala")
  text, _ = written([run_folder], tmp_path / "out")
  assert cells(text, "SRGAN-VGG54", "Set5", "SSIM", "0.8472")[5] == "-0.0172"
  line = cells(text, "bicubic", "Set5", "SSIM", "0.8104")
  assert line[5] == "not comparable: SSIM of wang and daala"


def test_the_best_of_each_metric_is_strong(run_folder, tmp_path, panels):
  text, page_text = written([run_folder], tmp_path / "out")
  head = text.split("## srgan-test")[0]
  held_out = head.split("set5: 2 pictures")[0].split("<details>")[0]
  assert re.findall(r"\*\*([^*]+)\*\*", held_out) == [
    "28.000",
    "0.8200",
    "0.1000",
  ]
  assert "<strong>28.000</strong>" in page_text
  assert "PSNR dB: higher is better; peak 255." in held_out


def test_runs_on_the_same_pictures_share_a_table(tmp_path, panels):
  folders = [
    report_runs.write(tmp_path / name, name) for name in ("one", "two", "far")
  ]
  # Equal names, other pictures: the baseline gives it away.
  models = {"bicubic": {"psnr": 20.0}, "ours, after gan": {"psnr": 21.0}}
  path = folders[2] / "evaluation.json"
  report_runs.write_json(path, report_runs.scores("held_out", models))
  validation = ("config", "data", "validation")
  report_runs.change(folders[2] / "run.json", *validation, value="folder:far")
  text, _ = written(folders, tmp_path / "out")
  assert text.count("held-out: 2 pictures") == 2
  table = text.split("held-out: 2 pictures")[1].split("<details>")[0]
  assert table.count("| bicubic |") == 1
  assert "| one: ours, after pixel | 4 mse |" in table
  assert "| two: ours, after gan |" in table and "far:" not in table
  curve = panels["PSNR dB on held-out pictures"]
  assert "this run" in curve
  assert text.count("](pictures/together-") == 1


def test_runs_of_one_name_are_told_apart(tmp_path, panels):
  folders = [report_runs.write(tmp_path / name) for name in ("a", "b")]
  text, _ = written(folders, tmp_path / "out")
  assert f"## srgan-test ({folders[0]})" in text
  with pytest.raises(errors.EnhanceError, match="given twice"):
    runs.read([folders[0], folders[0]])


def test_only_named_sets_are_shown(run_folder, tmp_path, panels):
  text, _ = written([run_folder], tmp_path / "out", "--sets=set5")
  assert "set5: 2 pictures" in text and "held-out: 2" not in text
  assert text.count("](pictures/run-1-pictures-") == 1
  with pytest.raises(errors.EnhanceError, match='did you mean "set5"'):
    report.main([str(run_folder), "-o", str(tmp_path / "x"), "--sets=set6"])
  assert not (tmp_path / "x").exists()


def test_names_cannot_break_the_page(tmp_path, panels):
  folder = report_runs.write(tmp_path / "run", "<b>|x|</b> & *y*")
  assert report.main([str(folder), "-o", str(tmp_path / "out")]) == 0
  page_text = (tmp_path / "out" / "report.html").read_text()
  assert (
    "<b>" not in page_text and "&lt;b&gt;|x|&lt;/b&gt; &amp; *y*" in page_text
  )
  text = (tmp_path / "out" / "report.md").read_text()
  assert r"\<b\>\|x\|\</b\> & \*y\*" in text


@pytest.mark.parametrize(
  ("file", "sentence"),
  [
    ("metrics.jsonl", "This run has no metrics.jsonl yet"),
    ("evaluation*.json", "The run srgan-test has no scores yet"),
    ("evaluation.set5.json", "not scored on a set with published numbers"),
    ("comparison*.png", "This run has no comparison pictures yet"),
    ("generator.*.safetensors", "this run has no weights yet"),
  ],
)
def test_what_is_missing_is_said(run_folder, tmp_path, panels, file, sentence):
  for path in run_folder.glob(file):
    path.unlink()
  text, page_text = written([run_folder], tmp_path / "out")
  assert sentence in text and sentence in page_text


@pytest.mark.parametrize(
  ("prefix", "sentence"),
  [
    ("loss/", "This run has logged no losses on held-out pictures"),
    ("baseline/", "This run has logged no scores of interpolations"),
    ("d_recall", "no rates of its discriminator on training batches"),
    ("d_", "This run has logged nothing of a discriminator"),
  ],
)
def test_what_was_not_logged_is_said(
  run_folder, tmp_path, panels, prefix, sentence
):
  lines = [
    {k: v for k, v in row.items() if not k.split("n/")[-1].startswith(prefix)}
    for row in report_runs.rows()
  ]
  text = "".join(json.dumps(line) + "\n" for line in lines)
  (run_folder / "metrics.jsonl").write_text(text)
  assert sentence in written([run_folder], tmp_path / "out")[0]


def test_a_run_without_a_count_of_pictures_has_no_epochs(
  run_folder, tmp_path, panels
):
  report_runs.change(run_folder / "run.json", "data", value={})
  text, _ = written([run_folder], tmp_path / "out")
  assert "its curves have no epochs" in text
  assert cells(text, "fingerprint of them")[1] == "not recorded"


def test_a_line_that_a_kill_cut_is_left_out(run_folder):
  with (run_folder / "metrics.jsonl").open("a") as file:
    file.write('{"step": 10, "loss/gen')
  (run,) = runs.read([run_folder])
  assert run.steps == 8


@pytest.mark.parametrize(
  ("file", "content", "message"),
  [
    ("run.json", b"{", "run.json cannot be read as JSON"),
    ("run.json", b"[]", "run.json is not a JSON object"),
    ("run.json", b'{"config": {}}', "run.json has no configuration"),
    ("run.json", b'{"config": {"name": "x"}}', "run.json has no config."),
    (
      "run.json",
      b'{"config": {"name": "x", "phase_order": ["p"], "phases": {"p": {}}}}',
      'no whole phase "p"',
    ),
    ("metrics.jsonl", b'{"step": 1}\n{"a": 2}\n', "line 2, is no row"),
    ("metrics.jsonl", b"\xff\n", "metrics.jsonl cannot be read"),
    ("evaluation.json", b'{"models": {}}', "evaluation.json holds no scores"),
    ("comparison.png", b"\x89PNG\r\n\x1a\n", "comparison.png is not a whole"),
    ("generator.pixel.safetensors", b"none", "is not a whole safetensors file"),
  ],
)
def test_a_damaged_file_is_one_clear_error(
  run_folder, tmp_path, panels, file, content, message
):
  (run_folder / file).write_bytes(content)
  with pytest.raises(errors.EnhanceError, match=re.escape(message)):
    report.main([str(run_folder), "-o", str(tmp_path / "out")])
  assert not (tmp_path / "out").exists()


def test_a_folder_without_a_run_is_refused(tmp_path):
  with pytest.raises(errors.EnhanceError, match="holds no run: it has no run"):
    report.main([str(tmp_path), "-o", str(tmp_path / "out")])


def test_dictionaries_have_one_phase_and_no_curves(
  run_folder, tmp_path, panels
):
  path = run_folder / "run.json"
  tree = json.loads(path.read_text())
  tree["config"] |= {"fit": "dictionary", "phase_order": [], "phases": {}}
  tree["config"]["generator"] = {"name": "sparse_coding", "options": {}}
  report_runs.write_json(path, tree)
  models = {"ours, after dictionary": {"psnr": 29.0, "ssim": 0.8}}
  report_runs.write_json(
    run_folder / "evaluation.json", report_runs.scores("held_out", models)
  )
  (run_folder / "metrics.jsonl").unlink()
  text, _ = written([run_folder], tmp_path / "out")
  assert cells(text, "updates")[1].startswith("none")
  assert cells(text, "ours, after dictionary")[1:3] == ["dictionary", "29.000"]
  assert "nearest to sparse coding" in text


def test_file_names_are_plain():
  assert page.file_name("run 1", "../x", "Set5 (a)") == "run-1-x-Set5-a.png"


def test_help_comes_without_jax_and_matplotlib():
  code = (
    "import runpy, sys\n"
    "sys.argv = ['enhance_jax.report', '--help']\n"
    "try:\n"
    "  runpy.run_module('enhance_jax.report', run_name='__main__')\n"
    "except SystemExit as stop:\n"
    "  assert not stop.code\n"
    "heavy = {'jax', 'flax', 'matplotlib', 'scipy', 'PIL'}\n"
    "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  assert "examples:" in done.stdout and not done.stderr
