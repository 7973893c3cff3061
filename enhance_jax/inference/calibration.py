"""Makes calibrations: how wide intervals must be, from held-out photographs.

Three parts of the photographs do three things. One shows how errors grow with
`uncertainty.score`: 16 classes of pixels, and of each class the quantile of
the errors (a Mondrian conformal predictor). One finds the factor by which that
curve must be raised, so that with probability 1 - delta the expected share of
a picture's pixels outside is at most alpha (risk-controlling prediction sets:
Bates et al., J. ACM 2021; Angelopoulos et al., ICML 2022). One, which neither
has seen, measures what is reached.
"""

import dataclasses
import math
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from enhance_jax import errors, images, resample
from enhance_jax.inference import tiled, uncertainty

# Parts of the photographs: for the curve, for its factor, for measuring.
SHARES = (0.25, 0.5, 0.25)
_CLASSES = 16
# Errors are whole levels: less than this would say "exact".
_LEAST = 0.5
_FACTORS = np.geomspace(0.25, 16, 400)
# Standard deviation of the true luma nearby, in levels.
SMOOTH, EDGES = 4.0, 16.0
_WINDOW = 2.0


@dataclasses.dataclass(frozen=True)
class Sample:
  """One photograph's crop, enlarged.

  Attributes:
    scores: float32 [H, W], of `uncertainty.score`.
    wrong: uint8 [H, W], levels that the worst channel is off.
    contrast: float32 [H, W], local standard deviation of the truth, levels.
  """

  scores: np.ndarray
  wrong: np.ndarray
  contrast: np.ndarray


def hoeffding_bentkus(risk: float, n: int, delta: float) -> float:
  """Upper confidence bound of a mean of n losses in [0, 1].

  Args:
    risk: their observed mean.
    n: how many.
    delta: probability that the bound is too low.
  """
  from scipy import optimize, stats

  def excess(mu: float) -> float:
    hoeffding = -n * _divergence(min(mu, risk), mu)
    bentkus = stats.binom.logcdf(math.ceil(n * risk - 1e-9), n, mu) + 1
    return float(min(hoeffding, bentkus)) - math.log(delta)

  nearly_one = 1 - 1e-12
  if risk >= nearly_one or excess(nearly_one) > 0:
    return 1.0
  root: Any = optimize.brentq(excess, max(risk, 1e-12), nearly_one)
  return float(root)


def _divergence(a: float, b: float) -> float:
  """Of two coins with these probabilities (Kullback and Leibler), in nats."""
  first = a * math.log(a / b) if a > 0 else 0.0
  second = (1 - a) * math.log((1 - a) / (1 - b)) if a < 1 else 0.0
  return first + second


def sample(upscaler: tiled.Engine, hr: np.ndarray) -> Sample:
  """Makes a photograph small, enlarges it and compares.

  Args:
    upscaler: the network as it is to be calibrated.
    hr: uint8 [H, W, 3], both sides multiples of the upscaler's scale.
  """
  from scipy import ndimage

  lr = resample.resize_uint8(hr, scale=1 / upscaler.scale)
  sr = upscaler.upscale(images.to_float(lr))
  scores = uncertainty.score(sr, images.to_float(lr))
  off = images.to_uint8(sr).astype(np.int16) - hr
  luma = hr.mean(axis=-1, dtype=np.float32)
  mean, square = (
    ndimage.gaussian_filter(x, _WINDOW, mode="reflect") for x in (luma, luma**2)
  )
  contrast = np.sqrt(np.maximum(square - mean**2, 0))
  wrong = np.abs(off).max(axis=-1).astype(np.uint8)
  return Sample(scores, wrong, contrast)


def read_crops(
  paths: list[pathlib.Path], side: int, seed: int
) -> list[np.ndarray]:
  """One random square of each photograph, uint8 [side, side, 3].

  Photographs with a shorter side are left out. The order is shuffled.
  """
  rng = np.random.default_rng(seed)
  crops = []
  for i in rng.permutation(len(paths)):
    hr = images.read_hr(paths[i])
    height, width = hr.shape[:2]
    top, left = (int(rng.integers(max(1, n - side + 1))) for n in hr.shape[:2])
    if min(height, width) >= side:
      crops.append(hr[top : top + side, left : left + side])
  return crops


def calibrate(
  upscaler: tiled.Engine,
  crops: list[np.ndarray],
  *,
  alpha: float = 0.1,
  delta: float = 0.1,
  on_sample: Callable[[int, int], None] | None = None,
) -> uncertainty.Calibration:
  """Calibrates an upscaler by photographs that it was not trained on.

  Args:
    upscaler: the network as it will be run.
    crops: uint8 [side, side, 3], one of each photograph, in random order.
    alpha: share of a picture's pixels that may lie outside their intervals.
    delta: probability that the photographs, by bad luck, promise too much.
    on_sample: called with (crops done, crops in all).

  Returns:
    the calibration, with what was measured in its report.

  Raises:
    EnhanceError: too few photographs for the bound.
  """
  samples = []
  for i, crop in enumerate(crops):
    samples.append(sample(upscaler, images.modcrop(crop, upscaler.scale)))
    if on_sample is not None:
      on_sample(i + 1, len(crops))
  ends = [round(share * len(crops)) for share in np.cumsum(SHARES)]
  curve_part, factor_part, held_out = (
    samples[: ends[0]],
    samples[ends[0] : ends[1]],
    samples[ends[1] :],
  )
  # With no pixel outside at all, the bound is 1 - delta ** (1 / n).
  needed = math.ceil(math.log(delta) / math.log(1 - alpha)) / SHARES[1]
  if not curve_part or not held_out or len(crops) < needed:
    raise errors.EnhanceError(
      f"got {len(crops)} photographs that are large enough; an interval for "
      f"{1 - alpha:.0%} of the pixels needs {math.ceil(needed)} or more, and "
      "several hundred make it narrower"
    )
  scores, levels = _curve(curve_part, alpha)
  factor = _factor(factor_part, (scores, levels), alpha, delta)
  made = uncertainty.Calibration(
    upscaler.sha256,
    uncertainty.relevant(upscaler.settings),
    scores,
    tuple(round(factor * x, 3) for x in levels),
    1 - alpha,
    {},
  )
  report = {
    "model": upscaler.name,
    "scale": upscaler.scale,
    "alpha": alpha,
    "delta": delta,
    "photographs": [len(curve_part), len(factor_part), len(held_out)],
    "crop": int(crops[0].shape[0]),
    "factor": round(factor, 4),
    "measured": measure(made, held_out),
  }
  return dataclasses.replace(made, report=report)


def _curve(
  samples: list[Sample], alpha: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
  """Mean score of each class, and the error that 1 - alpha of it keep."""
  scores = np.concatenate([one.scores.ravel() for one in samples])
  wrong = np.concatenate([one.wrong.ravel() for one in samples])
  order = np.argsort(scores, kind="stable")
  means, quantiles = [], []
  for part in np.array_split(order, _CLASSES):
    mean = round(float(scores[part].mean()), 6)
    quantile = float(np.quantile(wrong[part], 1 - alpha, method="higher"))
    if not means or mean > means[-1]:
      means.append(mean)
      quantiles.append(max(quantile, _LEAST))
  return tuple(means), tuple(np.maximum.accumulate(quantiles).tolist())


def _factor(
  samples: list[Sample],
  curve: tuple[tuple[float, ...], tuple[float, ...]],
  alpha: float,
  delta: float,
) -> float:
  """The smallest factor of the curve whose risk is bounded by alpha."""
  plain = uncertainty.Calibration("", {}, *curve, 1 - alpha, {})
  losses = []
  for one in samples:
    ratio = np.sort((one.wrong / plain.half_widths(one.scores)).ravel())
    inside = np.searchsorted(ratio, _FACTORS, side="right")
    losses.append(1 - inside / ratio.size)
  risks = np.mean(losses, axis=0)
  chosen = None
  # From the widest on, and no further than the first that is too narrow.
  for factor, risk in zip(_FACTORS[::-1], risks[::-1], strict=True):
    if hoeffding_bentkus(float(risk), len(samples), delta) > alpha:
      break
    chosen = float(factor)
  if chosen is None:
    raise errors.EnhanceError(
      f"{len(samples)} photographs do not bound the errors of this network: "
      f"even intervals {_FACTORS[-1]:g} times too wide miss {risks[-1]:.1%} "
      "of the pixels; take more photographs"
    )
  return chosen


def measure(
  made: uncertainty.Calibration, samples: list[Sample]
) -> dict[str, Any]:
  """What a calibration reaches on photographs that it has not seen.

  Returns:
    "all", "smooth", "textured", "edges" (by the local contrast of the truth)
    -> {"area": share of the pixels, "coverage": share of those within,
    "half_width": mean, in levels}; and of "all" the coverage of the "worst"
    photograph.
  """
  wide = [made.half_widths(one.scores) for one in samples]
  inside = [
    one.wrong <= width for one, width in zip(samples, wide, strict=True)
  ]
  hit, width, contrast = (
    np.concatenate([x.ravel() for x in part])
    for part in (inside, wide, [one.contrast for one in samples])
  )
  regions = {
    "all": np.ones(hit.shape, bool),
    "smooth": contrast < SMOOTH,
    "textured": (contrast >= SMOOTH) & (contrast < EDGES),
    "edges": contrast >= EDGES,
  }
  measured: dict[str, Any] = {
    name: {
      "area": round(float(chosen.mean()), 4),
      "coverage": round(float(hit[chosen].mean()), 4),
      "half_width": round(float(width[chosen].mean()), 2),
    }
    for name, chosen in regions.items()
    if chosen.any()
  }
  worst = min(float(one.mean()) for one in inside)
  measured["all"]["worst"] = round(worst, 4)
  return measured


def photographs(folder: str | os.PathLike, limit: int) -> list[pathlib.Path]:
  """At most so many pictures of a folder, spread evenly over its list.

  Raises:
    EnhanceError: no such folder, or no pictures in it.
  """
  paths = images.list_pictures(folder)
  if not paths:
    raise errors.EnhanceError(
      f"{os.fspath(folder)} holds no pictures; wanted photographs that the "
      "network was not trained on"
    )
  chosen = np.linspace(0, len(paths) - 1, min(limit, len(paths)))
  return [paths[i] for i in np.unique(chosen.round().astype(int))]
