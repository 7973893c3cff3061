"""SSIM, Daala's SSIM and MS-SSIM of float64 planes [h, w, C] on 0..255.

Arithmetic alone: what is compared (colour, border) is decided in
`metrics.image`, which is the door to use.
"""

import math

import numpy as np

from enhance_jax.errors import EnhanceError

PEAK = 255.0
_C1 = (0.01 * PEAK) ** 2
_C2 = (0.03 * PEAK) ** 2
_TAPS = 11
_SIGMA = 1.5
# Wang, Simoncelli & Bovik, Asilomar 2003: exponents, fine to coarse.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def gaussian(count: int, sigma: float) -> np.ndarray:
  """A Gaussian sampled at `count` (odd) points, float64, of sum 1."""
  offset = np.arange(count) - count // 2
  taps = np.exp(-(offset**2) / (2 * sigma**2))
  return taps / taps.sum()


def filter_inside(x: np.ndarray, taps: np.ndarray) -> np.ndarray:
  """Correlates axes 0 and 1 with `taps`, where they fit inside only.

  Args:
    x: [h, w, ...].
    taps: [k].

  Returns:
    [h - k + 1, w - k + 1, ...].
  """
  for axis in (0, 1):
    length = x.shape[axis] - len(taps) + 1
    window = [slice(None)] * x.ndim
    total = np.zeros(())
    for offset, tap in enumerate(taps):
      window[axis] = slice(offset, offset + length)
      total = total + tap * x[tuple(window)]
    x = total
  return x


def wang(a: np.ndarray, b: np.ndarray) -> float:
  """SSIM of Wang et al. (IEEE TIP 2004): 11 Gaussian taps, inside only.

  Raises:
    EnhanceError: a side is shorter than the window.
  """
  if min(a.shape[:2]) < _TAPS:
    raise EnhanceError(
      f"{a.shape[0]}x{a.shape[1]} pixels are left after cropping; SSIM needs "
      f"{_TAPS}x{_TAPS}, so use larger pictures"
    )
  similarity, _ = _wang_maps(a, b)
  # Pictures are rectangles: the mean of all is the mean of channel means.
  return float(np.mean(similarity))


def multi_scale(a: np.ndarray, b: np.ndarray) -> float:
  """MS-SSIM (Wang et al. 2003), the mean over channels.

  The contrast terms of four scales and the SSIM of the fifth, each averaged
  over its map, to the powers of `SCALE_WEIGHTS`; negative averages count as 0.
  Between scales: mean of 2x2, a last odd row or column left out.

  Raises:
    EnhanceError: the window does not fit into the coarsest scale.
  """
  least = _TAPS * 2 ** (len(SCALE_WEIGHTS) - 1)
  if min(a.shape[:2]) < least:
    raise EnhanceError(
      f"{a.shape[0]}x{a.shape[1]} pixels are left after cropping; MS-SSIM "
      f"needs {least}x{least}, so leave it out or use larger pictures"
    )
  product = np.ones(a.shape[-1])
  for weight in SCALE_WEIGHTS[:-1]:
    _, contrast = _wang_maps(a, b)
    product *= np.maximum(contrast.mean(axis=(0, 1)), 0) ** weight
    a, b = _halve(a), _halve(b)
  similarity, _ = _wang_maps(a, b)
  product *= np.maximum(similarity.mean(axis=(0, 1)), 0) ** SCALE_WEIGHTS[-1]
  return float(np.mean(product))


def daala(a: np.ndarray, b: np.ndarray) -> float:
  """SSIM of the Daala tools, [h, w]: window cut at borders, pixels weighted."""
  taps = daala_taps(*a.shape)
  margin = len(taps) // 2
  weight, *moments = (
    filter_inside(np.pad(x, margin), taps)
    for x in (np.ones_like(a), a, b, a * a, b * b, a * b)
  )
  similarity, _ = _similarity(*(moment / weight for moment in moments))
  return float(np.sum(weight * similarity) / np.sum(weight))


def daala_taps(height: int, width: int) -> np.ndarray:
  """Daala's integer Gaussian for a picture of this size; the sum is 256."""
  sigma = height * _SIGMA / 256
  peak = 256 / (sigma * math.sqrt(2 * math.pi))
  # Where the scaled Gaussian falls below one half it would round to nothing.
  reach = sigma * math.sqrt(max(0.0, 2 * math.log(2 * peak)))
  half = min(math.floor(reach), min(height, width) - 1)
  offset = np.arange(1, half + 1)
  outer = np.floor(peak * np.exp(-(offset**2) / (2 * sigma**2)) + 0.5)
  return np.concatenate([outer[::-1], [256 - 2 * outer.sum()], outer])


def _similarity(
  mean_a: np.ndarray,
  mean_b: np.ndarray,
  square_a: np.ndarray,
  square_b: np.ndarray,
  product: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
  """SSIM and its contrast term from weighted (biased) moments."""
  both = mean_a * mean_b
  means = mean_a**2 + mean_b**2
  contrast = (2 * (product - both) + _C2) / (square_a + square_b - means + _C2)
  return (2 * both + _C1) / (means + _C1) * contrast, contrast


def _wang_maps(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  taps = gaussian(_TAPS, _SIGMA)
  moments = (filter_inside(x, taps) for x in (a, b, a * a, b * b, a * b))
  return _similarity(*moments)


def _halve(x: np.ndarray) -> np.ndarray:
  height, width = (side - side % 2 for side in x.shape[:2])
  x = x[:height, :width]
  rows = x[0::2] + x[1::2]
  return (rows[:, 0::2] + rows[:, 1::2]) / 4
