"""Generators back into the PyTorch layouts that others read.

An exported file holds float32 arrays under the layout's own names; its metadata
say how the network was built, which arrays alone do not always tell.
"""

import functools
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from enhance_jax import errors, registry, weights
from enhance_jax.zoo import files

_METADATA = "enhance_jax"
# Of a card, what an import can use; the arguments go through the registry.
_SAID = ("model", "kwargs", "scales", "generative")


@functools.cache
def family(model: str) -> Any:
  """The public layouts of a network, a `models.layouts.Family`.

  Raises:
    EnhanceError: it has none; those that have are listed.
  """
  if model not in registry.PUBLIC:
    raise errors.EnhanceError(
      f"nobody publishes {model} for PyTorch, so it has no layout to be "
      f"written in; the networks that have one: {', '.join(registry.PUBLIC)}"
    )
  return registry.lookup(registry.PUBLIC, model, "network")


def shapes(module: Any, rows: Sequence[Any]) -> dict[str, tuple[int, ...]]:
  """Public name -> shape of every array of a module, by its layout's rows."""
  from enhance_jax.models import layouts

  return layouts.public_shapes(rows, files.expected_shapes(module))


def export(
  generator: files.Generator,
  path: str | os.PathLike,
  layout: str | None = None,
) -> tuple[str, int]:
  """Writes a generator in a public layout and reads it back to compare.

  Args:
    generator: of `load_generator`.
    path: the new .safetensors file.
    layout: None takes the one it was imported from, else the usual one.

  Returns:
    the layout and the number of arrays.

  Raises:
    EnhanceError: the network or the layout is unknown, the layout lacks a
      place for an array, or the file cannot be written.
  """
  from safetensors.numpy import save

  known = family(generator.model)
  imported = generator.card.get("imported", {}).get("layout")
  chosen = layout or imported or next(iter(known.layouts))
  tensors = known.write(generator.module, generator.variables, chosen)
  read = files.flatten(known.read(tensors, chosen, generator.module))
  for name, array in files.flatten(generator.variables).items():
    if read[name].tobytes() != array.tobytes():
      raise AssertionError(f"{name} does not survive the layout {chosen}")
  said = {
    key: generator.card[key] for key in _SAID if key in generator.card
  } | {"model": generator.model, "kwargs": generator.kwargs, "layout": chosen}
  metadata = {"format": "pt", _METADATA: json.dumps(said, sort_keys=True)}
  files.write_atomic(pathlib.Path(path), save(tensors, metadata=metadata))
  return chosen, len(tensors)


def origin(path: pathlib.Path) -> dict[str, Any]:
  """What `export` wrote about the network of a file; {} for other files.

  Args:
    path: a weights file of any format that `weights` reads.
  """
  text = weights.read_metadata(path).get(_METADATA, "")
  try:
    said = json.loads(text) if text else {}
  except ValueError:
    said = {}
  wanted = {"model": str, "kwargs": dict, "generative": bool}
  if all(type(said.get(key)) is kind for key, kind in wanted.items()):
    return said
  return {}
