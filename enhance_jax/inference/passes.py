"""The way of windows to the device and of results back to rows.

Devices work while this waits for none of them: a batch is begun before the
one before it is fetched, cut up and put where it belongs.
"""

import collections
import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from enhance_jax import errors
from enhance_jax.inference import seams, tiling

OnTile = Callable[[int, int], None]

# Batches that are begun before one is waited for, that one included.
_AHEAD = 2


class NotFiniteError(FloatingPointError):
  """A window's result has values that are no numbers.

  Attributes:
    place: of the window in its batch.
    count: of such values.
  """

  def __init__(self, place: int, count: int):
    super().__init__(f"{count} NaN or infinite values")
    self.place = place
    self.count = count


class Worker(Protocol):
  """What enlarges batches: `tiled.Tiled`."""

  name: str
  scale: int

  def batch(self, count: int, pixels: int) -> int:
    """See `tiled.Tiled.batch`."""
    ...

  def prepare(
    self, shape: tuple[int, ...], source: np.dtype, target: np.dtype
  ) -> None:
    """See `tiled.Tiled.prepare`."""

  def begin(
    self, windows: np.ndarray, dtype: np.dtype
  ) -> Callable[[], np.ndarray]:
    """See `tiled.Tiled.begin`."""
    ...


def bands(
  worker: Worker,
  pixels: np.ndarray,
  plan: tiling.Plan,
  on_tile: OnTile | None,
  *,
  skip: int = 0,
) -> Iterator[np.ndarray]:
  """The rows of an enlarged picture [H, W, C], as rows of tiles are ready.

  Args:
    worker: enlarges the windows.
    pixels: uint8, uint16 or float32.
    plan: how the picture is cut.
    on_tile: called with (tiles done, tiles in all).
    skip: rows of the result that are there already.

  Yields:
    [some rows, W scale, C], float32 where tiles fade into each other, else
    the type of `pixels`.
  """
  join = seams.Join(plan, worker.scale, pixels.shape[-1], pixels.dtype)
  start = join.first_row(skip) * plan.columns
  at = start
  for tile, part in parts(worker, pixels[None], plan, start, join.dtype):
    ready = join.put(tile, part)
    at += 1
    if on_tile is not None:
      on_tile(at, len(plan.tiles))
    if ready is not None:
      top, band = ready
      if top + len(band) > skip:
        yield band[max(0, skip - top) :]


def frames(
  worker: Worker, pictures: np.ndarray, plan: tiling.Plan
) -> np.ndarray:
  """Enlarges pictures [N, H, W, C] by tiles that do not fade."""
  count, height, width, channels = pictures.shape
  scale = worker.scale
  shape = (count, height * scale, width * scale, channels)
  result = np.empty(shape, pictures.dtype)
  for i, (tile, part) in enumerate(
    parts(worker, pictures, plan, 0, pictures.dtype)
  ):
    target = result[i // len(plan.tiles)]
    target[tile.kept(scale)] = part[tile.inside(scale)]
  return result


def parts(
  worker: Worker,
  pictures: np.ndarray,
  plan: tiling.Plan,
  start: int,
  dtype: np.dtype,
) -> Iterator[tuple[tiling.Tile, np.ndarray]]:
  """Every tile of every picture with its enlarged window, in order.

  Args:
    worker: enlarges the windows.
    pictures: [N, H, W, C].
    plan: the same for all.
    start: tiles of the first picture to be left out.
    dtype: of the results.

  Raises:
    EnhanceError: a result is not finite; the tile is named.
  """
  count = len(plan.tiles)
  jobs = range(start, len(pictures) * count)
  shape = (*plan.side, pictures.shape[-1])
  size = worker.batch(len(jobs), math.prod(plan.side))
  worker.prepare((size, *shape), pictures.dtype, dtype)

  def begin(chosen: range) -> Callable[[], np.ndarray]:
    windows = np.empty((size, *shape), pictures.dtype)
    for i in range(size):
      # A batch has one size; what it lacks is the last window again.
      job = chosen[min(i, len(chosen) - 1)]
      windows[i] = pictures[job // count][plan.tiles[job % count].window]
    with _naming(worker, plan, chosen):
      return worker.begin(windows, dtype)

  def fetch(chosen: range, wait: Callable[[], np.ndarray]):
    with _naming(worker, plan, chosen):
      results = wait()
    for job, result in zip(chosen, results, strict=False):
      yield plan.tiles[job % count], result

  waiting: collections.deque = collections.deque()
  for first in range(0, len(jobs), size):
    chosen = jobs[first : first + size]
    waiting.append((chosen, begin(chosen)))
    if len(waiting) == _AHEAD:
      yield from fetch(*waiting.popleft())
  for batch in waiting:
    yield from fetch(*batch)


@contextlib.contextmanager
def _naming(worker: Worker, plan: tiling.Plan, jobs: range) -> Iterator[None]:
  """Says which tile it is whose result is not finite."""
  try:
    yield
  except NotFiniteError as error:
    picture, tile = divmod(jobs[error.place], len(plan.tiles))
    frame = f"frame {picture + 1}, " if picture else ""
    raise errors.EnhanceError(
      f"{worker.name} gave {error} in {frame}tile {tile + 1} of "
      f"{len(plan.tiles)} ({plan.tiles[tile]} of the input); nothing was "
      "written. Check the weights, and the picture for values that are no "
      "numbers"
    ) from error
