"""AlexNet's features (Krizhevsky, arXiv 1404.5997, as torchvision has it).

Frozen like `models.vgg`; `backbones.find` reads the arrays.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from enhance_jax.models import frozen

Array = jax.Array
Params = Mapping[str, frozen.Layer]

# Name -> kernel size, stride, padding, index in torchvision's `features`.
CONVOLUTIONS = {
  "conv1": (11, 4, 2, 0),
  "conv2": (5, 1, 2, 3),
  "conv3": (3, 1, 1, 6),
  "conv4": (3, 1, 1, 8),
  "conv5": (3, 1, 1, 10),
}
TAPS = tuple(
  kind + name.removeprefix("conv")
  for name in CONVOLUTIONS
  for kind in ("conv", "relu")
)
_POOL_BEFORE = ("conv2", "conv3")


def features(
  params: Params,
  x: Array,
  taps: Sequence[str],
  *,
  dtype: Any = jnp.float32,
) -> dict[str, Array]:
  """Named activations of x, computed no deeper than the deepest one asked for.

  Args:
    params: convolution name ("conv1") -> kernel [k, k, I, O], bias [O].
    x: [N, H, W, 3] RGB in [0, 1]; conv3 and deeper need 31 pixels a side.
    taps: "convI" is before, "reluI" after the I-th activation.
    dtype: type of the convolutions.

  Returns:
    tap -> float32 [N, H', W', C].

  Raises:
    EnhanceError: no such tap, x has not three channels, or it is too small.
  """
  frozen.check("AlexNet", x, taps, TAPS)
  gathered = frozen.Taps(taps)
  x = frozen.normalize(x, frozen.MEAN, frozen.STD).astype(dtype)
  for name, (_, stride, padding, _) in CONVOLUTIONS.items():
    if gathered.complete:
      break
    if name in _POOL_BEFORE:
      x = frozen.max_pool(x, 3)
    x = frozen.conv(x, params[name], stride=stride, padding=padding)
    gathered.keep(name, x)
    x = jax.nn.relu(x)
    gathered.keep(name.replace("conv", "relu"), x)
  return gathered.found


def from_public(
  tensors: Mapping[str, np.ndarray],
) -> dict[str, dict[str, np.ndarray]]:
  """The parameters for `features` from torchvision's layout.

  Args:
    tensors: name ("features.0.weight") -> array.

  Raises:
    EnhanceError: it is another network.
  """
  params, channels = {}, 3
  for name, (size, _, _, index) in CONVOLUTIONS.items():
    params[name] = frozen.torch_layer(
      tensors,
      f"features.{index}",
      size=size,
      channels=channels,
      what=f"AlexNet {name}",
    )
    channels = params[name]["bias"].size
  return params
