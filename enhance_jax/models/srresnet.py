"""SRResNet and the SRGAN discriminator (Ledig et al., arXiv 1609.04802)."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from enhance_jax.errors import EnhanceError
from enhance_jax.models import layouts, public
from enhance_jax.models.layers import BatchNorm, Conv, PReLU, pixel_shuffle

Array = jax.Array

# Sub-pixel stages of every scale that the paper's tail can be built for.
STAGES = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}

OUTPUTS = ("linear", "tanh")
MIDDLES = ("norm", "prelu")

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
    middle: what follows the convolution after the blocks, "norm" as in the
      paper or "prelu" as in some public weights.
    norm_bias: give convolutions in front of a batch norm a bias; some public
      weights have it, for nothing that the norm could not do.
    dtype: type of the convolutions; parameters and statistics are float32.
  """

  scale: int = 4
  channels: int = 3
  width: int = 64
  blocks: int = 16
  prelu: str = "channel"
  output: str = "linear"
  middle: str = "norm"
  norm_bias: bool = False
  dtype: Any = jnp.float32

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel."""
    return tail_radius(self.scale, 4) + 2 * self.blocks + 1 + 4

  @nn.compact
  def __call__(self, lr: Array, *, train: bool) -> Array:
    """Enlarges lr; with `train` the batch's own statistics are used."""
    for what, known in (("output", OUTPUTS), ("middle", MIDDLES)):
      if getattr(self, what) not in known:
        raise EnhanceError(
          f'{what} "{getattr(self, what)}" is unknown; use '
          + " or ".join(f'"{one}"' for one in known)
        )
    stages = sub_pixel_stages(self.scale)
    x = lr.astype(self.dtype)
    x = Conv(self.width, size=9, dtype=self.dtype, name="conv_in")(x)
    x = entry = PReLU(self.prelu, name="prelu_in")(x)
    for i in range(self.blocks):
      x = ResidualBlock(
        self.prelu, self.norm_bias, self.dtype, name=f"block_{i:02d}"
      )(x, train=train)
    normed = self.middle == "norm"
    x = Conv(
      self.width,
      use_bias=self.norm_bias or not normed,
      dtype=self.dtype,
      name="conv_mid",
    )(x)
    if normed:
      x = BatchNorm(dtype=self.dtype, name="norm_mid")(x, train=train)
    else:
      x = PReLU(self.prelu, name="prelu_mid")(x)
    x = entry + x
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
  norm_bias: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """Maps [N, H, W, C] to the same shape."""
    conv = functools.partial(
      Conv, x.shape[-1], use_bias=self.norm_bias, dtype=self.dtype
    )
    y = conv(name="conv_1")(x)
    y = BatchNorm(dtype=self.dtype, name="norm_1")(y, train=train)
    y = PReLU(self.prelu, name="prelu")(y)
    y = conv(name="conv_2")(y)
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


def _options(state: public.StateDict) -> dict[str, Any]:
  """leftthomas's SRGAN: block1 to blockN; the numbers go on after the blocks.

  Its output, which no array tells, is a tanh.
  """
  blocks = 0
  while f"block{blocks + 2}.conv1.weight" in state:
    blocks += 1
  width, channels = state.shape("block1.0.weight")[:2]
  tail = f"block{blocks + 3}"
  scale, stage = 1, 0
  while f"{tail}.{stage}.conv.weight" in state:
    wide = state.shape(f"{tail}.{stage}.conv.weight")[0]
    scale *= math.isqrt(wide // width)
    stage += 1
  normed = f"block{blocks + 2}.1.running_mean" in state
  biases = [f"block{i + 2}.conv{j}.bias" for i in range(blocks) for j in (1, 2)]
  if normed:
    biases.append(f"block{blocks + 2}.0.bias")
  return {
    "scale": scale,
    "channels": channels,
    "width": width,
    "blocks": blocks,
    "prelu": "scalar" if state.shape("block1.1.weight") == (1,) else "channel",
    "output": "tanh",
    "middle": "norm" if normed else "prelu",
    "norm_bias": any(np.any(state.peek(name)) for name in biases),
  }


def _rows(module: Generator) -> list[layouts.Row]:
  last = module.blocks + 2

  def normed(ours: str, theirs: str) -> list[layouts.Row]:
    rows = layouts.conv(ours, theirs)
    if not module.norm_bias:
      zeros = np.zeros(module.width, np.float32)
      rows[1] = layouts.Row("", f"{theirs}.bias", value=zeros)
    return rows

  rows = layouts.conv("conv_in", "block1.0")
  rows.append(layouts.slope("prelu_in", "block1.1"))
  for i in range(module.blocks):
    ours, theirs = f"block_{i:02d}", f"block{i + 2}"
    for j in (1, 2):
      rows += normed(f"{ours}/conv_{j}", f"{theirs}.conv{j}")
      rows += layouts.norm(f"{ours}/norm_{j}", f"{theirs}.bn{j}")
    rows.append(layouts.slope(f"{ours}/prelu", f"{theirs}.prelu"))
  if module.middle == "norm":
    rows += normed("conv_mid", f"block{last}.0")
    rows += layouts.norm("norm_mid", f"block{last}.1")
  else:
    rows += layouts.conv("conv_mid", f"block{last}.0")
    rows.append(layouts.slope("prelu_mid", f"block{last}.1"))
  stages = sub_pixel_stages(module.scale)
  for i, _ in enumerate(stages):
    rows += layouts.conv(f"conv_up_{i}", f"block{last + 1}.{i}.conv")
    rows.append(layouts.slope(f"prelu_up_{i}", f"block{last + 1}.{i}.prelu"))
  return rows + layouts.conv("conv_out", f"block{last + 1}.{len(stages)}")


PUBLIC = layouts.Family(
  Generator,
  "leftthomas's SRGAN generator (block1 to blockN)",
  {"srgan_blocks": layouts.Layout(_rows, _options)},
  untold=("output",),
)
public_options, from_public = PUBLIC.options, PUBLIC.read
to_public = PUBLIC.write
