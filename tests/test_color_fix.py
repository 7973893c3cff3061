"""Colours of a result against those of its input, detail left alone."""

import numpy as np
import pytest
from scipy import fft
from skimage import data

from enhance_jax import images, resample
from enhance_jax.inference import color_fix, engine, fidelity, picture, tiled

SCALE = 4


class Tinted(tiled.Tiled):
  """Bicubic with invented texture and a tint that drifts over the picture."""

  def __init__(self, tint=(0.06, -0.05, 0.03), texture=0.05, tile=None):
    super().__init__("tinted", SCALE, 4, {"generative": True}, tile, "abc")
    self._tint = np.asarray(tint, np.float32)
    self._texture = texture

  def enlarge(self, window):
    sr = resample.resize(window, scale=SCALE)
    # As a network's, the tint depends on what is there and not on where.
    tint = self._tint[: sr.shape[2]] * (0.5 + sr.mean(axis=2, keepdims=True))
    i, j = np.indices(sr.shape[:2])[..., None] % 2
    return (sr + tint + self._texture * (i ^ j)).astype(np.float32)


def photograph(side=48):
  """An LR photograph away from black and white, float32."""
  hr = images.to_float(data.astronaut()[:384, 40:424])
  lr = resample.resize(hr, scale=side / 384)
  return np.clip(0.2 + 0.5 * lr, 0, 1)


def block_means(x, blocks=3):
  height, width, channels = x.shape
  shape = (blocks, height // blocks, blocks, width // blocks, channels)
  return x.reshape(shape).mean(axis=(1, 3))


def test_every_block_gets_the_mean_colour_of_the_input():
  lr = photograph()
  inner = Tinted()
  wrong = np.abs(block_means(inner.upscale(lr)) - block_means(lr)).max()
  fixed = color_fix.ColorFix(inner)
  right = np.abs(block_means(fixed.upscale(lr)) - block_means(lr)).max()
  # 27 levels of 255 off before, and afterwards less than half a level.
  assert wrong > 0.08 and right < 0.5 / 255
  bicubic = resample.resize(lr, scale=SCALE)
  got = np.abs(block_means(fixed.upscale(lr)) - block_means(bicubic)).max()
  assert got < 0.5 / 255
  assert (fixed.name, fixed.sha256) == ("tinted + colour fix", "abc")
  assert fixed.generative and fixed.scale == SCALE


def test_high_frequencies_are_unchanged():
  lr = photograph()
  inner = Tinted()
  before = inner.upscale(lr)
  change = color_fix.ColorFix(inner).upscale(lr) - before
  spectrum = np.asarray(fft.dctn(change, axes=(0, 1), norm="ortho"))
  energy = np.sum(spectrum**2, axis=2)
  # Index k of n is a wave of 2 n / k pixels: here below 8 LR pixels.
  k = np.arange(len(energy))
  high = (k[:, None] > len(k) / 16) | (k[None] > len(k) / 16)
  assert energy[high].sum() < 1e-4 * energy.sum()
  assert np.abs(change).max() > 0.05
  # The invented checks, the highest frequency there is, are all there.
  checks = np.where(np.indices(before.shape[:2]).sum(axis=0) % 2, 1, -1)
  np.testing.assert_allclose(
    (change * checks[..., None]).mean(axis=(0, 1)), 0, atol=1e-5
  )


def test_a_wave_is_corrected_by_what_is_promised_of_its_length():
  for length, share in ((21, 0.5), (50, 0.9), (7, 0.0)):
    lr = np.full((8 * length, 8, 1), 0.5, np.float32)
    y = (np.arange(len(lr) * SCALE) + 0.5) / (length * SCALE)
    wave = 0.1 * np.cos(2 * np.pi * y)[:, None, None].astype(np.float32)
    sr = np.broadcast_to(0.5 + wave, (len(y), 8 * SCALE, 1))
    left = color_fix.correct(sr, lr) - 0.5
    corrected = 1 - np.sum(left * wave) / np.sum(wave**2 + sr * 0)
    assert corrected == pytest.approx(share, abs=0.03)


def test_white_stays_white_and_black_black():
  # White paper with a gray bar, black below; the network makes all darker.
  lr = np.ones((40, 40, 3), np.float32)
  lr[:, 18:22] = 0.4
  lr[30:] = 0
  sr = resample.resize(lr, scale=SCALE) * np.float32(0.95) + np.float32(0.01)
  got = images.to_uint8(color_fix.correct(sr, lr))
  white = np.zeros((160, 160), bool)
  white[: 29 * SCALE, : 17 * SCALE] = white[: 29 * SCALE, 23 * SCALE :] = True
  assert np.median(images.to_uint8(sr)[white]) == 245
  assert (got[white] == 255).all()
  assert (got[31 * SCALE :] == 0).all()


def test_what_is_cut_off_anyway_does_not_darken_its_neighbours():
  # Overshoot beside white will be clipped: it is no colour to make up for.
  lr = np.full((32, 32, 1), 0.9, np.float32)
  lr[:, 16:] = 1
  sr = np.repeat(np.repeat(lr, SCALE, axis=0), SCALE, axis=1)
  sr[:, 16 * SCALE :] += 0.2
  inside = resample.resize(lr, scale=SCALE)
  got = np.clip(color_fix.correct(sr, lr), 0, 1)
  plain = np.clip(color_fix.correct(np.clip(sr, 0, 1), lr), 0, 1)
  np.testing.assert_allclose(got, plain, atol=1e-6)
  assert np.abs(got - np.clip(inside, 0, 1)).max() < 0.06


def test_in_tiles_it_is_that_of_the_whole():
  lr = photograph(96)
  whole = color_fix.ColorFix(Tinted()).upscale(lr)
  tiles = []
  small = color_fix.ColorFix(Tinted(tile=24))
  got = small.upscale(lr, on_tile=lambda *n: tiles.append(n))
  assert len(tiles) > 4
  np.testing.assert_allclose(got, whole, rtol=0, atol=1e-5)


def test_gray_alpha_and_16_bits():
  lr = photograph()
  fixed = color_fix.ColorFix(Tinted())
  wide = images.to_uint16(np.dstack([lr[..., 0], lr[..., 1] * 0 + 1]))
  result = picture.upscale_picture(fixed, images.Picture(wide)).pixels
  assert result.dtype == np.uint16 and result.shape == (192, 192, 2)
  assert (result[..., 1] == 65535).all()
  got = block_means(images.to_float(result[..., :1]))
  assert np.abs(got - block_means(lr[..., :1])).max() < 0.5 / 255


def test_around_an_ensemble_and_inside_consistency():
  lr = photograph(24)
  both = fidelity.Consistent(
    color_fix.ColorFix(fidelity.Ensemble(engine.Interpolation("bicubic", 4)))
  )
  assert both.upscale(lr).shape == (96, 96, 3)
  assert both.name == "bicubic + ensemble + colour fix + consistent"
