"""What a convolution sees beyond a picture's border."""

from typing import Any

import jax
import jax.numpy as jnp

from enhance_jax.errors import EnhanceError, nearest
from enhance_jax.models import layers

MODES = {"zeros": "constant", "replicate": "edge"}


def pad(x: jax.Array, before: int, after: int, border: str) -> jax.Array:
  """Widens [N, H, W, C] on both spatial axes.

  Args:
    x: the pictures or features.
    before: rows and columns added at the top and left.
    after: those added at the bottom and right.
    border: "zeros", or "replicate" for copies of the edge.

  Raises:
    EnhanceError: unknown border.
  """
  if border not in MODES:
    raise EnhanceError(
      f'there is no border called "{border}"; {nearest(border, MODES)}'
    )
  sides = (before, after)
  return jnp.pad(x, ((0, 0), sides, sides, (0, 0)), mode=MODES[border])


def within(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Convolves [N, H, W, I] with [k, k, I, O] where the kernel lies inside.

  A ring of zeros is added and what it gave is cut off again: XLA on CPUs is
  up to 50 times slower at convolutions without any padding.
  """
  return layers.convolve(x, kernel, 1, 1)[:, 1:-1, 1:-1]


def conv(
  x: jax.Array, features: int, size: int, *, border: str, **options: Any
) -> jax.Array:
  """`layers.Conv` at the size of its input, with a choice of border.

  Args:
    x: [N, H, W, I].
    features: output channels.
    size: of the kernel, odd.
    border: "zeros" or "replicate".
    **options: other attributes of `layers.Conv`; its name above all.
  """
  reach = size // 2
  if border == "zeros" or not reach:
    return layers.Conv(features, size=size, **options)(x)
  # The ring of `within`.
  inside = layers.Conv(features, size=size, padding=1, **options)
  return inside(pad(x, reach, reach, border))[:, 1:-1, 1:-1]
