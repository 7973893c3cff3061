"""What a run's folder tells about the run."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from enhance_jax import errors
from enhance_jax.reporting import scores as scores_lib

_WANTED = "wanted a run's folder, as python -m enhance_jax.main writes it"
_OURS = "ours, after "


@dataclasses.dataclass(frozen=True)
class Phase:
  """One stretch of training.

  Attributes:
    name: as in the configuration.
    settings: from the configuration.
    start: the update before its first one.
    end: its last update.
    finished: whether its weights are there.
  """

  name: str
  settings: Mapping[str, Any]
  start: int
  end: int
  finished: bool

  @property
  def upscaler(self) -> str:
    """What its weights are called in evaluations."""
    return _OURS + self.name


@dataclasses.dataclass(frozen=True)
class Run:
  """One run.

  Attributes:
    folder: where it lies.
    name: what the report calls it.
    record: its run record.
    phases: in order.
    rows: what it logged, in order.
    scores: its evaluations, held-out pictures first.
    parameters: of the generator, or None before any weights were written.
    comparisons: set -> a picture of details, as evaluations draw it.
  """

  folder: pathlib.Path
  name: str
  record: dict[str, Any]
  phases: tuple[Phase, ...]
  rows: tuple[dict[str, float], ...]
  scores: tuple[scores_lib.Scores, ...]
  parameters: int | None
  comparisons: dict[str, pathlib.Path]

  def setting(self, key: str) -> Any:
    """A value of the configuration by its dotted key.

    Raises:
      EnhanceError: the run record has no such key.
    """
    value: Any = self.record["config"]
    for part in key.split("."):
      if not isinstance(value, Mapping) or part not in value:
        raise errors.EnhanceError(
          f"{self.folder / 'run.json'} has no config.{key}; {_WANTED}"
        )
      value = value[part]
    return value

  @property
  def steps(self) -> int:
    """Updates done, as far as the log goes."""
    return int(self.rows[-1]["step"]) if self.rows else 0

  @property
  def steps_an_epoch(self) -> float | None:
    """Updates that show as many crops as there are training pictures."""
    pictures = self.record.get("data", {}).get("pictures")
    return pictures / self.setting("data.batch_size") if pictures else None

  def series(self, name: str) -> tuple[list[int], list[float]]:
    """Steps and finite values of a logged scalar."""
    pairs = [
      (int(row["step"]), row[name])
      for row in self.rows
      if name in row and math.isfinite(row[name])
    ]
    return [step for step, _ in pairs], [value for _, value in pairs]

  def logged(self, prefix: str) -> list[str]:
    """Names that begin with `prefix`, in the order of their appearance."""
    names = dict.fromkeys(name for row in self.rows for name in row)
    return [name for name in names if name.startswith(prefix)]

  def seconds(self) -> float | None:
    """Time spent on updates, from the logged rates; None if none is logged."""
    batch, last, total = self.setting("data.batch_size"), 0, 0.0
    steps, rates = self.series("timing/images_per_second")
    for step, rate in zip(steps, rates, strict=True):
      total += (step - last) * batch / max(rate, 1e-9)
      last = step
    return total if steps else None


def read(folders: Sequence[pathlib.Path]) -> list[Run]:
  """Reads runs; equal names get their folder's name behind them.

  Raises:
    EnhanceError: a folder holds no run, or a file of it is damaged.
  """
  runs = [_read_run(pathlib.Path(folder)) for folder in folders]
  names = [run.name for run in runs]
  renamed = [
    run
    if names.count(run.name) == 1
    else dataclasses.replace(run, name=f"{run.name} ({run.folder})")
    for run in runs
  ]
  if len({run.name for run in renamed}) < len(renamed):
    raise errors.EnhanceError("a run's folder was given twice; name it once")
  return renamed


def _read_run(folder: pathlib.Path) -> Run:
  path = folder / "run.json"
  if not path.is_file():
    raise errors.EnhanceError(
      f"{folder} holds no run: it has no run.json; {_WANTED}"
    )
  record = scores_lib.read_json(path)
  config = record.get("config")
  if not isinstance(config, dict) or "name" not in config:
    raise errors.EnhanceError(f"{path} has no configuration; {_WANTED}")
  phases = _phases(folder, config)
  weights = [
    folder / name
    for name in (
      "generator.safetensors",
      *(f"generator.{phase.name}.safetensors" for phase in phases),
    )
    if (folder / name).is_file()
  ]
  return Run(
    folder=folder,
    name=str(config["name"]),
    record=record,
    phases=phases,
    rows=tuple(_read_rows(folder / "metrics.jsonl")),
    scores=tuple(scores_lib.read(folder)),
    parameters=_parameters(weights[0]) if weights else None,
    comparisons=_comparisons(folder),
  )


def _comparisons(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  first = folder / "comparison.png"
  others = sorted(folder.glob("comparison.*.png"))
  return {
    **({"held_out": first} if first.is_file() else {}),
    **{path.stem.removeprefix("comparison."): path for path in others},
  }


def _phases(
  folder: pathlib.Path, config: Mapping[str, Any]
) -> tuple[Phase, ...]:
  phases, start = [], 0
  if config.get("fit") == "dictionary":
    done = (folder / "generator.dictionary.safetensors").is_file()
    return (Phase("dictionary", {"objective": {}}, 0, 0, done),)
  for name in config.get("phase_order", ()):
    try:
      settings = config["phases"][name]
      end = start + int(settings["steps"])
      dict(settings["objective"])
    except (KeyError, TypeError, ValueError) as error:
      raise errors.EnhanceError(
        f'{folder / "run.json"} has no whole phase "{name}"; {_WANTED}'
      ) from error
    done = (folder / f"generator.{name}.safetensors").is_file()
    phases.append(Phase(name, settings, start, end, done))
    start = end
  return tuple(phases)


def _read_rows(path: pathlib.Path) -> list[dict[str, float]]:
  """The log's rows; a last line without its end was cut by a kill."""
  if not path.is_file():
    return []
  try:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
  except (OSError, ValueError) as error:
    raise errors.EnhanceError(f"{path} cannot be read ({error})") from error
  rows = []
  for number, line in enumerate(lines, 1):
    if not line.endswith("\n"):
      break
    try:
      row = {name: float(value) for name, value in json.loads(line).items()}
      row["step"] = int(row["step"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
      raise errors.EnhanceError(
        f"{path}, line {number}, is no row of metrics "
        f'({{"step": n, name: value, ...}}); the file is damaged'
      ) from error
    rows.append(row)
  return rows


def _parameters(path: pathlib.Path) -> int:
  """Trained numbers in a weights file; statistics do not count."""
  from safetensors import SafetensorError, safe_open

  try:
    with safe_open(path, framework="numpy") as file:
      return sum(
        math.prod(file.get_slice(name).get_shape())
        for name in file.keys()  # noqa: SIM118  It is no mapping.
        if name.startswith("params/")
      )
  except (SafetensorError, OSError) as error:
    raise errors.EnhanceError(
      f"{path} is not a whole safetensors file ({error}); copy it again"
    ) from error
