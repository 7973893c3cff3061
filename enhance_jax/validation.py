"""A run's held-out pictures: scores while it trains, a page at its end."""

import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from enhance_jax import errors, figures, images, scoring, zoo
from enhance_jax.config import Config
from enhance_jax.data import sources
from enhance_jax.inference import engine
from enhance_jax.metrics import image as metrics

BASELINES = ("nearest", "bilinear", "bicubic")
_DETAIL = 192


def protocol(config: Config) -> metrics.Protocol:
  """How a configuration wants its results compared."""
  crop = config.evaluate.crop
  return metrics.Protocol(
    color=config.evaluate.color,
    crop=config.task.scale if crop < 0 else crop,
    ssim=config.evaluate.ssim,
  )


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
    count = min(limit, len(source)) if limit else len(source)
    self.names = [pathlib.Path(source.name(i)).name for i in range(count)]
    self.hr = [images.modcrop(source[i], self._scale) for i in range(count)]
    self.lr = [scoring.degrade(hr, self._scale) for hr in self.hr]

  def score(
    self, upscaler: engine.Engine
  ) -> tuple[dict[str, Any], list[np.ndarray]]:
    """PSNR and SSIM by picture with their mean, and the SR pictures."""
    sr = [upscaler.upscale_uint8(lr) for lr in self.lr]
    rows = [
      scoring.measure(a, b, self._protocol)
      for a, b in zip(sr, self.hr, strict=True)
    ]
    return scoring.entry(dict(zip(self.names, rows, strict=True))), sr

  def while_training(
    self, bundle: zoo.Generator
  ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Mean scores, and a few SR pictures by name for the log."""
    scores, sr = self.score(engine.Upscaler(bundle))
    shown = dict(zip(self.names[: self._shown], sr, strict=False))
    return scores["mean"], {f"sr/{name}": x for name, x in shown.items()}

  def compare(self, upscalers: Iterable[engine.Engine]) -> "Comparison":
    """Scores several upscalers on all pictures."""
    results = {up.name: self.score(up) for up in upscalers}
    return Comparison(self, results, self._protocol, self._scale)


class Comparison:
  """Several upscalers on the same held-out pictures."""

  def __init__(
    self,
    held_out: HeldOut,
    results: dict[str, tuple[dict[str, Any], list[np.ndarray]]],
    used: metrics.Protocol,
    scale: int,
  ):
    self._held_out, self._results = held_out, results
    self._protocol, self._scale = used, scale

  def mean(self, name: str) -> dict[str, float]:
    """Mean PSNR and SSIM of an upscaler."""
    return self._results[name][0]["mean"]

  def as_dict(self) -> dict[str, Any]:
    """The protocol, and the scores of every upscaler and picture."""
    return {
      "protocol": scoring.protocol_dict(self._protocol, self._scale),
      "models": {
        name: {"sets": {"held_out": scores}}
        for name, (scores, _) in self._results.items()
      },
    }

  def table(self) -> str:
    """The means as text, one line an upscaler, the protocol above."""
    count = len(self._held_out.names)
    pictures = "picture" if count == 1 else "pictures"
    lines = [
      f"{count} held-out {pictures}, x{self._scale}, "
      f"{self._protocol.describe()}",
      f"{'':<24}{'PSNR dB':>9}{'SSIM':>9}",
    ]
    for name in self._results:
      mean = self.mean(name)
      lines.append(f"{name:<24}{mean['psnr']:>9.3f}{mean['ssim']:>9.4f}")
    return "\n".join(lines)

  def write_page(self, path: pathlib.Path, shown: Sequence[str]) -> None:
    """Draws a detail of every picture: LR, the upscalers of `shown`, HR.

    Args:
      path: a PNG file.
      shown: names of upscalers, from left to right.

    Raises:
      EnhanceError: the file cannot be written.
    """
    rows = []
    for index, name in enumerate(self._held_out.names):
      hr, lr = self._held_out.hr[index], self._held_out.lr[index]
      window = _busiest(hr, _DETAIL, self._scale)
      enlarged = lr.repeat(self._scale, 0).repeat(self._scale, 1)
      height, width = lr.shape[:2]
      pictures = [(f"LR {width}x{height} (nearest)", "nearest", enlarged)]
      pictures += [(up, up, self._results[up][1][index]) for up in shown]
      columns = []
      for title, upscaler, picture in pictures:
        values = self._results[upscaler][0]["images"][name]
        caption = f"{values['psnr']:.2f} dB / {values['ssim']:.4f}"
        columns.append(([title, caption], picture[window]))
      size = f"{hr.shape[1]}x{hr.shape[0]}, the reference"
      columns.append((["HR", size], hr[window]))
      rows.append((name, columns))
    title = "Details; PSNR and SSIM are of the whole picture"
    page = figures.comparison_page(rows, title=title)
    images.write_picture(path, images.Picture(page))


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
