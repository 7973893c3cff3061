"""DCGAN for enhancement: one plan for larger, cleaner or sharper pictures.

Yan and Wang, "DCGANs for image super-resolution, denoising and deblurring"
(Stanford EE367, 2017), and a student paper that repeats it. Their diagram has
five residual layers with an enlargement in each, which taken literally is
x32; here the first log2(scale) layers enlarge, and the others leave the
enlargement's norm, ReLU and convolution out. At scale 1, where noise and blur
are removed, none enlarges.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from enhance_jax.errors import EnhanceError
from enhance_jax.models.layers import BatchNorm, Conv, doublings, repeat_pixels

Array = jax.Array

VARIANTS = {
  "dcgan_x4": {"generator": {"scale": 4}, "discriminator": {}},
  "dcgan_x2": {"generator": {"scale": 2}, "discriminator": {}},
  "dcgan_x1": {"generator": {"scale": 1}, "discriminator": {}},
}


class Generator(nn.Module):
  """Residual layers, the first of which double the size; sigmoid output.

  Takes [N, h, w, C] in [0, 1], any h and w; gives [N, h s, w s, C] float32 in
  (0, 1).

  Attributes:
    scale: 1, 2, 4 or 8 (up to 2^num_blocks).
    channels: colours C.
    width: feature channels; half of it before the last convolution.
    num_blocks: residual layers.
    dtype: type of the convolutions; parameters and statistics are float32.
  """

  scale: int = 4
  channels: int = 3
  width: int = 128
  num_blocks: int = 5
  dtype: Any = jnp.float32

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel."""
    low, high = -3, self.scale - 1 + 3
    for upsample in reversed(self._upsample_in_block()):
      if upsample:
        low, high = (low - 1) // 2, (high + 1) // 2
      low, high = low - 2, high + 2
    return max(-low, high) + 1

  def _upsample_in_block(self) -> list[bool]:
    stages = doublings(self.scale)
    if stages > self.num_blocks:
      raise EnhanceError(
        f"scale {self.scale} takes {stages} doublings and num_blocks is "
        f"{self.num_blocks}; use more blocks or a smaller scale"
      )
    return [i < stages for i in range(self.num_blocks)]

  @nn.compact
  def __call__(self, lr: Array, *, train: bool) -> Array:
    """Enlarges or repairs lr; with `train` the batch's own statistics."""

    def conv(x: Array, features: int, name: str) -> Array:
      return Conv(features, dtype=self.dtype, name=name)(x)

    x = nn.relu(conv(lr.astype(self.dtype), self.width, "conv_in"))
    for i, upsample in enumerate(self._upsample_in_block()):
      layer = ResidualLayer(upsample, self.dtype, name=f"block_{i}")
      x = layer(x, train=train)
    x = nn.relu(conv(x, self.width, "conv_tail_0"))
    x = nn.relu(conv(x, self.width // 2, "conv_tail_1"))
    x = conv(x, self.channels, "conv_out")
    return nn.sigmoid(x.astype(jnp.promote_types(x.dtype, jnp.float32)))


class ResidualLayer(nn.Module):
  """Twice conv, norm, ReLU, plus the input; then nearest x2 where wanted."""

  upsample: bool
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """Maps [N, H, W, C] to the same shape, or to twice the height and width."""
    width = x.shape[-1]
    y = x
    for i in range(2):
      y = Conv(width, use_bias=False, dtype=self.dtype, name=f"conv_{i}")(y)
      y = BatchNorm(dtype=self.dtype, name=f"norm_{i}")(y, train=train)
      y = nn.relu(y)
    x += y
    if not self.upsample:
      return x
    x = repeat_pixels(x, 2)
    x = nn.relu(BatchNorm(dtype=self.dtype, name="norm_up")(x, train=train))
    return Conv(width, dtype=self.dtype, name="conv_up")(x)


class Discriminator(nn.Module):
  """Seven convolutions and two dense layers.

  The first dense layer is sized by the image it is initialised with:
  ceil(H / 16) x ceil(W / 16) x 8 width.

  Attributes:
    width: channels of the first convolution.
    dense: units of the first dense layer.
    dtype: type of the convolutions; logits are float32 always.
  """

  width: int = 64
  dense: int = 1024
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Array, *, train: bool
  ) -> tuple[Array, tuple[Array, ...]]:
    """Judges x [N, H, W, C] in [0, 1].

    Returns:
      logits [N] float32 (positive: looks real) and the seven activations,
      from fine to coarse.
    """
    # The range of srez, with whose code the paper's networks were trained.
    x = (2.0 * x - 1.0).astype(self.dtype)
    features = []

    def norm(x: Array, name: str) -> Array:
      return BatchNorm(dtype=self.dtype, name=name)(x, train=train)

    for i, factor in enumerate((1, 1, 2, 4, 8)):
      wide, stride = self.width * factor, 2 if i else 1
      x = Conv(wide, stride=stride, dtype=self.dtype, name=f"conv_{i}")(x)
      # The norm comes after the activation, as the diagram has it.
      x = nn.leaky_relu(x, 0.2)
      x = norm(x, f"norm_{i}") if i else x
      features.append(x)
    for i in (5, 6):
      x = Conv(
        8 * self.width, use_bias=False, dtype=self.dtype, name=f"conv_{i}"
      )(x)
      x = nn.relu(norm(x, f"norm_{i}"))
      features.append(x)
    flat = x.reshape(x.shape[0], math.prod(x.shape[1:]))
    x = nn.Dense(self.dense, dtype=self.dtype, name="dense_0")(flat)
    x = nn.leaky_relu(x, 0.2)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    logits = nn.Dense(1, dtype=wide, name="dense_1")(x.astype(wide))
    return logits[:, 0], tuple(features)
