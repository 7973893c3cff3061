"""VGG16's and VGG19's features (Simonyan & Zisserman, arXiv 1409.1556).

Frozen: a pure function of a dictionary of arrays, never trained here, so it
lives outside the trained variables. `backbones.find` reads the dictionary.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from enhance_jax.models import frozen

Array = jax.Array
Params = Mapping[str, frozen.Layer]

# Convolutions before each 2x2 maximum pool.
STAGES = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
CONVOLUTIONS = {
  network: tuple(
    f"conv{stage}_{i}"
    for stage, count in enumerate(stages, start=1)
    for i in range(1, count + 1)
  )
  for network, stages in STAGES.items()
}
TAPS = {
  network: tuple(
    kind + name.removeprefix("conv")
    for name in names
    for kind in ("conv", "relu")
  )
  for network, names in CONVOLUTIONS.items()
}


def features(
  params: Params,
  x: Array,
  taps: Sequence[str],
  *,
  dtype: Any = jnp.float32,
  network: str = "vgg19",
) -> dict[str, Array]:
  """Named activations of x, computed no deeper than the deepest one asked for.

  Args:
    params: convolution name ("conv1_1") -> kernel [3, 3, I, O], bias [O];
      the widths are those of the arrays.
    x: [N, H, W, 3] RGB in [0, 1].
    taps: "convI_J" is before, "reluI_J" after the activation of the J-th
      convolution of stage I.
    dtype: type of the convolutions.
    network: "vgg16" or "vgg19".

  Returns:
    tap -> float32 [N, H', W', C]; H' is H halved, rounded down, I - 1 times.

  Raises:
    EnhanceError: no such tap, x has not three channels, or it is too small.
  """
  frozen.check(network.upper(), x, taps, TAPS[network])
  gathered = frozen.Taps(taps)
  x = frozen.normalize(x, frozen.MEAN, frozen.STD).astype(dtype)
  for name in CONVOLUTIONS[network]:
    if gathered.complete:
      break
    if name.endswith("_1") and name != "conv1_1":
      x = frozen.max_pool(x, 2)
    x = frozen.conv(x, params[name], padding=1)
    gathered.keep(name, x)
    x = jax.nn.relu(x)
    gathered.keep(name.replace("conv", "relu"), x)
  return gathered.found


def from_public(
  tensors: Mapping[str, np.ndarray], network: str = "vgg19"
) -> dict[str, dict[str, np.ndarray]]:
  """The parameters for `features` from torchvision's layout.

  Args:
    tensors: name ("features.0.weight") -> array.
    network: "vgg16" or "vgg19".

  Raises:
    EnhanceError: it is another network.
  """
  params, index, channels = {}, 0, 3
  for name in CONVOLUTIONS[network]:
    if name.endswith("_1") and name != "conv1_1":
      index += 1
    params[name] = frozen.torch_layer(
      tensors,
      f"features.{index}",
      size=3,
      channels=channels,
      what=f"{network.upper()} {name}",
    )
    channels, index = params[name]["bias"].size, index + 2
  return params
