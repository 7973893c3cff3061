"""MSRResNet: SRResNet without batch norm, as BasicSR and ESRGAN build it.

Unlike `srresnet` it has 3x3 convolutions throughout, no long skip, and adds
its result to a bilinear enlargement of the input.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from enhance_jax import resample
from enhance_jax.models import edsr, layouts, public, srresnet
from enhance_jax.models.layers import Conv, pixel_shuffle

Array = jax.Array

SLOPE = 0.1
SMALL_NORMAL = nn.initializers.variance_scaling(0.02, "fan_in", "normal")
VARIANTS = {"msrresnet": {"generator": {}, "discriminator": {}}}


class Generator(nn.Module):
  """Residual blocks at LR size, sub-pixel stages, plus bilinear enlargement.

  Takes [N, h, w, C] in [0, 1], any h and w; gives [N, h s, w s, C] float32,
  nominally in [0, 1].

  Attributes:
    scale: 1, 2, 3, 4 or 8.
    channels: colours C.
    width: feature channels.
    blocks: residual blocks.
    dtype: type of the convolutions; parameters are float32.
  """

  scale: int = 4
  channels: int = 3
  width: int = 64
  blocks: int = 16
  dtype: Any = jnp.float32

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel."""
    return srresnet.tail_radius(self.scale, 2) + 2 * self.blocks + 1

  @nn.compact
  def __call__(self, lr: Array, *, train: bool) -> Array:
    """Enlarges lr; training and use do not differ."""
    del train
    start = {
      "dtype": self.dtype,
      "kernel_init": SMALL_NORMAL,
      "bias_init": nn.initializers.zeros,
    }
    conv = functools.partial(Conv, **start)
    x = conv(self.width, name="conv_in")(lr.astype(self.dtype))
    x = nn.leaky_relu(x, SLOPE)
    for i in range(self.blocks):
      x = edsr.Block(**start, name=f"block_{i:02d}")(x)
    for i, factor in enumerate(srresnet.sub_pixel_stages(self.scale)):
      x = conv(self.width * factor**2, name=f"conv_up_{i}")(x)
      x = nn.leaky_relu(pixel_shuffle(x, factor), SLOPE)
    x = nn.leaky_relu(conv(self.width, name="conv_hr")(x), SLOPE)
    x = conv(self.channels, name="conv_out")(x)
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    base = resample.resize(lr, scale=self.scale, kernel="bilinear")
    return x + base.astype(x.dtype)


def _options(state: public.StateDict) -> dict[str, Any]:
  width, channels = state.shape("conv_first.weight")[:2]
  scale = 1
  for name in ("upconv1", "upconv2", "upconv3"):
    if f"{name}.weight" in state:
      scale *= 3 if state.shape(f"{name}.weight")[0] == 9 * width else 2
  return {
    "scale": scale,
    "channels": channels,
    "width": width,
    "blocks": state.count("body.{}.conv1.weight"),
  }


def _rows(module: Generator) -> list[layouts.Row]:
  rows = layouts.conv("conv_in", "conv_first")
  for i in range(module.blocks):
    for j in (1, 2):
      rows += layouts.conv(f"block_{i:02d}/conv_{j}", f"body.{i}.conv{j}")
  for i, _ in enumerate(srresnet.sub_pixel_stages(module.scale)):
    rows += layouts.conv(f"conv_up_{i}", f"upconv{i + 1}")
  rows += layouts.conv("conv_hr", "conv_hr")
  return rows + layouts.conv("conv_out", "conv_last")


PUBLIC = layouts.Family(
  Generator,
  "BasicSR's MSRResNet",
  {"basicsr": layouts.Layout(_rows, _options)},
)
public_options, from_public = PUBLIC.options, PUBLIC.read
to_public = PUBLIC.write
