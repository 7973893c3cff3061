"""From a network to an artefact on disk that was tried before it is kept."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from enhance_jax import errors, zoo
from enhance_jax.deploy import artefact

FORMATS = tuple(artefact.SUFFIXES)
DTYPES = ("float32", "bfloat16", "int8")
# A float32 artefact that differs by more from its network is refused.
TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Request:
  """What is to be written.

  Attributes:
    format: "stablehlo" or "onnx".
    dtype: "float32"; "bfloat16" or "int8" for kernels, see `arithmetic` of the
      sidecar for the rest.
    size: height and width of the only pictures it will take; None leaves them
      open.
    calibrate: folder of photographs, for int8 in ONNX.
    sets: test sets to measure the loss on.
    color: "y", "y8" or "rgb" of the protocol.
  """

  format: str
  dtype: str = "float32"
  size: tuple[int, int] | None = None
  calibrate: str | None = None
  sets: tuple[str, ...] = ()
  color: str = "y"


def export(
  bundle: zoo.Generator, path: pathlib.Path, request: Request
) -> dict[str, Any]:
  """Writes a network as `path` and its sidecar; returns the sidecar.

  Raises:
    EnhanceError: the request cannot be met, an optional package is missing, or
      the artefact does not give the network's pictures.
  """
  _check(bundle, path, request)
  data, arithmetic = _data(bundle, request)
  metadata = artefact.describe(
    bundle, request.format, request.dtype, request.size, data
  )
  metadata["arithmetic"] = arithmetic
  if request.format == "stablehlo":
    from enhance_jax.deploy import stablehlo

    metadata["platforms"] = list(stablehlo.PLATFORMS)
    metadata["compatibility"] = stablehlo.compatibility()
  else:
    from enhance_jax.deploy import graph

    metadata["compatibility"] = {"opset": graph.OPSET, "ir": graph.IR_VERSION}
  deployed = artefact.Deployed(
    request.format, metadata, artefact.runner(request.format, data)
  )
  metadata["difference"] = _try(deployed, bundle, request)
  if request.sets:
    from enhance_jax.deploy import measured

    metadata["loss"] = measured.loss(
      deployed, bundle, request.sets, request.color
    )
  artefact.write(path, data, metadata)
  return metadata


def _check(bundle: zoo.Generator, path: pathlib.Path, request: Request) -> None:
  for what, known in (("format", FORMATS), ("dtype", DTYPES)):
    value = getattr(request, what)
    if value not in known:
      raise errors.EnhanceError(
        f'there is no {what} called "{value}"; {errors.nearest(value, known)}'
      )
  suffix = artefact.SUFFIXES[request.format]
  if path.suffix != suffix:
    raise errors.EnhanceError(
      f"-o {path} does not end in {suffix}, as a file of that format does"
    )
  for there in (path, artefact.sidecar_path(path)):
    if there.exists():
      raise errors.EnhanceError(
        f"{there} is already there; choose another name"
      )
  if request.size is not None and request.sets:
    raise errors.EnhanceError(
      "--sets measures on pictures of many sizes, and --size makes a file for "
      "one; leave one of the two out"
    )
  from enhance_jax.deploy import smaller

  calibrates = request.format == "onnx" and request.dtype == "int8"
  calibrates = calibrates and not smaller.is_trained_for_integers(bundle)
  if calibrates and request.calibrate is None:
    raise errors.EnhanceError(
      "the ranges of the network's activations are not known, and int8 in ONNX "
      "needs them; name a folder of photographs: --calibrate=FOLDER"
    )
  if request.calibrate is not None and not calibrates:
    raise errors.EnhanceError(
      "--calibrate is for --format=onnx --dtype=int8 of a network that was "
      "trained in floats; leave it out"
    )


def _data(bundle: zoo.Generator, request: Request) -> tuple[bytes, str]:
  """The artefact's bytes, and how it computes in words."""
  if request.format == "stablehlo":
    from enhance_jax.deploy import stablehlo

    words = {
      "float32": "float32",
      "bfloat16": "kernels and convolutions bfloat16",
      "int8": "kernels int8 with a step an output channel, all else float32",
    }[request.dtype]
    return stablehlo.program(bundle, request.dtype, request.size), words
  from enhance_jax.deploy import onnx_model, smaller

  if request.dtype == "int8" and smaller.is_trained_for_integers(bundle):
    words = "kernels, biases and inputs of convolutions are trained integers"
    proto = smaller.trained(bundle, request.size)
  else:
    proto, words = onnx_model.model(bundle, request.size), "float32"
  if request.dtype == "bfloat16":
    proto, words = smaller.bfloat16(proto), "kernels bfloat16, all else float32"
  if request.calibrate is not None:
    pictures = smaller.photographs(request.calibrate, bundle)
    proto = smaller.calibrated(proto, pictures)
    words = (
      "kernels int8 with a step an output channel, inputs and outputs of "
      f"convolutions uint8 with ranges seen on {len(pictures)} photographs; "
      "the last convolution float32"
    )
  return proto.SerializeToString(deterministic=True), words


def _try(
  deployed: artefact.Deployed, bundle: zoo.Generator, request: Request
) -> float:
  """The largest difference from the network on a probe, relative to its peak.

  Raises:
    EnhanceError: it is no rounding error, although the type is float32.
  """
  import jax

  from enhance_jax.deploy import network

  height, width = request.size or (13, 18)
  rng = np.random.default_rng(0)
  shape = (1, height, width, deployed.channels)
  lr = rng.random(shape, np.float32)
  run = jax.jit(network.forward(bundle, "float32"))
  wanted = np.asarray(run(lr))
  got = deployed(lr)
  peak = max(1.0, float(np.abs(wanted).max()))
  difference = float(np.abs(got - wanted).max()) / peak
  if request.dtype == "float32" and not difference < TOLERANCE:
    raise errors.EnhanceError(
      f"the {request.format} artefact differs by {difference:.1e} from its "
      "network, so it was not written; this is a fault of the export or of the "
      "runtime: try the other --format"
    )
  return difference
