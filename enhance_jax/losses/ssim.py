"""Structural similarity as losses: 1 minus SSIM, MS-SSIM, and Zhao's mixture.

Pictures in [0, 1], so the peak is 1; Gaussian windows inside the picture only;
channels by themselves, then their mean. All is computed in float32, because
the variances are small differences.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from enhance_jax.errors import EnhanceError
from enhance_jax.losses.pixel import check

Array = jax.Array

_C1 = 0.01**2
_C2 = 0.03**2
_SIZE = 11
_SIGMA = 1.5
# Wang, Simoncelli & Bovik (Asilomar 2003), the finest scale first.
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_LEAST = _SIZE * 2 ** (len(_SCALES) - 1)
# Zhao et al.: five widths of the window in place of five scales.
_WIDTHS = (0.5, 1.0, 2.0, 4.0, 8.0)
_WIDE = 33
_MIXTURE = 0.84


def ssim(sr: Array, hr: Array) -> Array:
  """1 - SSIM (Wang et al., IEEE TIP 2004; 11 taps, sigma 1.5).

  Args:
    sr: float [N, H, W, C] in [0, 1].
    hr: the same shape.

  Returns:
    float32 [N].

  Raises:
    EnhanceError: unusable pairs, or pictures smaller than 11x11.
  """
  luminance, structure = _terms(*_checked(sr, hr, "ssim", _SIZE))
  return 1 - jnp.mean(luminance * structure, axis=(1, 2, 3))


def ms_ssim(sr: Array, hr: Array) -> Array:
  """1 - MS-SSIM of five scales (Wang, Simoncelli & Bovik 2003).

  Between scales pictures are cropped to even sides and 2x2 pixels averaged.
  Negative means of the contrast and structure term count as 0.

  Args:
    sr: float [N, H, W, C] in [0, 1].
    hr: the same shape.

  Returns:
    float32 [N].

  Raises:
    EnhanceError: unusable pairs, or pictures smaller than 176x176.
  """
  sr, hr = _checked(sr, hr, "ms_ssim", _LEAST)
  product = jnp.ones((sr.shape[0], sr.shape[-1]), jnp.float32)
  for scale, weight in enumerate(_SCALES, start=1):
    luminance, each = _terms(sr, hr)
    if scale == len(_SCALES):
      each = luminance * each
    product *= _power(jnp.mean(each, axis=(1, 2)), weight)
    if scale < len(_SCALES):
      sr, hr = _halve(sr), _halve(hr)
  return 1 - jnp.mean(product, axis=1)


def ms_ssim_l1(sr: Array, hr: Array) -> Array:
  """0.84 (1 - MS-SSIM) + 0.16 L1, both under windows (Zhao et al., 1511.08861).

  MS-SSIM is made at one resolution, pixel by pixel: the product of the contrast
  and structure terms of five Gaussians, sigma 0.5 to 8, and of the luminance
  term of the widest. L1 is weighted by the widest Gaussian.

  Args:
    sr: float [N, H, W, C] in [0, 1].
    hr: the same shape.

  Returns:
    float32 [N].

  Raises:
    EnhanceError: unusable pairs, or pictures smaller than 33x33.
  """
  sr, hr = _checked(sr, hr, "ms_ssim_l1", _WIDE)
  product, luminance = jnp.float32(1), jnp.float32(1)
  for sigma in _WIDTHS:
    luminance, structure = _terms(sr, hr, _WIDE, sigma)
    product = product * jnp.maximum(structure, 0.0)
  (distance,) = _blur([jnp.abs(sr - hr)], _WIDE, _WIDTHS[-1])
  mixture = _MIXTURE * (1 - luminance * product) + (1 - _MIXTURE) * distance
  return jnp.mean(mixture, axis=(1, 2, 3))


def _checked(
  sr: Array, hr: Array, name: str, least: int
) -> tuple[Array, Array]:
  """Both in float32, once they are known to be large enough."""
  check(sr, hr)
  h, w = sr.shape[1:3]
  if min(h, w) < least:
    raise EnhanceError(
      f"{name} got {h}x{w} pictures; it needs {least}x{least} at least, so "
      "use larger crops or another loss"
    )
  return sr.astype(jnp.float32), hr.astype(jnp.float32)


def _terms(
  a: Array, b: Array, size: int = _SIZE, sigma: float = _SIGMA
) -> tuple[Array, Array]:
  """Luminance, and contrast times structure, at every place of the window."""
  moments = _blur([a, b, a * a, b * b, a * b], size, sigma)
  mean_a, mean_b, square_a, square_b, product = moments
  both, means = mean_a * mean_b, mean_a**2 + mean_b**2
  luminance = (2 * both + _C1) / (means + _C1)
  structure = (2 * (product - both) + _C2) / (square_a + square_b - means + _C2)
  return luminance, structure


def _blur(pictures: Sequence[Array], size: int, sigma: float) -> list[Array]:
  """Gaussian windows inside the pictures, as one matrix product an axis."""
  offset = np.arange(size) - size // 2
  taps = np.exp(-(offset**2) / (2 * sigma**2))
  taps /= taps.sum()

  def window(length: int) -> np.ndarray:
    rows = np.arange(length - size + 1)[:, None]
    matrix = np.zeros((rows.size, length), np.float32)
    matrix[rows, rows + np.arange(size)] = taps
    return matrix

  n, h, w, c = pictures[0].shape
  x = jnp.concatenate(pictures, axis=-1)
  exact = jax.lax.Precision.HIGHEST
  x = jnp.einsum("oh,nhwc->nowc", window(h), x, precision=exact)
  x = jnp.einsum("ow,nhwc->nhoc", window(w), x, precision=exact)
  return [x[..., i * c : (i + 1) * c] for i in range(len(pictures))]


def _halve(x: Array) -> Array:
  n, h, w, c = x.shape
  x = x[:, : h // 2 * 2, : w // 2 * 2]
  return jnp.mean(x.reshape(n, h // 2, 2, w // 2, 2, c), axis=(2, 4))


def _power(x: Array, exponent: float) -> Array:
  """x^exponent where positive, 0 elsewhere, with a finite gradient."""
  positive = x > 0
  return jnp.where(positive, jnp.where(positive, x, 1.0) ** exponent, 0.0)
