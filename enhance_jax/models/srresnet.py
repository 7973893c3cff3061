"""SRResNet and the SRGAN discriminator (Ledig et al., arXiv 1609.04802)."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from enhance_jax.errors import EnhanceError
from enhance_jax.models.layers import BatchNorm, Conv, PReLU, pixel_shuffle

Array = jax.Array

# Sub-pixel stages of every scale that the paper's tail can be built for.
STAGES = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}

# The face variant is the 16 -> 64 one: tanh output, discriminator at 64x64.
VARIANTS = {
  "srgan": {"generator": {}, "discriminator": {}},
  "srgan_scalar_prelu": {
    "generator": {"prelu": "scalar"},
    "discriminator": {},
  },
  "srgan_faces": {"generator": {"output": "tanh"}, "discriminator": {}},
  "srgan_faces_no_norm": {
    "generator": {"output": "tanh"},
    "discriminator": {"batch_norm": False},
  },
}


class Generator(nn.Module):
  """SRResNet: residual blocks at LR size, sub-pixel stages, 9x9 output.

  Takes [N, h, w, C] in [0, 1], any h and w; gives [N, h s, w s, C] float32,
  nominally in [0, 1]. Inside, the target range is [-1, 1] as in the paper.

  Attributes:
    scale: 1, 2, 3, 4 or 8.
    channels: colours C.
    width: feature channels.
    blocks: residual blocks (B in the paper).
    prelu: "channel" or "scalar" slopes.
    output: "linear", or "tanh" which keeps the result inside [0, 1].
    dtype: type of the convolutions; parameters and statistics are float32.
  """

  scale: int = 4
  channels: int = 3
  width: int = 64
  blocks: int = 16
  prelu: str = "channel"
  output: str = "linear"
  dtype: Any = jnp.float32

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel."""
    return tail_radius(self.scale, 4) + 2 * self.blocks + 1 + 4

  @nn.compact
  def __call__(self, lr: Array, *, train: bool) -> Array:
    """Enlarges lr; with `train` the batch's own statistics are used."""
    if self.output not in ("linear", "tanh"):
      raise EnhanceError(
        f'output "{self.output}" is unknown; use "linear" or "tanh"'
      )
    stages = sub_pixel_stages(self.scale)
    x = lr.astype(self.dtype)
    x = Conv(self.width, size=9, dtype=self.dtype, name="conv_in")(x)
    x = entry = PReLU(self.prelu, name="prelu_in")(x)
    for i in range(self.blocks):
      block = ResidualBlock(self.prelu, self.dtype, name=f"block_{i:02d}")
      x = block(x, train=train)
    x = Conv(self.width, use_bias=False, dtype=self.dtype, name="conv_mid")(x)
    x = entry + BatchNorm(dtype=self.dtype, name="norm_mid")(x, train=train)
    for i, factor in enumerate(stages):
      wide = self.width * factor**2
      x = Conv(wide, dtype=self.dtype, name=f"conv_up_{i}")(x)
      x = PReLU(self.prelu, name=f"prelu_up_{i}")(pixel_shuffle(x, factor))
    x = Conv(self.channels, size=9, dtype=self.dtype, name="conv_out")(x)
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if self.output == "tanh":
      x = jnp.tanh(x)
    return (x + 1.0) / 2.0


class ResidualBlock(nn.Module):
  """conv, norm, PReLU, conv, norm, plus the input; keeps [N, H, W, C]."""

  prelu: str = "channel"
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """Maps [N, H, W, C] to the same shape."""
    width = x.shape[-1]
    y = Conv(width, use_bias=False, dtype=self.dtype, name="conv_1")(x)
    y = BatchNorm(dtype=self.dtype, name="norm_1")(y, train=train)
    y = PReLU(self.prelu, name="prelu")(y)
    y = Conv(width, use_bias=False, dtype=self.dtype, name="conv_2")(y)
    return x + BatchNorm(dtype=self.dtype, name="norm_2")(y, train=train)


class Discriminator(nn.Module):
  """The paper's VGG-style classifier of real against generated images.

  Eight 3x3 convolutions, every second one halves the size; then two dense
  layers. The first dense layer is sized by the image it is initialised with:
  ceil(H / 16) x ceil(W / 16) x 8 width.

  Attributes:
    width: channels of the first convolution.
    dense: units of the first dense layer.
    batch_norm: off gives every convolution a bias instead.
    dtype: type of the convolutions; logits are float32 always.
  """

  width: int = 64
  dense: int = 1024
  batch_norm: bool = True
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Array, *, train: bool
  ) -> tuple[Array, tuple[Array, ...]]:
    """Judges x [N, H, W, C] in [0, 1].

    Returns:
      logits [N] float32 (positive: looks real) and the eight activations
      after each convolution block, from fine to coarse.
    """
    x = (2.0 * x - 1.0).astype(self.dtype)
    features = []
    for i in range(8):
      norm = self.batch_norm and i > 0
      x = Conv(
        self.width * 2 ** (i // 2),
        stride=1 + i % 2,
        use_bias=not norm,
        dtype=self.dtype,
        name=f"conv_{i}",
      )(x)
      if norm:
        x = BatchNorm(dtype=self.dtype, name=f"norm_{i}")(x, train=train)
      x = nn.leaky_relu(x, 0.2)
      features.append(x)
    flat = x.reshape(x.shape[0], math.prod(x.shape[1:]))
    x = nn.Dense(self.dense, dtype=self.dtype, name="dense_0")(flat)
    x = nn.leaky_relu(x, 0.2)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    logits = nn.Dense(1, dtype=wide, name="dense_1")(x.astype(wide))
    return logits[:, 0], tuple(features)


def sub_pixel_stages(scale: int) -> tuple[int, ...]:
  """The factors of the pixel shuffles that make up a scale.

  Raises:
    EnhanceError: there is no such tail.
  """
  if scale not in STAGES:
    known = ", ".join(map(str, STAGES))
    raise EnhanceError(f"scale {scale} has no sub-pixel tail; use {known}")
  return STAGES[scale]


def tail_radius(scale: int, reach: int) -> int:
  """How many LR pixels the tail, 3x3 convolutions and shuffles, looks away.

  Args:
    scale: the product of the shuffles.
    reach: HR pixels that the convolutions after the last shuffle look away.
  """
  low, high = -reach, scale - 1 + reach
  for factor in reversed(sub_pixel_stages(scale)):
    low, high = low // factor - 1, high // factor + 1
  return max(-low, high)
