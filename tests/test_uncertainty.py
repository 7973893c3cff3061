"""Calibrated maps: files, what belongs to which weights, scores, pictures."""

import dataclasses
import json

import numpy as np
import pytest
from skimage import data

from enhance_jax import errors, images, resample
from enhance_jax.inference import engine, fidelity, picture, tiled, uncertainty
from enhance_jax.inference.uncertainty import Calibration, Map


def made(sha256="aa", settings=None, levels=(1.0, 3.0, 9.0)):
  return Calibration(
    sha256, settings or {}, (0.01, 0.02, 0.05), levels, 0.9, {"n": 1}
  )


class Noisy(tiled.Tiled):
  """Bicubic, with noise added on one half of the picture."""

  def __init__(self):
    super().__init__("noisy", 2, 4, {}, None, "aa")

  def enlarge(self, window):
    sr = resample.resize(window, scale=2)
    noise = np.random.default_rng(0).normal(0, 0.1, sr.shape)
    noise[:, : sr.shape[1] // 2] = 0
    return (sr + noise).astype(np.float32)


def test_half_widths_are_read_off_the_curve_and_grow_beyond_it():
  got = made().half_widths(np.array([[0, 0.01, 0.015, 0.02, 0.05, 0.1]]))
  np.testing.assert_allclose(got, [[1, 1, 2, 3, 9, 18]])


def test_a_file_gives_back_what_was_saved(tmp_path):
  path = uncertainty.beside(tmp_path / "net.safetensors")
  assert path == tmp_path / "net.uncertainty.json"
  plain, other = made(), made(settings={"consistent": True})
  uncertainty.save(path, plain)
  uncertainty.save(path, other)
  # Flags that change no pixels do not matter.
  assert uncertainty.load(path, "aa", {"tile": 64, "ensemble": False}) == plain
  assert uncertainty.load(path, "aa", {"consistent": True}) == other
  newer = made(levels=(2.0, 3.0, 4.0))
  uncertainty.save(path, newer)
  assert uncertainty.load(path, "aa", {}) == newer
  assert uncertainty.load(path, "aa", {"consistent": True}) == other


@pytest.mark.parametrize(
  ("sha256", "settings", "words"),
  [
    ("bb", {}, "is about other weights .SHA-256 aa.*these have bb.*calibrate"),
    ("", {}, "these have none"),
    ("aa", {"ensemble": True}, "run plainly, wanted with ensemble; make one"),
    ("aa", {"blend": 0.5}, "wanted with blend 0.5"),
  ],
)
def test_no_calibration_is_an_error_that_says_how(
  tmp_path, sha256, settings, words
):
  path = tmp_path / "net.uncertainty.json"
  with pytest.raises(errors.EnhanceError, match="there is no calibration"):
    uncertainty.load(path, sha256, settings)
  uncertainty.save(path, made())
  with pytest.raises(errors.EnhanceError, match=words):
    uncertainty.load(path, sha256, settings)


@pytest.mark.parametrize(
  "change",
  [
    {"scores": [0.1, 0.1, 0.2]},
    {"levels": [3.0, 2.0, 1.0]},
    {"levels": [1.0]},
    {"levels": [1.0, 2.0, float("nan")]},
    {"scores": [-1.0, 0.0, 1.0]},
    {"coverage": "x"},
    {"settings": None},
  ],
)
def test_damaged_files_are_refused(tmp_path, change):
  path = tmp_path / "net.uncertainty.json"
  uncertainty.save(path, made())
  content = json.loads(path.read_text())
  content["calibrations"][0].update(change)
  for text in (json.dumps(content), "{", "[]", '{"format": "x"}'):
    path.write_text(text)
    with pytest.raises(errors.EnhanceError, match="is no file of calibrations"):
      uncertainty.load(path, "aa", {})


def test_between_two_blends_the_wider_interval_counts(tmp_path):
  path = tmp_path / "net.uncertainty.json"
  faithful, imagined = made("aa"), made("bb", levels=(2.0, 2.0, 20.0))
  uncertainty.save(path, faithful)
  with pytest.raises(errors.EnhanceError, match="is about other weights"):
    uncertainty.load(path, "aa+bb", {"blend": 0.5})
  uncertainty.save(path, imagined)
  between = uncertainty.load(path, "aa+bb", {"blend": 0.5})
  assert between.levels == (2, 3, 20) and between.coverage == 0.9
  assert between.settings == {"blend": 0.5} and between.sha256 == "aa+bb"
  assert between.report == {"between_blends": [0, 1]}
  # The ends are those networks themselves.
  assert uncertainty.load(path, "bb", {"blend": 1}) == imagined
  assert uncertainty.load(path, "aa", {"blend": 0}) == faithful
  # One measured in the middle is nearer than the far end.
  half = made("aa+bb", {"blend": 0.5}, (0.5, 0.6, 0.7))
  uncertainty.save(path, half)
  assert uncertainty.load(path, "aa+bb", {"blend": 0.5}) == half
  quarter = uncertainty.load(path, "aa+bb", {"blend": 0.25})
  assert quarter.levels == faithful.levels
  with pytest.raises(errors.EnhanceError, match="consistent"):
    uncertainty.load(path, "aa+bb", {"blend": 0.5, "consistent": True})


def test_the_score_is_what_was_added_to_what_is_determined():
  lr = images.to_float(data.astronaut()[100:140, 200:240])
  flat = np.full((20, 20, 3), 0.5, np.float32)
  determined, _ = fidelity.project(
    resample.resize(lr, scale=4), lr.copy(), rounds=1
  )
  # Nothing is added, so a quarter of the contrast is left; a flat one has none.
  plain = uncertainty.score(determined, lr)
  assert plain.shape == (160, 160) and 0 < plain.max() < 0.25
  sure = uncertainty.score(resample.resize(flat, scale=4), flat)
  np.testing.assert_allclose(sure, 0, atol=1e-5)
  checks = np.where(np.indices((160, 160)).sum(axis=0) % 2, 0.1, -0.1)
  determined[80:, :, 1] = np.clip(determined + checks[..., None], 0, 1)[
    80:, :, 1
  ]
  more = uncertainty.score(determined, lr) - plain
  assert np.abs(more[:70]).max() < 1e-4
  assert np.median(more[90:]) == pytest.approx(0.1, abs=0.02)


def test_the_map_shows_where_detail_was_invented():
  original = images.Picture(data.astronaut()[100:140, 200:250])
  upscaler = Noisy()
  map_ = uncertainty.estimate(upscaler, original, made())
  assert map_.levels.shape == (80, 100) and map_.levels.dtype == np.float32
  half = map_.levels[:, :45], map_.levels[:, 55:]
  assert half[1].mean() > 2 * half[0].mean()
  # From the result at hand it is the same, but for its rounding.
  result = picture.upscale_picture(upscaler, original)
  again = uncertainty.estimate(upscaler, original, made(), result=result)
  np.testing.assert_allclose(again.levels, map_.levels, rtol=0.2, atol=0.5)


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_kind_of_picture_has_a_map(channels, dtype):
  shape = (10, 12, channels)
  rng = np.random.default_rng(0)
  pixels = rng.integers(0, np.iinfo(dtype).max, shape).astype(dtype)
  original = images.Picture(pixels)
  map_ = uncertainty.estimate(Noisy(), original, made())
  assert map_.levels.shape == (20, 24)
  result = picture.upscale_picture(Noisy(), original)
  assert map_.overlay(result).pixels.shape == (20, 24, 3)


def test_a_calibration_of_other_weights_is_refused():
  original = images.Picture(data.astronaut()[:8, :8])
  other = dataclasses.replace(made(), sha256="bb")
  consistent = made(settings={"consistent": True})
  for wrong in (other, consistent):
    with pytest.raises(errors.EnhanceError, match="other weights or settings"):
      uncertainty.estimate(Noisy(), original, wrong)


def test_pictures_and_summary_of_a_map():
  levels = np.zeros((10, 20), np.float32)
  levels[:, :3], levels[:, 3:5] = 300, 16.6
  map_ = Map(levels, 0.9)
  gray = map_.image().pixels
  assert gray.shape == (10, 20, 1)
  assert gray[0, [0, 3, 5], 0].tolist() == [255, 17, 0]
  assert map_.share() == pytest.approx(0.25) and map_.share(20) == 0.15
  assert map_.summary() == (
    "25% of the picture's area is uncertain by more than 16 levels of 255 "
    "(mean 47, for 90% of the pixels)"
  )
  sr = images.Picture(np.full((10, 20, 3), 100, np.uint8))
  heat = map_.overlay(sr).pixels.astype(int)
  # Hot is yellow and light, certain is the picture in gray, darkened.
  assert heat[0, 0, 0] > 180 > 150 > heat[0, 0, 2]
  assert len(set(heat[0, 10])) <= 3 and heat[0, 10].max() < 80
  large = images.Picture(np.full((25, 50, 4), 100, np.uint8))
  assert map_.overlay(large).pixels.shape == (25, 50, 3)


def test_interpolations_have_no_weights_to_know_of(tmp_path):
  path = tmp_path / "a.uncertainty.json"
  uncertainty.save(path, made())
  bicubic = engine.Interpolation("bicubic", 2)
  with pytest.raises(errors.EnhanceError, match="these have none"):
    uncertainty.load(path, bicubic.sha256, bicubic.settings)
