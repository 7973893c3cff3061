"""A deployed network on disk: the file, its sidecar, and the way back.

Beside `NAME.onnx` stands `NAME.onnx.json`, which says what the file takes and
gives, where its weights are from, and what its type costs.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from enhance_jax import errors, zoo

SIDECAR = "enhance_jax deployed network 1"
SUFFIXES = {"stablehlo": ".stablehlo", "onnx": ".onnx"}
LAYOUTS = {"stablehlo": "NHWC", "onnx": "NCHW"}


@dataclasses.dataclass(frozen=True)
class Deployed:
  """A loaded artefact; calling it enlarges pictures.

  Attributes:
    format: "stablehlo" or "onnx".
    metadata: the sidecar.
    run: float32 [N, h, w, C] to [N, h s, w s, C], unchecked.
  """

  format: str
  metadata: dict[str, Any]
  run: Callable[[np.ndarray], np.ndarray]

  @property
  def scale(self) -> int:
    """The enlargement of each side."""
    return self.metadata["scale"]

  @property
  def channels(self) -> int:
    """Colours: 3 for RGB, 1 for luma."""
    return self.metadata["channels"]

  def __call__(self, lr: np.ndarray) -> np.ndarray:
    """Enlarges float32 [N, h, w, C] in [0, 1] to [N, h s, w s, C].

    The layout is this one, whatever the file's own is; nothing is clipped.

    Raises:
      EnhanceError: another shape than the artefact takes.
    """
    sides = self.metadata["size"]
    wanted = f"[N, h, w, {self.channels}]"
    fits = lr.ndim == 4 and lr.shape[-1] == self.channels and lr.size > 0
    if sides is not None:
      wanted = f"[1, {sides[0]}, {sides[1]}, {self.channels}]"
      fits = fits and lr.shape[:3] == (1, *sides)
    if not fits:
      raise errors.EnhanceError(
        f"got pictures of shape {list(lr.shape)}; wanted {wanted}"
      )
    return self.run(np.asarray(lr, np.float32))


def sidecar_path(path: pathlib.Path) -> pathlib.Path:
  """The sidecar of an artefact."""
  return path.with_name(path.name + ".json")


def describe(
  bundle: zoo.Generator,
  form: str,
  dtype: str,
  size: tuple[int, int] | None,
  data: bytes,
) -> dict[str, Any]:
  """The sidecar, without what was measured.

  Args:
    bundle: the network.
    form: "stablehlo" or "onnx".
    dtype: of `writing.DTYPES`.
    size: height and width if they are fixed.
    data: the artefact's bytes.
  """
  module = bundle.module
  height, width = size or ("h", "w")
  sides = {
    "N": 1 if size else "n",
    "H": height,
    "W": width,
    "C": module.channels,
  }
  large = {
    **sides,
    "H": height * module.scale if size else f"{module.scale}*h",
    "W": width * module.scale if size else f"{module.scale}*w",
  }
  return {
    "sidecar": SIDECAR,
    "format": form,
    "sha256": hashlib.sha256(data).hexdigest(),
    "bytes": len(data),
    "dtype": dtype,
    "scale": module.scale,
    "channels": module.channels,
    "color": "RGB" if module.channels == 3 else "Y of BT.601, studio range",
    "value_range": [0, 1],
    "clipped": False,
    "size": list(size) if size else None,
    "input": _array(sides, "input", form),
    "output": _array(large, "output", form),
    "radius": module.radius,
    "model": bundle.model,
    "kwargs": dict(bundle.kwargs),
    "weights_sha256": bundle.sha256,
    "generative": bool(bundle.card.get("generative", False)),
    "card": dict(bundle.card),
    "versions": zoo.versions(),
  }


def _array(lengths: Mapping[str, Any], name: str, form: str) -> dict[str, Any]:
  layout = LAYOUTS[form]
  return {
    "name": name,
    "layout": layout,
    "shape": [lengths[axis] for axis in layout],
    "dtype": "float32",
  }


def write(path: pathlib.Path, data: bytes, metadata: Mapping[str, Any]) -> None:
  """Writes the artefact and its sidecar, each wholly or not at all."""
  beside = sidecar_path(path)
  # An old sidecar must not stand beside a new file, not even after a crash.
  beside.unlink(missing_ok=True)
  zoo.write_atomic(path, data)
  text = json.dumps(metadata, indent=2, sort_keys=True, allow_nan=False)
  zoo.write_atomic(beside, (text + "\n").encode())


def load(path: str | pathlib.Path) -> Deployed:
  """Reads an artefact that `export` wrote, and its sidecar.

  Raises:
    EnhanceError: a file is missing, damaged or not of this kind, the runtime
      it needs is not installed or does not read it.
  """
  path = pathlib.Path(path)
  beside = sidecar_path(path)
  for file in (path, beside):
    if not file.is_file():
      raise errors.EnhanceError(
        f"{file} does not exist; wanted an artefact of `python -m "
        "enhance_jax.export` with its .json beside it"
      )
  try:
    metadata = json.loads(beside.read_text())
    form, digest = metadata["format"], metadata["sha256"]
    known = metadata["sidecar"] == SIDECAR and form in SUFFIXES
  except (ValueError, KeyError, TypeError):
    known = False
  if not known:
    raise errors.EnhanceError(
      f'{beside} is no sidecar of the kind "{SIDECAR}"; export again'
    )
  data = path.read_bytes()
  if hashlib.sha256(data).hexdigest() != digest:
    raise errors.EnhanceError(
      f"{path} is not the file that {beside.name} is about (its SHA-256 is "
      "another); copy both again"
    )
  return Deployed(form, metadata, runner(form, data))


def runner(form: str, data: bytes) -> Callable[[np.ndarray], np.ndarray]:
  """The function of an artefact's bytes, [N, h, w, C] to [N, h s, w s, C]."""
  if form == "onnx":
    from enhance_jax.deploy import onnx_model

    return onnx_model.load(data)
  from enhance_jax.deploy import stablehlo

  call = stablehlo.load(data)
  return lambda lr: np.asarray(call(lr))
