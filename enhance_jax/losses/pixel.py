"""Losses that compare pictures value by value; each gives one number a picture.

All take float [N, H, W, C] pictures in [0, 1] and give float32 [N], the mean
over H, W and C. The reduction over the batch happens in `objective`.
"""

import jax
import jax.numpy as jnp

from enhance_jax.errors import EnhanceError

Array = jax.Array


def mse(sr: Array, hr: Array) -> Array:
  """Mean squared difference."""
  return _mean(jnp.square(_difference(sr, hr)))


def l1(sr: Array, hr: Array) -> Array:
  """Mean absolute difference."""
  return _mean(jnp.abs(_difference(sr, hr)))


def charbonnier(sr: Array, hr: Array, *, eps: float = 1e-6) -> Array:
  """Mean sqrt(difference^2 + eps): l1 made smooth around zero."""
  return _mean(jnp.sqrt(jnp.square(_difference(sr, hr)) + eps))


def total_variation(sr: Array, hr: Array) -> Array:
  """Mean absolute step between neighbours in sr, down plus across.

  hr has no part in it beyond the check; it is taken so that all pixel losses
  are called alike.
  """
  check(sr, hr)
  sr = sr.astype(jnp.float32)
  return _mean(jnp.abs(jnp.diff(sr, axis=1))) + _mean(
    jnp.abs(jnp.diff(sr, axis=2))
  )


def check(a: Array, b: Array) -> None:
  """Refuses pairs that NumPy's rules would broadcast or cast in silence.

  Raises:
    EnhanceError: different shapes, not [N, H, W, C], or not floating point.
  """
  if a.shape != b.shape or a.ndim != 4:
    raise EnhanceError(
      f"the loss got shapes {a.shape} and {b.shape}; wanted two equal "
      "[N, H, W, C]"
    )
  for array in (a, b):
    if not jnp.issubdtype(array.dtype, jnp.floating):
      raise EnhanceError(
        f"the loss got {array.dtype} values; wanted floats (for pictures: "
        "images.to_float)"
      )


def _difference(sr: Array, hr: Array) -> Array:
  check(sr, hr)
  return sr.astype(jnp.float32) - hr.astype(jnp.float32)


def _mean(x: Array) -> Array:
  return jnp.mean(x, axis=(1, 2, 3))
