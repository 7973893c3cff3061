"""The training card: how weights came about, in Markdown.

Everything in it stands in the model card; `facts` adds what only the folder of
the training run knows.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

# Settings of an optimiser that stay silent where they switch nothing on.
_QUIET = (0, 0.0, [], {}, "")
_YES_NO: dict[Any, str] = {True: "yes", False: "no"}
# Name in the card -> key of the run's configuration.
_SETTINGS = {
  "seed": "seed",
  "batch_size": "data.batch_size",
  "crop": "data.crop",
  "train": "data.train",
  "validation": "data.validation",
  "degradation": "task.degradation",
  "start": "generator.start",
  "compute_dtype": "train.compute_dtype",
  "ema_decay": "train.ema_decay",
}


def facts(run: Any, phase: str) -> dict[str, Any]:
  """What a run's folder adds to the card of one of its weights.

  Args:
    run: a `reporting.runs.Run`.
    phase: the one after which the weights were written.

  Returns:
    "training" (seconds, devices, batch size, crop ...) and "scores" (set ->
    metric -> mean, with the protocol in words), for the card.
  """
  config = run.record["config"]
  known = [one for one in run.phases if one.name == phase]
  if known:
    rows = [row for row in run.rows if row["step"] <= known[0].end]
    run = dataclasses.replace(run, rows=tuple(rows))
  training = {name: _setting(config, path) for name, path in _SETTINGS.items()}
  training |= {
    "phases": _until(phase, [one.name for one in run.phases]),
    "seconds": run.seconds(),
    "devices": run.record.get("devices", ""),
    "versions": run.record.get("versions", {}),
  }
  scores = {}
  for one in run.scores:
    if known and known[0].upscaler in one.models:
      means = one.models[known[0].upscaler]
      pictures = len(one.pictures[known[0].upscaler])
      scores[one.set] = {
        "protocol": one.protocol["text"],
        "pictures": pictures,
        **{name: round(value, 6) for name, value in means.items()},
      }
  return {"training": training, "scores": scores}


def _setting(config: Mapping[str, Any], path: str) -> Any:
  """A value by its dotted key; None where an older run has none."""
  value: Any = config
  for key in path.split("."):
    value = value.get(key) if isinstance(value, Mapping) else None
  return value


def _until(phase: str, names: list[str]) -> list[str]:
  return names[: names.index(phase) + 1] if phase in names else names


def markdown(name: str, card: Mapping[str, Any], sha256: str) -> str:
  """The card as a page.

  Args:
    name: the heading.
    card: a model card, with `facts` or without.
    sha256: of the weights file.

  Returns:
    Markdown; what the card does not say is left out.
  """
  options = ", ".join(f"{k}={v}" for k, v in card["kwargs"].items())
  scales = card.get("scales", [card["scale"]])
  rows = [
    ("Network", f"`{card['model']}({options})`"),
    ("Enlarges", " or ".join(f"x{scale}" for scale in scales)),
    (
      "Fine detail",
      "invented (a discriminator took part)"
      if card["generative"]
      else "not invented (no discriminator took part)",
    ),
    ("SHA-256", f"`{sha256}`"),
    ("Stored as", card.get("storage", "float32")),
  ]
  lines = [f"# {name}", "", *_table(("What", ""), rows)]
  for title, body in (
    ("Origin", _origin(card)),
    ("Data", _data(card)),
    ("Recipe", _recipe(card)),
    ("Training", _training(card)),
    ("Scores", _scores(card)),
    ("Versions", _versions(card)),
  ):
    if body:
      lines += ["", f"## {title}", "", *body]
  return "\n".join(lines) + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
  return [
    f"| {' | '.join(head)} |",
    f"|{'---|' * len(head)}",
    *(f"| {' | '.join(map(str, row))} |" for row in rows),
  ]


def _list(rows: list[tuple[str, Any]]) -> list[str]:
  return [f"- {name}: {value}" for name, value in rows if value]


def _origin(card: Mapping[str, Any]) -> list[str]:
  imported, blend = card.get("imported", {}), card.get("blend", {})
  rows: list[tuple[str, Any]] = [
    ("note", card.get("note")),
    ("imported from", imported.get("file")),
    ("its SHA-256", imported.get("sha256")),
    ("its layout", imported.get("layout")),
    ("taken without being told", _words(imported.get("assumed", {}))),
  ]
  if blend:
    parents = " and ".join(p["sha256"][:12] for p in blend["parents"])
    rows.append(("blend", f"alpha {blend['alpha']:g} between {parents}"))
  return _list(rows)


def _data(card: Mapping[str, Any]) -> list[str]:
  data, training = card.get("data", {}), card.get("training", {})
  if not isinstance(data, Mapping):
    return _list([("pictures", data)])
  degradation = training.get("degradation") or {}
  how = _words(degradation.get("options", {}))
  return _list(
    [
      ("source", data.get("source")),
      ("pictures", data.get("pictures")),
      ("fingerprint", data.get("fingerprint")),
      ("held out", training.get("validation")),
      ("degradation", f"{degradation.get('name', '')} {how}".strip()),
    ]
  )


def _recipe(card: Mapping[str, Any]) -> list[str]:
  lines = _list(
    [
      ("configuration", card.get("config")),
      ("revision of the code", card.get("revision")),
      ("start", card.get("training", {}).get("start")),
      ("phase of these weights", card.get("phase")),
      ("updates", card.get("step")),
      ("moving average", _YES_NO.get(card.get("averaged"))),
    ]
  )
  rows = [
    (
      phase,
      settings.get("steps"),
      _words(settings.get("objective", {})),
      _optimizer(settings.get("generator_optimizer", {})),
    )
    for phase, settings in _phases(card)
  ]
  if rows:
    head = ("Phase", "Updates", "Objective", "Optimiser")
    lines += ["", *_table(head, rows)]
  return lines


def _phases(card: Mapping[str, Any]) -> list[tuple[str, Any]]:
  """In order where it is known, up to the one that made these weights."""
  recipe = card.get("recipe", {})
  names = card.get("training", {}).get("phases", list(recipe))
  return [(name, recipe[name]) for name in names if name in recipe]


def _optimizer(settings: Mapping[str, Any]) -> str:
  said = {k: v for k, v in settings.items() if v not in _QUIET and k != "name"}
  if not (said.get("decay_every") or said.get("decay_at")):
    said.pop("decay_rate", None)
  return f"{settings.get('name', '')} {_words(said)}".strip()


def _words(settings: Mapping[str, Any]) -> str:
  return ", ".join(
    f"{name} {json.dumps(value) if isinstance(value, dict) else value}"
    for name, value in settings.items()
    if value not in ({}, None)
  )


def _training(card: Mapping[str, Any]) -> list[str]:
  training = card.get("training", {})
  data = card.get("data", {})
  seed = data.get("seed") if isinstance(data, Mapping) else None
  seed = training.get("seed", seed)
  seconds = training.get("seconds")
  return _list(
    [
      ("seed", "" if seed is None else str(seed)),
      ("time spent on updates", seconds and f"{seconds / 3600:.2f} h"),
      ("devices", training.get("devices")),
      ("batch", training.get("batch_size")),
      ("HR crop", training.get("crop")),
      ("computed in", training.get("compute_dtype")),
      ("decay of the average", training.get("ema_decay")),
    ]
  )


def _scores(card: Mapping[str, Any]) -> list[str]:
  lines = []
  for name, one in card.get("scores", {}).items():
    figures = ", ".join(
      f"{metric.upper()} {value:.4f}"
      for metric, value in one.items()
      if isinstance(value, float)
    )
    lines.append(
      f"- {name} ({one.get('pictures', '?')} pictures): {figures}; "
      f"{one.get('protocol', '')}"
    )
  probe = card.get("probe")
  if probe:
    lines.append(
      f"- test picture: mean colour off by {probe.get('colour')}, made small "
      f"again {probe.get('lr_psnr')} dB"
    )
  return lines


def _versions(card: Mapping[str, Any]) -> list[str]:
  trained = card.get("training", {}).get("versions", {})
  words = _words(trained or card.get("versions", {}))
  return _list([("trained with" if trained else "written with", words)])
