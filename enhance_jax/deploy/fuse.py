"""Finds in a network's steps the operations that runtimes have whole.

A pixel shuffle, PReLU, repeated pixels and an affine map behind a convolution
are several primitives each; as one node they are as fast as the runtime's own.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from enhance_jax.deploy.steps import Program, Ref, Step, alive

# Pixel shuffle: [N, h, w, c, r, r] to [N, h, r, w, r, c].
_SHUFFLE = (0, 1, 4, 2, 5, 3)
_NHWC = ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))


def fuse(program: Program) -> Program:
  """The program with "conv", "prelu", "shuffle", "repeat", "copies", "crop".

  - conv: params kernel [k, k, I, O], bias [O], pads ((top, bottom), (left,
    right)), strides, dilations, groups.
  - prelu: params slope, of one element or [1, 1, 1, C].
  - shuffle, repeat: params factor; `layers.pixel_shuffle`, `repeat_pixels`.
  - copies: params axis, count; the one line along an axis, several times.
  - crop: params starts, stops; a number counted from the end if negative, None
    for the end itself.
  """
  return _Fuser(program).run()


class _Cut(NamedTuple):
  """An axis of a slice: start and stop as in Python, and what is left after."""

  start: int
  stop: int | None
  after: int | None


class _Fuser:
  """One pass over the steps, in order."""

  def __init__(self, program: Program):
    self._program, self._steps = program, _without_nothing(program)
    self._users = Counter(ref for s in self._steps for ref in s.inputs)
    self._users[program.sr] += 1
    self._makers: dict[Ref, Step] = {}
    self._same: dict[Ref, Ref] = {}

  def run(self) -> Program:
    found = []
    for step in self._steps:
      step.inputs = [self._same.get(ref, ref) for ref in step.inputs]
      new = self._fused(step)
      if new is None:
        continue
      found.append(new)
      self._makers.update(dict.fromkeys(new.outputs, new))
    sr = self._same.get(self._program.sr, self._program.sr)
    return Program(self._program.lr, alive(found, sr), sr)

  def _fused(self, step: Step) -> Step | None:
    """What takes the step's place; None if its result is its input."""
    chosen = {
      "conv_general_dilated": self._conv,
      "select_n": self._slope,
      "reshape": self._reshape,
      "slice": self._crop,
      "gather": self._crop,
      "concatenate": self._join,
      "convert_element_type": self._convert,
      "copy": self._copy,
      "split": self._split,
      **dict.fromkeys(("add", "sub", "mul", "div"), self._affine),
    }.get(step.op)
    return chosen(step) if chosen else step

  def _maker(self, ref: Ref, op: str) -> Step | None:
    """The step that made `ref`, if it is of that kind and made it for one."""
    maker = self._makers.get(ref)
    if maker is None or maker.op != op or self._users[ref] != 1:
      return None
    return maker

  def _alias(self, step: Step) -> None:
    self._same[step.outputs[0]] = step.inputs[0]
    # The one user has become those of the result.
    self._users[step.inputs[0]] += self._users[step.outputs[0]] - 1

  def _conv(self, step: Step) -> Step:
    params, kernel = step.params, step.inputs[1].value
    numbers = params["dimension_numbers"]
    specs = (numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec)
    plain = specs == _NHWC and params["batch_group_count"] == 1
    if kernel is None or not plain or set(params["lhs_dilation"]) != {1}:
      return step
    return Step(
      "conv",
      step.inputs[:1],
      step.outputs,
      {
        "kernel": kernel.astype(np.float64),
        "bias": np.zeros(kernel.shape[-1]),
        "pads": tuple((int(a), int(b)) for a, b in params["padding"]),
        "strides": tuple(params["window_strides"]),
        "dilations": tuple(params["rhs_dilation"]),
        "groups": params["feature_group_count"],
      },
    )

  def _affine(self, step: Step) -> Step:
    """Takes a sum or product with a number a channel into a convolution."""
    x, other = step.inputs
    if x.value is not None and step.op in ("add", "mul"):
      x, other = other, x
    conv = self._maker(x, "conv")
    if conv is None or other.value is None or not _by_channel(other, x):
      return step
    number = other.value.astype(np.float64).reshape(-1)
    params = dict(conv.params)
    if step.op in ("mul", "div"):
      factor = number if step.op == "mul" else 1 / number
      params["kernel"] = params["kernel"] * factor
      params["bias"] = params["bias"] * factor
    else:
      sign = 1 if step.op == "add" else -1
      params["bias"] = params["bias"] + sign * number
    return Step("conv", conv.inputs, step.outputs, params)

  def _slope(self, step: Step) -> Step:
    """where(x >= 0, x, slope * x)."""
    if len(step.inputs) != 3:
      return step
    test, negative, x = step.inputs
    above, product = self._maker(test, "ge"), self._maker(negative, "mul")
    if above is None or product is None or above.inputs[0] is not x:
      return step
    slopes = [ref for ref in product.inputs if ref is not x]
    zero = above.inputs[1].value
    known = len(slopes) == 1 and slopes[0].value is not None
    if not known or zero is None or np.any(zero):
      return step
    self._users[x] -= 2
    return Step("prelu", [x], step.outputs, {"slope": slopes[0].value})

  def _reshape(self, step: Step) -> Step | None:
    x = step.inputs[0]
    if x.shape == step.outputs[0].shape:
      return self._alias(step)
    turned = self._maker(x, "transpose")
    wide = turned and self._maker(turned.inputs[0], "reshape")
    if turned and wide and turned.params["permutation"] == _SHUFFLE:
      factor = wide.outputs[0].shape[-1]
      if _enlarges(wide.inputs[0], step.outputs[0], factor, factor**2):
        params = {"factor": factor}
        return Step("shuffle", wide.inputs, step.outputs, params)
    spread = self._maker(x, "broadcast_in_dim")
    if spread is None:
      return step
    thin = self._maker(spread.inputs[0], "reshape")
    if thin and len(x.shape) == 6 and len(thin.inputs[0].shape) == 4:
      factor = x.shape[2]
      if _enlarges(thin.inputs[0], step.outputs[0], factor, 1):
        return Step("repeat", thin.inputs, step.outputs, {"factor": factor})
    if spread.inputs[0].shape == step.outputs[0].shape:
      step.inputs = [spread.inputs[0]]
      return self._alias(step)
    return self._copies(step, spread) or step

  def _copies(self, step: Step, spread: Step) -> Step | None:
    """[.., 1, ..] to [.., 1, k, ..] to [.., k, ..]."""
    x, y = spread.inputs[0], step.outputs[0]
    if len(x.shape) != len(y.shape):
      return None
    other = [i for i, side in enumerate(x.shape) if y.shape[i] != side]
    if len(other) != 1 or x.shape[other[0]] != 1:
      return None
    params = {"axis": other[0], "count": y.shape[other[0]]}
    return Step("copies", [x], step.outputs, params)

  def _crop(self, step: Step) -> Step | None:
    """A slice, or the gather that a slice of open sizes is written as."""
    cuts = _cuts(step)
    if cuts is None:
      return step
    if all(cut.start == 0 and cut.stop is None for cut in cuts):
      return self._alias(step)
    conv = self._maker(step.inputs[0], "conv")
    pads = conv and _without(conv.params, cuts)
    if conv and pads:
      return Step("conv", conv.inputs, step.outputs, {**conv.params, **pads})
    params = {
      "starts": [cut.start for cut in cuts],
      "stops": [cut.stop for cut in cuts],
    }
    return Step("crop", step.inputs[:1], step.outputs, params)

  def _join(self, step: Step) -> Step | None:
    return self._alias(step) if len(step.inputs) == 1 else step

  def _convert(self, step: Step) -> Step | None:
    same = step.inputs[0].dtype == step.outputs[0].dtype
    return self._alias(step) if same else step

  def _copy(self, step: Step) -> None:
    return self._alias(step)

  def _split(self, step: Step) -> Step | None:
    return self._alias(step) if len(step.outputs) == 1 else step


def _without_nothing(program: Program) -> list[Step]:
  """The steps without arrays of no elements, which padding by nothing makes."""
  kept = []
  for step in program.steps:
    if not any(ref.empty for ref in step.outputs):
      step.inputs = [ref for ref in step.inputs if not ref.empty]
      kept.append(step)
  return alive(kept, program.sr)


def _by_channel(number: Ref, x: Ref) -> bool:
  value = number.value
  assert value is not None
  channels = (1,) * (len(x.shape) - 1) + (x.shape[-1],)
  return value.size == 1 or value.shape == channels


def _enlarges(x: Ref, y: Ref, factor: int, channels: int) -> bool:
  n, h, w, c = x.shape
  sides = (n, h * factor, w * factor)
  return y.shape[:3] == sides and y.shape[3] * channels == c


def _starts(step: Step) -> list[Any] | None:
  """Where a slice begins on every axis; None if this is no plain one."""
  params, rank = step.params, len(step.inputs[0].shape)
  if step.op == "slice":
    strides = params["strides"]
    plain = strides is None or set(strides) == {1}
    return list(params["start_indices"]) if plain else None
  numbers, index = params["dimension_numbers"], step.inputs[1].value
  if index is None or index.ndim != 1 or numbers.collapsed_slice_dims:
    return None
  if tuple(numbers.offset_dims) != tuple(range(rank)):
    return None
  starts = [0] * rank
  for axis, start in zip(numbers.start_index_map, index, strict=True):
    starts[axis] = int(start)
  return starts


def _cuts(step: Step) -> list[_Cut] | None:
  """What a slice keeps of each axis; None if no numbers say it."""
  starts, cuts = _starts(step), []
  if starts is None:
    return None
  kept = step.outputs[0].shape
  for side, start, length in zip(
    step.inputs[0].shape, starts, kept, strict=True
  ):
    first = start if isinstance(start, int) else start - side
    after = side - start - length
    if not isinstance(first, int):
      return None
    if isinstance(after, int):
      cuts.append(_Cut(first, -after or None, after))
    elif isinstance(length, int) and first >= 0:
      cuts.append(_Cut(first, first + length, None))
    else:
      return None
  return cuts


def _without(params: dict[str, Any], cuts: list[_Cut]) -> dict[str, Any] | None:
  """A convolution's pads that leave out at once what is cut off it later."""
  n, rows, columns, c = cuts
  whole = all(cut.start == cut.after == 0 for cut in (n, c))
  if not whole or set(params["strides"]) != {1}:
    return None
  pads = []
  for pad, cut in zip(params["pads"], (rows, columns), strict=True):
    if cut.after is None or not 0 <= cut.start <= pad[0] or cut.after > pad[1]:
      return None
    pads.append((pad[0] - cut.start, pad[1] - cut.after))
  return {"pads": tuple(pads)}
