"""A fast generator that works at LR size: SRVGGNetCompact of Real-ESRGAN.

Wang et al., arXiv 2107.10833; the network is that of the release's
`realesr-animevideov3` (16 convolutions) and `realesr-general-x4v3` (32).
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from enhance_jax.errors import EnhanceError, nearest
from enhance_jax.models import layouts, public, quantize
from enhance_jax.models.layers import Conv, PReLU, pixel_shuffle, repeat_pixels

Array = jax.Array

VARIANTS = {
  "animevideo": {"generator": {"convs": 16}, "discriminator": {}},
  "general": {"generator": {"convs": 32}, "discriminator": {}},
  "animevideo_int8": {
    "generator": {"convs": 16, "quantize": "int8"},
    "discriminator": {},
  },
}
ACTIVATIONS = ("prelu", "relu", "leaky_relu")
QUANTIZATIONS = ("", "int8")


class Generator(nn.Module):
  """Plain 3x3 convolutions, a pixel shuffle, plus the input's pixels repeated.

  Takes [N, h, w, C] in [0, 1], any h and w; gives [N, h s, w s, C] float32,
  nominally in [0, 1].

  With quantize="int8" the convolutions compute what eight-bit integers would
  (`quantize.Conv`: int8 kernels with a step a channel, int8 inputs with a step
  a tensor, int32 bias and sums), and training learns with that rounding. The
  activation functions, the shuffle and the final sum stay in floats. The
  picture enters as its own 8 bits: finer input is rounded for the
  convolutions, though not for the final sum.

  Attributes:
    scale: 1 or more.
    channels: colours C.
    width: feature channels.
    convs: convolutions between the first and the last one.
    activation: "prelu" (a slope a channel), "relu" or "leaky_relu" (0.1).
    quantize: "" or "int8".
    dtype: type of the convolutions; parameters are float32. The simulation of
      integers takes float32 in any case.
  """

  scale: int = 4
  channels: int = 3
  width: int = 64
  convs: int = 16
  activation: str = "prelu"
  quantize: str = ""
  dtype: Any = jnp.float32

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel."""
    return self.convs + 2

  @nn.compact
  def __call__(self, lr: Array, *, train: bool) -> Array:
    """Enlarges lr; with `train` int8 inputs have their ranges followed."""
    self._check()
    x = lr.astype(self.dtype)
    for i, name in enumerate(layer_names(self.convs)):
      last = i == self.convs + 1
      features = self.channels * self.scale**2 if last else self.width
      x = self._convolution(features, name, train)(x)
      if not last:
        x = self._activation(name.replace("conv", "prelu"))(x)
    x = pixel_shuffle(x, self.scale)
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return x + repeat_pixels(lr, self.scale).astype(x.dtype)

  def _convolution(self, features: int, name: str, train: bool):
    if not self.quantize:
      return Conv(features, dtype=self.dtype, name=name)
    module = quantize.Conv(
      features, picture=name == "conv_in", dtype=self.dtype, name=name
    )
    return functools.partial(module, train=train)

  def _activation(self, name: str):
    if self.activation == "prelu":
      return PReLU(name=name)
    if self.activation == "relu":
      return nn.relu
    return functools.partial(nn.leaky_relu, negative_slope=0.1)

  def _check(self) -> None:
    for what, known in (
      ("activation", ACTIVATIONS),
      ("quantize", QUANTIZATIONS),
    ):
      value = getattr(self, what)
      if value not in known:
        raise EnhanceError(
          f'{what} "{value}" is unknown; {nearest(value, known)}'
        )


def layer_names(convs: int) -> list[str]:
  """The convolutions' names in order."""
  return ["conv_in", *(f"conv_{i:02d}" for i in range(convs)), "conv_out"]


def export_int8(
  variables: Mapping[str, Any],
) -> dict[str, dict[str, np.ndarray]]:
  """The integers of a generator that was trained with quantize="int8".

  Args:
    variables: its parameters and statistics.

  Returns:
    convolution name, in the order of computation -> what `quantize.export`
    gives, and `slope` float32 of the PReLU after it, if there is one.

  Raises:
    EnhanceError: no ranges are known: it was not trained with quantize="int8".
  """
  params, stats = variables["params"], variables.get("batch_stats", {})
  layers = {}
  for name in layer_names(len(_convolutions(params)) - 2):
    known = stats.get(name, {})
    if name != "conv_in" and not (known and known["high"][0] > known["low"][0]):
      raise EnhanceError(
        f"the range of {name}'s input is not known, so it has no integers; "
        'wanted a generator that was trained with quantize="int8"'
      )
    layers[name] = quantize.export(params[name], known)
    activation = name.replace("conv", "prelu")
    if activation in params:
      slope = params[activation]["slope"]
      layers[name]["slope"] = np.asarray(slope, np.float32)
  return layers


def _convolutions(params: Mapping[str, Any]) -> list[str]:
  return [name for name in params if name.startswith("conv")]


def _options(state: public.StateDict) -> dict[str, Any]:
  # Activations stand between the convolutions.
  last = 2 * (state.count("body.{}.weight") // 2)
  width, channels = state.shape("body.0.weight")[:2]
  return {
    "scale": math.isqrt(state.shape(f"body.{last}.weight")[0] // channels),
    "channels": channels,
    "width": width,
    "convs": last // 2 - 1,
    # The other activations have no arrays, and nobody published such weights.
    "activation": "prelu",
  }


def _rows(module: Generator) -> list[layouts.Row]:
  rows = []
  for i, name in enumerate(layer_names(module.convs)):
    rows += layouts.conv(name, f"body.{2 * i}")
    if module.activation == "prelu" and i <= module.convs:
      activation = name.replace("conv", "prelu")
      rows.append(layouts.slope(activation, f"body.{2 * i + 1}"))
  return rows


PUBLIC = layouts.Family(
  Generator,
  "SRVGGNetCompact (body.N.weight)",
  {"basicsr": layouts.Layout(_rows, _options)},
)
public_options, from_public = PUBLIC.options, PUBLIC.read
to_public = PUBLIC.write
