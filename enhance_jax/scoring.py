"""Weights x test sets -> PSNR and SSIM of every picture, with the protocol."""

import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from enhance_jax import errors, figures, images, resample, testsets, zoo
from enhance_jax.inference import engine
from enhance_jax.metrics import image as metrics
from enhance_jax.models import classical

PathLike = str | pathlib.Path
Scores = dict[str, Any]

COLUMNS = (
  "set",
  "image",
  "psnr",
  "ssim",
  "model",
  "scale",
  "color",
  "crop",
  "ssim_kind",
)


@dataclasses.dataclass(frozen=True)
class Sample:
  """One scored picture, for figures; all uint8 [H, W, 1 or 3].

  Attributes:
    set: name of its test set.
    file: its file, relative to the set.
    hr: the truth, cut to multiples of the scale.
    lr: what was enlarged.
    sr: the result.
    values: {"psnr": dB, "ssim": ...}.
  """

  set: str
  file: str
  hr: np.ndarray
  lr: np.ndarray
  sr: np.ndarray
  values: dict[str, float]


def score_sets(
  source: engine.Engine | PathLike,
  sets: Sequence[PathLike],
  *,
  scale: int,
  protocol: metrics.Protocol,
  lr: PathLike | None = None,
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
    lr: folder of ready LR pictures.
    suffix: the tail of result files, where several would fit.
    observe: called with every scored picture.

  Returns:
    {"model": name, "sha256": of the weights, "protocol": {...}, "sets": {NAME:
    {"mean": {"psnr", "ssim"}, "images": {FILE: {"psnr", "ssim"}}, "failed":
    {FILE: message}}}}. A picture that cannot be read or compared is in "failed"
    and not in the mean; a mean of nothing is NaN.

  Raises:
    EnhanceError: a set is missing or empty, files do not match, or the scale
      is not the upscaler's.
  """
  ready = isinstance(source, str | pathlib.Path)
  if not ready and source.scale != scale:
    raise errors.EnhanceError(
      f"{source.name} enlarges x{source.scale}, scale {scale} was wanted"
    )
  # Everything is looked up first: a typing error must not cost an hour.
  plans = {}
  for name, pictures in testsets.find(sets).items():
    given = testsets.match(pictures, lr, name, "LR") if lr else {}
    results = (
      testsets.match(pictures, source, name, "result", suffix) if ready else {}
    )
    plans[name] = (pictures, given, results)
  upscaler = None if ready else source
  return {
    "model": str(source) if ready else source.name,
    "sha256": "" if ready else source.sha256,
    "protocol": protocol_dict(protocol, scale, lr),
    "sets": {
      name: _score_set(
        name, pictures, given, results, upscaler, scale, protocol, observe
      )
      for name, (pictures, given, results) in plans.items()
    },
  }


def _score_set(
  name: str,
  pictures: testsets.Pictures,
  given: Mapping[str, pathlib.Path],
  results: Mapping[str, pathlib.Path],
  upscaler: engine.Engine | None,
  scale: int,
  protocol: metrics.Protocol,
  observe: Callable[[Sample], None] | None,
) -> Scores:
  scored, failed = {}, {}
  for stem, (path, file) in pictures.items():
    try:
      hr, lr = _read_pair(path, given.get(stem), scale)
      if upscaler is None:
        sr = _read_result(results[stem], hr)
      else:
        sr = upscaler.upscale_uint8(lr)
      scored[file] = measure(sr, hr, protocol)
    except errors.EnhanceError as error:
      text = str(error)
      failed[file] = text if str(path) in text else f"{path}: {text}"
      continue
    if observe is not None:
      observe(Sample(name, file, hr, lr, sr, scored[file]))
  return entry(scored, failed)


def entry(
  scored: Mapping[str, dict[str, float]],
  failed: Mapping[str, str] | None = None,
) -> Scores:
  """A set's part of the scores: means, values by file, failures by file."""
  mean = {
    key: float(np.mean([values[key] for values in scored.values()]))
    if scored
    else float("nan")
    for key in ("psnr", "ssim")
  }
  return {"mean": mean, "images": dict(scored), "failed": dict(failed or {})}


def measure(
  sr: np.ndarray, hr: np.ndarray, protocol: metrics.Protocol
) -> dict[str, float]:
  """{"psnr": dB, "ssim": ...} of uint8 sr [H, W, 1 or 3] against hr."""
  return {
    "psnr": metrics.psnr(sr, hr, protocol),
    "ssim": metrics.ssim(sr, hr, protocol),
  }


def degrade(hr: np.ndarray, scale: int) -> np.ndarray:
  """The LR picture of the protocol: MATLAB's bicubic, uint8 [H, W, C]."""
  return resample.resize_uint8(hr, scale=1 / scale)


def protocol_dict(
  protocol: metrics.Protocol, scale: int, lr: PathLike | None = None
) -> dict[str, Any]:
  """All that the scores depend on, for JSON; `lr`: folder of ready ones."""
  made = (
    "MATLAB bicubic, antialiased, symmetric borders, float64, rounded to uint8 "
    "after each pass (enhance_jax.resample.resize_uint8)"
  )
  return {
    **protocol.as_dict(),
    "text": f"x{scale}, {protocol.describe()}",
    "scale": scale,
    "hr": f"uint8, cut at the bottom and right to multiples of {scale}",
    "lr": f"given: {lr}" if lr else made,
    "sr": "uint8, clipped, rounded half up",
    "mean": "of per-picture values",
    "implementation": "enhance_jax.metrics.image, float64",
  }


def write_json(path: PathLike, scores: Scores) -> None:
  """Writes scores as JSON; values that are not finite become strings."""
  text = json.dumps(_finite(scores), indent=2, allow_nan=False)
  zoo.write_atomic(pathlib.Path(path), (text + "\n").encode())


def write_csv(path: PathLike, scores: Scores) -> None:
  """Writes one line a picture, each with model and protocol (`COLUMNS`)."""
  protocol = scores["protocol"]
  setting = [protocol[key] for key in ("scale", "color", "crop", "ssim")]
  text = io.StringIO(newline="")
  writer = csv.writer(text, lineterminator="\n")
  writer.writerow(COLUMNS)
  for name, entry in scores["sets"].items():
    for file, values in entry["images"].items():
      numbers = [f"{values['psnr']:.6f}", f"{values['ssim']:.8f}"]
      writer.writerow([name, file, *numbers, scores["model"], *setting])
  zoo.write_atomic(pathlib.Path(path), text.getvalue().encode())


def columns(
  sample: Sample,
  protocol: metrics.Protocol,
  *,
  name: str,
) -> list[figures.Column]:
  """LR, bicubic, result and HR of a picture, for `figures`."""
  scale = sample.hr.shape[0] // sample.lr.shape[0]
  height, width = sample.lr.shape[:2]
  chosen = []
  for kind in ("nearest", "bicubic"):
    if name == kind:
      continue
    enlarged = classical.upscale_uint8(kind, sample.lr, scale)
    values = measure(enlarged, sample.hr, protocol)
    title = f"LR {width}x{height}" if kind == "nearest" else kind
    chosen.append(([title, _caption(values)], enlarged))
  chosen.append(([name, _caption(sample.values)], sample.sr))
  size = f"{sample.hr.shape[1]}x{sample.hr.shape[0]}"
  chosen.append((["HR", size], sample.hr))
  return chosen


def comparison_strip(
  sample: Sample, protocol: metrics.Protocol, *, name: str
) -> np.ndarray:
  """The `columns` of a picture side by side, uint8 [H, W, 3]."""
  return figures.comparison_strip(columns(sample, protocol, name=name))


def _caption(values: Mapping[str, float]) -> str:
  return f"{values['psnr']:.2f} dB / {values['ssim']:.4f}"


def _read_pair(
  path: pathlib.Path, lr_path: pathlib.Path | None, scale: int
) -> tuple[np.ndarray, np.ndarray]:
  """HR cut to multiples of the scale, and LR; gray stays one channel."""
  try:
    hr = images.modcrop(_read(path), scale)
  except errors.EnhanceError as error:
    if str(path) in str(error):
      raise
    raise errors.EnhanceError(f"{path}: {error}") from error
  if lr_path is None:
    return hr, degrade(hr, scale)
  lr = _like(_read(lr_path), hr, lr_path)
  _want_size(lr_path, lr, (hr.shape[0] // scale, hr.shape[1] // scale), path)
  return hr, lr


def _read_result(path: pathlib.Path, hr: np.ndarray) -> np.ndarray:
  sr = _like(_read(path), hr, path)
  _want_size(path, sr, hr.shape[:2], "its HR picture, cut to the scale,")
  return sr


def _read(path: pathlib.Path) -> np.ndarray:
  """uint8 [H, W, 1 or 3]: as the file, without alpha, 16 bits rounded."""
  pixels = images.read_picture(path).pixels
  pixels = pixels[..., : 1 if pixels.shape[-1] < 3 else 3]
  if pixels.dtype == np.uint16:
    return images.to_uint8(images.to_float(pixels))
  return pixels


def _like(x: np.ndarray, hr: np.ndarray, path: pathlib.Path) -> np.ndarray:
  """The picture with the channels of hr; colour of a gray hr is averaged."""
  if x.shape[-1] == hr.shape[-1]:
    return x
  if hr.shape[-1] == 3:
    raise errors.EnhanceError(
      f"{path} is gray and its HR picture is colour; wanted a colour picture"
    )
  return images.to_uint8(images.to_float(x) @ engine.GRAY[:, None])


def _want_size(
  path: pathlib.Path, x: np.ndarray, size: tuple[int, int], why: Any
) -> None:
  if x.shape[:2] != tuple(size):
    raise errors.EnhanceError(
      f"{path} is {x.shape[1]}x{x.shape[0]} pixels; {why} asks for "
      f"{size[1]}x{size[0]}"
    )


def _finite(x: Any) -> Any:
  """JSON knows no infinity and no NaN: "inf" and "nan", which float() reads."""
  if isinstance(x, dict):
    return {key: _finite(value) for key, value in x.items()}
  return str(x) if isinstance(x, float) and not np.isfinite(x) else x
