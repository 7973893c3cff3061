"""Blended seams: tiles that fade into each other, and what that costs."""

import logging

import numpy as np
import pytest

from enhance_jax import errors, images
from enhance_jax.inference import engine, seams, tiling
from tests.tiny_networks import bundle, result


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path_factory.getbasetemp()))


def noise(height, width, channels=3):
  return np.random.default_rng(3).random((height, width, channels), np.float32)


class Far(engine.Tiled):
  """Adds what lies `distance` pixels to the left and above, times `share`."""

  def __init__(self, distance=20, share=0.01, **options):
    super().__init__("far", 2, distance, {}, options.pop("tile", 48))
    self.seams = "blend"
    self._distance, self._share = distance, share

  def enlarge(self, window):
    far = np.zeros_like(window)
    n = self._distance
    far[n:] += window[:-n]
    far[:, n:] += window[:, :-n]
    sr = window + np.float32(self._share) * far
    return sr.repeat(2, axis=0).repeat(2, axis=1)


def test_shares_of_neighbours_add_up_to_one():
  scale, fade = 3, 8
  for height, width in ((40, 200), (131, 97), (57, 57)):
    plan = tiling.cover(height, width, (64, 64), 16, fade=fade)
    join = seams.Join(plan, scale, 1, np.dtype(np.uint8))
    ones = np.ones((64 * scale, 64 * scale, 1), np.float32)
    rows = 0
    for tile in plan.tiles:
      side = (
        (tile.rows.stop - tile.rows.start) * scale,
        (tile.columns.stop - tile.columns.start) * scale,
      )
      ready = join.put(tile, ones[: side[0], : side[1]])
      if ready is not None:
        top, band = ready
        assert top == rows and band.shape[1] == width * scale
        np.testing.assert_allclose(band, 1, rtol=0, atol=1e-6)
        rows += len(band)
    assert rows == height * scale


def test_what_a_blend_gets_wrong_is_measured():
  x = noise(200, 180)
  upscaler = Far()
  blended = upscaler.upscale(x)
  exact = Far(tile=400)
  exact.seams = "exact"
  expected = exact.upscale(x)
  off = np.abs(np.clip(blended, 0, 1) - np.clip(expected, 0, 1))
  check = upscaler.seam_check
  # Where a window ends, 0.01 times one pixel of up to 1 is missing.
  assert 0.5 < check.levels <= 255 * off.max() + 1e-4 < 255 * 0.0201
  assert check.cuts == 3 and check.seen == check.radius == 20
  assert "of 255 levels at 3 cuts" in str(check)
  # No wrong pixel anywhere but within reach of a cut.
  plan = upscaler._plan(200, 180)
  clean = np.ones(off.shape[:2], bool)
  for tile in plan.tiles:
    for span, axis in ((tile.rows, 0), (tile.columns, 1)):
      if span.first:
        near = slice(2 * (span.first - 8), 2 * (span.first + 20))
        clean[near if axis == 0 else (slice(None), near)] = False
  assert clean.any() and off[clean].max() < 1e-6


class Mean(engine.Tiled):
  """Every window becomes its own mean: the worst that tiles can differ."""

  def __init__(self):
    super().__init__("mean", 2, 100, {}, 48)
    self.seams = "blend"

  def enlarge(self, window):
    height, width, channels = window.shape
    return np.full((2 * height, 2 * width, channels), window.mean())


def test_a_fade_goes_from_one_side_to_the_other_in_small_steps():
  x = np.zeros((60, 300, 1), np.float32)
  x[:, 150:] = 1
  line = Mean().upscale(x)[60, :, 0]
  # 8 LR pixels on both sides of a cut are 32 steps at scale 2.
  assert line[0] == 0 and line[-1] == 1
  assert np.diff(line).min() > -1e-6
  assert 0.5 / 32 < np.diff(line).max() <= 1 / 32 + 1e-6


def test_blend_without_need_is_exact():
  generator = bundle("espcn")
  x = noise(60, 70, 1)
  upscaler = engine.Upscaler(generator, tile=24)
  upscaler.seams = "blend"
  assert upscaler.radius < 16
  expected = result(generator, x[None])[0]
  np.testing.assert_allclose(upscaler.upscale(x), expected, rtol=0, atol=1e-5)
  assert upscaler.seam_check is None


@pytest.mark.parametrize("name", ["rrdb", "edsr"])
def test_networks_are_blended_and_the_error_found_is_the_true_one(name, caplog):
  generator = bundle(name)
  pixels = images.to_uint8(noise(90, 81))
  upscaler = engine.Upscaler(generator, tile=32)
  # A network that sees further than a blend does, as deep ones do.
  upscaler.radius = max(upscaler.radius, 17)
  upscaler.seams = "blend"
  with caplog.at_level(logging.INFO):
    got = upscaler.upscale_uint8(pixels)
  assert "blended seams: off by at most" in caplog.text
  expected = result(generator, images.to_float(pixels)[None])[0]
  off = np.abs(got.astype(int) - images.to_uint8(expected))
  assert off.max() <= upscaler.seam_check.levels + 1
  sixteen = upscaler.upscale_uint16(pixels.astype(np.uint16) * 257)
  assert np.abs(sixteen // 257 - got.astype(int)).max() <= 1


def test_rows_that_are_there_already_are_not_given_twice():
  """As after memory has run out in the middle of a picture."""
  x = noise(150, 60)
  for kind in engine.SEAMS:
    upscaler = Far()
    upscaler.seams = kind
    full = upscaler.upscale(x)
    plan = upscaler._plan(150, 60)
    for skip in (0, 1, 40, 41, 100, 150, 299):
      rest = list(upscaler._pass(x, plan, None, skip))
      assert sum(map(len, rest)) == 300 - skip, (kind, skip)
      np.testing.assert_array_equal(np.concatenate(rest), full[skip:])


def test_an_unknown_kind_of_seam_is_refused():
  with pytest.raises(errors.EnhanceError, match='did you mean "blend"'):
    engine.Policy(seams="blent")
  blended = engine.open_model(
    "bicubic", scale=2, policy=engine.Policy(seams="blend", tile=9)
  )
  assert blended.settings == {"seams": "blend", "tile": 9}
