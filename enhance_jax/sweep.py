"""Two generators and what lies between them: scores, curve and pictures.

At every alpha the blended network is scored, and beside it the mean of both
networks' pictures with the same weights, which is the weaker way to trade
perception for distortion (ESRGAN, arXiv 1809.00219, figure 6).
"""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from enhance_jax import cache, errors, images, scoring, testsets, zoo
from enhance_jax import sweep_figures as draw
from enhance_jax.inference import engine

PathLike = str | pathlib.Path

NETWORK, IMAGE = "network", "image"
# The picture that is shown over alpha is cut to a detail of this many pixels.
_DETAIL = 128


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What a sweep has left behind.

  Attributes:
    files: those written.
    failures: messages of pictures that are not in the means.
  """

  files: list[pathlib.Path]
  failures: list[str]


class Mixture(engine.Tiled):
  """(1 - alpha) A(x) + alpha B(x): pictures are mixed, before rounding."""

  def __init__(self, a: engine.Tiled, b: engine.Tiled, alpha: float):
    """Takes two upscalers of one scale."""
    super().__init__(
      f"alpha {alpha:g}, {IMAGE}",
      a.scale,
      max(a.radius, b.radius),
      {"generative": a.generative or b.generative},
      a.tile,
    )
    self._ends, self._alpha = (a, b), alpha

  def enlarge(self, window: np.ndarray) -> np.ndarray:
    """See `engine.Tiled.enlarge`."""
    a, b = (end.enlarge(window) for end in self._ends)
    alpha = np.float32(self._alpha)
    return (1 - alpha) * a + alpha * b


def sweep(
  first: PathLike,
  second: PathLike,
  sets: Sequence[PathLike],
  folder: PathLike,
  *,
  steps: int = 5,
  metrics: Sequence[str] = scoring.DEFAULT,
  weights: PathLike | None = None,
  color: str = "y",
  tile: int | None = None,
  say: Callable[[str], None] = print,
) -> Outcome:
  """Scores every alpha, 0 to 1, and writes what came out.

  Writes sweep.json (every picture's values), sweep.csv (the means), sweep.png
  (the perception-distortion curve) and strip.png (a picture over alpha).

  Args:
    first: the generator's file at alpha 0, trained for PSNR.
    second: at alpha 1, trained on from the first.
    sets: test sets, see `scoring.score_sets`.
    folder: for the results; made if missing.
    steps: from 0 to 1; 5 are six networks.
    metrics: names of `scoring.KINDS`; "psnr" is added, the others are drawn
      over it.
    weights: folder of what the metrics need.
    color: of the protocol, "y", "y8" or "rgb"; `scale` pixels are cropped.
    tile: LR pixels a side.
    say: gets a line for every alpha and set.

  Raises:
    EnhanceError: unusable files, sets, metrics or folder.
  """
  if steps < 1:
    raise errors.EnhanceError(f"got {steps} steps; wanted 1 or more")
  names = tuple(dict.fromkeys(["psnr", *metrics]))
  if len(names) < 2:
    raise errors.EnhanceError(
      "a curve over PSNR needs one more metric, such as --metrics=psnr,ssim"
    )
  # Everything is looked up first: a typing error must not cost an hour.
  testsets.find(sets)
  used = scoring.Metrics(names, weights)
  ends = zoo.load_generator(first), zoo.load_generator(second)
  zoo.blend(*ends, 0)
  folder = _make(pathlib.Path(folder))
  cache.enable_compilation_cache()
  scale = ends[0].module.scale
  protocol = scoring.Protocol(color, scale)
  shown = _Shown()
  points = []
  for method, alpha, upscaler in _upscalers(ends, steps, tile):
    scores = scoring.score_sets(
      upscaler,
      sets,
      scale=scale,
      protocol=protocol,
      metrics=used,
      observe=shown.of(method, alpha),
    )
    points.append({"method": method, "alpha": alpha, **scores})
    for line in _lines(points[-1]):
      say(line)
  return _write(folder, points, shown, [str(first), str(second)], ends)


def _upscalers(
  ends: tuple[zoo.Generator, zoo.Generator], steps: int, tile: int | None
) -> Iterator[tuple[str, float, engine.Tiled]]:
  """(method, alpha, upscaler), alpha rising; the methods share their ends."""
  a, b = (engine.Upscaler(end, tile=tile) for end in ends)
  for i in range(steps + 1):
    alpha = i / steps
    name = f"alpha {alpha:g}, {NETWORK}"
    blended = zoo.blend(*ends, alpha)
    yield NETWORK, alpha, engine.Upscaler(blended, tile=tile, name=name)
    if 0 < i < steps:
      yield IMAGE, alpha, Mixture(a, b, alpha)


class _Shown:
  """The results of one picture, the first that could be scored."""

  def __init__(self):
    self.samples: dict[tuple[str, float], scoring.Sample] = {}
    self._picture: tuple[str, str] | None = None

  def of(self, method: str, alpha: float) -> Callable[[scoring.Sample], None]:
    """What `score_sets` calls with every picture of an upscaler."""

    def observe(sample: scoring.Sample) -> None:
      key = (sample.set, sample.file)
      self._picture = self._picture or key
      if key == self._picture:
        self.samples[method, alpha] = sample

    return observe


def _make(folder: pathlib.Path) -> pathlib.Path:
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise errors.EnhanceError(
      f"{folder} cannot be made ({error.strerror}); choose another -o folder"
    ) from error
  return folder


def _lines(point: dict[str, Any]) -> Iterator[str]:
  """Alpha, method and the means, a line for every set."""
  for name, entry in point["sets"].items():
    values = (
      f"{scoring.KINDS[key].title} {value:.{scoring.KINDS[key].decimals}f}"
      for key, value in entry["mean"].items()
    )
    head = f"alpha {point['alpha']:.2f}  {point['method']:<8} {name}"
    yield "  ".join([head, *values])


def _write(
  folder: pathlib.Path,
  points: list[dict[str, Any]],
  shown: _Shown,
  paths: list[str],
  ends: tuple[zoo.Generator, zoo.Generator],
) -> Outcome:
  protocol = points[0]["protocol"]
  parents = zoo.blend(*ends, 0).card["blend"]["parents"]
  by_alpha = {
    method: {
      f"{point['alpha']:g}": point["sets"]
      for point in points
      if point["method"] == method
    }
    for method in (NETWORK, IMAGE)
  }
  report = {
    "formula": "(1 - alpha) first + alpha second",
    "methods": {
      NETWORK: "parameters and statistics are blended",
      IMAGE: "the two networks' pictures are mixed before rounding; at alpha 0 "
      "and 1 the same as the other",
    },
    "first": {"file": paths[0], **parents[0]},
    "second": {"file": paths[1], **parents[1]},
    "protocol": protocol,
    "scores": by_alpha,
  }
  files = [folder / name for name in ("sweep.json", "sweep.csv", "sweep.png")]
  scoring.write_json(files[0], report)
  zoo.write_atomic(files[1], _csv(points).encode())
  zoo.write_atomic(files[2], draw.curve(points, protocol["text"]))
  if {(NETWORK, 0.0), (NETWORK, 1.0)} <= set(shown.samples):
    files.append(folder / "strip.png")
    strip = draw.strip(shown.samples, _DETAIL)
    images.write_picture(files[-1], images.Picture(strip))
  # A broken picture fails at every alpha, in the same words.
  failures = dict.fromkeys(
    message
    for point in points
    for entry in point["sets"].values()
    for message in entry["failed"].values()
  )
  return Outcome(files, list(failures))


def _csv(points: list[dict[str, Any]]) -> str:
  """A line for each method, alpha and set: the means, and the protocol."""
  protocol = points[0]["protocol"]
  setting = {key: protocol[key] for key in ("scale", "color", "crop", "ssim")}
  text = io.StringIO(newline="")
  writer = csv.writer(text, lineterminator="\n")
  names = next(iter(points[0]["sets"].values()))["mean"]
  head = ["method", "alpha", "set", "pictures", *names]
  writer.writerow([*head, "scale", "color", "crop", "ssim_kind"])
  for point in points:
    for name, entry in point["sets"].items():
      row = [point["method"], f"{point['alpha']:g}", name, len(entry["images"])]
      values = [f"{value:.8g}" for value in entry["mean"].values()]
      writer.writerow([*row, *values, *setting.values()])
  return text.getvalue()
