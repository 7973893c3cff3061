"""ESPCN and FSRCNN: networks at LR size whose last layer enlarges.

ESPCN (Shi et al., 1609.05158) computes r^2 values a pixel and shuffles them
into place; FSRCNN (Dong et al., 1608.00367) ends in a transposed convolution.
The two are the same operation seen from two sides, and both are computed the
first way here: its gradient is that of an ordinary convolution.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from enhance_jax.models import borders, layouts, public
from enhance_jax.models.layers import PReLU, pixel_shuffle

Array = jax.Array

# FSRCNN(d, s, m) of the paper: the default, the middle one of its study, and
# the small one that runs in real time.
VARIANTS = {
  "fsrcnn": {"width": 56, "narrow": 12, "mappings": 4},
  "fsrcnn_48": {"width": 48, "narrow": 12, "mappings": 2},
  "fsrcnn_s": {"width": 32, "narrow": 5, "mappings": 1},
}
_DECONV = 9
_SLOPE = 0.25


class Espcn(nn.Module):
  """Three convolutions and a pixel shuffle.

  Takes [N, h, w, C] in [0, 1], any h and w; gives [N, h s, w s, C] float32.

  Attributes:
    scale: the enlargement r.
    channels: colours C.
    width: filters of the first layer; the second has half of them.
    padding: "zeros" or "replicate".
    dtype: type of the convolutions; parameters are float32.
  """

  scale: int = 3
  channels: int = 1
  width: int = 64
  padding: str = "zeros"
  dtype: Any = jnp.float32

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel."""
    return 2 + 1 + 1

  @nn.compact
  def __call__(self, lr: Array, *, train: bool) -> Array:
    """Enlarges lr; `train` changes nothing here."""
    del train
    plan = (
      (self.width, 5),
      (self.width // 2, 3),
      (self.channels * self.scale**2, 3),
    )
    x = lr
    for i, (features, size) in enumerate(plan, start=1):
      x = borders.conv(
        x,
        features,
        size,
        border=self.padding,
        dtype=self.dtype,
        name=f"conv_{i}",
      )
      x = jnp.tanh(x) if i < len(plan) else x
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return pixel_shuffle(x, self.scale)


class Fsrcnn(nn.Module):
  """Features, shrinking, mapping, expanding, transposed convolution.

  Takes [N, h, w, C] in [0, 1], any h and w; gives [N, h s, w s, C] float32.

  Attributes:
    scale: the enlargement r.
    channels: colours C.
    width: feature channels (d in the paper).
    narrow: channels of the mapping layers (s).
    mappings: how many of them (m).
    prelu: "channel" slopes as in the paper, or "scalar" ones as in the
      authors' models.
    padding: "replicate", as the authors' test code has it, or "zeros".
    deconv_padding: what PyTorch calls the transposed convolution's padding;
      None takes the authors' alignment, 3 for scale 3 and else 4.
    center: value that is 0 inside. The papers' is 0; at 0.5, which with
      replicated borders is a matter of biases alone, training takes larger
      steps and gets further by the same number of them.
    dtype: type of the convolutions; parameters are float32.
  """

  scale: int = 3
  channels: int = 1
  width: int = 56
  narrow: int = 12
  mappings: int = 4
  prelu: str = "channel"
  padding: str = "replicate"
  deconv_padding: int | None = None
  center: float = 0.0
  dtype: Any = jnp.float32

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel."""
    return 2 + self.mappings + max(_reach(self.scale, self._alignment))

  @property
  def _alignment(self) -> int:
    # At an odd scale the kernel's middle can lie on the middle of a block.
    if self.deconv_padding is None:
      return 3 if self.scale == 3 else 4
    return self.deconv_padding

  @nn.compact
  def __call__(self, lr: Array, *, train: bool) -> Array:
    """Enlarges lr; `train` changes nothing here."""
    del train
    plan = [("in", self.width, 5), ("shrink", self.narrow, 1)]
    plan += [(f"map_{i}", self.narrow, 3) for i in range(self.mappings)]
    plan += [("expand", self.width, 1)]
    x = lr - self.center
    for name, features, size in plan:
      x = borders.conv(
        x,
        features,
        size,
        border=self.padding,
        dtype=self.dtype,
        # He et al. 2015 for a PReLU of this slope, their backward form.
        kernel_init=nn.initializers.variance_scaling(
          2.0 / (1.0 + _SLOPE**2), "fan_out", "normal"
        ),
        bias_init=nn.initializers.zeros,
        name=f"conv_{name}",
      )
      x = PReLU(self.prelu, start=_SLOPE, name=f"prelu_{name}")(x)
    deconv = Deconv(
      self.channels,
      scale=self.scale,
      padding=self._alignment,
      border=self.padding,
      dtype=self.dtype,
      name="deconv",
    )
    return deconv(x) + self.center


class Deconv(nn.Module):
  """A 9x9 transposed convolution of stride r that gives exactly r H x r W.

  Parameters are float32: `kernel` [9, 9, I, O], whose tap (a, b) adds to the
  output pixel (r i + a - padding, r j + b - padding) of input pixel (i, j),
  and `bias` [O].

  Attributes:
    features: output channels.
    scale: stride r.
    padding: shift of the kernel, as PyTorch's padding.
    border: what lies beyond the input, "zeros" as in PyTorch or "replicate".
    dtype: type of the products; the result is float32.
  """

  features: int
  scale: int
  padding: int
  border: str
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps [N, H, W, I] to [N, r H, r W, features]."""
    shape = (_DECONV, _DECONV, x.shape[-1], self.features)
    kernel = self.param("kernel", nn.initializers.normal(0.001), shape)
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    before, after = _reach(self.scale, self.padding)
    x = borders.pad(x.astype(self.dtype), before, after, self.border)
    phases = _phases(kernel.astype(self.dtype), self.scale, self.padding)
    y = borders.within(x, phases)
    y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
    return pixel_shuffle(y, self.scale) + bias.reshape(1, 1, 1, -1)


def _reach(scale: int, padding: int) -> tuple[int, int]:
  """Input pixels before and after its own that an output block draws on."""
  return (_DECONV - 1 - padding) // scale, (scale - 1 + padding) // scale


def _phases(kernel: Array, scale: int, padding: int) -> Array:
  """[9, 9, I, O] as the kernel of a convolution to O r^2 channels.

  Output r m + a takes the tap r t + a + padding of input m - t: the taps of one
  phase are r apart, in reverse order.
  """
  before, after = _reach(scale, padding)
  count = before + 1 + after
  front = scale * after - padding
  back = scale * count - _DECONV - front
  kernel = jnp.pad(kernel, ((front, back), (front, back), (0, 0), (0, 0)))
  features, out = kernel.shape[2:]
  taps = kernel.reshape(count, scale, count, scale, features, out)
  taps = taps[::-1, :, ::-1].transpose(0, 2, 4, 5, 1, 3)
  return taps.reshape(count, count, features, out * scale**2)


def _espcn_options(state: public.StateDict) -> dict[str, Any]:
  width, channels = state.shape("first_part.0.weight")[:2]
  shuffled = state.shape("last_part.0.weight")[0]
  return {
    "scale": math.isqrt(shuffled // channels),
    "channels": channels,
    "width": width,
    "padding": "zeros",
  }


def _espcn_rows(module: Espcn) -> list[layouts.Row]:
  del module
  rows = []
  for i, name in enumerate(("first_part.0", "first_part.2", "last_part.0")):
    rows += layouts.conv(f"conv_{i + 1}", name)
  return rows


ESPCN = layouts.Family(
  Espcn,
  "ESPCN (first_part and last_part)",
  {"sequential": layouts.Layout(_espcn_rows, _espcn_options)},
)


def _authors_options(state: public.StateDict) -> dict[str, Any]:
  width = state.shape("conv1.weight")[0]
  return {
    "channels": state.shape("deconv.weight")[1],
    "width": width,
    "narrow": state.shape("conv2.weight")[0],
    "mappings": sum(name.startswith("prelu") for name in state) - 3,
    "prelu": "channel" if state.shape("prelu1") == (width,) else "scalar",
  }


def _authors_rows(module: Fsrcnn) -> list[layouts.Row]:
  rows = _deconv_rows("deconv")
  for i, name in enumerate(_names(module), start=1):
    rows += layouts.conv(f"conv_{name}", f"conv{i}")
    rows.append(layouts.Row(f"params/prelu_{name}/slope", f"prelu{i}"))
  return rows


def _sequential_options(state: public.StateDict) -> dict[str, Any]:
  """yjn870's FSRCNN-pytorch; layers and slopes take turns in mid_part."""
  width = state.shape("first_part.0.weight")[0]
  slopes = state.shape("first_part.1.weight")
  return {
    "channels": state.shape("last_part.weight")[1],
    "width": width,
    "narrow": state.shape("mid_part.0.weight")[0],
    "mappings": state.count("mid_part.{}.weight") // 2 - 2,
    "prelu": "channel" if slopes == (width,) else "scalar",
    "padding": "zeros",
    "deconv_padding": 4,
  }


def _sequential_rows(module: Fsrcnn) -> list[layouts.Row]:
  rows = []
  for i, name in enumerate(_names(module)):
    part = f"mid_part.{2 * i - 2}", f"mid_part.{2 * i - 1}"
    layer, activation = part if i else ("first_part.0", "first_part.1")
    rows += layouts.conv(f"conv_{name}", layer)
    rows.append(layouts.slope(f"prelu_{name}", activation))
  return rows + _deconv_rows("last_part")


def _deconv_rows(theirs: str) -> list[layouts.Row]:
  return [
    layouts.Row("params/deconv/kernel", f"{theirs}.weight", "deconv"),
    layouts.Row("params/deconv/bias", f"{theirs}.bias"),
  ]


def _names(module: Fsrcnn) -> list[str]:
  """Our names of the layers before the last, in the authors' order."""
  maps = [f"map_{i}" for i in range(module.mappings)]
  return ["in", "shrink", *maps, "expand"]


FSRCNN = layouts.Family(
  Fsrcnn,
  "FSRCNN (convN, preluN and deconv, or first_part, mid_part and last_part)",
  {
    "authors": layouts.Layout(_authors_rows, _authors_options),
    "sequential": layouts.Layout(
      _sequential_rows, _sequential_options, sign="mid_part.0.weight"
    ),
  },
  untold=("scale", "padding", "deconv_padding", "center"),
)
public_options, from_public = FSRCNN.options, FSRCNN.read
to_public = FSRCNN.write
