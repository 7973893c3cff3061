"""VGG19's convolutional features (Simonyan & Zisserman, arXiv 1409.1556).

Frozen: a pure function of a dictionary of arrays, never trained here, so it
lives outside the trained variables. `weights.find_vgg19` reads the dictionary.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from enhance_jax.errors import EnhanceError, nearest
from enhance_jax.models.layers import convolve

Array = jax.Array

# Convolutions before each 2x2 maximum pool.
STAGES = (2, 2, 4, 4, 4)
CONVOLUTIONS = tuple(
  f"conv{stage}_{i}"
  for stage, count in enumerate(STAGES, start=1)
  for i in range(1, count + 1)
)
TAPS = tuple(
  kind + name.removeprefix("conv")
  for name in CONVOLUTIONS
  for kind in ("conv", "relu")
)

# ImageNet statistics that torchvision's weights were trained with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def features(
  params: Mapping[str, Mapping[str, Array]],
  x: Array,
  taps: Sequence[str],
  *,
  dtype: Any = jnp.float32,
) -> dict[str, Array]:
  """Named activations of x, computed no deeper than the deepest one asked for.

  Args:
    params: convolution name ("conv1_1") -> kernel [3, 3, I, O], bias [O];
      the widths are those of the arrays.
    x: [N, H, W, 3] RGB in [0, 1].
    taps: "convI_J" is before, "reluI_J" after the activation of the J-th
      convolution of stage I.
    dtype: type of the convolutions.

  Returns:
    tap -> float32 [N, H', W', C]; H' is H halved, rounded down, I - 1 times.

  Raises:
    EnhanceError: no such tap, or x has not three channels.
  """
  for tap in taps:
    if tap not in TAPS:
      raise EnhanceError(f'VGG19 has no tap "{tap}"; {nearest(tap, TAPS)}')
  if x.ndim != 4 or x.shape[-1] != 3:
    raise EnhanceError(
      f"VGG19 got pictures of shape {x.shape}; wanted RGB [N, H, W, 3]; "
      "gray ones must be repeated in three channels"
    )
  wanted, found = set(taps), {}
  shape = (1, 1, 1, 3)
  x = (x - jnp.array(MEAN).reshape(shape)) / jnp.array(STD).reshape(shape)
  x = x.astype(dtype)
  for name in CONVOLUTIONS:
    if len(found) == len(wanted):
      break
    if name.endswith("_1") and name != "conv1_1":
      x = _pool(x)
    layer = params[name]
    bias = layer["bias"].astype(dtype).reshape(1, 1, 1, -1)
    x = convolve(x, layer["kernel"].astype(dtype), 1, 1) + bias
    _keep(found, wanted, name, x)
    x = jax.nn.relu(x)
    _keep(found, wanted, name.replace("conv", "relu"), x)
  return found


def _keep(
  found: dict[str, Array], wanted: set[str], tap: str, x: Array
) -> None:
  if tap in wanted:
    found[tap] = x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _pool(x: Array) -> Array:
  window = (1, 2, 2, 1)
  return jax.lax.reduce_window(
    x, -jnp.inf, jax.lax.max, window, window, "VALID"
  )
