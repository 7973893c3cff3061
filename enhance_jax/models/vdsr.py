"""VDSR: twenty convolutions that learn what bicubic lacks (Kim, 1511.04587)."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from enhance_jax.models import enlarged, public
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


def public_options(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """What to build `Generator` with for the authors' arrays; not the scale.

  Args:
    tensors: `conv01.weight` (O, I, 3, 3), `conv01.bias` (O), ... `conv20.bias`.

  Raises:
    EnhanceError: arrays are missing.
  """
  state = _state(tensors)
  width, channels = state.shape("conv01.weight")[:2]
  return {"channels": channels, "depth": _depth(state), "width": width}


def from_public(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """The variables of a `Generator` built with `public_options`.

  Args:
    tensors: as for `public_options`.

  Raises:
    EnhanceError: arrays are missing or left over.
  """
  state = _state(tensors)
  return state.finish(
    {
      f"conv_{i:02d}": state.conv(f"conv{i + 1:02d}")
      for i in range(_depth(state))
    }
  )


def _state(tensors: Mapping[str, np.ndarray]) -> public.StateDict:
  return public.StateDict(tensors, "VDSR (conv01 to conv20)")


def _depth(state: public.StateDict) -> int:
  return sum(name.endswith(".weight") for name in state)
