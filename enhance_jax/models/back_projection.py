"""Iterative back-projection: a result that reduces to the picture it is of.

Irani and Peleg (CVGIP 1991) as Yang et al. (IEEE TIP 2010) use it: what the
reduced result lacks of the LR picture is enlarged, smoothed and added.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from enhance_jax import resample

# The squared 5x5 Gaussian of sigma 1 is a product of these taps.
_TAPS = np.exp(-np.square(np.arange(-2.0, 3.0)))
_TAPS /= _TAPS.sum()
_REACH = len(_TAPS) // 2


def back_project(
  sr: jax.Array, lr: jax.Array, *, scale: int, iterations: int
) -> jax.Array:
  """Repeats x <- x + p * up(lr - down(x)), bicubic both ways.

  Args:
    sr: floats [N, h scale, w scale, C], the result to correct.
    lr: floats [N, h, w, C], the picture it is of.
    scale: 1 or more.
    iterations: 0 leaves sr as it is.

  Returns:
    sr's shape and dtype.
  """
  height, width = lr.shape[1:3]
  rows, columns = (
    [matrix.astype(sr.dtype) for matrix in _matrices(n, scale)]
    for n in (height, width)
  )

  def step(_: int, x: jax.Array) -> jax.Array:
    missing = lr.astype(x.dtype) - _apply(x, rows[0], columns[0])
    return x + _apply(missing, rows[1], columns[1])

  return jax.lax.fori_loop(0, iterations, step, sr)


def _apply(x: jax.Array, rows: np.ndarray, columns: np.ndarray) -> jax.Array:
  x = jnp.einsum("oh,nhwc->nowc", rows, x, precision="highest")
  return jnp.einsum("ow,nhwc->nhoc", columns, x, precision="highest")


@functools.lru_cache(maxsize=16)
def _matrices(n: int, scale: int) -> tuple[np.ndarray, np.ndarray]:
  """Reduction and smoothed enlargement of an axis of n LR pixels, float64."""
  down = resample.weights(n * scale, n, scale=1 / scale)
  up = resample.weights(n, n * scale, scale=scale)
  smooth = np.zeros((n * scale, n * scale))
  for offset, tap in zip(range(-_REACH, _REACH + 1), _TAPS, strict=True):
    smooth += tap * np.eye(n * scale, k=offset)
  return down, smooth @ up


def reach(scale: int, iterations: int) -> int:
  """How many HR pixels beyond its own block of pixels an LR pixel's sr sees.

  Args:
    scale: of `back_project`.
    iterations: likewise.
  """
  # The block is pixels 0 to scale - 1; what it sees is symmetrical about it.
  low = 0
  for _ in range(iterations):
    first = low - _REACH
    # Where an HR pixel lies on an LR one, that is its only source.
    sources = [
      divmod(2 * hr + 1 - scale, 2 * scale) for hr in (first, first + 1)
    ]
    lowest = min(lr if phase == 0 else lr - 1 for lr, phase in sources)
    start = (2 * lowest + 1) * scale - 1
    # 4 scale HR pixels under the reducing kernel, centred on start / 2.
    low = min(low, lowest if scale == 1 else (start - 4 * scale) // 2 + 1)
  return -low
