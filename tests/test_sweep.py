"""Scores, curve and pictures of what lies between two generators."""

import csv
import json
import warnings

import numpy as np
import pytest
from flax import traverse_util
from PIL import Image

from enhance_jax import errors, figures, images, resample, scoring, sweep, zoo
from enhance_jax import sweep_figures as draw
from enhance_jax.inference import engine
from enhance_jax.models import srresnet
from enhance_jax.zoo import __main__ as door

KWARGS = {"scale": 2, "width": 4, "blocks": 1}
Y = scoring.Protocol("y", 2)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path_factory.getbasetemp()))


def save(path, seed, generative):
  """An untrained network whose pictures are not far from gray."""
  rng = np.random.default_rng(seed)
  shapes = zoo.expected_shapes(srresnet.Generator(**KWARGS))
  flat = {
    name: np.float32(name.endswith("var") + 0.2 * rng.uniform(-1, 1, shape))
    for name, shape in shapes.items()
  }
  return zoo.save_generator(
    path,
    model="srresnet",
    kwargs=KWARGS,
    variables=traverse_util.unflatten_dict(flat, sep="/"),
    card={"generative": generative},
  )


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
  """A sweep in two steps over two sets; one picture is broken."""
  top = tmp_path_factory.mktemp("sweep")
  i, j, c = np.mgrid[:40, :47, :3]
  wave = 0.5 + 0.25 * np.sin(i / 3 + c) + 0.25 * np.cos(j / 4 - c)
  for name, pixels in (
    ("one/a.png", wave),
    ("one/b.png", wave[:, ::-1]),
    ("two/gray.png", wave[..., :1]),
  ):
    (top / name).parent.mkdir(exist_ok=True)
    images.write_picture(top / name, images.Picture(images.to_uint8(pixels)))
  (top / "two" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
  paths = save(top / "pixel", 0, False), save(top / "gan", 1, True)
  said = []
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    outcome = sweep.sweep(
      *paths,
      [top / "one", top / "two"],
      top / "new" / "out",
      steps=2,
      metrics=["ssim", "lr_psnr"],
      tile=16,
      say=said.append,
    )
  report = json.loads((top / "new" / "out" / "sweep.json").read_text())
  return top, paths, outcome, report, said


def test_every_alpha_and_both_ways_are_scored(swept):
  _, paths, outcome, report, said = swept
  alphas = {method: list(by) for method, by in report["scores"].items()}
  assert alphas == {"network": ["0", "0.5", "1"], "image": ["0.5"]}
  first = report["scores"]["network"]["0"]
  assert list(first["one"]["mean"]) == ["psnr", "ssim", "lr_psnr"]
  assert set(first["one"]["images"]) == {"a.png", "b.png"}
  assert set(first["two"]["failed"]) == {"broken.png"}
  assert report["protocol"]["crop"] == 2 and report["protocol"]["color"] == "y"
  for name, path in zip(("first", "second"), paths, strict=True):
    assert report[name]["file"] == str(path)
    assert report[name]["sha256"] == zoo.file_sha256(path)
  assert not report["first"]["generative"] and report["second"]["generative"]
  assert len(said) == 8 and said[2].startswith("alpha 0.50  network  one  PSNR")
  names = ["sweep.json", "sweep.csv", "sweep.png", "strip.png"]
  assert [path.name for path in outcome.files] == names
  # It is named once, though it failed four times.
  assert len(outcome.failures) == 1 and "broken.png" in outcome.failures[0]


def test_the_scores_are_those_of_the_networks_themselves(swept):
  top, paths, _, report, _ = swept
  ends = [zoo.load_generator(path) for path in paths]
  bundles = [ends[0], zoo.blend(*ends, 0.5), ends[1]]
  points = report["scores"]["network"].values()
  for point, bundle in zip(points, bundles, strict=True):
    scores = scoring.score_sets(
      engine.Upscaler(bundle), [top / "one"], scale=2, protocol=Y
    )
    for key in ("psnr", "ssim"):
      got = point["one"]["mean"][key]
      expected = scores["sets"]["one"]["mean"][key]
      assert got == pytest.approx(expected, abs=1e-3)


def test_the_other_way_mixes_the_pictures_before_rounding(swept):
  top, paths, _, report, _ = swept
  a, b = (engine.Upscaler(zoo.load_generator(path)) for path in paths)
  hr = images.modcrop(images.read_picture(top / "one" / "a.png").pixels, 2)
  lr = resample.resize_uint8(hr, scale=0.5)
  x = images.to_float(lr)
  mixed = 0.5 * a.upscale(x) + 0.5 * b.upscale(x)
  values = scoring.measure(images.to_uint8(mixed), hr, Y)
  got = report["scores"]["image"]["0.5"]["one"]["images"]["a.png"]
  assert got["psnr"] == pytest.approx(values["psnr"], abs=1e-3)
  for alpha, end in ((0, a), (1, b)):
    mixture = sweep.Mixture(a, b, alpha)
    np.testing.assert_array_equal(mixture.upscale(x), end.upscale(x))
  assert sweep.Mixture(a, b, 0.25).generative


def test_the_table_has_the_means_of_every_point_and_set(swept):
  top, _, _, report, _ = swept
  with (top / "new" / "out" / "sweep.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))
  assert len(rows) == 2 * (3 + 1)
  for row in rows:
    entry = report["scores"][row["method"]][row["alpha"]][row["set"]]
    assert int(row["pictures"]) == len(entry["images"])
    for key, value in entry["mean"].items():
      assert float(row[key]) == pytest.approx(value, rel=1e-7)
    assert (row["scale"], row["color"], row["crop"]) == ("2", "y", "2")


def test_curve_and_strip_are_drawn(swept):
  folder = swept[0] / "new" / "out"
  with Image.open(folder / "sweep.png") as curve:
    # Two metrics over PSNR, two sets.
    assert curve.size == (2 * 624, 2 * 504)
    assert len(set(np.asarray(curve.convert("L")).ravel().tolist())) > 50
  strip = images.read_picture(folder / "strip.png").pixels
  hr = images.modcrop(images.read_picture(swept[0] / "one" / "a.png").pixels, 2)
  large = hr.repeat(5, axis=0).repeat(5, axis=1)
  assert strip.shape[1] == 4 * large.shape[1] + 5 * figures.GAP
  # HR ends both rows; what begins them is the same result too.
  right = strip[:, -large.shape[1] - figures.GAP : -figures.GAP]
  left = strip[:, figures.GAP : large.shape[1] + figures.GAP]
  tops = [
    top
    for top in range(len(strip) - len(large) + 1)
    if np.array_equal(right[top : top + len(large)], large)
  ]
  assert len(tops) == 2
  first, second = (left[top : top + len(large)] for top in tops)
  np.testing.assert_array_equal(first, second)
  assert not np.array_equal(first, large)


def test_a_set_without_any_readable_picture_leaves_its_panel_empty(
  swept, tmp_path
):
  top, paths, *_ = swept
  (tmp_path / "bad").mkdir()
  (tmp_path / "bad" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
  outcome = sweep.sweep(
    *paths, [tmp_path / "bad", top / "one"], tmp_path / "out", steps=1
  )
  assert len(outcome.failures) == 1 and len(outcome.files) == 4
  report = json.loads((tmp_path / "out" / "sweep.json").read_text())
  assert report["scores"]["network"]["1"]["bad"]["mean"]["psnr"] == "nan"


def test_the_detail_is_where_the_ends_differ():
  a = np.zeros((30, 40, 3), np.uint8)
  b = a.copy()
  b[20:26, 3:9] = 9
  rows, columns = draw._where_they_differ(a, b, 10)
  assert (rows.stop - rows.start, columns.stop - columns.start) == (10, 10)
  assert rows.start <= 20 and rows.stop >= 26
  assert columns.start <= 3 and columns.stop >= 9
  assert draw._where_they_differ(a, b, 99) == (slice(0, 30), slice(0, 40))


def test_the_command_says_where_the_results_are(swept, tmp_path, capsys):
  top, paths, *_ = swept
  words = ["sweep", *map(str, paths), f"--sets={top / 'one'}", "--steps=1"]
  assert door.main([*words, "-o", str(tmp_path)]) == 0
  told = capsys.readouterr().out.splitlines()
  assert [line.split()[1] for line in told[:-1]] == ["0.00", "1.00"]
  assert told[-1].startswith("written: ") and told[-1].endswith("strip.png")
  words[3] = f"--sets={top / 'two'}"
  assert door.main([*words, "-o", str(tmp_path)]) == 1
  assert "broken.png" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"steps": 0}, "got 0 steps"),
    ({"metrics": ["psnr"]}, "one more metric"),
    ({"metrics": ["psrn"]}, 'did you mean "psnr"'),
    ({"color": "yy"}, 'unknown protocol color "yy"'),
    ({"tile": 0}, "tile 0 is out of range"),
  ],
)
def test_what_cannot_be_swept_is_said(swept, tmp_path, options, message):
  top, paths, *_ = swept
  with pytest.raises(errors.EnhanceError, match=message):
    sweep.sweep(*paths, [top / "one"], tmp_path / "x", **options)
