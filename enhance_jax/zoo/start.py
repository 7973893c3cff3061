"""Warm start: what fits of a generator's file goes into other variables."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from enhance_jax import errors
from enhance_jax.zoo import files


def take(
  path: str | os.PathLike, variables: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str], list[str]]:
  """Arrays of equal name and shape come from the file, the others stay.

  Args:
    path: a generator's file; model and arguments may be others.
    variables: nested collections such as {"params": ...} of the new network.

  Returns:
    variables of the same structure and types (what was taken is numpy), the
    names that were taken, and those that were left as they are.

  Raises:
    EnhanceError: the file is unusable, or nothing in it fits.
  """
  import jax

  there = files.flatten(files.load_generator(path).variables)
  taken, left = [], {}

  def choose(keys: Any, value: Any) -> Any:
    name = jax.tree_util.keystr(keys, simple=True, separator="/")
    if name in there and there[name].shape == tuple(value.shape):
      taken.append(name)
      return there[name].astype(value.dtype)
    left[name] = value
    return value

  filled = jax.tree_util.tree_map_with_path(choose, dict(variables))
  if not taken:
    raise errors.EnhanceError(
      f"{path} has no array of the network's names and shapes (it has "
      f"{_some(there)}; wanted {_some(left)}); start from a file of the same "
      "architecture, or without one"
    )
  return filled, sorted(taken), sorted(left)


def _some(arrays: Mapping[str, Any]) -> str:
  """The first few names with shapes."""
  names = sorted(arrays)[:3]
  more = ", ..." if len(arrays) > len(names) else ""
  return ", ".join(f"{n} {list(np.shape(arrays[n]))}" for n in names) + more
