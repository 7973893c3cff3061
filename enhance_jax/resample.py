"""MATLAB-compatible `imresize`: the same numbers in NumPy and under jit.

Image resizing is linear and separable, so each axis is one small matrix that
depends on sizes alone. Published super-resolution figures rest on MATLAB's
choices: Keys' cubic with a = -0.5, antialiasing by widening the kernel, the
given scale (not the ratio of sizes) as the sampling step, and borders that
are mirrored (today's MATLAB) or repeated (MATLAB before R2011a or so).
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from enhance_jax.errors import EnhanceError, nearest

Pair = tuple[float, float]


def _box(t: np.ndarray) -> np.ndarray:
  return np.where((t >= -0.5) & (t < 0.5), 1.0, 0.0)


def _triangle(t: np.ndarray) -> np.ndarray:
  return np.maximum(1.0 - np.abs(t), 0.0)


def _keys(t: np.ndarray) -> np.ndarray:
  """Keys' cubic convolution kernel, a = -0.5 (IEEE TASSP 1981)."""
  t = np.abs(t)
  near = (1.5 * t - 2.5) * t * t + 1.0
  far = ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
  return np.where(t <= 1, near, np.where(t <= 2, far, 0.0))


def _lanczos(t: np.ndarray, lobes: int) -> np.ndarray:
  return np.where(np.abs(t) < lobes, np.sinc(t) * np.sinc(t / lobes), 0.0)


# Name -> kernel and the width of its support in input pixels.
KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
  "nearest": (_box, 1.0),
  "box": (_box, 1.0),
  "bilinear": (_triangle, 2.0),
  "bicubic": (_keys, 4.0),
  "lanczos2": (functools.partial(_lanczos, lobes=2), 4.0),
  "lanczos3": (functools.partial(_lanczos, lobes=3), 6.0),
}
BORDERS = ("symmetric", "replicate")
# Pixels beyond which no kernel that enlarges has any weight.
KERNEL_REACH = 4


@functools.lru_cache(maxsize=64)
def _taps(
  n_in: int,
  n_out: int,
  scale: float,
  kernel: str,
  antialias: bool,
  border: str,
) -> tuple[np.ndarray, np.ndarray]:
  """Input indices and weights of every output sample, both [n_out, taps]."""
  if kernel not in KERNELS:
    raise EnhanceError(f'unknown kernel "{kernel}"; {nearest(kernel, KERNELS)}')
  if border not in BORDERS:
    raise EnhanceError(f'unknown border "{border}"; {nearest(border, BORDERS)}')
  function, width = KERNELS[kernel]
  # MATLAB never widens "nearest": it picks one sample at any scale.
  stretch = scale if antialias and scale < 1 and kernel != "nearest" else 1.0
  width /= stretch
  # Zero-based form of u = o/s + (1 - 1/s)/2.
  centre = (np.arange(n_out) + 0.5) / scale - 0.5
  left = np.floor(centre - width / 2)
  index = left[:, None] + np.arange(math.ceil(width) + 2)
  value = function(stretch * (centre[:, None] - index))
  value /= value.sum(axis=1, keepdims=True)
  used = np.any(value != 0, axis=0)
  index, value = index[:, used].astype(np.int64), value[:, used]
  if border == "symmetric":
    index = index % (2 * n_in)
    index = np.where(index < n_in, index, 2 * n_in - 1 - index)
  else:
    index = np.clip(index, 0, n_in - 1)
  index.setflags(write=False)
  value.setflags(write=False)
  return index, value


@functools.lru_cache(maxsize=16)
def weights(
  n_in: int,
  n_out: int,
  *,
  scale: float | None = None,
  kernel: str = "bicubic",
  antialias: bool = True,
  border: str = "symmetric",
) -> np.ndarray:
  """Resampling matrix of one axis: output = matrix @ input.

  Args:
    n_in: input samples.
    n_out: output samples.
    scale: step between samples, 1 / s of the input grid; n_out / n_in if None.
    kernel: a name of `KERNELS`.
    antialias: widen the kernel when shrinking ("nearest" never is).
    border: "symmetric" mirrors with the edge pixel, "replicate" repeats it.

  Returns:
    float64 [n_out, n_in], rows sum to 1, read-only (it is cached).
  """
  index, value = _taps(
    n_in, n_out, scale or n_out / n_in, kernel, antialias, border
  )
  matrix = np.zeros((n_out, n_in))
  np.add.at(matrix, (np.arange(n_out)[:, None], index), value)
  matrix.setflags(write=False)
  return matrix


def output_size(
  height: int, width: int, scale: float | Pair
) -> tuple[int, int]:
  """MATLAB's size rule, ceil(n * scale) for each axis."""
  rows, columns = scale if isinstance(scale, tuple) else (scale, scale)
  # 49 * (1 / 49) is a hair off 1: such noise must not add or drop a row.
  return math.ceil(height * rows - 1e-9), math.ceil(width * columns - 1e-9)


def _plan(
  shape: tuple[int, int],
  size: tuple[int, int] | None,
  scale: float | Pair | None,
) -> list[tuple[int, int, int, float]]:
  """The passes, in order: (0 rows | 1 columns, n_in, n_out, scale)."""
  if min(shape) < 1:
    raise EnhanceError(f"got a picture of {shape[0]}x{shape[1]} pixels")
  if size is not None and scale is None:
    scales = (size[0] / shape[0], size[1] / shape[1])
  elif scale is not None and size is None:
    scales = scale if isinstance(scale, tuple) else (scale, scale)
    if not all(s > 0 and math.isfinite(s) for s in scales):
      raise EnhanceError(f"got scale {scale}; a scale must be above 0")
    size = output_size(*shape, scales)
  else:
    raise EnhanceError("resize needs either size=(height, width) or scale=")
  if min(size) < 1:
    raise EnhanceError(f"cannot resize {shape} to {size}: a side has no pixels")
  passes = [(axis, shape[axis], size[axis], scales[axis]) for axis in (0, 1)]
  # sorted() is stable: rows go first when the scales are equal.
  return sorted(passes, key=lambda step: step[3])


def _apply_taps(
  x: np.ndarray, axis: int, index: np.ndarray, value: np.ndarray
) -> np.ndarray:
  """One pass over one axis of a float array, taps added in a fixed order."""
  x = np.moveaxis(x, axis, 0)
  column = (-1,) + (1,) * (x.ndim - 1)
  total = x[index[:, 0]] * value[:, 0].reshape(column)
  for tap in range(1, index.shape[1]):
    total += x[index[:, tap]] * value[:, tap].reshape(column)
  return np.moveaxis(total, 0, axis)


def resize(
  x: Any,
  *,
  size: tuple[int, int] | None = None,
  scale: float | Pair | None = None,
  kernel: str = "bicubic",
  antialias: bool = True,
  border: str = "symmetric",
) -> Any:
  """Resizes float images; overshoot beyond [0, 1] stays (MATLAB, double).

  Args:
    x: floats [..., H, W, C], NumPy or JAX (traced or not).
    size: (height, width) of the result; each axis takes its own ratio.
    scale: one factor, or (rows, columns); the size is ceil(n * scale).
    kernel: a name of `KERNELS`.
    antialias: widen the kernel when shrinking.
    border: "symmetric" or "replicate".

  Returns:
    [..., H', W', C]; NumPy keeps the dtype of x (computed in float64), JAX
    computes and returns float32.
  """
  if not all(isinstance(side, int) for side in x.shape[-3:-1]):
    if size is not None or not isinstance(scale, int) or x.ndim != 4:
      raise EnhanceError(
        f"got sizes that are left open with size={size}, scale={scale}; "
        "wanted [N, H, W, C] and a whole scale"
      )
    return _enlarge_open(x, scale, kernel, border)
  passes = _plan(x.shape[-3:-1], size, scale)
  if isinstance(x, np.ndarray):
    y = x.astype(np.float64)
    for axis, n_in, n_out, step in passes:
      taps = _taps(n_in, n_out, step, kernel, antialias, border)
      y = _apply_taps(y, axis + x.ndim - 3, *taps)
    return y.astype(x.dtype)
  import jax.numpy as jnp

  y = x.astype(jnp.float32)
  for axis, n_in, n_out, step in passes:
    matrix = weights(
      n_in,
      n_out,
      scale=step,
      kernel=kernel,
      antialias=antialias,
      border=border,
    )
    path = ("oh,...hwc->...owc", "ow,...hwc->...hoc")[axis]
    # Accelerators would otherwise multiply in bfloat16 or TF32.
    y = jnp.einsum(path, matrix.astype(np.float32), y, precision="highest")
  return y


def _enlarge_open(x: Any, scale: int, kernel: str, border: str) -> Any:
  """`resize` of JAX [N, H, W, C] whose height and width are left open.

  Every block of scale x scale results is the same sum of its pixel's
  surroundings: one convolution to scale^2 results a pixel, then a shuffle.
  """
  import jax
  import jax.numpy as jnp

  # Far from its ends a long axis shows what any pixel's surroundings give.
  middle = 2 * KERNEL_REACH
  matrix = weights(
    4 * KERNEL_REACH, 4 * KERNEL_REACH * scale, scale=scale, kernel=kernel
  )
  rows = matrix[middle * scale : (middle + 1) * scale]
  used = np.abs(np.flatnonzero(rows.any(axis=0)) - middle)
  reach = int(used.max())
  taps = rows[:, middle - reach : middle + reach + 1].T
  channels = x.shape[-1]
  window = np.einsum("ap,bq,io->abiopq", taps, taps, np.eye(channels))
  window = window.reshape(2 * reach + 1, 2 * reach + 1, channels, -1)
  y = x.astype(jnp.float32)
  for axis in (1, 2):
    y = _widen_open(y, axis, reach, border)
  # The ring of zeros and its removal: XLA on CPUs is slow without any padding.
  y = jax.lax.conv_general_dilated(
    y,
    jnp.asarray(window, jnp.float32),
    (1, 1),
    ((1, 1), (1, 1)),
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    precision="highest",
  )[:, 1:-1, 1:-1]
  n, height, width, _ = y.shape
  y = y.reshape(n, height, width, channels, scale, scale)
  y = y.transpose(0, 1, 4, 2, 5, 3)
  return y.reshape(n, height * scale, width * scale, channels)


def _widen_open(x: Any, axis: int, reach: int, border: str) -> Any:
  """Adds the border's pixels before and after an axis of unknown length."""
  import jax.numpy as jnp
  from jax import lax

  length = x.shape[axis]

  def line(start: Any) -> Any:
    # Starts beyond the ends are moved to them, as mirrors of short axes are.
    return lax.dynamic_slice_in_dim(
      x, jnp.clip(start, 0, length - 1), 1, axis, allow_negative_indices=False
    )

  mirrored = range(reach) if border == "symmetric" else [0] * reach
  before = [line(k) for k in reversed(mirrored)]
  after = [line(length - 1 - k) for k in mirrored]
  return jnp.concatenate([*before, x, *after], axis)


def resize_uint8(
  x: np.ndarray,
  *,
  size: tuple[int, int] | None = None,
  scale: float | Pair | None = None,
  kernel: str = "bicubic",
  antialias: bool = True,
  border: str = "symmetric",
) -> np.ndarray:
  """MATLAB's `imresize` of a uint8 image, to the last pixel.

  Each pass is computed in float64, then clipped and rounded half up, as MATLAB
  does; arguments are those of `resize`.

  Args:
    x: uint8 [H, W] or [H, W, C].

  Returns:
    uint8 [H', W'] or [H', W', C].
  """
  if x.dtype != np.uint8 or x.ndim not in (2, 3):
    raise EnhanceError(
      f"got {x.dtype} of shape {x.shape}; resize_uint8 wants uint8 [H, W] or "
      "[H, W, C]; use resize for float images"
    )
  for axis, n_in, n_out, step in _plan(x.shape[:2], size, scale):
    taps = _taps(n_in, n_out, step, kernel, antialias, border)
    y = _apply_taps(x.astype(np.float64), axis, *taps)
    x = np.floor(np.clip(y, 0, 255) + 0.5).astype(np.uint8)
  return x
