"""VDSR: twenty convolutions that learn what bicubic lacks (Kim, 1511.04587)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from enhance_jax.models import enlarged, layouts, public
from enhance_jax.models.layers import Conv

Array = jax.Array


class Generator(nn.Module):
  """3x3 convolutions with ReLU between; their sum is added to the input.

  Takes [N, h, w, C] in [0, 1], any h and w; gives [N, h s, w s, C] float32.
  Parameters do not depend on the scale, and one network serves several; with
  scale 1 the picture is taken as enlarged already.

  Attributes:
    scale: of the bicubic enlargement in front, 1 or more.
    channels: colours C.
    depth: convolutions (D in the paper).
    width: feature channels.
    dtype: type of the convolutions; parameters and the sum are float32.
  """

  scale: int = 3
  channels: int = 1
  depth: int = 20
  width: int = 64
  dtype: Any = jnp.float32

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel."""
    return enlarged.radius(self.scale, self.depth)

  @nn.compact
  def __call__(self, lr: Array, *, train: bool) -> Array:
    """Enlarges lr; `train` changes nothing here."""
    del train
    x = entry = enlarged.enlarge(lr, self.scale)
    for i in range(self.depth):
      last = i == self.depth - 1
      x = Conv(
        self.channels if last else self.width,
        dtype=self.dtype,
        kernel_init=nn.initializers.variance_scaling(2.0, "fan_in", "normal"),
        bias_init=nn.initializers.zeros,
        name=f"conv_{i:02d}",
      )(x)
      if not last:
        x = nn.relu(x)
    return entry + x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _options(state: public.StateDict, first: str, depth: int) -> dict[str, Any]:
  width, channels = state.shape(first)[:2]
  return {"channels": channels, "depth": depth, "width": width}


def _numbered(module: Generator) -> list[layouts.Row]:
  rows = []
  for i in range(module.depth):
    rows += layouts.conv(f"conv_{i:02d}", f"conv{i + 1:02d}")
  return rows


def _numbered_options(state: public.StateDict) -> dict[str, Any]:
  depth = sum(name.endswith(".weight") for name in state)
  return _options(state, "conv01.weight", depth)


def _named(module: Generator) -> list[layouts.Row]:
  """twtygqyy's pytorch-vdsr, which has no biases."""
  middle = [f"residual_layer.{i}.conv" for i in range(module.depth - 2)]
  rows = []
  for i, name in enumerate(["input", *middle, "output"]):
    rows += layouts.conv(f"conv_{i:02d}", name, bias=False)
  return rows


def _named_options(state: public.StateDict) -> dict[str, Any]:
  depth = 2 + state.count("residual_layer.{}.conv.weight")
  return _options(state, "input.weight", depth)


PUBLIC = layouts.Family(
  Generator,
  "VDSR (conv01 to conv20, or input, residual_layer and output)",
  {
    "numbered": layouts.Layout(_numbered, _numbered_options),
    "pytorch_vdsr": layouts.Layout(
      _named, _named_options, sign="residual_layer.0.conv.weight"
    ),
  },
  untold=("scale",),
)
public_options, from_public = PUBLIC.options, PUBLIC.read
to_public = PUBLIC.write
