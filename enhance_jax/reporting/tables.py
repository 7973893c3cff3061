"""Tables of runs: what they are, and what they scored side by side."""

import dataclasses
import math
from collections.abc import Sequence

from enhance_jax.reporting import page, words
from enhance_jax.reporting.runs import Phase, Run
from enhance_jax.reporting.scores import Scores

# Rows of a folded table at the most.
_MOST = 300


def overview(runs: Sequence[Run]) -> page.Table:
  """One line a run."""
  rows = []
  for run in runs:
    seconds = run.seconds()
    rows.append(
      (
        run.name,
        network(run),
        "; ".join(
          f"{p.name}: {words.objective(p.settings['objective'])}"
          for p in run.phases
        ),
        f"x{run.setting('task.scale')}",
        "unknown" if run.parameters is None else f"{run.parameters:,}",
        _progress(run),
        "unknown" if seconds is None else words.duration(seconds),
      )
    )
  columns = ("run", "network", "objective of each phase", "scale")
  return page.Table(
    (*columns, "parameters", "updates", "time in updates"),
    rows,
    numbers=(4, 5, 6),
  )


def network(run: Run) -> str:
  """The generator and its options."""
  chosen = words.options(run.setting("generator.options"))
  name = run.setting("generator.name")
  return f"{name} ({chosen})" if chosen else name


def facts(run: Run) -> page.Table:
  """What pins a run down."""
  record, seconds = run.record, run.seconds()
  data = record.get("data", {})
  taken = "unknown"
  if seconds is not None:
    taken = (
      f"{words.duration(seconds)} of updates (from the logged rates; "
      "evaluation and saving not counted)"
    )
  versions = record.get("versions", {})
  rows = [
    ("configuration", run.setting("name")),
    ("folder", str(run.folder)),
    ("task", _task(run)),
    ("generator", network(run)),
    (
      "its parameters",
      "this run has no weights yet"
      if run.parameters is None
      else f"{run.parameters:,}",
    ),
    ("discriminator", _discriminator(run)),
    ("training pictures", _training_data(run)),
    ("fingerprint of them", data.get("fingerprint", "not recorded")),
    ("held-out pictures", run.setting("data.validation")),
    ("seed", str(run.setting("seed"))),
    ("computed in", run.setting("train.compute_dtype")),
    ("updates", _progress(run)),
    ("time", taken),
    ("devices", record.get("devices", "not recorded")),
    ("revision", record.get("revision", "not recorded")),
    (
      "versions",
      ", ".join(f"{k} {v}" for k, v in versions.items()) or "not recorded",
    ),
  ]
  return page.Table(("what", "value"), rows)


def phases(run: Run) -> page.Table:
  """What a run was trained on, phase by phase."""
  rows = [
    (
      phase.name,
      words.objective(phase.settings["objective"]) or phase.name,
      _game(phase),
      _optimizer(run, phase),
      "yes" if phase.finished else "no",
      f"{phase.end - phase.start:,}",
    )
    for phase in run.phases
  ]
  columns = ("phase", "objective", "game", "optimiser of the generator")
  return page.Table((*columns, "finished", "updates"), rows, numbers=(5,))


@dataclasses.dataclass(frozen=True)
class Group:
  """Scores that may stand in one table: same pictures, same protocol.

  Attributes:
    title: the set, and how it was measured.
    table: one line an upscaler, best values strong.
    pictures: the same picture by picture, folded; None where too long.
  """

  title: str
  table: page.Table
  pictures: page.Table | None


@dataclasses.dataclass(frozen=True)
class _Entry:
  """One upscaler's line: its run (None for a baseline), name and scores."""

  run: Run | None
  model: str
  scores: Scores


def groups(runs: Sequence[Run]) -> list[Group]:
  """All scores of all runs, in tables whose lines may be compared."""
  found: dict[tuple, list[_Entry]] = {}
  for run in runs:
    for scores in run.scores:
      entries = found.setdefault(_comparable(run, scores), [])
      for model in scores.models:
        ours = _is_ours(run, model)
        known = {entry.model for entry in entries if entry.run is None}
        if ours or model not in known:
          entries.append(_Entry(run if ours else None, model, scores))
  return [_group(entries, len(runs) > 1) for entries in found.values()]


def _comparable(run: Run, scores: Scores) -> tuple:
  """Equal for scores of the same pictures under the same protocol.

  Baselines' values tell pictures apart that only have the same names.
  """
  files = {file for rows in scores.pictures.values() for file in rows}
  baselines = tuple(
    round(values["psnr"], 3)
    for model, values in sorted(scores.models.items())
    if not _is_ours(run, model) and "psnr" in values
  )
  protocol = scores.protocol
  return (
    scores.set,
    protocol["text"],
    str(protocol.get("lr")),
    frozenset(files),
    baselines,
  )


def _is_ours(run: Run, model: str) -> bool:
  return any(model.startswith(phase.upscaler) for phase in run.phases)


def _group(entries: list[_Entry], several: bool) -> Group:
  entries = sorted(entries, key=lambda entry: entry.run is not None)
  scores = entries[0].scores
  metrics = list(
    dict.fromkeys(m for e in entries for m in e.scores.models[e.model])
  )
  finest = {
    metric: words.best(
      metric,
      [e.scores.models[e.model].get(metric, math.nan) for e in entries],
    )
    for metric in metrics
  }
  rows = []
  for entry in entries:
    values = entry.scores.models[entry.model]
    cells = [_cell(metric, values, finest[metric]) for metric in metrics]
    rows.append((*_names(entry, several), *cells))
  count = len(next(iter(scores.pictures.values()), {}))
  title = (
    f"{scores.set.replace('_', '-')}: {words.count(count, 'picture')}, "
    f"{scores.protocol['text']}"
  )
  columns = ("upscaler", "objective", *map(words.label, metrics))
  caption = f"{title}. LR: {scores.protocol.get('lr', 'not recorded')}."
  for metric, text in dict.fromkeys(
    item
    for entry in entries
    for item in entry.scores.protocol.get("metrics", {}).items()
  ):
    caption += f" {words.label(metric)}: {text}."
  for entry in entries:
    if failed := entry.scores.failed.get(entry.model):
      missing = words.count(failed, "picture")
      caption += f" {entry.model}: {missing} could not be scored."
  numbers = range(2, len(columns))
  table = page.Table(columns, rows, caption, numbers)
  return Group(title, table, _pictures(entries, several, metrics))


def _pictures(
  entries: list[_Entry], several: bool, metrics: Sequence[str]
) -> page.Table | None:
  """Every picture's values; metrics of whole sets are not among them."""
  rows = []
  for file in next(iter(entries[0].scores.pictures.values()), {}):
    for entry in entries:
      values = entry.scores.pictures[entry.model].get(file, {})
      cells = [_cell(metric, values) for metric in metrics]
      rows.append((file, _names(entry, several)[0], *cells))
  if not rows or len(rows) > _MOST:
    return None
  columns = ("picture", "upscaler", *map(words.label, metrics))
  numbers = range(2, len(columns))
  return page.Table(columns, rows, "", numbers, "Picture by picture")


def _names(entry: _Entry, several: bool) -> tuple[str, str]:
  """The upscaler as the table calls it, and its objective."""
  if entry.run is None:
    return entry.model, "interpolation"
  phase = max(
    (p for p in entry.run.phases if entry.model.startswith(p.upscaler)),
    key=lambda p: len(p.upscaler),
  )
  name = f"{entry.run.name}: {entry.model}" if several else entry.model
  return name, words.objective(phase.settings["objective"]) or phase.name


def _cell(
  metric: str, values: dict[str, float], finest: float | None = None
) -> str:
  if metric not in values:
    return "-"
  text = words.show(metric, values[metric])
  return page.Strong(text) if values[metric] == finest else text


def _progress(run: Run) -> str:
  total = run.phases[-1].end if run.phases else 0
  if not total:
    return "none: it is not trained by gradients"
  return f"{run.steps:,} of {total:,}"


def _task(run: Run) -> str:
  degradation = run.setting("task.degradation")
  chosen = words.options(degradation["options"])
  colors = {1: "gray", 3: "RGB"}
  return (
    f"x{run.setting('task.scale')}, "
    f"{colors.get(run.setting('task.channels'), 'other channels')}, LR by "
    f"{degradation['name']}" + (f" ({chosen})" if chosen else "")
  )


def _training_data(run: Run) -> str:
  data, crop = run.record.get("data", {}), run.setting("data.crop")
  width = run.setting("data").get("crop_width") or crop
  number = data.get("pictures")
  count = "an unrecorded number" if number is None else f"{number:,}"
  return (
    f"{run.setting('data.train')}: {count}; crops of {width}x{crop}, "
    f"batches of {run.setting('data.batch_size')}"
  )


def _discriminator(run: Run) -> str:
  name = run.setting("discriminator.name")
  if not name:
    return "none"
  chosen = words.options(run.setting("discriminator.options"))
  return f"{name} ({chosen})" if chosen else name


def _game(phase: Phase) -> str:
  """The adversarial loss, where the phase plays."""
  if not phase.settings["objective"].get("adversarial"):
    return "none"
  return str(phase.settings.get("adversarial", "not recorded"))


def _optimizer(run: Run, phase: Phase) -> str:
  """The generator's, with its rate and schedule."""
  if not phase.settings["objective"]:
    return "none"
  key = f"phases.{phase.name}.generator_optimizer"
  name, rate, factor, every = (
    run.setting(f"{key}.{part}")
    for part in ("name", "learning_rate", "decay_rate", "decay_every")
  )
  text = f"{name}, rate {rate:g}"
  if every:
    text += f", x{factor:g} every {every:,}"
  if at := run.setting(key).get("decay_at"):
    text += f", x{factor:g} at {', '.join(f'{step:,}' for step in at)}"
  return text
