"""Around an upscaler: self-ensemble, and agreement with what was enlarged.

Both work with every network and every interpolation, and one around the other:
`Consistent(Ensemble(upscaler))`.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from enhance_jax import errors, images, resample
from enhance_jax.inference import tiled, tiling

# As many as the sparse-coding method takes (Yang et al., IEEE TIP 2010).
ITERATIONS = 20
# LR pixels that MATLAB's bicubic reaches, making small as well as large.
_REACH = 2
# What a corrected picture can be given out as.
_AS_TYPE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
  "float32": lambda x: x,
  "uint8": images.to_uint8,
  "uint16": images.to_uint16,
}


class Ensemble(tiled.Tiled):
  """Mean over the eight symmetries of a picture (EDSR+, arXiv 1707.02921).

  Each result is turned back, and the eight are averaged before anything is
  clipped or rounded. It is right only where LR was made symmetrically (bicubic,
  box) and costs eight times the work.

  Sums are taken in pairs: each picture with its mirror image from left to
  right, such a pair with the one upside down, upright with transposed. Turning
  the input only swaps the two sides of these sums, so the result of a turned
  picture is the turned result, to the bit where it fits into one tile.
  """

  def __init__(self, inner: tiled.Tiled):
    """Takes over name, card, scale and tile of the upscaler inside."""
    super().__init__(
      f"{inner.name} + ensemble",
      inner.scale,
      inner.radius,
      inner.card,
      inner.tile,
      inner.sha256,
    )
    self._inner = inner

  def enlarge(self, window: np.ndarray) -> np.ndarray:
    """See `tiled.Tiled.enlarge`."""
    transposed = self._flips(window.swapaxes(0, 1)).swapaxes(0, 1)
    return (self._flips(window) + transposed) / np.float32(8)

  def _flips(self, x: np.ndarray) -> np.ndarray:
    return self._mirrored(x) + self._mirrored(x[::-1])[::-1]

  def _mirrored(self, x: np.ndarray) -> np.ndarray:
    mirror = self._inner.enlarge(np.ascontiguousarray(x[:, ::-1]))
    return self._inner.enlarge(np.ascontiguousarray(x)) + mirror[:, ::-1]


@dataclasses.dataclass(frozen=True)
class Agreement:
  """LR-PSNR of the float picture (peak 1, all pixels and channels), in dB.

  Attributes:
    before: of the upscaler's own result.
    after: of the corrected one.
  """

  before: float
  after: float

  def __str__(self) -> str:
    """For a line of a log."""
    return f"LR-PSNR {self.before:.1f} -> {self.after:.1f} dB"


class Consistent(tiled.Engine):
  """Corrects a result until it agrees with its input; see `back_project`.

  The result of the upscaler inside is kept as float32 as a whole, and a few
  float64 arrays of the input's size; the rest goes tile by tile.

  Attributes:
    agreement: of the picture enlarged last; None before the first.
  """

  agreement: Agreement | None

  def __init__(self, inner: tiled.Engine, *, iterations: int = ITERATIONS):
    """Takes over name, card and scale of the upscaler inside."""
    super().__init__(
      f"{inner.name} + consistent", inner.scale, inner.card, inner.sha256
    )
    self._inner = inner
    self._iterations = iterations
    self.agreement = None

  def upscale(
    self, x: np.ndarray, *, on_tile: tiled.OnTile | None = None
  ) -> np.ndarray:
    """See `tiled.Engine.upscale`."""
    return self._run(x, np.float32, on_tile)

  def upscale_uint8(
    self, pixels: np.ndarray, *, on_tile: tiled.OnTile | None = None
  ) -> np.ndarray:
    """See `tiled.Engine.upscale_uint8`."""
    return self._run(images.to_float(pixels), np.uint8, on_tile)

  def upscale_uint16(
    self, pixels: np.ndarray, *, on_tile: tiled.OnTile | None = None
  ) -> np.ndarray:
    """See `tiled.Engine.upscale_uint16`."""
    return self._run(images.to_float(pixels), np.uint16, on_tile)

  def _run(
    self, lr: np.ndarray, dtype: Any, on_tile: tiled.OnTile | None
  ) -> np.ndarray:
    sr = self._inner.upscale(lr, on_tile=on_tile)
    result, self.agreement = back_project(
      sr, lr, iterations=self._iterations, dtype=dtype
    )
    return result


def back_project(
  sr: np.ndarray,
  lr: np.ndarray,
  *,
  iterations: int = ITERATIONS,
  dtype: Any = np.float32,
  tile: int = tiled.DEFAULT_TILE,
) -> tuple[np.ndarray, Agreement]:
  """Iterates x <- x + U(lr - D(x)), D and U MATLAB's bicubic (Irani & Peleg).

  Only the residual r = lr - D(x) takes part: after a round it is r - D U r.
  Therefore all rounds run at LR size, and the sum of their residuals is
  enlarged and added once. As U and D are linear, that is the same sum. (The
  sparse-coding network has back-projections of its own, which also smooth.)

  Args:
    sr: float32 [H, W, C] in [0, 1], H and W one multiple of lr's.
    lr: float [h, w, C] in [0, 1].
    iterations: rounds, 0 or more.
    dtype: of the result; uint8 and uint16 are clipped and rounded, at the end.
    tile: LR pixels a side that are enlarged and added at a time.

  Returns:
    the picture [H, W, C], and its agreement with lr, before and after, before
    rounding.

  Raises:
    EnhanceError: the sizes do not belong together.
  """
  scale = sr.shape[0] // lr.shape[0]
  if not scale or sr.shape != (*(scale * n for n in lr.shape[:2]), lr.shape[2]):
    raise errors.EnhanceError(
      f"got a picture of shape {list(sr.shape)} made from {list(lr.shape)}; "
      "wanted sides that are one whole multiple, and equal channels"
    )
  plan = tiling.tiles(*lr.shape[:2], tile=tile, radius=_REACH)
  residual = lr.astype(np.float64)
  for part in plan:
    residual[part.kept(1)] -= _shrink(sr, part, scale)
  before = _decibels(residual)
  correction = np.zeros_like(residual)
  for _ in range(iterations):
    correction += residual
    residual -= _there_and_back(residual, scale)
  result = np.empty(sr.shape, dtype)
  for part in plan:
    large = resample.resize(correction[part.window], scale=scale)
    x = sr[part.kept(scale)] + large[part.inside(scale)].astype(np.float32)
    result[part.kept(scale)] = _AS_TYPE[np.dtype(dtype).name](x)
  return result, Agreement(before, _decibels(residual))


def _shrink(sr: np.ndarray, part: tiling.Tile, scale: int) -> np.ndarray:
  """D(sr) in the part of the LR picture that a tile keeps, as float32."""
  rows, columns = (
    slice(s.start * scale, s.stop * scale) for s in (part.rows, part.columns)
  )
  return resample.resize(sr[rows, columns], scale=1 / scale)[part.inside(1)]


def _there_and_back(r: np.ndarray, scale: int) -> np.ndarray:
  """D(U(r)) without the large picture in between.

  Both mirror at the borders and fit the same grid, so together they are one
  symmetric filter of each axis, with mirrored borders.
  """
  from scipy import ndimage

  taps = _round_trip(scale)
  for axis in (0, 1):
    r = ndimage.correlate1d(r, taps, axis, mode="reflect")
  return r


def _round_trip(scale: int) -> np.ndarray:
  """The taps of D U along an axis: an inner row of their matrices' product."""
  middle = 2 * _REACH
  size = 2 * middle + 1
  down = resample.weights(size * scale, size, scale=1 / scale)
  up = resample.weights(size, size * scale, scale=scale)
  return (down @ up)[middle]


def _decibels(residual: np.ndarray) -> float:
  error = float(np.mean(np.square(residual)))
  return math.inf if error == 0 else -10 * math.log10(error)
