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

# More gains little: what is left is where a picture reaches black or white.
ROUNDS = 5
# LR-PSNR at which rounds end; rounding to 8 bits leaves 70 dB at best.
ENOUGH = 60.0
# LR pixels a side that are treated at a time.
_TILE = 192
# LR pixels that MATLAB's bicubic reaches, making small as well as large.
_REACH = 2
_ROUNDED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
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
      inner.multiple,
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
  """LR-PSNR (peak 1, all pixels and channels), in dB, clipped to [0, 1].

  The result is made small by MATLAB's bicubic in float and not rounded again.

  Attributes:
    before: of the upscaler's own result.
    after: of the corrected one, float.
    written: of the corrected one in the type it is given out in.
  """

  before: float
  after: float
  written: float

  def __str__(self) -> str:
    """For a line of a log."""
    return f"LR-PSNR {self.before:.1f} -> {self.written:.1f} dB"


class Consistent(tiled.Engine):
  """Corrects a result until it agrees with its input; see `project`.

  The result of the upscaler inside is kept as float32 as a whole, and a few
  float64 arrays of the input's size; the rest goes tile by tile.

  Attributes:
    agreement: of the picture enlarged last; None before the first.
  """

  agreement: Agreement | None

  def __init__(self, inner: tiled.Engine, *, rounds: int = ROUNDS):
    """Takes over name, card and scale of the upscaler inside."""
    super().__init__(
      f"{inner.name} + consistent", inner.scale, inner.card, inner.sha256
    )
    self._inner = inner
    self._rounds = rounds
    self.agreement = None

  def upscale(
    self, x: np.ndarray, *, on_tile: tiled.OnTile | None = None
  ) -> np.ndarray:
    """See `tiled.Engine.upscale`; here the result lies in [0, 1]."""
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
    result, self.agreement = project(sr, lr, rounds=self._rounds, dtype=dtype)
    return result


def project(
  sr: np.ndarray,
  lr: np.ndarray,
  *,
  rounds: int = ROUNDS,
  dtype: Any = np.float32,
  tile: int = _TILE,
) -> tuple[np.ndarray, Agreement]:
  """x <- x + U (D U)^-1 (lr - D x), clipped; D and U are MATLAB's bicubic.

  Before it is clipped x then reduces to lr exactly. Away from the borders U is
  a multiple of D's transpose, so this is the nearest picture that does (Bahat
  and Michaeli, CVPR 2020), and where back-projections (Irani and Peleg) would
  end. What clipping takes away again, further rounds give to the neighbours.

  Args:
    sr: float32 [H, W, C] in [0, 1], H and W one multiple of lr's. It is
      overwritten: it may be too large for a copy.
    lr: float [h, w, C] in [0, 1].
    rounds: at most so many; none after the LR-PSNR has reached `ENOUGH`.
    dtype: of the result; uint8 and uint16 are rounded, at the end.
    tile: LR pixels a side that are treated at a time.

  Returns:
    the picture [H, W, C] in [0, 1], and its agreement with lr.

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
  for part in plan:
    x = sr[part.kept(scale)]
    np.clip(x, 0, 1, out=x)
  residual = _residual(sr, lr, plan)
  before = after = _decibels(residual)
  for _ in range(rounds):
    if after >= ENOUGH:
      break
    correction = _solve(residual, scale)
    for part in plan:
      large = _resize(correction[part.window].astype(np.float32), scale)
      x = sr[part.kept(scale)]
      x += large[part.inside(scale)]
      np.clip(x, 0, 1, out=x)
    residual = _residual(sr, lr, plan)
    after = _decibels(residual)
  if np.dtype(dtype) == np.float32:
    return sr, Agreement(before, after, after)
  result = np.empty(sr.shape, dtype)
  for part in plan:
    result[part.kept(scale)] = _ROUNDED[result.dtype.name](sr[part.kept(scale)])
  return result, Agreement(
    before, after, _decibels(_residual(result, lr, plan))
  )


def _residual(
  sr: np.ndarray, lr: np.ndarray, plan: list[tiling.Tile]
) -> np.ndarray:
  """lr - D(sr), float64; sr may be of any pixel type."""
  scale = sr.shape[0] // lr.shape[0]
  residual = lr.astype(np.float64)
  for part in plan:
    rows, columns = (
      slice(s.start * scale, s.stop * scale) for s in (part.rows, part.columns)
    )
    x = sr[rows, columns]
    x = x if x.dtype.kind == "f" else images.to_float(x)
    residual[part.kept(1)] -= _resize(x, 1 / scale)[part.inside(1)]
  return residual


def _resize(x: np.ndarray, scale: float) -> np.ndarray:
  """`resample.resize` of float32 by matrices: 3 to 10 times as fast here."""
  for axis in (0, 1):
    n = x.shape[axis]
    matrix = resample.weights(n, round(n * scale), scale=scale)
    matrix = matrix.astype(np.float32)
    if axis == 0:
      x = (matrix @ x.reshape(n, -1)).reshape(-1, *x.shape[1:])
    else:
      x = np.matmul(matrix, x)
  return x


def _solve(residual: np.ndarray, scale: int) -> np.ndarray:
  """(D U)^-1 of float64 [h, w, C].

  D and U mirror at the borders and fit the same grid, so D U is one symmetric
  filter of each axis with mirrored borders: the cosine transform divides by it.
  """
  from scipy import fft

  taps = _round_trip(scale)[2 * _REACH :]
  spectrum = np.asarray(fft.dctn(residual, axes=(0, 1)))
  for axis in (0, 1):
    n = residual.shape[axis]
    angles = np.outer(np.arange(n), np.arange(1, len(taps))) * (np.pi / n)
    gain = taps[0] + 2 * np.cos(angles) @ taps[1:]
    spectrum /= gain.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
  return np.asarray(fft.idctn(spectrum, axes=(0, 1)))


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
