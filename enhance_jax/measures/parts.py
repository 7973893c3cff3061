"""One metric each: its protocol in words, and the function that measures it."""

import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from enhance_jax import errors, images
from enhance_jax.measures import files
from enhance_jax.metrics import image, natural, perceptual
from enhance_jax.metrics.image import Protocol

PathLike = str | pathlib.Path
# Metric -> features [C] of sr and of hr.
Row = Mapping[str, tuple[np.ndarray, ...]]


class Given(NamedTuple):
  """What the user named; see `named.Metrics`."""

  weights: PathLike | None
  niqe: PathLike | None
  ma: float | PathLike | None
  fid: tuple[PathLike, PathLike] | None


class Pair(NamedTuple):
  """What is measured; pictures uint8 [H, W, 1 or 3], name "set/file"."""

  sr: np.ndarray
  hr: np.ndarray
  lr: np.ndarray | None
  protocol: Protocol
  name: str


class Part(NamedTuple):
  """A metric that is ready.

  Attributes:
    text: its protocol in words.
    picture: measures one picture, or None.
    pool: the network whose features of every picture `whole` wants, or None.
    whole: measures a set from rows of (sr, hr) features, or None.
  """

  text: str
  picture: Callable[[Pair], float] | None = None
  pool: perceptual.Features | None = None
  whole: Callable[[Sequence[tuple[np.ndarray, ...]]], float] | None = None


def make(name: str, given: Given) -> Part:
  """Makes a metric of `named.KINDS` ready, reading the files that it needs.

  Raises:
    EnhanceError: a file is missing or wrong.
  """
  if name in _PLAIN:
    return _PLAIN[name]
  family, _, kind = name.partition("_")
  if family == "lpips":
    return _lpips(kind, given)
  if name == "niqe":
    function, text = _niqe(given)
    return Part(text, function)
  if name == "pi":
    return _pi(given)
  return _fid(kind, given) if kind else _fid_of_files(given)


def _lr(pair: Pair) -> np.ndarray:
  if pair.lr is None:
    raise errors.EnhanceError(
      "LR-PSNR compares with what sr was made from; hand over lr"
    )
  return pair.lr


_CONSISTENCY = (
  "sr made small by MATLAB's bicubic (antialiased, symmetric borders){}, "
  "against LR; all pixels and channels, no border cropped, peak 255"
)
_PLAIN = {
  "psnr": Part(
    "peak 255, colour and border of the protocol",
    lambda p: image.psnr(p.sr, p.hr, p.protocol),
  ),
  "ssim": Part(
    "variant, colour and border of the protocol",
    lambda p: image.ssim(p.sr, p.hr, p.protocol),
  ),
  "ms_ssim": Part(
    "Wang 2003: five scales, 2x2 means between them; colour and border of the "
    "protocol",
    lambda p: image.ms_ssim(p.sr, p.hr, p.protocol),
  ),
  "lr_psnr": Part(
    _CONSISTENCY.format(", rounded to 8 bits"),
    lambda p: image.lr_psnr(p.sr, _lr(p)),
  ),
  "lr_psnr_float": Part(
    _CONSISTENCY.format(", not rounded"),
    lambda p: image.lr_psnr(p.sr, _lr(p), rounded=False),
  ),
}


def _lpips(kind: str, given: Given) -> Part:
  heads, source = files.lpips_heads(kind, given.weights)
  features, network = files.features(kind, given.weights)

  def picture(pair: Pair) -> float:
    sr, hr = (images.shave(x, pair.protocol.crop) for x in (pair.sr, pair.hr))
    return perceptual.lpips(sr, hr, features, heads)

  return Part(
    f"LPIPS v0.1, {network}, heads {source}; RGB, border of the protocol",
    picture,
  )


def _niqe(given: Given) -> tuple[Callable[[Pair], float], str]:
  model, source = files.niqe_model(given.niqe, given.weights)

  def picture(pair: Pair) -> float:
    luma = image.rounded_luma(pair.sr, pair.protocol.crop)
    return natural.niqe(luma, model)

  return picture, (
    f"parameters {source}; BT.601 luma rounded to 8 bits, border of the "
    "protocol"
  )


def _pi(given: Given) -> Part:
  if given.ma is None:
    raise errors.EnhanceError(
      "pi needs the Ma score of every picture, whose regression forest is not "
      "part of this package; give a number or a CSV file by --ma=SCORES.csv "
      "(columns image, ma), or measure niqe alone"
    )
  niqe, text = _niqe(given)
  ma, source = files.ma_scores(given.ma)

  def picture(pair: Pair) -> float:
    return natural.perceptual_index(ma(pair.name), niqe(pair))

  return Part(f"((10 - Ma) + NIQE) / 2, Ma {source}; NIQE: {text}", picture)


def _fid_of_files(given: Given) -> Part:
  if given.fid is None:
    raise errors.EnhanceError(
      "fid needs features of the FID Inception network, which is not part of "
      "this package; extract them and give --fid=HR.npz,SR.npz (arrays mu and "
      "sigma as pytorch-fid saves them, or features [N, D])"
    )
  hr, sr = (
    files.read(path, perceptual.statistics_from_arrays) for path in given.fid
  )
  distance = perceptual.frechet_distance(hr, sr)
  source = " and ".join(files.stamp(path) for path in given.fid)
  return Part(
    f"Frechet distance of {hr.mean.size} features, from {source}",
    whole=lambda rows: distance,
  )


def _fid(kind: str, given: Given) -> Part:
  features, network = files.features(kind, given.weights)

  def whole(rows: Sequence[tuple[np.ndarray, ...]]) -> float:
    if len(rows) < 2:
      return math.nan
    sr, hr = (
      perceptual.statistics(np.stack(side)) for side in zip(*rows, strict=True)
    )
    return perceptual.frechet_distance(sr, hr)

  return Part(
    f"Frechet distance of HR and SR features, {network}, spatial mean of its "
    "last map; RGB, border of the protocol; of the whole set, and not to be "
    "compared with FID of Inception features",
    pool=features,
    whole=whole,
  )
