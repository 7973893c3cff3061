"""A run's held-out pictures and test sets: scores, and pages of details."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from enhance_jax import errors, figures, images, registry, scoring, zoo
from enhance_jax.config import Config
from enhance_jax.data import sources
from enhance_jax.inference import engine
from enhance_jax.metrics import image as metrics

_BASELINES = ("nearest", "bilinear", "bicubic")
_DETAIL = 192
# Pictures on a page at the most.
_PAGE = 8


def protocol(config: Config) -> metrics.Protocol:
  """How a configuration wants its results compared."""
  crop = config.evaluate.crop
  return metrics.Protocol(
    color=config.evaluate.color,
    crop=config.task.scale if crop < 0 else crop,
    ssim=config.evaluate.ssim,
  )


def baselines(scale: int) -> list[engine.Engine]:
  """Interpolations to compare with; where nothing is enlarged, the input."""
  if scale > 1:
    return [engine.Interpolation(name, scale) for name in _BASELINES]
  unchanged = engine.Interpolation("nearest", 1)
  unchanged.name = "input"
  return [unchanged]


def lr_maker(
  config: Config,
) -> tuple[Callable[[np.ndarray], np.ndarray] | None, str]:
  """uint8 HR -> uint8 LR as the task has it; the protocol's own where it is.

  A random degradation draws the same numbers for every picture and time.

  Returns:
    The function, and how it makes LR in words; (None, "") for the protocol's
    own way, `scoring.degrade`.
  """
  task, given = config.task, config.evaluate.degradation
  given = given if given.name else task.degradation
  options = given.options.to_dict()
  # Scored pictures are uint8, whatever the training rounds.
  matlab = {"kernel": "bicubic", "border": "symmetric"}
  named = {key: value for key, value in options.items() if key != "quantize"}
  if given.name == "resize" and named.items() <= matlab.items():
    return None, ""
  degrade = registry.build(
    registry.DEGRADATIONS,
    given.name,
    "degradation",
    scale=task.scale,
    **options,
  )

  def make(hr: np.ndarray) -> np.ndarray:
    import jax

    key = jax.random.key(config.seed)
    lr = degrade(images.to_float(hr)[None], key)
    return images.to_uint8(np.asarray(lr[0]))

  words = ", ".join(f"{key}={value}" for key, value in options.items())
  return make, f"{given.name}({words}) at seed {config.seed}"


@dataclasses.dataclass(frozen=True)
class Result:
  """What an upscaler made of a set.

  Attributes:
    scores: "mean", "images" and "failed", of `scoring.entry`.
    samples: its pictures by name; those for the page alone where many.
  """

  scores: dict[str, Any]
  samples: dict[str, scoring.Sample]


class Comparison:
  """Several upscalers on the same pictures.

  Args:
    name: of the set of pictures.
    results: by the upscaler's name.
    protocol: of `scoring.protocol_dict`.
  """

  def __init__(
    self, name: str, results: dict[str, Result], protocol: dict[str, Any]
  ):
    self._name, self._results, self._protocol = name, results, protocol

  def mean(self, name: str) -> dict[str, float]:
    """Mean scores of an upscaler."""
    return self._results[name].scores["mean"]

  def as_dict(self) -> dict[str, Any]:
    """The protocol, and the scores of every upscaler and picture."""
    return {
      "protocol": self._protocol,
      "models": {
        name: {"sets": {self._name: result.scores}}
        for name, result in self._results.items()
      },
    }

  def table(self) -> str:
    """The means as text, one line an upscaler, the protocol above."""
    first = next(iter(self._results.values()))
    count, keys = len(first.scores["images"]), list(first.scores["mean"])
    pictures = "picture" if count == 1 else "pictures"
    width = max(24, *(len(name) + 2 for name in self._results))
    kinds = [scoring.KINDS[key] for key in keys]
    cells = [max(10, len(kind.title) + 2) for kind in kinds]
    titles = zip(kinds, cells, strict=True)
    lines = [
      f"{count} {self._name.replace('_', '-')} {pictures}, "
      f"{self._protocol['text']}",
      " " * width + "".join(f"{kind.title:>{n}}" for kind, n in titles),
    ]
    for name in self._results:
      mean = self.mean(name)
      row = (
        f"{mean[key]:>{n}.{kind.decimals}f}"
        for key, kind, n in zip(keys, kinds, cells, strict=True)
      )
      lines.append(f"{name:<{width}}{''.join(row)}")
    return "\n".join(lines)

  def write_page(self, path: pathlib.Path, shown: Sequence[str]) -> None:
    """Draws a detail of some pictures: LR, the upscalers of `shown`, HR.

    Args:
      path: a PNG file.
      shown: names of upscalers, from left to right.

    Raises:
      EnhanceError: the file cannot be written.
    """
    rows = []
    for name in list(self._results[shown[0]].samples)[:_PAGE]:
      samples = {up: self._results[up].samples[name] for up in shown}
      rows.append((name, _columns(samples)))
    title = "Details; the values are of the whole pictures"
    page = figures.comparison_page(rows, title=title)
    images.write_picture(path, images.Picture(page))


def _columns(samples: dict[str, scoring.Sample]) -> list[figures.Column]:
  one = next(iter(samples.values()))
  scale = one.hr.shape[0] // one.lr.shape[0]
  window = _busiest(one.hr, _DETAIL, scale)
  enlarged = one.lr.repeat(scale, 0).repeat(scale, 1)
  height, width = one.lr.shape[:2]
  columns: list[figures.Column] = [
    ([f"LR {width}x{height}", "the input"], enlarged[window])
  ]
  for name, sample in samples.items():
    known = [(scoring.KINDS[key], v) for key, v in sample.values.items()]
    caption = [f"{kind.title} {v:.{kind.decimals}f}" for kind, v in known]
    columns.append(([name, *caption], sample.sr[window]))
  size = f"{one.hr.shape[1]}x{one.hr.shape[0]}, the reference"
  columns.append((["HR", size], one.hr[window]))
  return columns


class HeldOut:
  """Held-out pictures of a run, cut to the scale, with their LR versions.

  Args:
    config: the run's configuration.
    source: where the pictures come from.
    limit: how many to take at the most; 0: all.
  """

  def __init__(
    self,
    config: Config,
    source: sources.Source,
    limit: int = 0,
  ):
    self._protocol = protocol(config)
    self._scale = config.task.scale
    self._shown = config.train.sample_pictures
    self._metrics = _metrics(config)
    count = min(limit, len(source)) if limit else len(source)
    self.names = _names([source.name(i) for i in range(count)])
    self.hr = [images.modcrop(source[i], self._scale) for i in range(count)]
    make, self._made = lr_maker(config)
    if make is None:
      make = functools.partial(scoring.degrade, scale=self._scale)
    self.lr = list(map(make, self.hr))

  def score(
    self, upscaler: engine.Engine, used: scoring.Metrics | None = None
  ) -> Result:
    """Scores of every picture, by the run's metrics or by others."""
    used = used or self._metrics
    samples, rows = {}, []
    for name, lr, hr in zip(self.names, self.lr, self.hr, strict=True):
      sr = upscaler.upscale_uint8(lr)
      values = used.measure(sr, hr, lr, self._protocol)
      rows.append(used.features(sr, hr, self._protocol))
      samples[name] = scoring.Sample("held_out", name, hr, lr, sr, values)
    scored = {name: sample.values for name, sample in samples.items()}
    return Result(scoring.entry(scored, whole=used.of_set(rows)), samples)

  def while_training(
    self, bundle: zoo.Generator
  ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Mean PSNR and SSIM, and a few SR pictures by name for the log."""
    result = self.score(engine.Upscaler(bundle), scoring.Metrics())
    shown = list(result.samples.items())[: self._shown]
    pictures = {f"sr/{name}": sample.sr for name, sample in shown}
    return result.scores["mean"], pictures

  def baselines(self) -> dict[str, float]:
    """Mean PSNR and SSIM of interpolations as "baseline/NAME/METRIC"."""
    values = {}
    for upscaler in baselines(self._scale):
      mean = self.score(upscaler, scoring.Metrics()).scores["mean"]
      values |= {f"baseline/{upscaler.name}/{k}": v for k, v in mean.items()}
    return values

  def compare(self, upscalers: Iterable[engine.Engine]) -> Comparison:
    """Scores several upscalers on all pictures."""
    results = {up.name: self.score(up) for up in upscalers}
    used = scoring.protocol_dict(
      self._protocol, self._scale, metrics=self._metrics, made=self._made
    )
    return Comparison("held_out", results, used)


def compare_on(
  config: Config, folder: str, upscalers: Sequence[engine.Engine]
) -> tuple[str, Comparison]:
  """Scores several upscalers on a test set.

  Args:
    config: of the run: protocol, metrics, and how LR is made.
    folder: the set, as for `testsets.find`.
    upscalers: what to score.

  Returns:
    The set's name, and the comparison.
  """
  used, scale = protocol(config), config.task.scale
  make, made = lr_maker(config)
  name, protocol_text, results = "", {}, {}
  for upscaler in upscalers:
    samples: dict[str, scoring.Sample] = {}

    def keep(sample: scoring.Sample, kept: dict = samples) -> None:
      if len(kept) < _PAGE:
        kept[sample.file] = sample

    scores = scoring.score_sets(
      upscaler,
      [folder],
      scale=scale,
      protocol=used,
      metrics=_metrics(config),
      degrade=make,
      made=made,
      observe=keep,
    )
    protocol_text = scores["protocol"]
    ((name, entry),) = scores["sets"].items()
    results[upscaler.name] = Result(entry, samples)
  return name, Comparison(name, results, protocol_text)


def _metrics(config: Config) -> scoring.Metrics:
  return scoring.Metrics(
    tuple(config.evaluate.metrics), weights=config.evaluate.weights or None
  )


def _names(paths: Sequence[str]) -> list[str]:
  """File names, with their folders where the names alone are not unique."""
  short = [pathlib.Path(path).name for path in paths]
  if len(set(short)) == len(short):
    return short
  return ["/".join(pathlib.Path(path).parts[-2:]) for path in paths]


def _busiest(hr: np.ndarray, size: int, scale: int) -> tuple[slice, slice]:
  """The window of about `size` pixels with the most contrast in it."""
  luma = hr.mean(axis=-1)
  slope = (
    np.abs(np.diff(luma, axis=0))[:, :-1] + np.abs(np.diff(luma, axis=1))[:-1]
  )
  total = np.pad(slope.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
  height, width = (min(size, side) for side in slope.shape)
  sums = (
    total[height:, width:]
    - total[:-height, width:]
    - total[height:, :-width]
    + total[:-height, :-width]
  )
  top, left = np.unravel_index(np.argmax(sums), sums.shape)
  top, left = top - top % scale, left - left % scale
  return slice(top, top + height), slice(left, left + width)


def finished_phases(workdir: pathlib.Path, order: Sequence[str]) -> list[str]:
  """The phases of `order` whose weights are in a run's folder.

  Raises:
    EnhanceError: there are none.
  """
  done = [
    name
    for name in order
    if (workdir / f"generator.{name}.safetensors").is_file()
  ]
  if not done:
    raise errors.EnhanceError(
      f"{workdir} has no finished phase to evaluate (wanted "
      f"generator.{order[0]}.safetensors); train first with --mode=train"
    )
  return done
