"""Interpolation as a generator without parameters."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from enhance_jax import resample
from enhance_jax.models import classical


class Generator(nn.Module):
  """Nearest, bilinear, bicubic or Lanczos interpolation.

  Takes [N, h, w, C] in [0, 1], any h and w; gives [N, h s, w s, C] float32,
  overshoot beyond [0, 1] included.

  Attributes:
    scale: 1 to 16.
    channels: colours C.
    kernel: a name of `classical.KERNELS`.
    dtype: not used: interpolation is float32 always.
  """

  scale: int = 4
  channels: int = 3
  kernel: str = "bicubic"
  dtype: Any = jnp.float32

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel."""
    classical.check(self.kernel, self.scale)
    if self.scale == 1:
      return 0
    # A sample lies less than half a pixel from the middle of its own one.
    return int(resample.KERNELS[classical.KERNELS[self.kernel]][1]) // 2

  @nn.compact
  def __call__(self, lr: jax.Array, *, train: bool) -> jax.Array:
    """Enlarges lr; `train` changes nothing."""
    del train
    classical.check(self.kernel, self.scale)
    kernel = classical.KERNELS[self.kernel]
    return resample.resize(lr, scale=self.scale, kernel=kernel)
