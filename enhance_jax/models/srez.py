"""srez: the face GAN of github.com/david-gpu/srez (2016), as its code has it.

Batch norms have no scale and epsilon 1e-3. The code never updates their
running statistics and normalises by the batch at test time too; that is
`batch_statistics`. By default running statistics are kept, so that a picture's
result does not depend on the pictures beside it.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from enhance_jax.models.layers import BatchNorm, Conv, doublings, repeat_pixels

Array = jax.Array

# A radius larger than any picture: such a network sees the picture whole.
_EVERYWHERE = 2**30

VARIANTS = {
  "srez": {"generator": {}, "discriminator": {}},
  "srez_batch_statistics": {
    "generator": {"batch_statistics": True},
    "discriminator": {"batch_statistics": True},
  },
}


def _normal(gain: float, size: int, inputs: int, outputs: int):
  """The code's start: truncated normal, sqrt(gain / (sqrt(in out) k^2))."""
  variance = gain / (math.sqrt(inputs * outputs) * size**2)
  return nn.initializers.truncated_normal(math.sqrt(variance))


def _conv(x: Array, features: int, size: int, gain: float, **more) -> Array:
  """A convolution with TensorFlow's padding and the code's start."""
  conv = Conv(
    features,
    size=size,
    padding="same",
    kernel_init=_normal(gain, size, x.shape[-1], features),
    bias_init=nn.initializers.zeros,
    dtype=x.dtype,
    **more,
  )
  return conv(x)


class Generator(nn.Module):
  """Pre-activation residual blocks, a nearest x2 after every two of them.

  Takes [N, h, w, C] in [0, 1], any h and w; gives [N, h s, w s, C] float32 in
  (0, 1) by a sigmoid. The code's transposed convolutions have stride 1 and are
  plain ones here.

  Attributes:
    scale: 1, 2, 4 or 8; one stage for every doubling.
    channels: colours C.
    width: feature channels of the first stage; halved in every further one.
    blocks: residual blocks of a stage.
    head: feature channels of the last layers.
    batch_statistics: normalise by the batch always, as the code does.
    dtype: type of the convolutions; parameters and statistics are float32.
  """

  scale: int = 4
  channels: int = 3
  width: int = 256
  blocks: int = 2
  head: int = 96
  batch_statistics: bool = False
  dtype: Any = jnp.float32

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel.

    With batch statistics every pixel reaches everywhere.
    """
    if self.batch_statistics:
      return _EVERYWHERE
    low, high = -1, self.scale - 1 + 1
    for _ in range(doublings(self.scale)):
      low = (low - 1) // 2 - 2 * self.blocks
      high = (high + 1) // 2 + 2 * self.blocks
    return max(-low, high)

  @nn.compact
  def __call__(self, lr: Array, *, train: bool) -> Array:
    """Enlarges lr; with `train` the batch's own statistics are used."""
    x = lr.astype(self.dtype)
    for i in range(doublings(self.scale)):
      x = Stage(
        self.width >> i,
        self.blocks,
        self.batch_statistics,
        self.dtype,
        name=f"stage_{i}",
      )(x, train=train)
    x = nn.relu(_conv(x, self.head, 3, 2.0, name="conv_head_0"))
    x = nn.relu(_conv(x, self.head, 1, 2.0, name="conv_head_1"))
    x = _conv(x, self.channels, 1, 1.0, name="conv_out")
    return nn.sigmoid(x.astype(jnp.promote_types(x.dtype, jnp.float32)))


class Stage(nn.Module):
  """Projection, residual blocks, nearest x2, norm, ReLU, convolution."""

  width: int
  blocks: int
  batch_statistics: bool
  dtype: Any

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """Maps [N, H, W, I] to [N, 2 H, 2 W, width]."""

    def activate(x: Array, name: str) -> Array:
      return _activate(x, self.batch_statistics, train, name)

    x = _conv(x, self.width, 1, 1.0, name="conv_in")
    for i in range(self.blocks):
      entry = x
      for j in range(2):
        x = activate(x, f"norm_{i}_{j}")
        # Near zero, so that a block starts as the identity.
        x = _conv(x, self.width, 3, 1e-3, name=f"conv_{i}_{j}")
      x += entry
    x = repeat_pixels(x, 2)
    return _conv(activate(x, "norm_up"), self.width, 3, 1.0, name="conv_up")


def _activate(x: Array, batch_statistics: bool, train: bool, name: str):
  norm = BatchNorm(
    epsilon=1e-3,
    use_scale=False,
    running=not batch_statistics,
    dtype=x.dtype,
    name=name,
  )
  return nn.relu(norm(x, train=train))


class Discriminator(nn.Module):
  """Convolutions with batch norm and plain ReLU; the mean of a map of logits.

  Works at every size: the only pooling is a mean over space.

  Attributes:
    width: channels of the first convolution; doubled three times.
    batch_statistics: normalise by the batch always, as the code does.
    dtype: type of the convolutions; logits are float32 always.
  """

  width: int = 64
  batch_statistics: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Array, *, train: bool
  ) -> tuple[Array, tuple[Array, ...]]:
    """Judges x [N, H, W, C] in [0, 1].

    Returns:
      logits [N] float32 (positive: looks real) and the six activations, from
      fine to coarse.
    """
    x = (2.0 * x - 1.0).astype(self.dtype)
    # Channels over width, kernel size, stride.
    plan = ((1, 3, 2), (2, 3, 2), (4, 3, 2), (8, 3, 2), (8, 3, 1), (8, 1, 1))
    features = []
    for i, (factor, size, stride) in enumerate(plan):
      wide = self.width * factor
      x = _conv(x, wide, size, 2.0, stride=stride, name=f"conv_{i}")
      x = _activate(x, self.batch_statistics, train, f"norm_{i}")
      features.append(x)
    logits = _conv(x, 1, 1, 2.0, name="conv_out")
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jnp.mean(logits, axis=(1, 2, 3)), tuple(features)
