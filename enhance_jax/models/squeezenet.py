"""SqueezeNet 1.1's features (Iandola et al., arXiv 1602.07360).

Frozen like `models.vgg`; `backbones.find` reads the arrays. Two public sets of
weights exist, which were trained on differently normalised pictures, so the
normalisation travels with the parameters.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from enhance_jax.errors import EnhanceError
from enhance_jax.models import frozen

Array = jax.Array

# Fire module -> its index in torchvision's `features`.
FIRES = {
  "fire2": 3,
  "fire3": 4,
  "fire4": 6,
  "fire5": 7,
  "fire6": 9,
  "fire7": 10,
  "fire8": 11,
  "fire9": 12,
}
TAPS = ("conv1", "relu1", *FIRES)
_POOL_BEFORE = ("fire2", "fire4", "fire6")
# What Caffe's training subtracted from 0..255, red, green, blue.
_CAFFE_MEAN = (123.0, 117.0, 104.0)


def features(
  params: Mapping[str, Any],
  x: Array,
  taps: Sequence[str],
  *,
  dtype: Any = jnp.float32,
) -> dict[str, Array]:
  """Named activations of x, computed no deeper than the deepest one asked for.

  Args:
    params: "input" -> mean [3], std [3] of RGB in [0, 1]; "conv1" -> kernel,
      bias; "fire2" ... -> "squeeze", "expand1", "expand3" -> kernel, bias.
    x: [N, H, W, 3] RGB in [0, 1]; fire6 and deeper need 25 pixels a side.
    taps: "conv1" before, "relu1" after the first activation; "fireI" after
      the activations of the I-th module.
    dtype: type of the convolutions.

  Returns:
    tap -> float32 [N, H', W', C]; about H / 2 at relu1, H / 4 from fire2,
    H / 8 from fire4, H / 16 from fire6.

  Raises:
    EnhanceError: no such tap, x has not three channels, or it is too small.
  """
  frozen.check("SqueezeNet", x, taps, TAPS)
  gathered = frozen.Taps(taps)
  x = frozen.normalize(x, params["input"]["mean"], params["input"]["std"])
  x = frozen.conv(x.astype(dtype), params["conv1"], stride=2, padding=0)
  gathered.keep("conv1", x)
  x = jax.nn.relu(x)
  gathered.keep("relu1", x)
  for name in FIRES:
    if gathered.complete:
      break
    if name in _POOL_BEFORE:
      x = frozen.max_pool(x, 3, ceil=True)
    x = _fire(x, params[name])
    gathered.keep(name, x)
  return gathered.found


def from_public(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """The parameters for `features` from torchvision's or Keras' layout.

  torchvision: "features.0.weight", RGB normalised by ImageNet's statistics.
  Keras, converted from the authors' Caffe model: "conv1/kernel", for blue,
  green, red in 0..255 less Caffe's means; its first kernel is turned to RGB.

  Args:
    tensors: name -> array.

  Raises:
    EnhanceError: it is another network.
  """
  if "conv1/kernel" in tensors:
    return _from_keras(tensors)

  def layer(key: str, name: str, size: int, channels: int):
    what = f"SqueezeNet {name}"
    return frozen.torch_layer(
      tensors, f"features.{key}", size=size, channels=channels, what=what
    )

  params: dict[str, Any] = {
    "input": _input(frozen.MEAN, frozen.STD),
    "conv1": layer("0", "conv1", 3, 3),
  }
  channels = params["conv1"]["bias"].size
  for name, index in FIRES.items():
    squeeze = layer(f"{index}.squeeze", name, 1, channels)
    inner = squeeze["bias"].size
    params[name] = {
      "squeeze": squeeze,
      "expand1": layer(f"{index}.expand1x1", name, 1, inner),
      "expand3": layer(f"{index}.expand3x3", name, 3, inner),
    }
    channels = _width(params[name])
  return params


def _from_keras(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
  def layer(name: str, size: int, channels: int) -> dict[str, np.ndarray]:
    kernel, bias = (
      tensors.get(f"{name}/{kind}") for kind in ("kernel", "bias")
    )
    if kernel is None or bias is None:
      raise EnhanceError(
        f"this is not SqueezeNet: it lacks {name}/kernel or /bias of Keras' "
        "layout"
      )
    if kernel.shape != (size, size, channels, *bias.shape):
      raise EnhanceError(
        f"this is not SqueezeNet: {name} has a kernel of shape {kernel.shape} "
        f"and a bias of shape {bias.shape}; wanted ({size}, {size}, "
        f"{channels}, C) and (C,)"
      )
    return {
      "kernel": kernel.astype(np.float32),
      "bias": bias.astype(np.float32),
    }

  first = layer("conv1", 3, 3)
  first["kernel"] = np.ascontiguousarray(first["kernel"][:, :, ::-1])
  mean = tuple(value / 255 for value in _CAFFE_MEAN)
  params: dict[str, Any] = {
    "input": _input(mean, (1 / 255,) * 3),
    "conv1": first,
  }
  channels = first["bias"].size
  for name in FIRES:
    squeeze = layer(f"{name}/squeeze1x1", 1, channels)
    inner = squeeze["bias"].size
    params[name] = {
      "squeeze": squeeze,
      "expand1": layer(f"{name}/expand1x1", 1, inner),
      "expand3": layer(f"{name}/expand3x3", 3, inner),
    }
    channels = _width(params[name])
  return params


def _input(
  mean: Sequence[float], std: Sequence[float]
) -> dict[str, np.ndarray]:
  return {
    "mean": np.asarray(mean, np.float32),
    "std": np.asarray(std, np.float32),
  }


def _width(fire: Mapping[str, Any]) -> int:
  return fire["expand1"]["bias"].size + fire["expand3"]["bias"].size


def _fire(x: Array, params: Mapping[str, frozen.Layer]) -> Array:
  x = jax.nn.relu(frozen.conv(x, params["squeeze"], padding=0))
  narrow = frozen.conv(x, params["expand1"], padding=0)
  wide = frozen.conv(x, params["expand3"], padding=1)
  return jax.nn.relu(jnp.concatenate([narrow, wide], axis=-1))
