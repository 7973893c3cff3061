"""Naturalness without a reference: NIQE and the perceptual index.

NIQE: Mittal, Soundararajan & Bovik, IEEE SPL 2013, as LIVE's MATLAB release
computes it. A picture's local statistics are compared with those of many
photographs, a `Model`, which is read from a file or fitted by `fit`.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from scipy import special

from enhance_jax import resample
from enhance_jax.errors import EnhanceError
from enhance_jax.metrics import structure

BLOCK = 96
FEATURES = 36
# LIVE keeps the sharpest blocks of a photograph: those of more than this
# share of its highest mean local deviation.
SHARPNESS = 0.75

_SCALES = 2
_WINDOW, _SIGMA = 7, 7 / 6
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
_SHAPES = np.arange(200, 10001) / 1000


class Model(NamedTuple):
  """What photographs look like; float64.

  Attributes:
    mean: of the features of their blocks, [36].
    covariance: of the same, [36, 36].
  """

  mean: np.ndarray
  covariance: np.ndarray


def model_from_arrays(arrays: Mapping[str, np.ndarray]) -> Model:
  """The model under the names of the MATLAB release.

  Args:
    arrays: `mu_pris_param` of 36 and `cov_pris_param` of 36x36 numbers; others
      are left alone.

  Raises:
    EnhanceError: one of them is missing, of another size, or not finite.
  """
  parts = []
  for name, shape in (
    ("mu_pris_param", (FEATURES,)),
    ("cov_pris_param", (FEATURES, FEATURES)),
  ):
    array = arrays.get(name)
    if array is None or array.size != np.prod(shape):
      got = "nothing" if array is None else f"shape {array.shape}"
      raise EnhanceError(
        f"NIQE parameters want {name} of {np.prod(shape)} numbers, got {got}; "
        "the file is another one"
      )
    parts.append(array.astype(np.float64).reshape(shape))
    if not np.isfinite(parts[-1]).all():
      raise EnhanceError(f"{name} is not finite; get the NIQE parameters again")
  return Model(*parts)


def model_to_arrays(model: Model) -> dict[str, np.ndarray]:
  """The arrays that `model_from_arrays` reads."""
  return {
    "mu_pris_param": model.mean.reshape(1, FEATURES),
    "cov_pris_param": model.covariance,
  }


def niqe(luma: np.ndarray, model: Model) -> float:
  """Distance of a picture's statistics from those of photographs.

  Args:
    luma: [h, w] on 0..255, rounded as `image.rounded_luma` does.
    model: of the photographs.

  Returns:
    0 or more; lower is more natural, photographs have about 2 to 5.

  Raises:
    EnhanceError: fewer than two blocks of 96x96 can be used.
  """
  rows, _ = block_features(luma)
  whole = rows[np.isfinite(rows).all(axis=1)]
  if len(whole) < 2:
    raise EnhanceError(
      f"{luma.shape[0]}x{luma.shape[1]} pixels are left after cropping; NIQE "
      f"needs two blocks of {BLOCK}x{BLOCK} that are not flat, so leave it out "
      "or use larger pictures"
    )
  # As MATLAB's nanmean and nancov: blocks with a gap still have a say in the
  # mean of their other features.
  distance = np.nanmean(rows, axis=0) - model.mean
  spread = (np.cov(whole, rowvar=False) + model.covariance) / 2
  return float(np.sqrt(distance @ np.linalg.pinv(spread) @ distance))


def fit(pictures: Iterable[np.ndarray]) -> Model:
  """Fits a model to photographs, from their sharp blocks.

  Args:
    pictures: luma of each, [h, w] on 0..255, rounded.

  Raises:
    EnhanceError: fewer sharp blocks than a covariance of 36 features needs.
  """
  parts = []
  for luma in pictures:
    rows, sharpness = block_features(luma)
    if len(rows):
      parts.append(rows[sharpness > SHARPNESS * sharpness.max()])
  rows = np.concatenate(parts) if parts else np.empty((0, FEATURES))
  whole = rows[np.isfinite(rows).all(axis=1)]
  if len(whole) <= FEATURES:
    raise EnhanceError(
      f"{len(whole)} sharp blocks of {BLOCK}x{BLOCK} were found in "
      f"{len(parts)} photographs; NIQE's covariance needs more than {FEATURES} "
      "of them, so give more or larger photographs"
    )
  return Model(np.nanmean(rows, axis=0), np.cov(whole, rowvar=False))


def perceptual_index(ma: float, niqe_value: float) -> float:
  """PI of the PIRM 2018 challenge, ((10 - Ma) + NIQE) / 2; lower is better.

  Args:
    ma: the score of Ma et al. (CVIU 2017), 0 to 10, higher is better.
    niqe_value: of the same picture.
  """
  return ((10 - ma) + niqe_value) / 2


def block_features(luma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The 36 features of every block of 96x96, NaN where a block is flat.

  Args:
    luma: [h, w] on 0..255; what is beyond a multiple of 96 is left out.

  Returns:
    float64 [blocks, 36], and the mean local deviation of each block [blocks].
  """
  height, width = (side - side % BLOCK for side in luma.shape)
  x = luma[:height, :width].astype(np.float64)
  if not x.size:
    return np.empty((0, FEATURES)), np.empty(0)
  columns, sharpness = [], np.empty(0)
  for scale in range(_SCALES):
    if scale:
      x = resample.resize(x[..., None], scale=0.5)[..., 0]
    normal, deviation = _normalize(x)
    side = BLOCK >> scale
    if not scale:
      sharpness = _blocks(deviation, side).mean(axis=(1, 2))
    columns += _statistics(_blocks(normal, side))
  return np.stack(columns, axis=-1), sharpness


def aggd(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Fits asymmetric generalised Gaussians by matching moments.

  Lasmar, Stitou & Berthoumieu, ICIP 2009, on LIVE's grid of shapes.

  Args:
    x: samples [n, ...], one fit for each of n.

  Returns:
    shape alpha, left scale, right scale, each float64 [n]; a scale is NaN
    where there are no samples on that side.
  """
  x = x.reshape(len(x), -1)
  left, right = _deviation(x, x < 0), _deviation(x, x > 0)
  with np.errstate(divide="ignore", invalid="ignore"):
    ratio = left / right
    moments = np.mean(np.abs(x), axis=1) ** 2 / np.mean(x**2, axis=1)
    wanted = moments * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
  known = _gamma(2) ** 2 / (_gamma(1) * _gamma(3))
  # The nearest entry of a rising table; MATLAB's min takes the first for NaN.
  index = np.searchsorted((known[1:] + known[:-1]) / 2, wanted)
  index = np.where(np.isnan(wanted), 0, index)
  alpha = _SHAPES[index]
  factor = np.sqrt(special.gamma(1 / alpha) / special.gamma(3 / alpha))
  return alpha, left * factor, right * factor


def _gamma(times: int) -> np.ndarray:
  return special.gamma(times / _SHAPES)


def _deviation(x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
  """Root mean square of the chosen samples of each row, NaN if none."""
  with np.errstate(invalid="ignore"):
    return np.sqrt(np.sum(x**2 * chosen, axis=1) / np.sum(chosen, axis=1))


def _normalize(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Mean-subtracted, contrast-normalised values, and the local deviation."""
  taps = structure.gaussian(_WINDOW, _SIGMA)
  wide = np.pad(x, _WINDOW // 2, mode="edge")
  mean = structure.filter_inside(wide, taps)
  square = structure.filter_inside(wide**2, taps)
  deviation = np.sqrt(np.abs(square - mean**2))
  return (x - mean) / (deviation + 1), deviation


def _blocks(x: np.ndarray, side: int) -> np.ndarray:
  """[h, w] as [blocks, side, side]."""
  rows, columns = x.shape[0] // side, x.shape[1] // side
  x = x.reshape(rows, side, columns, side).swapaxes(1, 2)
  return x.reshape(-1, side, side)


def _statistics(x: np.ndarray) -> list[np.ndarray]:
  """The 18 features [blocks] of one scale, from blocks [blocks, n, n]."""
  alpha, left, right = aggd(x)
  found = [alpha, (left + right) / 2]
  for shift in _SHIFTS:
    alpha, left, right = aggd(x * np.roll(x, shift, axis=(1, 2)))
    mean = (right - left) * special.gamma(2 / alpha) / special.gamma(1 / alpha)
    found += [alpha, mean, left, right]
  return found
