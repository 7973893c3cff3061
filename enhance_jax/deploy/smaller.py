"""ONNX models with small types: bfloat16 kernels, eight-bit integers."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from enhance_jax import errors, images, scoring, zoo
from enhance_jax.deploy import onnx_model

# Photographs that ranges are measured on, and LR pixels of each.
_PHOTOGRAPHS = 32
_SIDE = 96


def bfloat16(proto: Any) -> Any:
  """The model with its kernels kept in bfloat16, widened when it is loaded.

  Runtimes have no bfloat16 convolutions on CPUs, so that the arithmetic stays
  float32.
  """
  import ml_dtypes
  from onnx import TensorProto, helper, numpy_helper

  kernels = {n.input[1] for n in proto.graph.node if n.op_type == "Conv"}
  casts = []
  for tensor in proto.graph.initializer:
    if tensor.name not in kernels:
      continue
    small = numpy_helper.to_array(tensor).astype(ml_dtypes.bfloat16)
    name = tensor.name
    tensor.CopyFrom(numpy_helper.from_array(small, name + "_bfloat16"))
    cast = helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT)
    casts.append(cast)
  nodes = [*casts, *proto.graph.node]
  del proto.graph.node[:]
  proto.graph.node.extend(nodes)
  return proto


def is_trained_for_integers(bundle: zoo.Generator) -> bool:
  """Whether the network learned with the rounding of eight-bit integers."""
  return getattr(bundle.module, "quantize", "") == "int8"


def trained(bundle: zoo.Generator, size: tuple[int, int] | None) -> Any:
  """The model of a network trained for integers, with just those integers.

  Every convolution's picture, kernel and bias pass a QuantizeLinear and a
  DequantizeLinear node of the trained steps.

  Raises:
    EnhanceError: the ranges of its activations are not known.
  """
  from onnx import helper, numpy_helper

  from enhance_jax.models import compact

  layers = list(compact.export_int8(bundle.variables).values())
  plain = dataclasses.replace(bundle, module=bundle.module.clone(quantize=""))
  proto = onnx_model.model(plain, size)
  nodes, constants, place = [], [], 0
  replaced = set()
  for node in proto.graph.node:
    if node.op_type == "Conv":
      layer, stem = layers[place], f"layer_{place}"
      place += 1
      replaced.update(node.input[1:])
      arrays = _arrays(layer, stem)
      constants += [numpy_helper.from_array(v, k) for k, v in arrays.items()]
      names = [f"{stem}_{part}" for part in ("x_step", "x_zero")]
      rounded, kernel = f"{stem}_rounded", f"{stem}_kernel_integers"
      nodes += [
        helper.make_node("QuantizeLinear", [node.input[0], *names], [rounded]),
        helper.make_node("DequantizeLinear", [rounded, *names], [f"{stem}_x"]),
        helper.make_node(
          "DequantizeLinear",
          [kernel, f"{stem}_kernel_step", f"{stem}_kernel_zero"],
          [f"{stem}_kernel"],
          axis=0,
        ),
        helper.make_node(
          "DequantizeLinear",
          [f"{stem}_bias_integers", f"{stem}_bias_step"],
          [f"{stem}_bias"],
          axis=0,
        ),
      ]
      node.input[:] = [f"{stem}_{part}" for part in ("x", "kernel", "bias")]
    nodes.append(node)
  kept = [t for t in proto.graph.initializer if t.name not in replaced]
  for field, new in (("node", nodes), ("initializer", [*kept, *constants])):
    copies = [type(item).FromString(item.SerializeToString()) for item in new]
    del getattr(proto.graph, field)[:]
    getattr(proto.graph, field).extend(copies)
  return proto


def _arrays(layer: dict[str, np.ndarray], stem: str) -> dict[str, np.ndarray]:
  """The constants of a layer of `quantize.export`, kernels [O, I, k, k]."""
  step = layer["input_step"]
  kernel = np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1))
  return {
    f"{stem}_x_step": step,
    f"{stem}_x_zero": layer["input_zero"].astype(np.int8),
    f"{stem}_kernel_integers": kernel,
    f"{stem}_kernel_step": layer["step"] / step,
    f"{stem}_kernel_zero": np.zeros(len(kernel), np.int8),
    f"{stem}_bias_integers": layer["bias"],
    f"{stem}_bias_step": layer["step"],
  }


def photographs(
  folder: str | pathlib.Path, bundle: zoo.Generator
) -> list[np.ndarray]:
  """Small pictures to measure ranges on, float32 [1, C, h, w] in [0, 1].

  They are made small as scored pictures are, and cut to their middle.

  Raises:
    EnhanceError: the folder holds no pictures, or a broken one.
  """
  module, found = bundle.module, []
  paths = images.list_pictures(pathlib.Path(folder))
  # Spread over the folder, the same ones every time.
  for path in paths[:: -(-len(paths) // _PHOTOGRAPHS) or 1]:
    hr = images.modcrop(images.read_hr(path), module.scale)
    lr = images.to_float(scoring.degrade(hr, module.scale))
    if module.channels == 1:
      lr = images.rgb_to_ycbcr(lr)[..., :1]
    top, left = (max(0, (side - _SIDE) // 2) for side in lr.shape[:2])
    lr = lr[top : top + _SIDE, left : left + _SIDE]
    found.append(np.ascontiguousarray(lr.transpose(2, 0, 1)[None], np.float32))
  if not found:
    raise errors.EnhanceError(
      f"--calibrate={folder} holds no pictures; wanted a folder of photographs"
    )
  return found


def calibrated(proto: Any, pictures: Sequence[np.ndarray]) -> Any:
  """The model with eight-bit convolutions, by onnxruntime's own tools.

  Kernels have a step for each output channel; activations have one for each
  array, from the extremes that the pictures show. The last convolution stays
  in floats: 256 levels of its result would be seen.

  Raises:
    EnhanceError: onnxruntime is missing.
  """
  try:
    from onnxruntime import quantization
  except ImportError as error:
    raise onnx_model.missing("onnxruntime") from error

  class Reader(quantization.CalibrationDataReader):
    """Hands the pictures out one by one."""

    def __init__(self) -> None:
      self._rest = iter(pictures)

    def get_next(self) -> dict[str, np.ndarray] | None:
      picture = next(self._rest, None)
      return None if picture is None else {onnx_model.INPUT: picture}

  onnx = onnx_model.package()
  last = [node.name for node in proto.graph.node if node.op_type == "Conv"][-1]
  properties = {prop.key: prop.value for prop in proto.metadata_props}
  # The tool warns of models that did not pass its simplification; there is
  # nothing in this one to simplify.
  done = {"onnx.quant.pre_process": "onnxruntime.quant"}
  onnx.helper.set_model_props(proto, {**properties, **done})
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "small.onnx"
    # By way of a file: of a model in memory the tool moves the arrays away.
    given = pathlib.Path(folder) / "float.onnx"
    onnx.save(proto, given)
    quantization.quantize_static(
      given,
      path,
      Reader(),
      nodes_to_exclude=[last],
      quant_format=quantization.QuantFormat.QDQ,
      op_types_to_quantize=["Conv"],
      per_channel=True,
      activation_type=quantization.QuantType.QUInt8,
      weight_type=quantization.QuantType.QInt8,
    )
    small = onnx.load(path)
  onnx.helper.set_model_props(small, properties)
  return small
