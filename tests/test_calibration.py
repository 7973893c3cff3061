"""Calibration: the bound's values, the promise kept, and the command."""

import json
import os
import pathlib

import numpy as np
import pytest
from scipy import stats

from enhance_jax import calibrate, errors, images, resample
from enhance_jax.inference import calibration, tiled, uncertainty
from tests import test_engine


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path_factory.getbasetemp()))


@pytest.mark.parametrize(
  ("risk", "n", "bound"),
  # Found with an implementation in other terms, at delta 0.1.
  [(0.05, 200, 0.0864), (0.08, 1000, 0.0969), (0.1, 10000, 0.1055)],
)
def test_known_values_of_the_bound(risk, n, bound):
  got = calibration.hoeffding_bentkus(risk, n, 0.1)
  assert got == pytest.approx(bound, abs=5e-5)


def test_the_bound_at_its_ends():
  # No loss at all: (1 - mu) ** n = delta.
  got = calibration.hoeffding_bentkus(0.0, 22, 0.1)
  assert got == pytest.approx(1 - 0.1 ** (1 / 22), abs=1e-9)
  assert calibration.hoeffding_bentkus(1.0, 50, 0.1) == 1
  bounds = [calibration.hoeffding_bentkus(r, 50, 0.1) for r in (0, 0.1, 0.5)]
  assert bounds == sorted(bounds) and bounds[1] > 0.1


def test_the_bound_holds_as_often_as_promised():
  rng = np.random.default_rng(0)
  true = 0.07
  means = rng.binomial(60, true, 500) / 60
  below = [calibration.hoeffding_bentkus(m, 60, 0.1) < true for m in means]
  # At most 10 % of 500, and three standard deviations of luck.
  assert sum(below) <= 50 + 3 * stats.binom.std(500, 0.1)


class Wrong(tiled.Tiled):
  """Bicubic with errors that grow with the contrast, as networks' do."""

  def __init__(self):
    super().__init__("wrong", 2, 4, {}, None, "ab")
    self._rng = np.random.default_rng(4)

  def enlarge(self, window):
    sr = resample.resize(window, scale=2)
    contrast = np.abs(sr - sr.mean(axis=(0, 1)))
    noise = self._rng.normal(0, 1, sr.shape) * contrast * 0.2
    return (sr + noise).astype(np.float32)


def crops(n, side=32):
  """Soft pictures, none like the other: some flat, some busy."""
  rng = np.random.default_rng(1)
  result = []
  for _ in range(n):
    coarse = rng.random((8, 8, 3)) * rng.uniform(0.05, 1)
    fine = resample.resize(coarse, size=(side, side))
    result.append(images.to_uint8(fine))
  return result


@pytest.fixture(scope="module")
def made():
  return calibration.calibrate(Wrong(), crops(160))


def test_the_promise_is_kept_on_pictures_never_seen(made):
  samples = [calibration.sample(Wrong(), crop) for crop in crops(220)[160:]]
  measured = calibration.measure(made, samples)
  assert 0.9 <= measured["all"]["coverage"] <= 0.99
  assert made.coverage == pytest.approx(0.9)
  # Wide where it is hard, narrow where it is not.
  assert made.levels[-1] > 3 * made.levels[0]


def test_the_report_says_what_was_measured(made):
  report = made.report
  assert report["photographs"] == [40, 80, 40] and report["crop"] == 32
  measured = report["measured"]
  assert {"all", "textured"} <= set(measured)
  assert measured["all"]["area"] == 1
  areas = [v["area"] for k, v in measured.items() if k != "all"]
  assert sum(areas) == pytest.approx(1, abs=1e-3)
  whole = sum(
    v["area"] * v["coverage"] for k, v in measured.items() if k != "all"
  )
  assert whole == pytest.approx(measured["all"]["coverage"], abs=1e-3)
  assert measured["all"]["worst"] <= measured["all"]["coverage"]
  assert json.loads(json.dumps(report)) == report


def test_a_stricter_promise_is_wider():
  strict = calibration.calibrate(Wrong(), crops(160), alpha=0.05)
  plain = calibration.calibrate(Wrong(), crops(160), alpha=0.2)
  assert strict.coverage == 0.95
  score = np.array([0.05])
  assert strict.half_widths(score)[0] > plain.half_widths(score)[0]


def test_too_few_photographs_are_refused():
  with pytest.raises(errors.EnhanceError, match="got 40 photographs .* 44 or"):
    calibration.calibrate(Wrong(), crops(40))


def test_crops_are_the_same_for_a_seed_and_lie_inside(tmp_path):
  rng = np.random.default_rng(0)
  for i, size in enumerate([(40, 50), (33, 32), (20, 90), (64, 64)]):
    pixels = rng.integers(0, 256, (*size, 3), np.uint8)
    images.write_picture(tmp_path / f"{i}.png", images.Picture(pixels))
  paths = calibration.photographs(tmp_path, 9)
  one, two, other = (
    calibration.read_crops(paths, 32, seed) for seed in (1, 1, 2)
  )
  assert [c.shape for c in one] == [(32, 32, 3)] * 3  # one was too small
  assert all((a == b).all() for a, b in zip(one, two, strict=True))
  assert not all((a == b).all() for a, b in zip(one, other, strict=True))
  assert len(calibration.photographs(tmp_path, 2)) == 2
  (tmp_path / "none").mkdir()
  with pytest.raises(errors.EnhanceError, match="holds no pictures"):
    calibration.photographs(tmp_path / "none", 9)


def test_the_command_writes_what_upscaling_reads(tmp_path, capsys):
  weights = test_engine.save(tmp_path / "net", test_engine.bundle())
  folder = tmp_path / "photos"
  folder.mkdir()
  for i, crop in enumerate(crops(60, 40)):
    images.write_picture(folder / f"{i}.png", images.Picture(crop))
  flags = [f"--model={weights}", f"--data={folder}", "--crop=32"]
  assert calibrate.main(flags) == 0
  told = capsys.readouterr().out
  assert "from 15 + 30 photographs" in told
  assert "on 15 other photographs" in told and "worst photograph" in told
  path = uncertainty.beside(weights)
  assert f"written to {path}" in told
  sha256 = json.loads((tmp_path / "net.json").read_text())["sha256"]
  made = uncertainty.load(path, sha256, {})
  assert made.report["measured"]["all"]["coverage"] > 0.85
  assert calibrate.main([*flags, "--consistent"]) == 0
  assert uncertainty.load(path, sha256, {"consistent": True}) != made
  assert uncertainty.load(path, sha256, {}) == made


@pytest.mark.parametrize(
  ("flags", "words"),
  [
    (["--model=bicubic", "--scale=2"], "has no weights"),
    (["--model=bicubic", "--scale=2", "--alpha=0"], "--alpha=0.0 is out of"),
    (["--model=bicubic", "--scale=2", "--delta=1"], "--delta=1.0 is out of"),
    (["--model=nothing"], "nothing"),
  ],
)
def test_flags_that_cannot_be_met(tmp_path, flags, words):
  with pytest.raises(errors.EnhanceError, match=words):
    calibrate.main([*flags, f"--data={tmp_path}"])


@pytest.mark.slow
@pytest.mark.skipif(
  not os.environ.get("ENHANCE_DATA"), reason="needs photographs"
)
def test_calibrated_on_one_set_of_photographs_it_covers_another():
  root = pathlib.Path(os.environ["ENHANCE_DATA"])
  net = Wrong()
  paths = calibration.photographs(root / "bsds500_train", 120)
  made = calibration.calibrate(net, calibration.read_crops(paths, 96, 0))
  others = calibration.photographs(root / "general100", 40)
  samples = [
    calibration.sample(net, crop)
    for crop in calibration.read_crops(others, 96, 0)
  ]
  assert calibration.measure(made, samples)["all"]["coverage"] > 0.9
