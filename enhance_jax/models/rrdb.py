"""RRDBNet and the VGG-style discriminator (ESRGAN, arXiv 1809.00219).

The same generator serves Real-ESRGAN (arXiv 2107.10833), which for x2 and x1
folds the picture to a quarter or a sixteenth of its pixels first.
"""

import functools
import itertools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from enhance_jax.errors import EnhanceError
from enhance_jax.models import layouts, public
from enhance_jax.models.layers import BatchNorm, Conv, convolve, repeat_pixels

Array = jax.Array

SLOPE = 0.2
DENSE_BLOCKS = 3
_MOST_DOUBLINGS = 9
# The authors' start for the dense blocks: He's normal, a tenth of its size.
SMALL_NORMAL = nn.initializers.variance_scaling(0.02, "fan_in", "normal")

VARIANTS = {
  "esrgan": {"generator": {}, "discriminator": {}},
  "esrgan_6_blocks": {"generator": {"blocks": 6}, "discriminator": {}},
  # For pictures of 256 x 256, with one more halving.
  "esrgan_256": {"generator": {}, "discriminator": {"halvings": 6}},
}


class Generator(nn.Module):
  """RRDBNet: dense blocks within residual blocks at LR size, then doublings.

  Takes [N, h, w, C] in [0, 1], any h and w; gives [N, h s, w s, C] float32,
  nominally in [0, 1]. Where 2^doublings exceeds the scale, the picture is
  folded first: squares of 2^doublings / scale pixels become channels. A
  picture that such squares do not fill is mirrored at the bottom and right.

  Attributes:
    scale: a divisor of 2^doublings.
    channels: colours C.
    width: feature channels.
    growth: channels that a convolution adds within a dense block.
    blocks: residual-in-residual dense blocks.
    doublings: stages that double the size after the blocks.
    residual_scale: factor on the way back into a skip connection.
    dtype: type of the convolutions; parameters are float32.
  """

  scale: int = 4
  channels: int = 3
  width: int = 64
  growth: int = 32
  blocks: int = 23
  doublings: int = 2
  residual_scale: float = 0.2
  dtype: Any = jnp.float32

  @property
  def multiple(self) -> int:
    """The side of the squares that are folded; windows begin at its multiples.

    Raises:
      EnhanceError: the scale does not divide 2^doublings.
    """
    whole = 2**self.doublings
    if self.scale < 1 or whole % self.scale:
      raise EnhanceError(
        f"scale {self.scale} does not divide the {whole} that "
        f"{self.doublings} doublings make; use another scale, or doublings"
      )
    return whole // self.scale

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel."""
    fold, reach = self.multiple, 0
    # 3 dense blocks of 5 convolutions each, the first and the middle one.
    body = 5 * DENSE_BLOCKS * self.blocks + 2
    for place in range(fold):
      low, high = place * self.scale - 2, (place + 1) * self.scale + 1
      for _ in range(self.doublings):
        low, high = (low - 1) // 2, (high + 1) // 2
      low = (low - body) * fold - place
      high = (high + body + 1) * fold - 1 - place
      reach = max(reach, -low, high)
    return reach

  @nn.compact
  def __call__(self, lr: Array, *, train: bool) -> Array:
    """Enlarges lr; training and use do not differ."""
    del train
    conv = functools.partial(Conv, dtype=self.dtype)
    height, width = (n * self.scale for n in lr.shape[1:3])
    x = _fold(lr.astype(self.dtype), self.multiple)
    x = entry = conv(self.width, name="conv_in")(x)
    for i in range(self.blocks):
      x = Block(
        self.growth, self.residual_scale, self.dtype, name=f"block_{i:02d}"
      )(x)
    x = entry + conv(self.width, name="conv_mid")(x)
    for i in range(self.doublings):
      x = conv(self.width, name=f"conv_up_{i}")(repeat_pixels(x, 2))
      x = nn.leaky_relu(x, SLOPE)
    x = nn.leaky_relu(conv(self.width, name="conv_hr")(x), SLOPE)
    x = conv(self.channels, name="conv_out")(x)
    x = x[:, :height, :width]
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class Block(nn.Module):
  """Three dense blocks in a row, scaled and added to the input (RRDB)."""

  growth: int = 32
  residual_scale: float = 0.2
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps [N, H, W, C] to the same shape."""
    y = x
    for i in range(DENSE_BLOCKS):
      y = DenseBlock(
        self.growth, self.residual_scale, self.dtype, name=f"dense_{i}"
      )(y)
    return x + self.residual_scale * y


class DenseBlock(nn.Module):
  """Five convolutions, each seeing all before it, added to the input (RDB).

  No concatenation is made. What an activation gives to all the convolutions
  after it comes from one wide product, and those convolutions add up their
  parts: 1.4 times as fast on a CPU, and the same sum in another order.
  """

  growth: int = 32
  residual_scale: float = 0.2
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps [N, H, W, C] to the same shape."""
    width = x.shape[-1]
    outputs = [self.growth] * 4 + [width]
    layers = [
      _Weights(out, width + i * self.growth, name=f"conv_{i}")()
      for i, out in enumerate(outputs)
    ]
    sums = [bias.reshape(1, 1, 1, -1) for _, bias in layers]
    seen, start = x, 0
    for i in range(5):
      stop = start + seen.shape[-1]
      kernels = [kernel[:, :, start:stop] for kernel, _ in layers[i:]]
      wide = jnp.concatenate(kernels, axis=-1).astype(self.dtype)
      parts = jnp.split(
        convolve(seen, wide, 1, 1), np.cumsum(outputs[i:-1]), axis=-1
      )
      for j, part in enumerate(parts, start=i):
        sums[j] = sums[j] + part
      seen, start = nn.leaky_relu(sums[i], SLOPE).astype(self.dtype), stop
    return x + (self.residual_scale * sums[4]).astype(self.dtype)


class _Weights(nn.Module):
  """The parameters of a 3x3 convolution in a dense block."""

  features: int
  inputs: int

  @nn.compact
  def __call__(self) -> tuple[Array, Array]:
    shape = (3, 3, self.inputs, self.features)
    kernel = self.param("kernel", SMALL_NORMAL, shape)
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    return kernel, bias


class Discriminator(nn.Module):
  """ESRGAN's VGG-style classifier of real against generated images.

  A 3x3 convolution, then pairs of which the first or only one halves the size
  by a 4x4 convolution; two dense layers, sized by the image that the network
  is initialised with: H / 2^halvings x W / 2^halvings x the last width.

  Attributes:
    width: channels of the first convolution; they double up to 8 times that.
    halvings: 5 for the published 128 x 128, 6 for 256 x 256; fewer for small
      crops, which must have at least 2^halvings pixels a side.
    dense: units of the first dense layer.
    dtype: type of the convolutions; logits are float32 always.
  """

  width: int = 64
  halvings: int = 5
  dense: int = 100
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Array, *, train: bool
  ) -> tuple[Array, tuple[Array, ...]]:
    """Judges x [N, H, W, C] in [0, 1].

    Returns:
      logits [N] float32 (positive: looks real) and the activations after each
      convolution, from fine to coarse.

    Raises:
      EnhanceError: the image is smaller than 2^halvings.
    """
    least = 2**self.halvings
    if min(x.shape[1:3]) < least:
      raise EnhanceError(
        f"the discriminator got {x.shape[1]} x {x.shape[2]} pixels; "
        f"{self.halvings} halvings want {least} or more a side: take larger "
        "crops or fewer halvings"
      )
    x, features = x.astype(self.dtype), []
    for i in range(2 * self.halvings):
      stage, halves = divmod(i, 2)
      x = Conv(
        self.width * min(2**stage, 8),
        size=3 + halves,
        stride=1 + halves,
        padding=1,
        use_bias=i == 0,
        dtype=self.dtype,
        name=f"conv_{i}",
      )(x)
      if i:
        x = BatchNorm(dtype=self.dtype, name=f"norm_{i}")(x, train=train)
      x = nn.leaky_relu(x, SLOPE)
      features.append(x)
    flat = x.reshape(x.shape[0], math.prod(x.shape[1:]))
    x = nn.Dense(self.dense, dtype=self.dtype, name="dense_0")(flat)
    x = nn.leaky_relu(x, SLOPE)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    logits = nn.Dense(1, dtype=wide, name="dense_1")(x.astype(wide))
    return logits[:, 0], tuple(features)


def _fold(x: Array, size: int) -> Array:
  """Squares of size pixels become channels, in PyTorch's unshuffle order."""
  if size == 1:
    return x
  n, h, w, c = x.shape
  below, right = -h % size, -w % size
  x = jnp.pad(x, ((0, 0), (0, below), (0, right), (0, 0)), mode="reflect")
  rows, columns = (h + below) // size, (w + right) // size
  x = x.reshape(n, rows, size, columns, size, c).transpose(0, 1, 3, 5, 2, 4)
  return x.reshape(n, rows, columns, c * size**2)


class _Names(NamedTuple):
  """Where a public state dict keeps its convolutions."""

  first: str
  dense: str
  middle: str
  ups: list[str]
  hr: str
  last: str


def _basicsr(blocks: int, doublings: int) -> _Names:
  del blocks
  ups = [f"conv_up{k}" for k in range(1, doublings + 1)]
  dense = "body.{0}.rdb{1}.conv{2}"
  return _Names("conv_first", dense, "conv_body", ups, "conv_hr", "conv_last")


def _esrgan(blocks: int, doublings: int) -> _Names:
  del blocks
  ups = [f"upconv{k}" for k in range(1, doublings + 1)]
  dense = "RRDB_trunk.{0}.RDB{1}.conv{2}"
  return _Names("conv_first", dense, "trunk_conv", ups, "HRconv", "conv_last")


def _oldest(blocks: int, doublings: int) -> _Names:
  """Numbered layers: n doublings put upsampling k at 3 k, the last at 3 n + 4.

  The middle convolution is numbered as if it were one more block.
  """
  last = 3 * doublings + 4
  return _Names(
    "model.0",
    "model.1.sub.{0}.RDB{1}.conv{2}.0",
    f"model.1.sub.{blocks}",
    [f"model.{3 * k}" for k in range(1, doublings + 1)],
    f"model.{last - 2}",
    f"model.{last}",
  )


def _count_ups(state: public.StateDict, names: Callable[..., _Names]) -> int:
  if names is _oldest:
    numbers = [
      int(n) for n in re.findall(r"^model\.(\d+)", "\n".join(state), re.M)
    ]
    # A number that is none of a layer must not make a list of its length.
    return min((max(numbers, default=4) - 4) // 3, _MOST_DOUBLINGS)
  return sum(
    f"{name}.weight" in state for name in names(0, _MOST_DOUBLINGS).ups
  )


def _options(
  state: public.StateDict, names: Callable[..., _Names]
) -> dict[str, Any]:
  doublings = _count_ups(state, names)
  blocks = state.count(names(0, 0).dense.format("{0}", 1, 1) + ".weight")
  there = names(blocks, doublings)
  growth = state.shape(f"{there.dense.format(0, 1, 1)}.weight")[0]
  width, inputs = state.shape(f"{there.first}.weight")[:2]
  channels = state.shape(f"{there.last}.weight")[0]
  # Squares of so many pixels a side were folded into the inputs.
  fold = math.isqrt(inputs // channels)
  return {
    "scale": 2**doublings // fold if fold else 0,
    "channels": channels,
    "width": width,
    "growth": growth,
    "blocks": blocks,
    "doublings": doublings,
  }


def _rows(module: Generator, names: Callable[..., _Names]) -> list[layouts.Row]:
  there = names(module.blocks, module.doublings)
  rows = layouts.conv("conv_in", there.first)
  for i, j, k in itertools.product(
    range(module.blocks), range(DENSE_BLOCKS), range(5)
  ):
    ours = f"block_{i:02d}/dense_{j}/conv_{k}"
    rows += layouts.conv(ours, there.dense.format(i, j + 1, k + 1))
  rows += layouts.conv("conv_mid", there.middle)
  for i, name in enumerate(there.ups):
    rows += layouts.conv(f"conv_up_{i}", name)
  rows += layouts.conv("conv_hr", there.hr)
  return rows + layouts.conv("conv_out", there.last)


def _layout(names: Callable[..., _Names], sign: str = "") -> layouts.Layout:
  return layouts.Layout(
    functools.partial(_rows, names=names),
    functools.partial(_options, names=names),
    sign,
  )


PUBLIC = layouts.Family(
  Generator,
  "RRDBNet (BasicSR's or ESRGAN's names)",
  {
    "basicsr": _layout(_basicsr),
    "esrgan": _layout(_esrgan, "RRDB_trunk.0.RDB1.conv1.weight"),
    "esrgan_oldest": _layout(_oldest, "model.0.weight"),
  },
)
public_options, from_public = PUBLIC.options, PUBLIC.read
to_public = PUBLIC.write


def discriminator_from_public(
  tensors: Mapping[str, np.ndarray],
) -> dict[str, Any]:
  """The variables of a `Discriminator` from BasicSR's VGGStyleDiscriminator.

  Raises:
    EnhanceError: arrays are missing or left over.
  """
  state = public.StateDict(tensors, "BasicSR's VGGStyleDiscriminator")
  count = 2 * state.count("conv{}_0.weight")
  params: dict[str, Any] = {}
  stats = {}
  for i in range(count):
    params[f"conv_{i}"] = state.conv(f"conv{i // 2}_{i % 2}")
    if i:
      params[f"norm_{i}"], stats[f"norm_{i}"] = state.norm(
        f"bn{i // 2}_{i % 2}"
      )
  channels = state.shape(f"conv{count // 2 - 1}_1.weight")[0]
  side = math.isqrt(state.shape("linear1.weight")[1] // channels)
  params["dense_0"] = state.dense("linear1", channels, side)
  params["dense_1"] = state.dense("linear2")
  return state.finish(params, stats)
