"""One ONNX node, or a few, for each step of a network."""

from collections.abc import Callable

import numpy as np

from enhance_jax import errors
from enhance_jax.deploy.graph import Graph, axis_of
from enhance_jax.deploy.steps import Ref, Step

# Primitives that are one elementwise node.
_SAME = {
  "abs": "Abs",
  "add": "Add",
  "add_any": "Add",
  "ceil": "Ceil",
  "div": "Div",
  "eq": "Equal",
  "exp": "Exp",
  "floor": "Floor",
  "ge": "GreaterOrEqual",
  "gt": "Greater",
  "le": "LessOrEqual",
  "log": "Log",
  "logistic": "Sigmoid",
  "lt": "Less",
  "min": "Min",
  "mul": "Mul",
  "neg": "Neg",
  "pow": "Pow",
  "sqrt": "Sqrt",
  "sub": "Sub",
  "tanh": "Tanh",
}
# Half to even, the only rounding that ONNX has.
_TO_EVEN = 1


def emit(graph: Graph, step: Step) -> None:
  """Adds a step's nodes to the graph and names its outputs.

  Raises:
    EnhanceError: there is no ONNX for it here.
  """
  if step.op in _SAME:
    inputs = [graph.get(ref) for ref in step.inputs]
    graph.name(step.outputs[0], graph.one(_SAME[step.op], *inputs))
  elif step.op in _OWN:
    _OWN[step.op](graph, step)
  else:
    known = ", ".join(sorted([*_SAME, *_OWN]))
    raise errors.EnhanceError(
      f'the network computes "{step.op}", for which no ONNX is written '
      f"(there is for: {known}); use --format=stablehlo"
    )


def _conv(graph: Graph, step: Step) -> None:
  params = step.params
  (top, bottom), (left, right) = params["pads"]
  kernel = params["kernel"].transpose(3, 2, 0, 1)
  inputs = [graph.get(step.inputs[0]), graph.constant(kernel, np.float32)]
  if params["bias"].any():
    inputs.append(graph.constant(params["bias"], np.float32))
  name = graph.one(
    "Conv",
    *inputs,
    kernel_shape=list(kernel.shape[2:]),
    pads=[top, left, bottom, right],
    strides=list(params["strides"]),
    dilations=list(params["dilations"]),
    group=params["groups"],
  )
  graph.name(step.outputs[0], name)


def _prelu(graph: Graph, step: Step) -> None:
  x, slope = step.inputs[0], step.params["slope"]
  if slope.size == 1:
    name = graph.one("LeakyRelu", graph.get(x), alpha=float(slope.reshape(())))
  else:
    # [1, 1, 1, C] beside [N, C, H, W].
    slope = slope.reshape(-1, *(1,) * (len(x.shape) - 2))
    slopes = graph.constant(slope, np.float32)
    name = graph.one("PRelu", graph.get(x), slopes)
  graph.name(step.outputs[0], name)


def _largest(graph: Graph, step: Step) -> None:
  x, other = step.inputs
  if x.value is not None:
    x, other = other, x
  floor = other.value
  if x.dtype == np.float32 and floor is not None and not floor.any():
    name = graph.one("Relu", graph.get(x))
  else:
    name = graph.one("Max", graph.get(x), graph.get(other))
  graph.name(step.outputs[0], name)


def _shuffle(graph: Graph, step: Step) -> None:
  factor = step.params["factor"]
  x = graph.get(step.inputs[0])
  # CRD is the channel order c r^2 + dy r + dx.
  name = graph.one("DepthToSpace", x, blocksize=factor, mode="CRD")
  graph.name(step.outputs[0], name)


def _repeat(graph: Graph, step: Step) -> None:
  factor = step.params["factor"]
  scales = graph.constant([1, 1, factor, factor], np.float32)
  name = graph.one(
    "Resize",
    graph.get(step.inputs[0]),
    "",
    scales,
    mode="nearest",
    coordinate_transformation_mode="asymmetric",
    nearest_mode="floor",
  )
  graph.name(step.outputs[0], name)


def _copies(graph: Graph, step: Step) -> None:
  x, count = step.inputs[0], step.params["count"]
  axis = axis_of(x, step.params["axis"])
  name = graph.one("Concat", *[graph.get(x)] * count, axis=axis)
  graph.name(step.outputs[0], name)


def _crop(graph: Graph, step: Step) -> None:
  x = step.inputs[0]
  axes, first, last = [], [], []
  for axis, (start, stop) in enumerate(
    zip(step.params["starts"], step.params["stops"], strict=True)
  ):
    if start or stop is not None:
      axes.append(axis_of(x, axis))
      first.append(start)
      last.append(np.iinfo(np.int64).max if stop is None else stop)
  parts = [graph.constant(part) for part in (first, last, axes)]
  name = graph.one("Slice", graph.get(x), *parts)
  graph.name(step.outputs[0], name)


def _select(graph: Graph, step: Step) -> None:
  test, negative, positive = (graph.get(ref) for ref in step.inputs)
  name = graph.one("Where", test, positive, negative)
  graph.name(step.outputs[0], name)


def _join(graph: Graph, step: Step) -> None:
  for ref in step.inputs:
    _refuse_short(ref)
  axis = axis_of(step.outputs[0], step.params["dimension"])
  inputs = [graph.get(ref) for ref in step.inputs]
  graph.name(step.outputs[0], graph.one("Concat", *inputs, axis=axis))


def _split(graph: Graph, step: Step) -> None:
  x = step.inputs[0]
  sizes = graph.constant(step.params["sizes"])
  axis = axis_of(x, step.params["axis"])
  inputs = [graph.get(x), sizes]
  names = graph.node("Split", inputs, len(step.outputs), axis=axis)
  for ref, name in zip(step.outputs, names, strict=True):
    graph.name(ref, name)


def _pad(graph: Graph, step: Step) -> None:
  x, value = step.inputs
  low, high = [0] * len(x.shape), [0] * len(x.shape)
  for axis, (before, after, between) in enumerate(
    step.params["padding_config"]
  ):
    if between or min(before, after) < 0:
      raise errors.EnhanceError(
        "the network pads between pixels or by less than nothing, for which "
        "no ONNX is written; use --format=stablehlo"
      )
    low[axis_of(x, axis)], high[axis_of(x, axis)] = before, after
  pads = graph.constant([*low, *high])
  name = graph.one("Pad", graph.get(x), pads, graph.get(value))
  graph.name(step.outputs[0], name)


def _reshape(graph: Graph, step: Step) -> None:
  x, y = step.inputs[0], step.outputs[0]
  shape = graph.shape(y.shape)
  graph.name_plain(y, graph.one("Reshape", graph.get_plain(x), shape))


def _transpose(graph: Graph, step: Step) -> None:
  x, order = step.inputs[0], list(step.params["permutation"])
  name = graph.one("Transpose", graph.get_plain(x), perm=order)
  graph.name_plain(step.outputs[0], name)


def _broadcast(graph: Graph, step: Step) -> None:
  x, y = step.inputs[0], step.outputs[0]
  places = step.params["broadcast_dimensions"]
  sides = [1] * len(y.shape)
  for place, side in zip(places, x.shape, strict=True):
    sides[place] = side
  thin = graph.one("Reshape", graph.get_plain(x), graph.shape(tuple(sides)))
  graph.name_plain(y, graph.one("Expand", thin, graph.shape(y.shape)))


def _window(graph: Graph, step: Step) -> None:
  """lax.dynamic_slice of one line of one axis; starts are within it."""
  x, starts = step.inputs[0], step.inputs[1:]
  kept = step.params["slice_sizes"]
  axes = [i for i, side in enumerate(x.shape) if kept[i] != side]
  if len(axes) != 1 or kept[axes[0]] != 1:
    raise errors.EnhanceError(
      "the network cuts out a window at a computed place, for which no ONNX "
      "is written; use --format=stablehlo"
    )
  axis = axes[0]
  last = graph.one("Sub", graph.side(x.shape[axis]), graph.constant(1))
  place = graph.one("Min", graph.get(starts[axis]), last)
  line = graph.one("Reshape", place, graph.constant([1]))
  name = graph.one("Gather", graph.get(x), line, axis=axis_of(x, axis))
  graph.name(step.outputs[0], name)


def _side(graph: Graph, step: Step) -> None:
  graph.name(step.outputs[0], graph.side(step.params["dim"]))


def _convert(graph: Graph, step: Step) -> None:
  from onnx import helper

  x, y = step.inputs[0], step.outputs[0]
  if np.issubdtype(y.dtype, np.integer) or y.dtype == bool:
    raise errors.EnhanceError(
      f"the network makes {y.dtype} out of {x.dtype}, for which no ONNX is "
      "written; use --format=stablehlo"
    )
  kind = helper.np_dtype_to_tensor_dtype(y.dtype)
  graph.name(y, graph.one("Cast", graph.get(x), to=kind))


def _round(graph: Graph, step: Step) -> None:
  if int(step.params["rounding_method"]) != _TO_EVEN:
    raise errors.EnhanceError(
      "the network rounds halves away from zero, which ONNX cannot; use "
      "--format=stablehlo"
    )
  graph.name(step.outputs[0], graph.one("Round", graph.get(step.inputs[0])))


def _square(graph: Graph, step: Step) -> None:
  x = graph.get(step.inputs[0])
  graph.name(step.outputs[0], graph.one("Mul", x, x))


def _power(graph: Graph, step: Step) -> None:
  exponent = graph.constant(step.params["y"], np.float32)
  name = graph.one("Pow", graph.get(step.inputs[0]), exponent)
  graph.name(step.outputs[0], name)


def _rsqrt(graph: Graph, step: Step) -> None:
  root = graph.one("Sqrt", graph.get(step.inputs[0]))
  graph.name(step.outputs[0], graph.one("Reciprocal", root))


def _refuse_short(ref: Ref) -> None:
  """Constants may lack the length of an axis, and Concat does not stretch."""
  if ref.value is not None and ref.value.shape != ref.shape:
    raise errors.EnhanceError(
      "the network joins a constant of an open size to something, for which "
      "no ONNX is written; use --format=stablehlo"
    )


_OWN: dict[str, Callable[[Graph, Step], None]] = {
  "broadcast_in_dim": _broadcast,
  "concatenate": _join,
  "conv": _conv,
  "convert_element_type": _convert,
  "copies": _copies,
  "crop": _crop,
  "dim_as_value": _side,
  "dynamic_slice": _window,
  "integer_pow": _power,
  "max": _largest,
  "pad": _pad,
  "prelu": _prelu,
  "repeat": _repeat,
  "reshape": _reshape,
  "round": _round,
  "rsqrt": _rsqrt,
  "select_n": _select,
  "shuffle": _shuffle,
  "split": _split,
  "square": _square,
  "transpose": _transpose,
}
