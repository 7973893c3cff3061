"""Losses that compare pictures value by value; each gives one number a picture.

All take float [N, H, W, C] pictures in [0, 1] and give float32 [N], the mean
over H, W and C where nothing else is said. The reduction over the batch happens
in `objective`.
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


def total_variation_squared(sr: Array, hr: Array) -> Array:
  """Sum of the squared steps between neighbours in sr, down and across.

  A sum over the picture, not a mean, as the paper's weight of 2e-8 suggests
  (Ledig et al., arXiv 1609.04802, SRResNet-VGG22, which does not say). hr has
  no part in it beyond the check.
  """
  check(sr, hr)
  sr = sr.astype(jnp.float32)
  steps = jnp.diff(sr, axis=1), jnp.diff(sr, axis=2)
  down, across = (jnp.sum(jnp.square(x), axis=(1, 2, 3)) for x in steps)
  return down + across


def block_l1(sr: Array, hr: Array, *, size: int = 4) -> Array:
  """Mean absolute difference of the means over size x size blocks.

  Compares what is left after shrinking by `size`, so it asks for the right
  colours and leaves the detail free (the srez program's content loss).

  Raises:
    EnhanceError: H or W is no multiple of size.
  """
  difference = _difference(sr, hr)
  n, h, w, c = difference.shape
  if size < 1 or h % size or w % size:
    raise EnhanceError(
      f"block_l1 got {h}x{w} pictures and blocks of {size}x{size}; wanted "
      "height and width to be multiples of the block, so choose another crop"
    )
  blocks = difference.reshape(n, h // size, size, w // size, size, c)
  return _mean(jnp.abs(jnp.mean(blocks, axis=(2, 4))))


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
