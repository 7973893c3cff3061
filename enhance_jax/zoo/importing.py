"""Other people's PyTorch weights as files of this project."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from enhance_jax import errors, registry, weights
from enhance_jax.zoo import exporting, files, probe, recognition


@dataclasses.dataclass(frozen=True)
class Imported:
  """What `import_file` made.

  Attributes:
    generator: in memory.
    match: how it was recognised.
    assumed: options that the arrays do not tell -> what was taken.
    figures: of `probe.measure`.
  """

  generator: files.Generator
  match: recognition.Match
  assumed: dict[str, Any]
  figures: dict[str, Any]


def import_file(
  path: str | os.PathLike,
  *,
  generative: bool | None = None,
  scales: tuple[int, ...] = (),
  options: Mapping[str, Any] | None = None,
  prefix: str | None = None,
  anyway: bool = False,
) -> Imported:
  """Recognises, converts and tries a public weights file.

  Args:
    path: .pth, .safetensors or .npz.
    generative: whether an adversarial loss shaped the weights; None if the
      file says so itself, which those of `zoo export` do.
    scales: enlargements, for networks whose arrays tell none; the first is the
      usual one.
    options: of the generator, over those that were read off the arrays.
    prefix: what stands before the network's names in the file, where several
      networks are in it.
    anyway: accept a result that looks wrong, as long as it is finite.

  Raises:
    EnhanceError: not readable, ours already, unknown, partly matching, or what
      comes out of it is not a picture.
  """
  path = pathlib.Path(path)
  tensors = weights.read_tensors(path)
  origin = exporting.origin(path)
  if all(name.split("/")[0] in files.COLLECTIONS for name in tensors):
    raise errors.EnhanceError(
      f"{path} is a file of this project already; use it as it is"
    )
  match = recognition.detect(tensors, path, prefix)
  said = origin if origin.get("model") == match.model else {}
  generative = said.get("generative") if generative is None else generative
  if generative is None:
    raise errors.EnhanceError(
      f"{path} is {match.model}, but no file tells how it was trained; say "
      "--generative if a discriminator took part (its fine detail is invented, "
      "and pictures made by it are marked so) or --faithful if not"
    )
  kwargs, assumed = _kwargs(match, said, scales, options or {}, path)
  generator = _convert(tensors, match, kwargs, path)
  figures = probe.measure(generator.module, generator.variables)
  probe.check(figures, str(path), anyway=anyway)
  card: dict[str, Any] = {"generative": generative, "probe": figures}
  card["imported"] = {
    "file": path.name,
    "sha256": files.file_sha256(path),
    "layout": match.layout,
    "prefix": match.prefix,
    "assumed": assumed,
  }
  several = scales or said.get("scales", ())
  if len(several) > 1:
    card["scales"] = sorted(several)
  made = dataclasses.replace(generator, card=card)
  return Imported(made, match, assumed, figures)


def _kwargs(
  match: recognition.Match,
  said: Mapping[str, Any],
  scales: tuple[int, ...],
  options: Mapping[str, Any],
  path: pathlib.Path,
) -> tuple[dict[str, Any], dict[str, Any]]:
  """What to build the generator with, and what of that nothing has told."""
  family = exporting.family(match.model)
  kwargs = {**match.options, **said.get("kwargs", {}), **options}
  scales = scales or tuple(said.get("scales", ()))
  told = "scale" in match.options
  if told and scales and scales != (match.options["scale"],):
    raise errors.EnhanceError(
      f"{path} enlarges x{match.options['scale']} by its arrays, --scale="
      f"{','.join(map(str, scales))} was wanted; leave --scale out"
    )
  if scales:
    kwargs["scale"] = scales[0]
  if "scale" not in kwargs:
    raise errors.EnhanceError(
      f"{path} is {match.model}, whose arrays do not tell the enlargement; say "
      "it: --scale=3, or --scale=2,3,4 where it was trained for several"
    )
  module = registry.build(
    registry.GENERATORS, match.model, "generator", **kwargs
  )
  assumed = {
    name: getattr(module, name)
    for name in family.untold
    if name not in said.get("kwargs", {}) and name not in options
  }
  if scales:
    assumed.pop("scale", None)
  return kwargs, assumed


def _convert(
  tensors: Mapping[str, np.ndarray],
  match: recognition.Match,
  kwargs: dict[str, Any],
  path: pathlib.Path,
) -> files.Generator:
  module = registry.build(
    registry.GENERATORS, match.model, "generator", **kwargs
  )
  under = recognition.under(tensors, match.prefix)
  try:
    variables = exporting.family(match.model).read(under, match.layout, module)
  except errors.EnhanceError as error:
    raise errors.EnhanceError(f"{path}: {error}") from error
  arrays = files.flatten(variables)
  files.check_shapes(arrays, files.expected_shapes(module), str(path))
  for name, array in arrays.items():
    if not np.isfinite(array).all():
      raise errors.EnhanceError(f"{path}: {name} holds NaN or infinity")
  return files.Generator(match.model, kwargs, module, variables, {}, "")
