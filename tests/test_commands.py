"""The command evaluate as a user meets it, and what all commands share."""

import json
import pathlib
import subprocess
import sys

import pytest

from enhance_jax import errors, evaluate, images, resample, upscale
from tests.command_files import read, save_network, scene, write

BICUBIC = ["--model=bicubic", "--scale=4"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path_factory.getbasetemp()))


@pytest.fixture
def photo_set(tmp_path):
  folder = tmp_path / "real"
  write(folder / "HR" / "a.png", scene(48, 52))
  write(folder / "HR" / "gray.png", scene(50, 49, 1))
  return folder


def test_the_table_has_its_protocol_above(photo_set, capsys):
  assert evaluate.main([*BICUBIC, f"--sets={photo_set}"]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0] == "model: bicubic"
  assert "x4" in lines[1] and "4 px cropped" in lines[1]
  assert lines[-2].split() == ["set", "images", "PSNR", "dB", "SSIM"]
  assert lines[-1].split()[:2] == ["real", "2"]
  assert len(lines[-1]) == len(lines[-2])


def test_scores_and_strips_are_written(photo_set, tmp_path, capsys):
  files = [f"--json={tmp_path}/s/j.json", f"--csv={tmp_path}/s/c.csv"]
  status = evaluate.main(
    [
      *BICUBIC,
      f"--sets={photo_set}",
      "--protocol=y8",
      "--crop=6",
      "--ssim=daala",
      f"--strips={tmp_path}/strips",
      *files,
    ]
  )
  assert status == 0
  scores = json.loads((tmp_path / "s" / "j.json").read_text())
  assert [scores["protocol"][k] for k in ("color", "crop", "ssim")] == [
    "y8",
    6,
    "daala",
  ]
  assert len((tmp_path / "s" / "c.csv").read_text().splitlines()) == 3
  strips = sorted((tmp_path / "strips").rglob("*.png"))
  assert [path.name for path in strips] == ["a.png", "gray.png"]
  assert read(strips[1]).shape[2] == 3
  assert capsys.readouterr().out.splitlines()[-1].startswith("written: ")


def test_a_truncated_picture_is_named_and_the_status_is_1(photo_set, capsys):
  path = write(photo_set / "HR" / "b.png", scene(48, 48))
  path.write_bytes(path.read_bytes()[:150])
  assert evaluate.main([*BICUBIC, f"--sets={photo_set}"]) == 1
  told = capsys.readouterr()
  assert told.out.splitlines()[-1].split()[:2] == ["real", "2"]
  assert f"error: {path}: " in told.err
  assert "1 picture is not in these means" in told.err


def test_a_network_and_its_results_as_files_score_the_same(
  photo_set, tmp_path, capsys
):
  path = save_network(tmp_path / "net", generative=False)
  evaluate.main([f"--model={path}", f"--sets={photo_set}", "--tile=5"])
  direct = capsys.readouterr().out.splitlines()[-1]
  lr = tmp_path / "lr"
  for name in ("a", "gray"):
    hr = images.modcrop(read(photo_set / "HR" / f"{name}.png"), 2)
    write(lr / f"{name}.png", resample.resize_uint8(hr, scale=0.5))
  out = tmp_path / "outputs"
  upscale.main([str(lr), "-o", str(out), f"--model={path}", "--tile=5"])
  capsys.readouterr()
  assert (
    evaluate.main([f"--outputs={out}", "--scale=2", f"--sets={photo_set}"]) == 0
  )
  assert capsys.readouterr().out.splitlines()[-1] == direct


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--sets=real"], "name one thing"),
    (["--sets=real", "--model=bicubic"], "--scale=4"),
    (["--sets=real", "--outputs=real"], "--scale=4"),
    (["--sets=real", "--outputs=nowhere", "--scale=4"], "is no folder"),
    (["--sets=real", *BICUBIC, "--protocol=yy"], 'unknown protocol color "yy"'),
    (["--sets=real", *BICUBIC, "--crop=-1"], "got crop -1"),
    (["--sets=nowhere", *BICUBIC], "test set nowhere is no folder"),
    (["--sets=empty", *BICUBIC], "empty holds no pictures"),
    (["--sets=,", *BICUBIC], "no test set"),
  ],
)
def test_what_evaluate_cannot_do_is_said(
  photo_set, tmp_path, monkeypatch, arguments, message
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "empty").mkdir()
  with pytest.raises(errors.EnhanceError, match=message):
    evaluate.main(arguments)


@pytest.mark.parametrize("name", ["evaluate", "upscale"])
def test_help_comes_without_waiting_for_jax(name):
  root = pathlib.Path(__file__).parent.parent
  code = (
    f"import sys, enhance_jax.{name} as door\n"
    "assert not {'jax', 'flax'} & set(sys.modules)\n"
    "door.main(['--help'])"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], cwd=root, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  assert "examples:" in done.stdout and not done.stderr


def test_the_door_says_error_and_exits_1(tmp_path):
  done = subprocess.run(
    [sys.executable, "-m", "enhance_jax.upscale", "none.png", "-o", "x"],
    cwd=pathlib.Path(__file__).parent.parent,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 1
  assert done.stderr == (
    "error: none.png does not exist; wanted picture files or folders\n"
  )
