"""A generator as an ONNX model: NCHW float32 in [0, 1], any height and width.

The graph is written here and not by jax2onnx: its releases for this JAX need
an orbax-checkpoint older than the one that training runs on, and they write a
transposition on either side of every convolution.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from enhance_jax import errors, zoo
from enhance_jax.deploy import fuse, network, operators, steps
from enhance_jax.deploy.graph import (
  FROM_PLANES,
  IR_VERSION,
  OPSET,
  TO_PLANES,
  Graph,
)

INPUT, OUTPUT = "input", "output"


def model(bundle: zoo.Generator, size: tuple[int, int] | None) -> Any:
  """The network as a `ModelProto`, in float32.

  Args:
    bundle: the network.
    size: height and width that the model declares, for runtimes that want to
      know them; None leaves batch, height and width open.

  Raises:
    EnhanceError: the onnx package is missing, or the network does what there
      is no ONNX for.
  """
  onnx = package()
  import jax
  from jax import export

  module = bundle.module
  multiple = getattr(module, "multiple", 1)
  b, h, w = export.symbolic_shape("b, h, w")
  shape = (b, multiple * h, multiple * w, module.channels)
  graph = Graph()
  name = _open_sides(graph, multiple)
  try:
    traced = steps.trace(network.forward(bundle, "float32"), shape)
  except jax.errors.InconclusiveDimensionOperation as error:
    raise errors.EnhanceError(
      f'"{bundle.model}" plans its work by the size of the picture, for which '
      "no ONNX is written; use --format=stablehlo with --size=HEIGHTxWIDTH"
    ) from error
  program = fuse.fuse(traced)
  graph.name(program.lr, name)
  for step in program.steps:
    operators.emit(graph, step)
  result = graph.get(program.sr)
  if multiple > 1:
    result = _cut(graph, result, module.scale)
  graph.finish(result, OUTPUT)
  return _proto(onnx, graph, bundle, size)


def package() -> Any:
  """The onnx package.

  Raises:
    EnhanceError: it is not installed.
  """
  try:
    import onnx
  except ImportError as error:
    raise missing("onnx") from error
  return onnx


def missing(name: str) -> errors.EnhanceError:
  """What to say where an optional package is not installed."""
  return errors.EnhanceError(
    f"the package {name} is not installed, and ONNX files need it; "
    "in the project's folder: pip install '.[deploy]'"
  )


def _open_sides(graph: Graph, multiple: int) -> str:
  """Names the open sizes; fills the picture up to whole multiples."""
  shape = graph.one("Shape", INPUT)

  def side(axis: int) -> str:
    return graph.one("Gather", shape, graph.constant(axis), axis=0)

  graph.sides["b"] = side(0)
  picture = INPUT
  for name, axis in (("h", 2), ("w", 3)):
    length = side(axis)
    if multiple == 1:
      graph.sides[name] = length
      continue
    more = graph.one("Add", length, graph.constant(multiple - 1))
    graph.sides[name] = graph.one("Div", more, graph.constant(multiple))
    places = _mirror(graph, length, graph.sides[name], multiple)
    picture = graph.one("Gather", picture, places, axis=axis)
  return picture


def _mirror(graph: Graph, length: str, parts: str, multiple: int) -> str:
  """Where the pixels of a filled axis come from; ONNX's Pad needs two."""
  whole = graph.one("Mul", parts, graph.constant(multiple))
  zero, one = graph.constant(0), graph.constant(1)
  back = graph.one("Sub", graph.one("Add", length, length), graph.constant(2))
  period = graph.one("Max", back, one)
  places = graph.one("Mod", graph.one("Range", zero, whole, one), period)
  return graph.one("Min", places, graph.one("Sub", period, places))


def _cut(graph: Graph, result: str, scale: int) -> str:
  """Takes off what the filling became."""
  shape = graph.one("Shape", INPUT, start=2)
  ends = graph.one("Mul", shape, graph.constant([scale, scale]))
  starts, axes = graph.constant([0, 0]), graph.constant([2, 3])
  return graph.one("Slice", result, starts, ends, axes)


def _proto(
  onnx: Any, graph: Graph, bundle: zoo.Generator, size: tuple[int, int] | None
) -> Any:
  helper, scale = onnx.helper, bundle.module.scale
  channels = bundle.module.channels
  if size is None:
    sides: list[Any] = ["batch", channels, "height", "width"]
    large: list[Any] = ["batch", channels, "height_out", "width_out"]
  else:
    sides = [1, channels, *size]
    large = [1, channels, *(side * scale for side in size)]
  kind = onnx.TensorProto.FLOAT
  built = helper.make_graph(
    graph.nodes,
    bundle.model,
    [helper.make_tensor_value_info(INPUT, kind, sides)],
    [helper.make_tensor_value_info(OUTPUT, kind, large)],
    [
      onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)
      for name, value in graph.constants.items()
    ],
  )
  proto = helper.make_model(
    built,
    opset_imports=[helper.make_opsetid("", OPSET)],
    ir_version=IR_VERSION,
    producer_name="enhance_jax",
  )
  helper.set_model_props(proto, properties(bundle))
  onnx.checker.check_model(proto)
  return proto


def properties(bundle: zoo.Generator) -> dict[str, str]:
  """The `metadata_props` of the model: what tools show and programs read."""
  return {
    "scale": str(bundle.module.scale),
    "channels": str(bundle.module.channels),
    "color": "RGB" if bundle.module.channels == 3 else "Y",
    "layout": "NCHW",
    "value_range": "0..1",
    "architecture": bundle.model,
    "weights_sha256": bundle.sha256,
    "generative": json.dumps(bool(bundle.card.get("generative", False))),
    "card": json.dumps(bundle.card, sort_keys=True),
  }


def load(data: bytes) -> Callable[[np.ndarray], np.ndarray]:
  """onnxruntime's function of a model: [N, h, w, C] to [N, h s, w s, C].

  Raises:
    EnhanceError: onnxruntime is missing, or does not read the model.
  """
  try:
    import onnxruntime
  except ImportError as error:
    raise missing("onnxruntime") from error
  try:
    session = onnxruntime.InferenceSession(
      data, providers=["CPUExecutionProvider"]
    )
  except Exception as error:  # Its exceptions have no common public parent.
    raise errors.EnhanceError(
      f"onnxruntime {onnxruntime.__version__} does not read this model: {error}"
    ) from error

  def run(lr: np.ndarray) -> np.ndarray:
    planes = np.ascontiguousarray(lr.transpose(TO_PLANES))
    (sr,) = session.run([OUTPUT], {INPUT: planes})
    return np.asarray(sr).transpose(FROM_PLANES)

  return run
