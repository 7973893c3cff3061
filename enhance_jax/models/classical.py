"""Interpolation as upscalers: the baselines that every table starts with."""

import numpy as np

from enhance_jax import errors, resample

# Name on the command line -> kernel of `resample`.
KERNELS = {
  "nearest": "nearest",
  "bilinear": "bilinear",
  "bicubic": "bicubic",
  "lanczos": "lanczos3",
}
SCALES = range(1, 17)
# No kernel reaches further than this many LR pixels.
RADIUS = 4


def upscale(name: str, lr: np.ndarray, scale: int) -> np.ndarray:
  """Enlarges floats without rounding or clipping.

  Args:
    name: a name of `KERNELS`.
    lr: float [H, W, C] in [0, 1].
    scale: 1 to 16.

  Returns:
    [H scale, W scale, C], the dtype of lr; overshoot beyond [0, 1] stays.
  """
  return resample.resize(lr, scale=scale, kernel=_kernel(name, scale))


def upscale_uint8(name: str, lr: np.ndarray, scale: int) -> np.ndarray:
  """Enlarges uint8 [H, W, C] as MATLAB's imresize does, rounding each pass."""
  return resample.resize_uint8(lr, scale=scale, kernel=_kernel(name, scale))


def check(name: str, scale: int) -> None:
  """Raises EnhanceError unless there is such an interpolation and scale."""
  if name not in KERNELS:
    raise errors.EnhanceError(
      f'there is no interpolation called "{name}"; '
      f"{errors.nearest(name, KERNELS)}"
    )
  if scale not in SCALES:
    raise errors.EnhanceError(
      f"scale {scale} is out of range; interpolation takes a whole number "
      f"from {SCALES[0]} to {SCALES[-1]}"
    )


def _kernel(name: str, scale: int) -> str:
  check(name, scale)
  return KERNELS[name]
