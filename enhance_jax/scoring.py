"""Weights x test sets -> metrics of every picture, with their protocol."""

import csv
import dataclasses
import functools
import io
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from enhance_jax import errors, figures, resample, testsets, zoo
from enhance_jax.inference import engine
from enhance_jax.measures import DEFAULT, KINDS, Metrics
from enhance_jax.metrics.image import Protocol
from enhance_jax.models import classical

__all__ = [
  "DEFAULT",
  "KINDS",
  "Metrics",
  "Protocol",
  "Sample",
  "Scores",
  "columns",
  "comparison_strip",
  "degrade",
  "entry",
  "measure",
  "protocol_dict",
  "score_sets",
  "write_csv",
  "write_json",
]

PathLike = str | pathlib.Path
Scores = dict[str, Any]
# uint8 HR [H, W, C], cut to the scale, to uint8 LR.
Degrade = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Sample:
  """One scored picture, for figures; all uint8 [H, W, 1 or 3].

  Attributes:
    set: name of its test set.
    file: its file, relative to the set.
    hr: the truth, cut to multiples of the scale.
    lr: what was enlarged.
    sr: the result.
    values: its metrics by name.
  """

  set: str
  file: str
  hr: np.ndarray
  lr: np.ndarray
  sr: np.ndarray
  values: dict[str, float]


class _Plan(NamedTuple):
  """The files of a set, by the stem of the HR picture."""

  pictures: testsets.Pictures
  lr: Mapping[str, pathlib.Path]
  results: Mapping[str, pathlib.Path]


class _Setting(NamedTuple):
  """How every set is scored."""

  upscaler: engine.Engine | None
  scale: int
  protocol: Protocol
  metrics: Metrics
  degrade: Degrade
  observe: Callable[[Sample], None] | None


def score_sets(
  source: engine.Engine | PathLike,
  sets: Sequence[PathLike],
  *,
  scale: int,
  protocol: Protocol,
  metrics: Metrics | Sequence[str] = DEFAULT,
  lr: PathLike | None = None,
  degrade: Degrade | None = None,
  made: str = "",
  suffix: str | None = None,
  observe: Callable[[Sample], None] | None = None,
) -> Scores:
  """Scores an upscaler, or a folder of ready results, on test sets.

  HR is cut at the bottom and right to multiples of `scale`; LR is MATLAB's
  bicubic in uint8 unless given; the result is rounded to uint8. Means are of
  per-picture values. Gray pictures are scored on their own values.

  Files of another folder (results, LR) belong to a picture if their stem is
  the picture's stem, or that stem and one tail that all of them share
  ("babyx4.png", "bird_SR.png"). That folder may hold one sub-folder a set.

  Args:
    source: an upscaler, or the folder of ready results.
    sets: folders; HR pictures are in FOLDER/HR if that exists, else in FOLDER.
    scale: the enlargement.
    protocol: how pictures are compared.
    metrics: names of `KINDS`, or those that need files made ready.
    lr: folder of ready LR pictures.
    degrade: how LR is made otherwise; `degrade` of this module by default.
    made: the same in words, where it is another one.
    suffix: the tail of result files, where several would fit.
    observe: called with every scored picture.

  Returns:
    {"model": name, "sha256": of the weights, "protocol": of `protocol_dict`,
    "sets": {NAME: {"mean": {METRIC: value}, "images": {FILE: {METRIC: value}},
    "failed": {FILE: message}}}}. A picture that cannot be read or measured is
    in "failed" and not in the mean; a mean of nothing is NaN. Metrics of a
    whole set are in its "mean" alone.

  Raises:
    EnhanceError: a set is missing or empty, files do not match, the scale is
      not the upscaler's, or a metric is unknown or lacks a file.
  """
  chosen = metrics if isinstance(metrics, Metrics) else Metrics(metrics)
  upscaler = None if isinstance(source, str | pathlib.Path) else source
  if upscaler is not None and upscaler.scale != scale:
    raise errors.EnhanceError(
      f"{upscaler.name} enlarges x{upscaler.scale}, scale {scale} was wanted"
    )
  plans = _plan(source, sets, lr, suffix)
  if "fid" in chosen.names and len(plans) > 1:
    raise errors.EnhanceError(
      f"fid compares one pair of feature files, {len(plans)} sets were named; "
      "score one set at a time with it"
    )
  if degrade is not None and not made:
    made = "made by another degradation than the protocol's"
  setting = _Setting(
    upscaler, scale, protocol, chosen, degrade or _bicubic(scale), observe
  )
  return {
    "model": str(source) if upscaler is None else upscaler.name,
    "sha256": "" if upscaler is None else upscaler.sha256,
    "protocol": protocol_dict(protocol, scale, lr, made=made, metrics=chosen),
    "sets": {
      name: _score_set(name, plan, setting) for name, plan in plans.items()
    },
  }


def _plan(
  source: engine.Engine | PathLike,
  sets: Sequence[PathLike],
  lr: PathLike | None,
  suffix: str | None,
) -> dict[str, _Plan]:
  """All files by set, before any is opened.

  A typing error must not cost an hour.
  """
  plans = {}
  for name, pictures in testsets.find(sets).items():
    given = testsets.match(pictures, lr, name, "LR") if lr else {}
    results = {}
    if isinstance(source, str | pathlib.Path):
      results = testsets.match(pictures, source, name, "result", suffix)
    plans[name] = _Plan(pictures, given, results)
  return plans


def _score_set(name: str, plan: _Plan, setting: _Setting) -> Scores:
  scored, failed, rows = {}, {}, []
  metrics, protocol = setting.metrics, setting.protocol
  for stem, (path, file) in plan.pictures.items():
    try:
      hr, lr, sr = _pictures(stem, plan, setting)
      values = metrics.measure(sr, hr, lr, protocol, name=f"{name}/{file}")
      rows.append(metrics.features(sr, hr, protocol))
    except errors.EnhanceError as error:
      text = str(error)
      failed[file] = text if str(path) in text else f"{path}: {text}"
      continue
    scored[file] = values
    if setting.observe is not None:
      setting.observe(Sample(name, file, hr, lr, sr, values))
  return entry(scored, failed, metrics.of_set(rows), names=metrics.names)


def _pictures(
  stem: str, plan: _Plan, setting: _Setting
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """HR cut to the scale, LR and SR of one picture."""
  path, _ = plan.pictures[stem]
  hr = testsets.read_hr(path, setting.scale)
  if stem in plan.lr:
    lr = testsets.read_lr(plan.lr[stem], hr, setting.scale, path)
  else:
    lr = setting.degrade(hr)
  if setting.upscaler is None:
    return hr, lr, testsets.read_result(plan.results[stem], hr)
  return hr, lr, setting.upscaler.upscale_uint8(lr)


def entry(
  scored: Mapping[str, dict[str, float]],
  failed: Mapping[str, str] | None = None,
  whole: Mapping[str, float] | None = None,
  *,
  names: Sequence[str] | None = None,
) -> Scores:
  """A set's part of the scores: means, values by file, failures by file.

  Args:
    scored: file -> its metrics.
    failed: file -> message.
    whole: metrics of the set that are no means.
    names: the metrics in the order of the means; by default those of the
      first picture, then those of the set.
  """
  whole = dict(whole or {})
  if names is None:
    names = [*next(iter(scored.values()), DEFAULT), *whole]
  mean = {}
  for name in names:
    if name in whole:
      mean[name] = whole[name]
    elif scored:
      mean[name] = float(np.mean([values[name] for values in scored.values()]))
    else:
      mean[name] = float("nan")
  return {"mean": mean, "images": dict(scored), "failed": dict(failed or {})}


def measure(
  sr: np.ndarray,
  hr: np.ndarray,
  protocol: Protocol,
  metrics: Metrics | Sequence[str] = DEFAULT,
  *,
  lr: np.ndarray | None = None,
) -> dict[str, float]:
  """{metric: value} of uint8 sr [H, W, 1 or 3] against hr.

  Args:
    sr: the picture judged.
    hr: the truth.
    protocol: how they are compared.
    metrics: names of `KINDS`, or those that need files made ready.
    lr: what sr was made from, where a metric asks for it.
  """
  chosen = metrics if isinstance(metrics, Metrics) else Metrics(metrics)
  return chosen.measure(sr, hr, lr, protocol)


def degrade(hr: np.ndarray, scale: int) -> np.ndarray:
  """The LR picture of the protocol: MATLAB's bicubic, uint8 [H, W, C]."""
  return resample.resize_uint8(hr, scale=1 / scale)


def _bicubic(scale: int) -> Degrade:
  return functools.partial(degrade, scale=scale)


def protocol_dict(
  protocol: Protocol,
  scale: int,
  lr: PathLike | None = None,
  *,
  made: str = "",
  metrics: Metrics | None = None,
) -> dict[str, Any]:
  """All that the scores depend on, for JSON.

  Args:
    protocol: colour, border, SSIM.
    scale: the enlargement.
    lr: folder of ready LR pictures, if they are not made.
    made: how LR is made, if it is not by `degrade`.
    metrics: what is measured; PSNR and SSIM by default.
  """
  bicubic = (
    "MATLAB bicubic, antialiased, symmetric borders, float64, rounded to uint8 "
    "after each pass (enhance_jax.resample.resize_uint8)"
  )
  return {
    **protocol.as_dict(),
    "text": f"x{scale}, {protocol.describe()}",
    "scale": scale,
    "hr": f"uint8, cut at the bottom and right to multiples of {scale}",
    "lr": f"given: {lr}" if lr else made or bicubic,
    "sr": "uint8, clipped, rounded half up",
    "mean": "of per-picture values",
    "implementation": "enhance_jax.metrics, float64",
    "metrics": (metrics or Metrics()).describe(),
  }


def write_json(path: PathLike, scores: Scores) -> None:
  """Writes scores as JSON; values that are not finite become strings."""
  text = json.dumps(_finite(scores), indent=2, allow_nan=False)
  zoo.write_atomic(pathlib.Path(path), (text + "\n").encode())


def write_csv(path: PathLike, scores: Scores) -> None:
  """Writes one line a picture: its metrics, then model and protocol."""
  protocol = scores["protocol"]
  setting = [protocol[key] for key in ("scale", "color", "crop", "ssim")]
  names = [name for name in protocol["metrics"] if not KINDS[name].of_set]
  text = io.StringIO(newline="")
  writer = csv.writer(text, lineterminator="\n")
  writer.writerow(
    ("set", "image", *names, "model", "scale", "color", "crop", "ssim_kind")
  )
  for name, entry in scores["sets"].items():
    for file, values in entry["images"].items():
      numbers = [f"{values[key]:.8g}" for key in names]
      writer.writerow([name, file, *numbers, scores["model"], *setting])
  zoo.write_atomic(pathlib.Path(path), text.getvalue().encode())


def columns(
  sample: Sample,
  protocol: Protocol,
  *,
  name: str,
) -> list[figures.Column]:
  """LR, bicubic, result and HR of a picture, for `figures`."""
  scale = sample.hr.shape[0] // sample.lr.shape[0]
  height, width = sample.lr.shape[:2]
  shown = [key for key in DEFAULT if key in sample.values]
  chosen = []
  for kind in ("nearest", "bicubic"):
    if name == kind:
      continue
    enlarged = classical.upscale_uint8(kind, sample.lr, scale)
    values = measure(enlarged, sample.hr, protocol, shown) if shown else {}
    title = f"LR {width}x{height}" if kind == "nearest" else kind
    chosen.append(([title, _caption(values)], enlarged))
  chosen.append(([name, _caption(sample.values)], sample.sr))
  size = f"{sample.hr.shape[1]}x{sample.hr.shape[0]}"
  chosen.append((["HR", size], sample.hr))
  return chosen


def comparison_strip(
  sample: Sample, protocol: Protocol, *, name: str
) -> np.ndarray:
  """The `columns` of a picture side by side, uint8 [H, W, 3]."""
  return figures.comparison_strip(columns(sample, protocol, name=name))


def _caption(values: Mapping[str, float]) -> str:
  formats = {"psnr": "{:.2f} dB", "ssim": "{:.4f}"}
  return " / ".join(
    text.format(values[key]) for key, text in formats.items() if key in values
  )


def _finite(x: Any) -> Any:
  """JSON knows no infinity and no NaN: "inf" and "nan", which float() reads."""
  if isinstance(x, dict):
    return {key: _finite(value) for key, value in x.items()}
  if isinstance(x, list):
    return [_finite(value) for value in x]
  return str(x) if isinstance(x, float) and not np.isfinite(x) else x
