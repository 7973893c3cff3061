"""Unsharp masking, as Real-ESRGAN applies it to its HR pictures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

# OpenCV's rule for 51 taps: 0.3 ((51 - 1) / 2 - 1) + 0.8.
_TAPS, _SIGMA = 51, 8.0
_AMOUNT = 0.5
_THRESHOLD = 10.0


def usm_sharpen(hr: jax.Array) -> jax.Array:
  """Adds half of the detail where it is strong (Wang et al., 2107.10833).

  Detail is what a Gaussian of 51 taps takes away; it is strong above 10 of 255
  levels. The border between strong and weak is blurred by the same Gaussian.

  Args:
    hr: float32 [N, H, W, C] in [0, 1].

  Returns:
    The same shape, in [0, 1].
  """
  detail = hr - _blur(hr)
  strong = (jnp.abs(detail) * 255.0 > _THRESHOLD).astype(hr.dtype)
  share = _blur(strong)
  sharp = jnp.clip(hr + _AMOUNT * detail, 0.0, 1.0)
  return share * sharp + (1.0 - share) * hr


def _blur(x: jax.Array) -> jax.Array:
  rows, columns = (_matrix(n) for n in x.shape[1:3])
  x = jnp.einsum("oh,nhwc->nowc", rows, x, precision="highest")
  return jnp.einsum("ow,nhwc->nhoc", columns, x, precision="highest")


@functools.lru_cache(maxsize=8)
def _matrix(n: int) -> np.ndarray:
  """The Gaussian along an axis of n pixels, mirrored without the edge pixel."""
  offset = np.arange(_TAPS) - _TAPS // 2
  taps = np.exp(-np.square(offset / _SIGMA) / 2)
  taps /= taps.sum()
  index = (np.arange(n)[:, None] + offset) % max(2 * n - 2, 1)
  index = np.minimum(index, np.maximum(2 * n - 2 - index, 0))
  matrix = np.zeros((n, n))
  np.add.at(matrix, (np.arange(n)[:, None], index), taps)
  return matrix.astype(np.float32)
