"""EDSR: residual blocks without batch norm (Lim et al., arXiv 1707.02921)."""

import functools
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from enhance_jax.errors import EnhanceError
from enhance_jax.models import public, srresnet
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


def public_options(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """The `Generator` options that a public state dict was made with.

  Args:
    tensors: name -> array of a PyTorch state dict, with BasicSR's names or
      with those of the authors' EDSR-PyTorch.

  Returns:
    the options; `residual_scale` is in no file and is taken to be the paper's:
    0.1 for 256 channels and more, else 1.

  Raises:
    EnhanceError: an array is missing.
  """
  state, names = _open(tensors)
  width, channels = state.shape(f"{names['conv_in']}.weight")[:2]
  factors = []
  while f"conv_up_{len(factors)}" in names:
    layer = names[f"conv_up_{len(factors)}"]
    factors.append(3 if state.shape(f"{layer}.weight")[0] == 9 * width else 2)
  return {
    "scale": int(np.prod(factors, dtype=int)),
    "channels": channels,
    "width": width,
    "blocks": sum(name.endswith("conv_1") for name in names),
    "residual_scale": 0.1 if width >= 256 else 1.0,
    "img_range": 255.0,
  }


def from_public(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """The variables of a `Generator` built with `public_options`.

  Args:
    tensors: as for `public_options`.

  Raises:
    EnhanceError: arrays are missing or left over, or the mean is not DIV2K's.
  """
  state, names = _open(tensors)
  params: dict[str, Any] = {}
  for ours, theirs in names.items():
    *path, leaf = ours.split("/")
    node = params
    for key in path:
      node = node.setdefault(key, {})
    node[leaf] = state.conv(theirs)
  for name, sign in (("sub_mean", -255.0), ("add_mean", 255.0)):
    if f"{name}.weight" in state:
      _check_mean(state, name, sign)
  return state.finish(params)


def _open(
  tensors: Mapping[str, np.ndarray],
) -> tuple[public.StateDict, dict[str, str]]:
  """The arrays, and our name of every convolution -> its public one."""
  state = public.StateDict(tensors, "EDSR (BasicSR's or EDSR-PyTorch's names)")
  authors = "head.0.weight" in state
  pair = ("body.{}.body.0", "body.{}.body.2") if authors else ()
  pair = pair or ("body.{}.conv1", "body.{}.conv2")
  blocks = state.count(f"{pair[0]}.weight")
  names = {"conv_in": "head.0" if authors else "conv_first"}
  for i in range(blocks):
    for j, name in enumerate(pair, start=1):
      names[f"block_{i:02d}/conv_{j}"] = name.format(i)
  names["conv_mid"] = f"body.{blocks}" if authors else "conv_after_body"
  ups = re.compile(
    r"(tail\.0\.\d+)\.weight" if authors else r"(upsample\.\d+)\.weight"
  )
  for i, match in enumerate(filter(None, map(ups.fullmatch, state))):
    names[f"conv_up_{i}"] = match[1]
  names["conv_out"] = "tail.1" if authors else "conv_last"
  return state, names


def _check_mean(state: public.StateDict, name: str, sign: float) -> None:
  """The fixed 1x1 convolution must do what the door does."""
  layer = state.conv(name)
  if not np.allclose(layer["kernel"][0, 0], np.eye(3), atol=1e-4) or (
    not np.allclose(layer["bias"], sign * np.array(MEAN), atol=0.02)
  ):
    raise EnhanceError(
      f"{name} of the state dict does not move pictures of 0..255 by the mean "
      f"{MEAN} of DIV2K, so this is another network than EDSR-PyTorch's"
    )
