"""Engines whose pictures go through tiles: memory is bounded by the tile.

How a picture is cut is in `tiling`, how its tiles get to the device and back in
`passes`, how they become one picture again in `seams`.
"""

import abc
import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from enhance_jax import errors, images
from enhance_jax.inference import passes, seams, tiling
from enhance_jax.inference.face import Engine, OnTile
from enhance_jax.inference.passes import NotFiniteError

__all__ = [
  "SEAMS",
  "SMALLEST_TILE",
  "Engine",
  "NotFiniteError",
  "OnTile",
  "OutOfMemoryError",
  "Tiled",
]

SMALLEST_TILE = 8
# LR pixels that the windows of blended tiles see beyond them.
HALO = 16
SEAMS = ("exact", "blend")

# A tile that keeps less than two thirds of its window's side wastes more than
# the memory for a larger one is worth.
_LARGEST = 384
_RADII = 12
# Computing this many times the picture's pixels is worth a word.
_DEAR = 3.0

# What a float result becomes, by the type that is wanted.
ROUNDED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
  "float32": lambda x: x,
  "uint8": images.to_uint8,
  "uint16": images.to_uint16,
}

_log = logging.getLogger(__name__)


class OutOfMemoryError(Exception):
  """The device cannot hold a window of the present size.

  Attributes:
    side: LR pixels that a window's side may have; None where not known.
  """

  def __init__(self, message: str, *, side: int | None = None):
    super().__init__(message)
    self.side = side


class Tiled(Engine):
  """An engine that enlarges window by window; no float copy of the whole.

  Attributes:
    radius: LR pixels around a tile that its result depends on.
    tile: LR pixels a side, halved for good when memory runs out; None chooses
      by radius and memory.
    seams: "exact" or "blend", see `seams`.
    multiple: windows begin at multiples of this many LR pixels, and have such
      sides: what a network needs that folds its input into squares.
    row_step: what the height of windows is a multiple of.
    seam_check: what the check of the last picture's blended seams found; None
      where seams are exact.
  """

  def __init__(
    self,
    name: str,
    scale: int,
    radius: int,
    card: dict[str, Any],
    tile: int | None,
    sha256: str = "",
    multiple: int = 1,
  ):
    """Checks the tile; subclasses say the rest."""
    if tile is not None and tile < 1:
      raise errors.EnhanceError(
        f"tile {tile} is out of range; wanted LR pixels, 1 or more"
      )
    super().__init__(name, scale, card, sha256)
    self.radius = -(-radius // multiple) * multiple
    self.tile = tile
    self.seams = "exact"
    self.multiple = multiple
    self.row_step = multiple
    self.seam_check: seams.Check | None = None
    self._limit: int | None = None

  @abc.abstractmethod
  def enlarge(self, window: np.ndarray) -> np.ndarray:
    """Maps float32 [h, w, C] to float32 [h scale, w scale, C], unchecked.

    Raises:
      OutOfMemoryError: the window is too large for the device.
    """

  def batch(self, count: int, pixels: int) -> int:
    """How many of `count` windows of so many LR pixels one call takes."""
    del count, pixels
    return 1

  def prepare(
    self, shape: tuple[int, ...], source: np.dtype, target: np.dtype
  ) -> None:
    """Makes sure that batches of a shape and types can be enlarged.

    Raises:
      OutOfMemoryError: they cannot.
    """
    del shape, source, target

  def begin(
    self, windows: np.ndarray, dtype: np.dtype
  ) -> Callable[[], np.ndarray]:
    """Begins to enlarge a batch, and returns what waits for the result.

    Args:
      windows: uint8, uint16 or float32 [N, h, w, C].
      dtype: of the result, that of the windows or float32; integers are
        clipped and rounded.

    Raises:
      NotFiniteError: here or when the result is waited for.
      OutOfMemoryError: likewise.
    """
    x = windows if windows.dtype == np.float32 else images.to_float(windows)
    results = []
    for place, window in enumerate(x):
      sr = self.enlarge(window)
      bad = sr.size - int(np.count_nonzero(np.isfinite(sr)))
      if bad:
        raise NotFiniteError(place, bad)
      results.append(ROUNDED[dtype.name](sr))
    stacked = np.stack(results)
    return lambda: stacked

  def upscale(
    self, x: np.ndarray, *, on_tile: OnTile | None = None
  ) -> np.ndarray:
    """See `Engine.upscale`."""
    return self._whole(np.asarray(x, np.float32), on_tile)

  def upscale_uint8(
    self, pixels: np.ndarray, *, on_tile: OnTile | None = None
  ) -> np.ndarray:
    """See `Engine.upscale_uint8`."""
    return self._whole(pixels, on_tile)

  def upscale_uint16(
    self, pixels: np.ndarray, *, on_tile: OnTile | None = None
  ) -> np.ndarray:
    """See `Engine.upscale_uint16`."""
    return self._whole(pixels, on_tile)

  def _whole(self, pixels: np.ndarray, on_tile: OnTile | None) -> np.ndarray:
    bands, done = self.bands(pixels, on_tile=on_tile), 0
    first = next(bands)
    height, (_, width, channels) = len(pixels) * self.scale, first.shape
    if len(first) == height:
      return first
    result = np.empty((height, width, channels), first.dtype)
    for band in itertools.chain([first], bands):
      result[done : done + len(band)] = band
      done += len(band)
    return result

  def bands(
    self, pixels: np.ndarray, *, on_tile: OnTile | None = None
  ) -> Iterator[np.ndarray]:
    """See `Engine.bands`; a band is what a row of tiles makes final."""
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3) or not pixels.size:
      raise errors.EnhanceError(
        f"got an image of shape {list(pixels.shape)}; wanted [H, W, 3] or "
        "[H, W, 1] with at least one pixel"
      )
    height, width = (side * self.scale for side in pixels.shape[:2])
    done, x = 0, self._folded(pixels)
    while done < height:
      plan = self._plan(*x.shape[:2])
      try:
        for band in self._pass(x, plan, on_tile, done):
          band = band[: height - done, :width]
          done += len(band)
          yield band
      except OutOfMemoryError as error:
        self._shrink(plan, error)

  def _pass(
    self,
    pixels: np.ndarray,
    plan: tiling.Plan,
    on_tile: OnTile | None,
    skip: int,
  ) -> Iterator[np.ndarray]:
    """The rows from `skip` on, in the type of the pixels."""
    bands = passes.bands(self, pixels, plan, on_tile, skip=skip)
    self.seam_check = None
    if not plan.fade:
      yield from bands
      return
    around = seams.probes(plan, self._reach)
    found = passes.parts(self, pixels[None], around, 0, np.dtype(np.float32))
    checker = seams.Checker(found, plan, self.scale, self.radius)
    for band in bands:
      checker.look(skip, band)
      skip += len(band)
      yield ROUNDED[pixels.dtype.name](band)
    self.seam_check = checker.result()
    _log.info("%s: %s", self.name, self.seam_check)

  def upscale_frames(self, frames: np.ndarray) -> np.ndarray:
    """See `Engine.upscale_frames`; tiles of several frames go at once."""
    if self.seams != "exact":
      return super().upscale_frames(frames)
    height, width = (side * self.scale for side in frames.shape[1:3])
    x = self._folded(frames)
    while True:
      plan = self._plan(*x.shape[1:3])
      try:
        return passes.frames(self, x, plan)[:, :height, :width]
      except OutOfMemoryError as error:
        self._shrink(plan, error)

  def _folded(self, pixels: np.ndarray) -> np.ndarray:
    """Pixels [..., H, W, C], mirrored until the sides are multiples."""
    beyond = [(0, -side % self.multiple) for side in pixels.shape[-3:-1]]
    if beyond == [(0, 0), (0, 0)]:
      return pixels
    rest = [(0, 0)] * (pixels.ndim - 3)
    return np.pad(pixels, [*rest, *beyond, (0, 0)], mode="reflect")

  @property
  def _reach(self) -> int:
    """LR pixels around a tile that its window sees."""
    if self.seams == "exact":
      return self.radius
    return min(self.radius, -(-HALO // self.multiple) * self.multiple)

  def _plan(self, height: int, width: int) -> tiling.Plan:
    reach = self._reach
    fade = reach // 2 if reach < self.radius else 0
    steps = (self.row_step, self.multiple)
    if self.tile is None:
      limits = [self._limit or max(_LARGEST, _RADII * reach)] * 2
      sides = [tiling.SIDES] * 2
    else:
      side = max(self.tile, 2 * fade) + 2 * reach
      limits = [-(-side // step) * step for step in steps]
      sides = [[limit] for limit in limits]
    rows, columns = (
      tiling.window(length, reach, limit, step=step, sides=known)
      for length, limit, step, known in zip(
        (height, width), limits, steps, sides, strict=True
      )
    )
    plan = tiling.cover(height, width, (rows, columns), reach, fade=fade)
    if self.tile is None and plan.overhead > _DEAR:
      _log.warning(
        "%s sees %d pixels around each, so windows of %dx%d compute %.1f times "
        "the picture; --seams=blend costs less and measures what it changes",
        self.name,
        reach,
        columns,
        rows,
        plan.overhead,
      )
    return plan

  def _shrink(self, plan: tiling.Plan, error: OutOfMemoryError) -> None:
    """Makes the next plan's windows smaller, for good.

    Raises:
      EnhanceError: they are as small as can be.
    """
    least = 2 * self._reach + SMALLEST_TILE
    if self.tile is None:
      kind, before = "windows", max(plan.side)
      after = max(least, min(error.side or before // 2, before - 1))
      self._limit = after
    else:
      kind, before = "tiles", self.tile
      after = self.tile = max(SMALLEST_TILE, before // 2)
    if after >= before:
      raise errors.EnhanceError(
        f"{self.name} does not fit into memory even with {kind} of {before} "
        f"pixels ({error}); close other programs or use a smaller network"
      ) from error
    _log.warning(
      "%s of %d do not fit into memory, going on with %d (%s)",
      kind,
      before,
      after,
      error,
    )
