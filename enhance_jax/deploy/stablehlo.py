"""StableHLO programs by `jax.export`, for pictures of any size."""

from typing import Any

import numpy as np

from enhance_jax import errors, zoo
from enhance_jax.deploy import network

PLATFORMS = ("cpu", "cuda", "tpu")


def program(
  bundle: zoo.Generator, dtype: str, size: tuple[int, int] | None
) -> bytes:
  """The serialized program [N, h, w, C] -> [N, h s, w s, C], weights inside.

  Args:
    bundle: the network.
    dtype: of `network.forward`.
    size: height and width, if the program is for one picture of that size
      alone; None leaves batch, height and width open.

  Raises:
    EnhanceError: the network computes with the sizes themselves, so that they
      cannot be left open.
  """
  import jax
  from jax import export

  module = bundle.module
  run = network.forward(bundle, dtype)
  if size is None:
    run = network.filled(run, getattr(module, "multiple", 1), module.scale)
    shape: tuple[Any, ...] = tuple(export.symbolic_shape("b, h, w"))
  else:
    shape = (1, *size)
  lr = jax.ShapeDtypeStruct((*shape, module.channels), np.float32)
  try:
    exported = export.export(jax.jit(run), platforms=PLATFORMS)(lr)
  except jax.errors.InconclusiveDimensionOperation as error:
    raise errors.EnhanceError(
      f'"{bundle.model}" plans its work by the size of the picture, so it '
      "cannot be exported for every size; name one by --size=HEIGHTxWIDTH"
    ) from error
  return bytes(exported.serialize())


def load(data: bytes) -> network.Forward:
  """The compiled function of a serialized program.

  Raises:
    EnhanceError: this version of JAX cannot read it.
  """
  import jax
  from jax import export

  try:
    exported = export.deserialize(bytearray(data))
  except Exception as error:  # FlatBuffers and XLA raise what they like.
    raise errors.EnhanceError(
      f"this is no program that JAX {jax.__version__} reads ({error}); export "
      "it again from its weights, or use a JAX of its compatibility window"
    ) from error
  return jax.jit(exported.call)


def compatibility() -> dict[str, Any]:
  """What JAX promises for programs made by this version, for the sidecar."""
  import jax
  from jax import export

  return {
    "made_by": f"jax {jax.__version__}",
    "calling_convention": export.maximum_supported_calling_convention_version,
    "window": (
      "read by JAX releases of the six months after this one, and by those of "
      "the three weeks before it; after that, export again from the weights"
    ),
  }
