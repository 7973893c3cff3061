"""EDSR: residual blocks without batch norm (Lim et al., arXiv 1707.02921)."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from enhance_jax.models import layouts, public, srresnet
from enhance_jax.models.layers import Conv, pixel_shuffle

Array = jax.Array

# Mean RGB of DIV2K, which the authors take off at the door.
MEAN = (0.4488, 0.4371, 0.4040)

VARIANTS = {
  "edsr_baseline": {"generator": {}, "discriminator": {}},
  "edsr_large": {
    "generator": {"width": 256, "blocks": 32, "residual_scale": 0.1},
    "discriminator": {},
  },
}


class Generator(nn.Module):
  """Residual blocks at LR size, sub-pixel stages without activations.

  Takes [N, h, w, C] in [0, 1], any h and w; gives [N, h s, w s, C] float32,
  nominally in [0, 1]. Inside, the pictures are (x - mean) * img_range; for
  gray ones the mean is that of the three colours.

  Attributes:
    scale: 1, 2, 3, 4 or 8.
    channels: colours C.
    width: feature channels (F in the paper).
    blocks: residual blocks (B).
    residual_scale: factor of what a block adds to its input.
    img_range: what 1.0 is inside; 255 in the published weights.
    dtype: type of the convolutions; parameters are float32.
  """

  scale: int = 4
  channels: int = 3
  width: int = 64
  blocks: int = 16
  residual_scale: float = 1.0
  img_range: float = 255.0
  dtype: Any = jnp.float32

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel."""
    return srresnet.tail_radius(self.scale, 1) + 2 * self.blocks + 2

  @nn.compact
  def __call__(self, lr: Array, *, train: bool) -> Array:
    """Enlarges lr; training and use do not differ."""
    del train
    stages = srresnet.sub_pixel_stages(self.scale)
    conv = functools.partial(Conv, dtype=self.dtype)
    wide = jnp.promote_types(
      jnp.promote_types(lr.dtype, self.dtype), jnp.float32
    )
    mean = np.array(MEAN if self.channels == 3 else [np.mean(MEAN)])
    mean = jnp.asarray(mean, wide).reshape(1, 1, 1, -1)
    # In the wider type: bfloat16 has no room for the mean's digits.
    x = ((lr.astype(wide) - mean) * self.img_range).astype(self.dtype)
    x = entry = conv(self.width, name="conv_in")(x)
    for i in range(self.blocks):
      block = Block(self.residual_scale, self.dtype, name=f"block_{i:02d}")
      x = block(x)
    x = entry + conv(self.width, name="conv_mid")(x)
    for i, factor in enumerate(stages):
      x = conv(self.width * factor**2, name=f"conv_up_{i}")(x)
      x = pixel_shuffle(x, factor)
    x = conv(self.channels, name="conv_out")(x).astype(wide)
    return x / self.img_range + mean


class Block(nn.Module):
  """conv, ReLU, conv, scaled and added to the input; keeps [N, H, W, C]."""

  residual_scale: float = 1.0
  dtype: Any = jnp.float32
  kernel_init: nn.initializers.Initializer | None = None
  bias_init: nn.initializers.Initializer | None = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps [N, H, W, C] to the same shape."""
    conv = functools.partial(
      Conv,
      x.shape[-1],
      dtype=self.dtype,
      kernel_init=self.kernel_init,
      bias_init=self.bias_init,
    )
    y = conv(name="conv_2")(nn.relu(conv(name="conv_1")(x)))
    return x + self.residual_scale * y


def _options(
  state: public.StateDict, first: str, block: str, ups: str
) -> dict[str, Any]:
  """The paper's residual scale, which no file tells, goes by the width."""
  width, channels = state.shape(f"{first}.weight")[:2]
  scale, stage = 1, 0
  while f"{ups.format(2 * stage)}.weight" in state:
    features = state.shape(f"{ups.format(2 * stage)}.weight")[0]
    scale *= 3 if features == 9 * width else 2
    stage += 1
  return {
    "scale": scale,
    "channels": channels,
    "width": width,
    "blocks": state.count(f"{block}.weight"),
    "residual_scale": 0.1 if width >= 256 else 1.0,
    "img_range": 255.0,
  }


def _rows(
  module: Generator,
  ends: tuple[str, str],
  middle: str,
  pair: tuple[str, str],
  ups: str,
) -> list[layouts.Row]:
  rows = layouts.conv("conv_in", ends[0])
  for i in range(module.blocks):
    for j, name in enumerate(pair, start=1):
      rows += layouts.conv(f"block_{i:02d}/conv_{j}", name.format(i))
  rows += layouts.conv("conv_mid", middle)
  for i, _ in enumerate(srresnet.sub_pixel_stages(module.scale)):
    rows += layouts.conv(f"conv_up_{i}", ups.format(2 * i))
  return rows + layouts.conv("conv_out", ends[1])


def _basicsr(module: Generator) -> list[layouts.Row]:
  ends, pair = ("conv_first", "conv_last"), ("body.{}.conv1", "body.{}.conv2")
  return _rows(module, ends, "conv_after_body", pair, "upsample.{}")


def _authors(module: Generator) -> list[layouts.Row]:
  ends, pair = ("head.0", "tail.1"), ("body.{}.body.0", "body.{}.body.2")
  rows = _rows(module, ends, f"body.{module.blocks}", pair, "tail.0.{}")
  if module.channels != 3:
    return rows
  # Fixed 1x1 convolutions that do what the door does. bfloat16 is off by 0.25
  # of 114.
  eye = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
  mean = np.float32(module.img_range) * np.asarray(MEAN, np.float32)
  for name, bias in (("sub_mean", -mean), ("add_mean", mean)):
    rows.append(layouts.Row("", f"{name}.weight", value=eye, tolerance=1e-4))
    rows.append(layouts.Row("", f"{name}.bias", value=bias, tolerance=0.3))
  return rows


PUBLIC = layouts.Family(
  Generator,
  "EDSR (BasicSR's or EDSR-PyTorch's names)",
  {
    "basicsr": layouts.Layout(
      _basicsr,
      functools.partial(
        _options, first="conv_first", block="body.{}.conv1", ups="upsample.{}"
      ),
    ),
    "edsr_pytorch": layouts.Layout(
      _authors,
      functools.partial(
        _options, first="head.0", block="body.{}.body.0", ups="tail.0.{}"
      ),
      sign="head.0.weight",
    ),
  },
  untold=("residual_scale", "img_range"),
)
public_options, from_public = PUBLIC.options, PUBLIC.read
to_public = PUBLIC.write
