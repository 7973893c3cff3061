"""The swish face GAN of a student report, "Enhance!": 56x46 to 112x92, gray.

The report gives the plan (one convolution to 20 channels, 16 residual blocks,
a convolution, x2, swish everywhere; eight convolutions with batch norm and an
average pool judge it); kernel sizes, the sub-pixel stage and the
discriminator's widths are those of the SRGAN implementations it descends from.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from enhance_jax.models.layers import BatchNorm, Conv, doublings, pixel_shuffle

Array = jax.Array

# The report does not say how wide its discriminator is.
VARIANTS = {
  "swish_resnet": {"generator": {}, "discriminator": {}},
  "swish_resnet_narrow": {"generator": {}, "discriminator": {"width": 20}},
}


class Generator(nn.Module):
  """SRResNet's plan with swish, 20 channels wide, linear output.

  Takes [N, h, w, C] in [0, 1], any h and w; gives [N, h s, w s, C] float32,
  nominally in [0, 1].

  Attributes:
    scale: 1, 2, 4 or 8; the report's is 2.
    channels: colours C; the report's is 1.
    width: feature channels.
    blocks: residual blocks.
    dtype: type of the convolutions; parameters and statistics are float32.
  """

  scale: int = 2
  channels: int = 1
  width: int = 20
  blocks: int = 16
  dtype: Any = jnp.float32

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel."""
    low, high = -4, self.scale - 1 + 4
    for _ in range(doublings(self.scale)):
      low, high = low // 2 - 1, high // 2 + 1
    return max(-low, high) + 2 * self.blocks + 1 + 4

  @nn.compact
  def __call__(self, lr: Array, *, train: bool) -> Array:
    """Enlarges lr; with `train` the batch's own statistics are used."""
    x = lr.astype(self.dtype)
    x = Conv(self.width, size=9, dtype=self.dtype, name="conv_in")(x)
    x = entry = nn.silu(x)
    for i in range(self.blocks):
      x = ResidualBlock(self.dtype, name=f"block_{i:02d}")(x, train=train)
    x = Conv(self.width, dtype=self.dtype, name="conv_mid")(x)
    x = entry + BatchNorm(dtype=self.dtype, name="norm_mid")(x, train=train)
    for i in range(doublings(self.scale)):
      x = Conv(4 * self.width, dtype=self.dtype, name=f"conv_up_{i}")(x)
      x = nn.silu(pixel_shuffle(x, 2))
    x = Conv(self.channels, size=9, dtype=self.dtype, name="conv_out")(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class ResidualBlock(nn.Module):
  """conv, norm, swish, conv, norm, plus the input; keeps [N, H, W, C]."""

  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """Maps [N, H, W, C] to the same shape."""
    # The biases do nothing before a norm; the published count has them.
    y = Conv(x.shape[-1], dtype=self.dtype, name="conv_1")(x)
    y = BatchNorm(dtype=self.dtype, name="norm_1")(y, train=train)
    y = Conv(x.shape[-1], dtype=self.dtype, name="conv_2")(nn.silu(y))
    return x + BatchNorm(dtype=self.dtype, name="norm_2")(y, train=train)


class Discriminator(nn.Module):
  """Eight convolutions with batch norm and swish; the mean of a logit map.

  Every second convolution halves the size, every second one doubles the
  channels. Works at every size.

  Attributes:
    width: channels of the first convolution; doubled three times.
    dtype: type of the convolutions; logits are float32 always.
  """

  width: int = 64
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Array, *, train: bool
  ) -> tuple[Array, tuple[Array, ...]]:
    """Judges x [N, H, W, C] in [0, 1].

    Returns:
      logits [N] float32 (positive: looks real) and the eight activations,
      from fine to coarse.
    """
    x = x.astype(self.dtype)
    features = []
    for i in range(8):
      x = Conv(
        self.width * 2 ** (i // 2),
        stride=1 + i % 2,
        dtype=self.dtype,
        name=f"conv_{i}",
      )(x)
      x = BatchNorm(dtype=self.dtype, name=f"norm_{i}")(x, train=train)
      x = nn.silu(x)
      features.append(x)
    logits = Conv(1, size=1, dtype=self.dtype, name="conv_out")(x)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jnp.mean(logits, axis=(1, 2, 3)), tuple(features)
