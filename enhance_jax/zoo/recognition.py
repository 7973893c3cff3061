"""Which network a PyTorch state dict belongs to, and how well it fits.

Names and shapes decide: of every layout in `registry.PUBLIC` the options are
read off the arrays, and the one whose list of names and shapes is exactly the
file's is it.
"""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from enhance_jax import errors, registry
from enhance_jax.zoo import exporting

_SHOWN = 6
# Dictionaries around a network in a training program's file.
_DEEPEST = 3
_COUNTER = "num_batches_tracked"
# What reading sizes off arrays of another network can end in.
_MISFITS = (
  errors.EnhanceError,
  ValueError,
  TypeError,
  IndexError,
  ArithmeticError,
)

Tensors = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Match:
  """How well a state dict fits one public layout of one network.

  Attributes:
    model: name in `registry.GENERATORS`.
    layout: its layout.
    prefix: what stands before the names in the file.
    options: read off the arrays; {} if they could not be.
    matched: names that belong there.
    missing: names that the layout has and the file lacks.
    left: names of the file that the layout does not have.
    shapes: "name is [1, 2], wanted [3, 4]"; compared where all names match,
      and for the nearest.
    why: what stopped the comparison; "" if nothing did.
  """

  model: str
  layout: str
  prefix: str
  options: dict[str, Any]
  matched: list[str]
  missing: list[str]
  left: list[str]
  shapes: list[str]
  why: str = ""

  @property
  def exact(self) -> bool:
    """Whether every array has its place and every place its array."""
    return not (self.missing or self.left or self.shapes or self.why)


def detect(
  tensors: Tensors, path: pathlib.Path, prefix: str | None = None
) -> Match:
  """The one network and layout that a file's arrays are exactly.

  Of several dictionaries in the file (`params`, `params_ema`, `optimizer` ...)
  the one that fits is taken; of several that fit the moving average.

  Args:
    tensors: of `weights.read_tensors`.
    path: the file, for messages.
    prefix: what stands before the names; None tries what there is.

  Raises:
    EnhanceError: several fit, or none; then the nearest is named, with what
      matches and what does not.
  """
  whole = {prefix: under(tensors, prefix)} if prefix is not None else {}
  matches = []
  for one, inner in (whole or _groups(tensors)).items():
    for model, layout in _candidates(inner):
      match = _compare(model, layout, one, inner)
      matches.append(_shaped(match, inner) if match.exact else match)
  exact = [match for match in matches if match.exact]
  averaged = [match for match in exact if "ema" in match.prefix.lower()]
  chosen = averaged or exact
  if len(chosen) > 1:
    names = ", ".join(f'"{m.prefix}" ({m.model})' for m in chosen)
    raise errors.EnhanceError(
      f"{path} holds several networks: {names}; choose one by --prefix"
    )
  if chosen:
    return chosen[0]
  raise errors.EnhanceError(_explain(tensors, matches, path))


def _candidates(tensors: Tensors) -> list[tuple[str, str]]:
  """Networks and layouts in which at least one name of the file occurs."""
  patterns = _patterns(tensors)
  return [
    (model, layout)
    for model in registry.PUBLIC
    for layout in exporting.family(model).layouts
    if patterns & _typical(model, layout)
  ]


def _patterns(names: Iterable[str]) -> set[str]:
  return {re.sub(r"\d+", "#", name) for name in names}


@functools.cache
def _typical(model: str, layout: str) -> set[str]:
  """The layout's names of the network at its default size, without numbers."""
  family = exporting.family(model)
  rows = family.rows(family.factory(), layout)
  return _patterns(row.theirs for row in rows if row.theirs)


def _groups(tensors: Tensors) -> dict[str, dict[str, np.ndarray]]:
  """The whole file under "", and what stands under dictionaries' keys."""
  found: dict[str, dict[str, np.ndarray]] = {"": {}}
  for name, array in tensors.items():
    if name.endswith(_COUNTER):
      continue
    found[""][name] = array
    parts = name.split(".")
    for depth in range(1, min(_DEEPEST, len(parts) - 1) + 1):
      # Numbers name layers, not networks.
      if parts[depth - 1].isdigit():
        break
      prefix = ".".join(parts[:depth]) + "."
      found.setdefault(prefix, {})[name.removeprefix(prefix)] = array
  return found


def under(tensors: Tensors, prefix: str) -> dict[str, np.ndarray]:
  """The arrays whose names begin with a prefix, without it and counters."""
  return {
    name.removeprefix(prefix): array
    for name, array in tensors.items()
    if name.startswith(prefix) and not name.endswith(_COUNTER)
  }


def _compare(model: str, layout: str, prefix: str, tensors: Tensors) -> Match:
  family = exporting.family(model)
  try:
    options = family.options(tensors, layout)
    rows = family.rows(family.factory(**options), layout)
  except _MISFITS as error:
    typical = _typical(model, layout)
    there = [name for name in tensors if _patterns([name]) & typical]
    left = [name for name in tensors if name not in set(there)]
    return Match(model, layout, prefix, {}, there, [], left, [], str(error))
  named = {row.theirs for row in rows if row.theirs}
  optional = {row.theirs for row in rows if row.value is not None}
  return Match(
    model,
    layout,
    prefix,
    options,
    sorted(named & tensors.keys()),
    sorted(named - optional - tensors.keys()),
    sorted(tensors.keys() - named),
    [],
  )


def _shaped(match: Match, tensors: Tensors) -> Match:
  """The same with shapes compared, which takes a second for deep networks."""
  family = exporting.family(match.model)
  try:
    module = family.factory(**match.options)
    shapes = exporting.shapes(module, family.rows(module, match.layout))
  except _MISFITS as error:
    return dataclasses.replace(match, why=str(error).splitlines()[0])
  wrong = {
    name: f"{name} is {list(tensors[name].shape)}, wanted {list(shape)}"
    for name, shape in shapes.items()
    if name in tensors and tensors[name].shape != tuple(shape)
  }
  return dataclasses.replace(
    match,
    matched=[name for name in match.matched if name not in wrong],
    shapes=sorted(wrong.values()),
  )


def _explain(tensors: Tensors, matches: list[Match], path: pathlib.Path) -> str:
  known = ", ".join(registry.PUBLIC)
  if not matches:
    return (
      f"{path} holds {len(tensors)} arrays ({_some(list(tensors))}), none with "
      f"a name of a network known here; known: {known}"
    )

  def closeness(match: Match) -> float:
    bad = len(match.missing) + len(match.left) + len(match.shapes)
    return len(match.matched) / (len(match.matched) + bad + bool(match.why))

  near = max(matches, key=lambda m: (closeness(m), -len(m.prefix)))
  if near.options and not near.shapes:
    near = _shaped(near, under(tensors, near.prefix))
  where = f' under "{near.prefix}"' if near.prefix else ""
  parts = [
    f"{path} is no network known here ({known}); the nearest is {near.model} "
    f'in the layout "{near.layout}"{where}: {len(near.matched)} arrays match '
    f"({_some(near.matched)})"
  ]
  for title, names in (
    ("missing", near.missing),
    ("left over", near.left),
    ("of another shape", near.shapes),
  ):
    if names:
      parts.append(f"{len(names)} {title}: {_some(names)}")
  return "; ".join(parts + [near.why] * bool(near.why))


def _some(names: list[str]) -> str:
  return ", ".join(names[:_SHOWN]) + (" ..." if names[_SHOWN:] else "")
