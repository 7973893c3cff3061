"""SRCNN: three convolutions on an enlarged picture (Dong et al., 1501.00092).

The papers' names for its sizes are those of the three kernels: 9-1-5, 9-3-5
and 9-5-5. It learns one scale at a time, on luma.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from enhance_jax import errors
from enhance_jax.models import borders, enlarged, layouts, public

Array = jax.Array

VARIANTS = {
  "srcnn_915": {"middle": 1},
  "srcnn_935": {"middle": 3},
  "srcnn_955": {"middle": 5},
}
LAYERS = ("conv_1", "conv_2", "conv_3")
# Kernels before training: the paper's, which SGD needs millions of updates to
# leave, and He's, which is above bicubic after a few hundred of Adam.
STARTS = {
  "paper": nn.initializers.normal(0.001),
  "he": nn.initializers.variance_scaling(2.0, "fan_in", "normal"),
}


class Generator(nn.Module):
  """Patches, non-linear mapping, reconstruction; the input is enlarged first.

  Takes [N, h, w, C] in [0, 1], any h and w; gives [N, h s, w s, C] float32.
  Parameters do not depend on the scale; with scale 1 the picture is taken as
  enlarged already.

  Attributes:
    scale: of the bicubic enlargement in front, 1 or more.
    channels: colours C.
    middle: kernel size of the second layer: 1, 3 or 5.
    width: filters of the first layer; the second has half of them.
    padding: "replicate", as the authors' test code has it, or "zeros".
    start: kernels before training, "paper" or "he" of `STARTS`.
    dtype: type of the convolutions; parameters are float32.
  """

  scale: int = 3
  channels: int = 1
  middle: int = 1
  width: int = 64
  padding: str = "replicate"
  start: str = "paper"
  dtype: Any = jnp.float32

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel."""
    return enlarged.radius(self.scale, 4 + self.middle // 2 + 2)

  @nn.compact
  def __call__(self, lr: Array, *, train: bool) -> Array:
    """Enlarges lr; `train` changes nothing here."""
    del train
    if self.start not in STARTS:
      raise errors.EnhanceError(
        f'start "{self.start}" is unknown; {errors.nearest(self.start, STARTS)}'
      )
    x = enlarged.enlarge(lr, self.scale)
    plan = (
      (self.width, 9),
      (self.width // 2, self.middle),
      (self.channels, 5),
    )
    for name, (features, size) in zip(LAYERS, plan, strict=True):
      x = borders.conv(
        x,
        features,
        size,
        border=self.padding,
        dtype=self.dtype,
        kernel_init=STARTS[self.start],
        bias_init=nn.initializers.zeros,
        name=name,
      )
      if name != LAYERS[-1]:
        x = nn.relu(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _options(state: public.StateDict) -> dict[str, Any]:
  width, channels = state.shape("conv1.weight")[:2]
  middle = state.shape("conv2.weight")[-1]
  return {"channels": channels, "middle": middle, "width": width}


def _rows(module: Generator) -> list[layouts.Row]:
  del module
  rows = []
  for name in LAYERS:
    rows += layouts.conv(name, name.replace("_", ""))
  return rows


PUBLIC = layouts.Family(
  Generator,
  "SRCNN (conv1 to conv3)",
  {"numbered": layouts.Layout(_rows, _options)},
  untold=("scale", "padding"),
)
public_options, from_public = PUBLIC.options, PUBLIC.read
to_public = PUBLIC.write
