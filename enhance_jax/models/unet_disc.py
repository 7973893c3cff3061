"""The U-Net discriminator of Real-ESRGAN (Wang et al., arXiv 2107.10833).

It judges every pixel, looking at it from near and from far, and keeps its
slope in check by spectral normalisation.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from enhance_jax.errors import EnhanceError
from enhance_jax.models import public, spectral
from enhance_jax.models.layers import Conv

Array = jax.Array

SLOPE = 0.2
HALVINGS = 3
VARIANTS = {"realesrgan": {"generator": {}, "discriminator": {}}}


class Discriminator(nn.Module):
  """Three halvings, three doublings, skips between maps of one size.

  Attributes:
    width: channels of the first and the last convolutions.
    dtype: type of the convolutions; logits are float32 always.
  """

  width: int = 64
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Array, *, train: bool
  ) -> tuple[Array, tuple[Array, ...]]:
    """Judges x [N, H, W, C] in [0, 1], H and W multiples of 8.

    Returns:
      logits [N, H, W] float32 (positive: looks real there) and the four
      activations on the way down, from fine to coarse.

    Raises:
      EnhanceError: the size is no multiple of 8.
    """
    least = 2**HALVINGS
    if x.shape[1] % least or x.shape[2] % least:
      raise EnhanceError(
        f"the U-Net discriminator got {x.shape[1]} x {x.shape[2]} pixels; "
        f"wanted multiples of {least}: choose another crop"
      )
    normal = functools.partial(spectral.Conv, dtype=self.dtype)
    x = Conv(self.width, dtype=self.dtype, name="conv_in")(x)
    down = [nn.leaky_relu(x, SLOPE)]
    for i in range(HALVINGS):
      wide = self.width * 2 ** (i + 1)
      layer = normal(wide, size=4, stride=2, name=f"conv_down_{i}")
      down.append(nn.leaky_relu(layer(down[-1], train=train), SLOPE))
    x = down[HALVINGS]
    for i in range(HALVINGS):
      skip = down[HALVINGS - 1 - i]
      layer = normal(skip.shape[-1], name=f"conv_up_{i}")
      x = nn.leaky_relu(layer(double(x), train=train), SLOPE) + skip
    for i in range(2):
      x = normal(self.width, name=f"conv_{i}")(x, train=train)
      x = nn.leaky_relu(x, SLOPE)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    logits = Conv(1, dtype=self.dtype, name="conv_out")(x).astype(wide)
    return logits[..., 0], tuple(down)


def double(x: Array) -> Array:
  """Bilinear enlargement to twice the size, [N, H, W, C] to [N, 2 H, 2 W, C].

  PyTorch's with align_corners=False: a new pixel is three quarters of the old
  one it lies in and a quarter of the nearest other, edges repeated.
  """
  return _double(_double(x, 1), 2)


def _double(x: Array, axis: int) -> Array:
  n = x.shape[axis]
  first = jax.lax.slice_in_dim(x, 0, 1, axis=axis)
  last = jax.lax.slice_in_dim(x, n - 1, n, axis=axis)
  before = jnp.concatenate(
    [first, jax.lax.slice_in_dim(x, 0, n - 1, axis=axis)], axis
  )
  after = jnp.concatenate(
    [jax.lax.slice_in_dim(x, 1, n, axis=axis), last], axis
  )
  near = 0.75 * x
  pair = jnp.stack([near + 0.25 * before, near + 0.25 * after], axis + 1)
  shape = list(x.shape)
  shape[axis] = 2 * n
  return pair.reshape(shape)


def from_public(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """The variables of a `Discriminator` from BasicSR's UNetDiscriminatorSN.

  Args:
    tensors: name -> array of the PyTorch state dict, singular vectors
      included.

  Raises:
    EnhanceError: arrays are missing or left over.
  """
  state = public.StateDict(tensors, "BasicSR's UNetDiscriminatorSN")
  params = {"conv_in": state.conv("conv0"), "conv_out": state.conv("conv9")}
  names = [f"conv_down_{i}" for i in range(HALVINGS)]
  names += [f"conv_up_{i}" for i in range(HALVINGS)] + ["conv_0", "conv_1"]
  stats = {}
  for i, name in enumerate(names, start=1):
    params[name], stats[name] = state.spectral(f"conv{i}")
  return state.finish(params, stats)
