"""Reads other people's PyTorch state dicts, array by array.

A network's file says which names its public layout has; this one unwraps the
dictionary, turns the arrays to this project's order, and sees to it that
every array was wanted and none is missing.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from enhance_jax.errors import EnhanceError

# Wrappers that training programs put around a state dict, the best first.
WRAPPERS = ("params_ema.", "params.", "state_dict.", "")
_SHOWN = 4


class StateDict:
  """A PyTorch state dict that knows which of its arrays were taken.

  Args:
    tensors: name -> array, as `weights.read_tensors` gives them. Of several
      networks in the dictionary the averaged one (`params_ema`) is read.
    layout: what the names should be, in words, for messages.
  """

  def __init__(self, tensors: Mapping[str, np.ndarray], layout: str):
    names = list(tensors)
    wrapper = next(
      w for w in WRAPPERS if not w or any(n.startswith(w) for n in names)
    )
    self._tensors = {
      name.removeprefix(wrapper).removeprefix("module."): array
      for name, array in tensors.items()
      if name.startswith(wrapper) and not name.endswith(".num_batches_tracked")
    }
    self._layout = layout
    self._taken: set[str] = set()

  def __contains__(self, name: str) -> bool:
    return name in self._tensors

  def __iter__(self):
    return iter(self._tensors)

  def shape(self, name: str) -> tuple[int, ...]:
    """The shape of an array, which is not taken by that."""
    return self._get(name).shape

  def peek(self, name: str) -> np.ndarray:
    """An array as stored, which is not taken by that."""
    return self._get(name)

  def take(self, name: str) -> np.ndarray:
    """An array as stored; half precision becomes float32."""
    array = self._get(name)
    self._taken.add(name)
    return array.astype(np.promote_types(array.dtype, np.float32))

  def conv(self, name: str) -> dict[str, np.ndarray]:
    """A convolution: kernel [k, k, I, O] and, if there is one, bias [O]."""
    layer = {"kernel": self._kernel(f"{name}.weight")}
    if f"{name}.bias" in self:
      layer["bias"] = self.take(f"{name}.bias")
    return layer

  def dense(
    self, name: str, channels: int = 0, side: int = 1
  ) -> dict[str, np.ndarray]:
    """A linear layer: kernel [I, O], bias [O].

    Args:
      name: of the layer.
      channels: of the map it flattens, which PyTorch does channels first; 0
        if it flattens none.
      side: height and width of that map.
    """
    weight = self.take(f"{name}.weight")
    if channels:
      out = weight.shape[0]
      weight = weight.reshape(out, channels, side, side)
      weight = weight.transpose(0, 2, 3, 1).reshape(out, -1)
    return {"kernel": weight.T, "bias": self.take(f"{name}.bias")}

  def norm(
    self, name: str
  ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A batch normalisation's parameters and its statistics."""
    params = {
      "scale": self.take(f"{name}.weight"),
      "bias": self.take(f"{name}.bias"),
    }
    stats = {
      "mean": self.take(f"{name}.running_mean"),
      "var": self.take(f"{name}.running_var"),
    }
    return params, stats

  def spectral(
    self, name: str
  ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A spectrally normalised convolution without bias: kernel and u, v."""
    weight = self.shape(f"{name}.weight_orig")
    kernel = self._kernel(f"{name}.weight_orig")
    v = self.take(f"{name}.weight_v").reshape(weight[1:])
    stats = {
      "u": self.take(f"{name}.weight_u"),
      "v": v.transpose(1, 2, 0).reshape(-1),
    }
    return {"kernel": kernel}, stats

  def count(self, pattern: str) -> int:
    """How many of pattern.format(0), pattern.format(1), ... there are."""
    number = 0
    while pattern.format(number) in self:
      number += 1
    return number

  def finish(self, params: dict[str, Any], stats: dict[str, Any] | None = None):
    """The variables, once every array has found its place.

    Args:
      params: the collection "params".
      stats: the collection "batch_stats", if any.

    Raises:
      EnhanceError: arrays are left over.
    """
    left = sorted(set(self._tensors) - self._taken)
    if left:
      raise EnhanceError(
        f"the state dict has arrays that do not belong to {self._layout}: "
        f"{', '.join(left[:_SHOWN])}{' ...' if left[_SHOWN:] else ''}"
      )
    return {"params": params, "batch_stats": stats or {}}

  def _get(self, name: str) -> np.ndarray:
    if name not in self._tensors:
      have = ", ".join(sorted(self._tensors)[:_SHOWN]) or "nothing"
      raise EnhanceError(
        f"the state dict lacks {name}; wanted {self._layout}, got {have} ..."
      )
    return self._tensors[name]

  def _kernel(self, name: str) -> np.ndarray:
    weight = self.take(name)
    if weight.ndim != 4:
      raise EnhanceError(
        f"{name} has the shape {weight.shape}; wanted a convolution's "
        "(O, I, k, k)"
      )
    return weight.transpose(2, 3, 1, 0)
