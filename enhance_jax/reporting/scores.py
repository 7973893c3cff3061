"""The scores that evaluations left in a run's folder."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from enhance_jax import errors


@dataclasses.dataclass(frozen=True)
class Scores:
  """What upscalers reached on one set of pictures.

  Attributes:
    set: the set's name; "held_out" are the run's own held-out pictures.
    protocol: how it was measured, with "text" for people.
    models: upscaler -> metric -> mean over the pictures.
    pictures: upscaler -> file -> metric -> value.
    failed: upscaler -> pictures that could not be scored.
  """

  set: str
  protocol: dict[str, Any]
  models: dict[str, dict[str, float]]
  pictures: dict[str, dict[str, dict[str, float]]]
  failed: dict[str, int]


def read(folder: pathlib.Path) -> list[Scores]:
  """A run's scores: of held-out pictures, then of test sets by name.

  Raises:
    EnhanceError: a file is damaged.
  """
  found = []
  for path in (
    folder / "evaluation.json",
    *sorted(folder.glob("evaluation.*.json")),
  ):
    if path.is_file():
      tree = read_json(path)
      try:
        found += parse(tree)
      except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise errors.EnhanceError(
          f"{path} holds no scores (model, protocol, sets); it is damaged: "
          "write it again with --mode=evaluate"
        ) from error
  return found


def parse(tree: Mapping[str, Any]) -> list[Scores]:
  """Scores as `scoring.write_json` stores them, one entry a set.

  Args:
    tree: {"protocol", "model", "sets"}, or {"protocol", "models": {NAME:
      {"sets"}}} for several upscalers on the same pictures.

  Raises:
    KeyError, TypeError, ValueError, AttributeError: it is no such tree.
  """
  protocol = dict(tree["protocol"])
  protocol["text"]  # noqa: B018  Every table shows it.
  models = tree.get("models") or {tree["model"]: tree}
  names = dict.fromkeys(name for m in models.values() for name in m["sets"])
  scores = []
  for name in names:
    entries = {
      model: value["sets"][name]
      for model, value in models.items()
      if name in value["sets"]
    }
    scores.append(
      Scores(
        name,
        protocol,
        {model: _numbers(entry["mean"]) for model, entry in entries.items()},
        {
          model: {f: _numbers(row) for f, row in entry["images"].items()}
          for model, entry in entries.items()
        },
        {model: len(entry["failed"]) for model, entry in entries.items()},
      )
    )
  return scores


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
  return {name: float(value) for name, value in row.items()}


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """A JSON object of a run's folder.

  Raises:
    EnhanceError: it cannot be read, or is none.
  """
  try:
    value = json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError) as error:
    raise errors.EnhanceError(
      f"{path} cannot be read as JSON ({error}); it is damaged: copy it again"
    ) from error
  if not isinstance(value, dict):
    raise errors.EnhanceError(
      f"{path} is not a JSON object; it is damaged: copy it again"
    )
  return value
