"""Public names of a network's arrays, for the way in and the way back.

Each row of a layout ties one array of ours to one of a PyTorch state dict. A
network's file lists its rows once; reading, writing and telling what is missing
all go by that list, so the two ways cannot differ.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from enhance_jax.errors import EnhanceError, nearest
from enhance_jax.models import public

# Kind of a row -> the public array's axes in the order of ours.
AXES = {
  "same": None,
  "conv": (2, 3, 1, 0),
  "deconv": (2, 3, 0, 1),
}
_SHOWN = 4


class Row(NamedTuple):
  """One array under both names.

  Attributes:
    ours: path such as "params/conv_in/kernel"; "" if we have none.
    theirs: public name such as "conv_first.weight"; "" if they have none.
    kind: of `AXES`; "zeros": a bias that they lack and that is zero here.
    value: with `ours` empty, what their array must be, as it is written.
    tolerance: how far a file may be from `value`.
  """

  ours: str
  theirs: str
  kind: str = "same"
  value: np.ndarray | None = None
  tolerance: float = 0.0


@dataclasses.dataclass(frozen=True)
class Layout:
  """One way to name the arrays of a network.

  Attributes:
    rows: module -> its rows.
    options: state dict -> what to build the module with.
    sign: an array that no other layout of the family has; "" for the first.
  """

  rows: Callable[[Any], list[Row]]
  options: Callable[[public.StateDict], dict[str, Any]]
  sign: str = ""


@dataclasses.dataclass(frozen=True)
class Family:
  """A network's public layouts.

  Attributes:
    factory: the module's class.
    words: what the state dict is, for messages.
    layouts: name -> layout; the first is the one that is written by default.
    untold: options that no state dict tells, and that may have to be set.
  """

  factory: Callable[..., Any]
  words: str
  layouts: Mapping[str, Layout]
  untold: Sequence[str] = ()

  def open(self, tensors: Mapping[str, np.ndarray]) -> public.StateDict:
    """The state dict, unwrapped."""
    return public.StateDict(tensors, self.words)

  def layout_of(self, tensors: Mapping[str, np.ndarray]) -> str:
    """The name of the layout that a state dict has, by its sign."""
    state = self.open(tensors)
    first = next(iter(self.layouts))
    return next(
      (name for name, one in self.layouts.items() if one.sign in state), first
    )

  def options(
    self, tensors: Mapping[str, np.ndarray], layout: str | None = None
  ) -> dict[str, Any]:
    """What to build the module with for a public state dict.

    Args:
      tensors: name -> array of a PyTorch state dict.
      layout: one of `layouts`; None goes by the names.

    Returns:
      the options that shapes and names tell. Some tell no scale.

    Raises:
      EnhanceError: an array is missing.
    """
    chosen = self._layout(layout or self.layout_of(tensors))
    return chosen.options(self.open(tensors))

  def read(
    self,
    tensors: Mapping[str, np.ndarray],
    layout: str | None = None,
    module: Any = None,
  ) -> dict[str, Any]:
    """The variables of a module that is built with `options`.

    Args:
      tensors: as for `options`.
      layout: as for `options`.
      module: the module, where more is known of it than the arrays tell.

    Raises:
      EnhanceError: arrays are missing, left over, or not what they must be.
    """
    state = self.open(tensors)
    layout = layout or self.layout_of(tensors)
    if module is None:
      module = self.factory(**self.options(tensors, layout))
    return _read(state, self.rows(module, layout))

  def write(
    self, module: Any, variables: Mapping[str, Any], layout: str | None = None
  ) -> dict[str, np.ndarray]:
    """The public state dict of a module; `read` gives back the same bits.

    Args:
      module: the network.
      variables: its collections.
      layout: one of `layouts`; None takes the first.

    Returns:
      public name -> float32 array in PyTorch's order of axes.

    Raises:
      EnhanceError: unknown layout, or one that has no place for an array.
    """
    layout = layout or next(iter(self.layouts))
    return _write(variables, self.rows(module, layout), layout)

  def rows(self, module: Any, layout: str) -> list[Row]:
    """The rows of a module in a layout.

    Raises:
      EnhanceError: there is no such layout.
    """
    return self._layout(layout).rows(module)

  def _layout(self, name: str) -> Layout:
    if name not in self.layouts:
      raise EnhanceError(
        f'there is no layout "{name}" of {self.words}; '
        f"{nearest(name, self.layouts)}"
      )
    return self.layouts[name]


def conv(ours: str, theirs: str, bias: bool = True) -> list[Row]:
  """A convolution; without `bias` theirs has none, and ours is zero."""
  there = Row(f"params/{ours}/bias", f"{theirs}.bias")
  absent = Row(f"params/{ours}/bias", "", "zeros")
  kernel = Row(f"params/{ours}/kernel", f"{theirs}.weight", "conv")
  return [kernel, there if bias else absent]


def norm(ours: str, theirs: str) -> list[Row]:
  """A batch normalisation with its statistics."""
  return [
    Row(f"params/{ours}/scale", f"{theirs}.weight"),
    Row(f"params/{ours}/bias", f"{theirs}.bias"),
    Row(f"batch_stats/{ours}/mean", f"{theirs}.running_mean"),
    Row(f"batch_stats/{ours}/var", f"{theirs}.running_var"),
  ]


def slope(ours: str, theirs: str) -> Row:
  """A PReLU's slopes."""
  return Row(f"params/{ours}/slope", f"{theirs}.weight")


def public_shapes(
  rows: Sequence[Row], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
  """Public name -> shape of every array that a state dict must have.

  Args:
    rows: of `Family.rows`.
    shapes: path of ours -> shape.
  """
  found = {}
  for row in rows:
    if row.theirs and row.value is not None:
      found[row.theirs] = row.value.shape
    elif row.theirs:
      shape = shapes[row.ours]
      found[row.theirs] = tuple(shape[i] for i in _back(row.kind, len(shape)))
  return found


def _back(kind: str, ndim: int) -> Sequence[int]:
  axes = AXES[kind]
  return range(ndim) if axes is None else tuple(np.argsort(axes).tolist())


def _read(state: public.StateDict, rows: Sequence[Row]) -> dict[str, Any]:
  from flax import traverse_util

  flat = {}
  for row in rows:
    if row.value is not None:
      _check(state, row)
    elif row.kind == "zeros":
      kernel = flat[row.ours.removesuffix("bias") + "kernel"]
      flat[row.ours] = np.zeros(kernel.shape[-1], kernel.dtype)
    else:
      axes = AXES[row.kind]
      if axes and len(state.shape(row.theirs)) != len(axes):
        raise EnhanceError(
          f"{row.theirs} has the shape {state.shape(row.theirs)}; wanted a "
          "convolution's (O, I, k, k)"
        )
      flat[row.ours] = np.transpose(state.take(row.theirs), axes)
  tree = traverse_util.unflatten_dict(flat, sep="/")
  return state.finish(tree.get("params", {}), tree.get("batch_stats"))


def _check(state: public.StateDict, row: Row) -> None:
  """A constant of the public network, which may be left out of the file."""
  if row.theirs not in state:
    return
  array, value = state.take(row.theirs), np.asarray(row.value)
  if (
    array.shape != value.shape
    or not (np.abs(array - value) <= row.tolerance).all()
  ):
    shown = np.array2string(value.reshape(-1)[:_SHOWN], precision=4)
    raise EnhanceError(
      f"{row.theirs} of the state dict is not the constant {shown} ... of that "
      "network, so it belongs to another one"
    )


def _write(
  variables: Mapping[str, Any], rows: Sequence[Row], layout: str
) -> dict[str, np.ndarray]:
  from flax import traverse_util

  flat: dict[str, Any] = traverse_util.flatten_dict(dict(variables), sep="/")
  tensors = {}
  for row in rows:
    if row.value is not None:
      tensors[row.theirs] = np.asarray(row.value, np.float32)
      continue
    array = np.asarray(flat.pop(row.ours), np.float32)
    if row.kind != "zeros":
      array = np.transpose(array, _back(row.kind, array.ndim))
      tensors[row.theirs] = np.ascontiguousarray(array).reshape(array.shape)
    elif array.tobytes().strip(b"\0"):
      raise EnhanceError(
        f'the layout "{layout}" has no {row.ours}, which is not zero here; '
        "choose another layout"
      )
  if flat:
    names = ", ".join(sorted(flat)[:_SHOWN])
    raise EnhanceError(
      f'the layout "{layout}" has no place for {names}'
      f"{' ...' if len(flat) > _SHOWN else ''}"
    )
  return tensors
