"""How far a result may be from the truth, pixel by pixel, calibrated.

What a network adds to the one picture that its input determines, the bicubic
one that reduces to it, is invented, be it right or wrong. How much that is
nearby says how wrong it may be; held-out photographs say how much wrong
(`calibration`), for one network run in one way.
"""

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from enhance_jax import errors, images, resample, zoo
from enhance_jax.inference import fidelity, tiled
from enhance_jax.inference import picture as whole

SUFFIX = ".uncertainty.json"
FORMAT = "enhance_jax uncertainty 1"
# Settings that change more than a few pixels, or by more than rounding.
RELEVANT = ("blend", "color_fix", "consistent", "ensemble")
# LR pixels: the standard deviation of what counts as nearby.
_NEARBY = 0.5
# Weight of contrast beside added detail. Of those tried, this sum made the
# narrowest intervals at equal coverage: by 5 % against detail alone; a spread
# over the eight turned pictures, at eight times the work, made wider ones.
_CONTRAST = 0.25
# Levels from which the overlay is at full heat, and which summaries count.
HOT = 64.0
NOTABLE = 16.0


@dataclasses.dataclass(frozen=True)
class Calibration:
  """What `python -m enhance_jax.calibrate` found out about some weights.

  Attributes:
    sha256: digest of the weights.
    settings: those of `RELEVANT` that the network was run with.
    scores: what `score` gives, increasing, in [0, 1].
    levels: half-width of the interval at each, in levels of 0..255.
    coverage: share of a picture's pixels that lie within, as promised.
    report: how it was made and what was measured; values that JSON has.
  """

  sha256: str
  settings: Mapping[str, Any]
  scores: tuple[float, ...]
  levels: tuple[float, ...]
  coverage: float
  report: Mapping[str, Any]

  def half_widths(self, scores: np.ndarray) -> np.ndarray:
    """Levels for scores of any shape; in proportion beyond the last one."""
    beyond = np.maximum(scores / max(self.scores[-1], 1e-6), 1)
    return np.interp(scores, self.scores, self.levels) * beyond


@dataclasses.dataclass(frozen=True)
class Map:
  """Half-widths of intervals around the pixels of an enlarged picture.

  Attributes:
    levels: float32 [H, W], in levels of 0..255: no channel is promised to be
      nearer to the truth.
    coverage: share of a picture's pixels for which that holds.
  """

  levels: np.ndarray
  coverage: float

  def image(self) -> images.Picture:
    """Gray, uint8 [H, W, 1]: the value is the half-width, rounded."""
    return images.Picture(images.to_uint8(self.levels[..., None] / 255))

  def overlay(self, sr: images.Picture) -> images.Picture:
    """The enlarged picture in gray under a heat map, uint8 [H, W, 3].

    Black and blue are certain, orange is 32 levels, yellow 64 and more.

    Args:
      sr: of any size; the map is resampled to it.
    """
    import matplotlib

    gray = images.to_float(images.to_channels(sr.pixels, 1))
    heat = np.clip(self.levels / np.float32(HOT), 0, 1)[..., None]
    if heat.shape[:2] != gray.shape[:2]:
      heat = np.clip(resample.resize(heat, size=gray.shape[:2]), 0, 1)
    colours = matplotlib.colormaps["inferno"](heat[..., 0])[..., :3]
    share = 0.25 + 0.5 * heat
    return images.Picture(
      images.to_uint8((1 - share) * 0.8 * gray + share * colours)
    )

  def share(self, threshold: float = NOTABLE) -> float:
    """The part of the area that is uncertain by more than so many levels."""
    return float(np.mean(self.levels > threshold))

  def summary(self) -> str:
    """One line for a log."""
    return (
      f"{self.share():.0%} of the picture's area is uncertain by more than "
      f"{NOTABLE:g} levels of 255 (mean {self.levels.mean():.0f}, for "
      f"{self.coverage:.0%} of the pixels)"
    )


def beside(weights: str | os.PathLike) -> pathlib.Path:
  """NAME.uncertainty.json of NAME.safetensors."""
  return pathlib.Path(os.fspath(weights).removesuffix(zoo.SUFFIX) + SUFFIX)


def relevant(settings: Mapping[str, Any]) -> dict[str, Any]:
  """Those of an engine's settings that a calibration depends on.

  An end of a blended pair is a network of its own, known by its weights.
  """
  chosen = {key: settings[key] for key in RELEVANT if settings.get(key)}
  if chosen.get("blend") == 1:
    del chosen["blend"]
  return chosen


def save(path: str | os.PathLike, new: Calibration) -> None:
  """Adds a calibration to a file, in place of one of the same network.

  Raises:
    EnhanceError: the file is none of calibrations, or cannot be written.
  """
  path = pathlib.Path(path)
  kept = []
  if path.exists():
    kept = [
      old
      for old in _read(path)
      if (old.sha256, old.settings) != (new.sha256, new.settings)
    ]
  entries = [dataclasses.asdict(one) for one in (*kept, new)]
  text = json.dumps({"format": FORMAT, "calibrations": entries}, indent=1)
  zoo.write_atomic(path, (text + "\n").encode())


def load(
  path: str | os.PathLike, sha256: str, settings: Mapping[str, Any]
) -> Calibration:
  """The calibration of these weights when they are run with these settings.

  Between two blends of a pair that have calibrations, the wider interval of
  the two is taken.

  Args:
    path: of `beside`.
    sha256: the engine's.
    settings: the engine's; those that change no pixels do not matter.

  Raises:
    EnhanceError: there is none, and how it is made; or the file is damaged.
  """
  path = pathlib.Path(path)
  wanted = relevant(settings)
  how = (
    "make one from photographs that the network was not trained on: python "
    f"-m enhance_jax.calibrate --data=FOLDER -o {path} with the flags that "
    "choose the network and how it is run"
  )
  if not path.is_file():
    raise errors.EnhanceError(
      f"there is no calibration {path}, so nothing is known of how far these "
      f"weights are off; {how}"
    )
  found = _read(path)
  for one in found:
    if (one.sha256, one.settings) == (sha256, wanted):
      return one
  if "blend" in wanted:
    between = _between(found, sha256, wanted)
    if between is not None:
      return between
  same = [one for one in found if one.sha256 == sha256]
  if not same:
    raise errors.EnhanceError(
      f"{path} is about other weights (SHA-256 {found[0].sha256[:12]}..., and "
      f"these have {sha256[:12] or 'none'}...); {how}"
    )
  known = " or ".join(_in_words(one.settings) for one in same)
  raise errors.EnhanceError(
    f"{path} is about these weights run {known}, wanted {_in_words(wanted)}; "
    f"{how}"
  )


def _between(
  found: list[Calibration], sha256: str, wanted: Mapping[str, Any]
) -> Calibration | None:
  """What holds for the blends on both sides, if they are known."""
  ends = dict(zip(sha256.split("+"), (0.0, 1.0), strict=False))
  rest = {key: wanted[key] for key in wanted if key != "blend"}
  placed = {}
  for one in found:
    place = one.settings.get("blend", ends.get(one.sha256))
    others = {k: v for k, v in one.settings.items() if k != "blend"}
    if one.sha256 in (sha256, *ends) and others == rest:
      placed[place] = one
  lower = [place for place in placed if place < wanted["blend"]]
  upper = [place for place in placed if place > wanted["blend"]]
  if not lower or not upper:
    return None
  pair = placed[max(lower)], placed[min(upper)]
  scores = np.unique(np.concatenate([one.scores for one in pair]))
  levels = np.maximum(*(one.half_widths(scores) for one in pair))
  return Calibration(
    sha256,
    dict(wanted),
    tuple(scores.tolist()),
    tuple(np.maximum.accumulate(levels).tolist()),
    min(one.coverage for one in pair),
    {"between_blends": [max(lower), min(upper)]},
  )


def _in_words(settings: Mapping[str, Any]) -> str:
  parts = [
    key if value is True else f"{key} {value}"
    for key, value in settings.items()
  ]
  return f"with {', '.join(parts)}" if parts else "plainly"


def _read(path: pathlib.Path) -> list[Calibration]:
  try:
    content = json.loads(path.read_text("utf-8"))
    if content["format"] != FORMAT:
      raise ValueError(f"format {content['format']!r}, wanted {FORMAT!r}")
    found = [_checked(entry) for entry in content["calibrations"]]
    if not found:
      raise ValueError("it is empty")
  except OSError as error:
    raise errors.EnhanceError(
      f"{path}: cannot be read ({error.strerror or error}); check its "
      "permissions"
    ) from error
  except (ValueError, TypeError, KeyError, RecursionError) as error:
    raise errors.EnhanceError(
      f"{path} is no file of calibrations ({error!r}); delete it and make "
      "them again by python -m enhance_jax.calibrate"
    ) from error
  return found


def _checked(entry: Mapping[str, Any]) -> Calibration:
  scores, levels = (
    tuple(float(x) for x in entry[key]) for key in ("scores", "levels")
  )
  numbers = (*scores, *levels, float(entry["coverage"]))
  if not scores or len(scores) != len(levels):
    raise ValueError(f"{len(scores)} scores and {len(levels)} levels")
  if not all(math.isfinite(x) and x >= 0 for x in numbers):
    raise ValueError("values that are no sizes")
  if any(np.diff(scores) <= 0) or any(np.diff(levels) < 0):
    raise ValueError("values that do not increase")
  return Calibration(
    str(entry["sha256"]),
    dict(entry["settings"]),
    scores,
    levels,
    numbers[-1],
    dict(entry["report"]),
  )


def score(sr: np.ndarray, lr: np.ndarray) -> np.ndarray:
  """How hard each pixel is: what was added nearby, and a part of the contrast.

  Args:
    sr: float32 [H, W, C], an enlarged picture.
    lr: float32 [h, w, C], what it was made from.

  Returns:
    float32 [H, W]: the local mean of the distance, in the channel where it is
    largest, from the picture that LR determines, plus a quarter of that
    picture's local standard deviation.
  """
  from scipy import ndimage

  scale = sr.shape[0] // lr.shape[0]
  determined, _ = fidelity.project(np.zeros_like(sr), lr, rounds=1)
  added = np.abs(np.clip(sr, 0, 1) - determined).max(axis=-1)
  gray = determined.mean(axis=-1)
  added, mean, square = (
    ndimage.gaussian_filter(x, _NEARBY * scale, mode="reflect")
    for x in (added, gray, gray**2)
  )
  return added + _CONTRAST * np.sqrt(np.maximum(square - mean**2, 0))


def estimate(
  upscaler: tiled.Engine,
  picture: images.Picture,
  calibration: Calibration,
  *,
  result: images.Picture | None = None,
  on_tile: tiled.OnTile | None = None,
) -> Map:
  """How far each pixel of the enlarged picture may be from the truth.

  That holds for pictures like those of the calibration: photographs made
  small by bicubic interpolation, without noise and without JPEG's traces. A
  few float arrays of the result's size are kept.

  Args:
    upscaler: the engine that the calibration is of.
    picture: what is enlarged; of alpha nothing is said.
    calibration: of `load`.
    result: what `picture.upscale_picture` made of it at the upscaler's own
      scale, if that is at hand; else it is made anew.
    on_tile: called with (tiles done, tiles in all).

  Raises:
    EnhanceError: the calibration is of other weights or settings.
  """
  ours = (upscaler.sha256, relevant(upscaler.settings))
  if ours != (calibration.sha256, dict(calibration.settings)):
    raise errors.EnhanceError(
      "the calibration is of other weights or settings than the network that "
      "enlarges; load the one that belongs to it"
    )
  colours = picture.pixels.shape[-1] - (picture.pixels.shape[-1] in (2, 4))
  pixels = picture.pixels[..., :colours]
  if colours != picture.pixels.shape[-1]:
    pixels = whole.fill_hidden(pixels, picture.pixels[..., colours:])
  lr = images.to_float(pixels)
  wanted = tuple(side * upscaler.scale for side in lr.shape[:2])
  if result is not None and result.pixels.shape[:2] == wanted:
    sr = images.to_float(result.pixels[..., :colours])
  else:
    sr = upscaler.upscale(lr, on_tile=on_tile)
  levels = calibration.half_widths(score(sr, lr)).astype(np.float32)
  return Map(levels, calibration.coverage)
