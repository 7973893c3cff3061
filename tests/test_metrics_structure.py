"""SSIM, MS-SSIM and LR-PSNR against SciPy, scikit-image and golden numbers."""

import math

import numpy as np
import pytest
from scipy import signal
from skimage import metrics as skimage_metrics

from enhance_jax import resample
from enhance_jax.errors import EnhanceError
from enhance_jax.metrics import image
from enhance_jax.metrics.image import Protocol
from tests.test_metrics_image import noisy, picture_s

Y, RGB = Protocol("y", 0), Protocol("rgb", 0)


def torn(height, width):
  """A picture and a version that differs from it in structure, uint8."""
  hr = picture_s(height, width)
  rng = np.random.default_rng(4)
  noise = rng.normal(0, 25, hr.shape)
  sr = np.uint8(np.clip(np.roll(hr, 2, 1) + noise, 0, 255))
  return sr, hr


# Specification sheet 2.10, float luma.
@pytest.mark.parametrize(
  ("size", "expected"), [((192, 176), 0.99900307), ((256, 320), 0.99900163)]
)
def test_ms_ssim_golden_values(size, expected):
  hr = picture_s(*size)
  got = image.ms_ssim(noisy(hr), hr, Y)
  assert got == pytest.approx(expected, abs=5.1e-9)


def reference_ms_ssim(a, b):
  """One channel by two-dimensional convolutions of SciPy."""
  offset = np.arange(-5, 6)
  window = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
  window /= window.sum()
  c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

  def local(x):
    return signal.convolve2d(x, window, mode="valid")

  result = 1.0
  weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
  for scale, weight in enumerate(weights):
    ma, mb = local(a), local(b)
    va, vb = local(a * a) - ma**2, local(b * b) - mb**2
    value = (2 * (local(a * b) - ma * mb) + c2) / (va + vb + c2)
    if scale == 4:
      value *= (2 * ma * mb + c1) / (ma**2 + mb**2 + c1)
    result *= max(value.mean(), 0) ** weight
    box = np.full((2, 2), 0.25)
    height, width = (side // 2 * 2 for side in a.shape)
    a, b = (
      signal.convolve2d(x[:height, :width], box, mode="valid")[::2, ::2]
      for x in (a, b)
    )
  return result


def test_ms_ssim_by_scipy_with_odd_sides():
  # 182 -> 91 -> 45 -> 22 -> 11: odd at two scales.
  sr, hr = torn(182, 179)
  expected = np.mean(
    [
      reference_ms_ssim(sr[..., c].astype(float), hr[..., c].astype(float))
      for c in range(3)
    ]
  )
  assert 0.1 < expected < 0.9
  assert image.ms_ssim(sr, hr, RGB) == pytest.approx(expected, abs=1e-12)


def test_ms_ssim_of_opposites_is_zero():
  # A negative has negative contrast terms, which count as 0.
  hr = picture_s(176, 176)
  assert image.ms_ssim(255 - hr, hr, Y) == 0
  assert image.ms_ssim(hr, hr, Y) == 1


@pytest.mark.parametrize(("height", "crop"), [(175, 0), (183, 4)])
def test_ms_ssim_needs_176_pixels(height, crop):
  x = picture_s(height, 192)
  with pytest.raises(EnhanceError, match="MS-SSIM needs 176x176"):
    image.ms_ssim(x, x, Protocol("y", crop))


@pytest.mark.parametrize("color", ["y8", "rgb"])
def test_ssim_by_scikit_image(color):
  sr, hr = torn(30, 41)
  got = image.ssim(sr, hr, Protocol(color, 3))
  a, b = image._planes(sr, hr, Protocol(color, 3), color)
  expected = skimage_metrics.structural_similarity(
    a,
    b,
    channel_axis=-1,
    data_range=255,
    gaussian_weights=True,
    sigma=1.5,
    use_sample_covariance=False,
  )
  assert got == pytest.approx(expected, abs=1e-12)


def test_lr_psnr_by_hand():
  # A constant stays itself when it is made small: 3 of 255 are missing in one
  # channel of three, so the mean square error is 3.
  sr = np.full((8, 12, 3), 100, np.uint8)
  lr = np.full((2, 3, 3), 100, np.uint8)
  lr[..., 1] = 103
  expected = 10 * math.log10(255**2 / 3)
  assert image.lr_psnr(sr, lr) == pytest.approx(expected, abs=1e-12)
  small = image.lr_psnr(sr, lr, rounded=False)
  assert small == pytest.approx(expected, abs=1e-9)
  assert image.lr_psnr(sr, lr[..., :1].repeat(3, -1)) == math.inf


def test_lr_psnr_in_8_bits_and_in_float():
  hr = picture_s(24, 32)
  lr = resample.resize_uint8(hr, scale=1 / 4)
  assert image.lr_psnr(hr, lr) == math.inf
  # What is left in float is the rounding of lr, after each of two passes: the
  # second one's variance is 1/12, and at most as much comes from the first.
  error = 255**2 / 10 ** (image.lr_psnr(hr, lr, rounded=False) / 10)
  assert 1 / 20 < error < 1 / 6
  small = resample.resize(hr.astype(np.float64), scale=1 / 4)
  assert error == pytest.approx(np.mean((small - lr) ** 2), rel=1e-9)


def test_lr_psnr_takes_the_whole_picture():
  sr = np.zeros((16, 16, 1), np.uint8)
  lr = np.zeros((4, 4, 1), np.uint8)
  lr[0, 0] = 16  # mean square error 256 / 16
  expected = 10 * math.log10(255**2 / 16)
  assert image.lr_psnr(sr, lr) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
  ("size", "channels", "words"),
  [
    ((17, 16), 3, "one multiple"),
    ((16, 12), 3, "one multiple"),
    ((2, 2), 3, "one multiple"),
    ((16, 16), 1, "equal channels"),
  ],
)
def test_lr_psnr_refuses_other_sizes(size, channels, words):
  sr = np.zeros((*size, channels), np.uint8)
  with pytest.raises(EnhanceError, match=words):
    image.lr_psnr(sr, np.zeros((4, 4, 3), np.uint8))


def test_rounded_luma():
  # Specification sheet 1.3: (12, 200, 77) has Y 127.44609.
  x = np.full((6, 8, 3), (12, 200, 77), np.uint8)
  luma = image.rounded_luma(x, 2)
  assert luma.dtype == np.float64
  np.testing.assert_array_equal(luma, np.full((2, 4), 127.0))
  np.testing.assert_array_equal(image.rounded_luma(x[..., :1], 0), x[..., 0])
  with pytest.raises(EnhanceError, match="uint8"):
    image.rounded_luma(x / 255, 0)
