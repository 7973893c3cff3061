"""Explicit tables, name -> where it lives; nothing is imported before use."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from enhance_jax import errors

GENERATORS = {
  "srresnet": "enhance_jax.models.srresnet:Generator",
}
DISCRIMINATORS = {
  "srgan": "enhance_jax.models.srresnet:Discriminator",
}
DEGRADATIONS = {
  "resize": "enhance_jax.data.degrade:Resize",
}
SOURCES = {
  "samples": "enhance_jax.data.sources:Samples",
  "folder": "enhance_jax.data.sources:Folder",
  "tfds": "enhance_jax.data.sources:Tfds",
}
PIXEL_LOSSES = {
  "mse": "enhance_jax.losses.pixel:mse",
  "l1": "enhance_jax.losses.pixel:l1",
  "charbonnier": "enhance_jax.losses.pixel:charbonnier",
  "total_variation": "enhance_jax.losses.pixel:total_variation",
}


def lookup(table: Mapping[str, str], name: str, what: str) -> Any:
  """The object that `table` files under `name`.

  Args:
    table: one of this module's tables.
    name: the key.
    what: what the table holds, in words, for the message.

  Raises:
    EnhanceError: the name is not in the table; the nearest one is named.
  """
  if name not in table:
    raise errors.EnhanceError(
      f'there is no {what} called "{name}"; {errors.nearest(name, table)}'
    )
  module, attribute = table[name].split(":")
  return getattr(importlib.import_module(module), attribute)


def build(
  table: Mapping[str, str], name: str, what: str = "entry", **kwargs: Any
) -> Any:
  """Calls the factory filed under `name`, refusing arguments it lacks.

  Raises:
    EnhanceError: unknown name or argument; the nearest known one is named.
  """
  factory = lookup(table, name, what)
  known = [
    field
    for field in inspect.signature(factory).parameters
    if field not in ("parent", "name")
  ]
  for key in kwargs:
    if key not in known:
      raise errors.EnhanceError(
        f'{what} "{name}" has no option "{key}"; {errors.nearest(key, known)}'
      )
  return factory(**kwargs)
