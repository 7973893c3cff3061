"""Cuts a picture into windows whose upscaled parts fit without a seam.

A network of receptive radius r sees r LR pixels around each output. A tile of
t pixels is therefore read through a window of t + 2 r, and only what is r or
more away from the window's inner edges is kept. Windows near the border are
moved inwards instead of being padded, so the network's own zero padding
happens only where the picture itself ends: the result is that of the whole
picture at once, and all windows have one shape (one compilation).
"""

import dataclasses
import math
from collections.abc import Iterable

from enhance_jax import errors

# Sides that windows have where nobody says otherwise. They are few, so that
# pictures of all sizes share some compiled programs, and each is about a fifth
# larger than the one before. All are multiples of 16 and more.
SIDES = (64, 80, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)
SIDES += tuple(step << i for i in range(8) for step in (640, 768, 896, 1024))
# A picture of its own size needs a program of its own: worth it only where it
# saves this factor.
_WHOLE = 1.25


@dataclasses.dataclass(frozen=True)
class Span:
  """One axis of a tile, in LR pixels: reads start:stop, keeps first:last."""

  start: int
  stop: int
  first: int
  last: int


@dataclasses.dataclass(frozen=True)
class Tile:
  """A window of the picture and the part of it that is kept."""

  rows: Span
  columns: Span

  @property
  def window(self) -> tuple[slice, slice]:
    """What to read, in LR pixels of the picture."""
    return (
      slice(self.rows.start, self.rows.stop),
      slice(self.columns.start, self.columns.stop),
    )

  def kept(self, scale: int) -> tuple[slice, slice]:
    """Where the kept part goes, in pixels of the upscaled picture."""
    return (
      slice(self.rows.first * scale, self.rows.last * scale),
      slice(self.columns.first * scale, self.columns.last * scale),
    )

  def inside(self, scale: int) -> tuple[slice, slice]:
    """Where the kept part lies, in pixels of the upscaled window."""
    top, left = self.rows.start, self.columns.start
    return (
      slice((self.rows.first - top) * scale, (self.rows.last - top) * scale),
      slice(
        (self.columns.first - left) * scale,
        (self.columns.last - left) * scale,
      ),
    )

  def __str__(self) -> str:
    """The kept part in words, counted from 0."""
    return (
      f"rows {self.rows.first}-{self.rows.last - 1}, "
      f"columns {self.columns.first}-{self.columns.last - 1}"
    )


def tiles(height: int, width: int, *, tile: int, radius: int) -> list[Tile]:
  """The tiles of a picture, row by row; their kept parts cover it once.

  Args:
    height: of the picture, LR pixels.
    width: likewise.
    tile: kept pixels a side of an inner tile.
    radius: how many LR pixels away an input still changes an output.

  Raises:
    EnhanceError: a tile below 1.
  """
  if tile < 1:
    raise errors.EnhanceError(
      f"tile {tile} is out of range; wanted LR pixels, 1 or more"
    )
  columns = spans(width, tile, radius)
  return [Tile(r, c) for r in spans(height, tile, radius) for c in columns]


@dataclasses.dataclass(frozen=True)
class Plan:
  """The tiles of a picture, row by row, all windows of one size.

  Attributes:
    tiles: their kept parts cover the picture once.
    columns: tiles a row.
    fade: LR pixels on either side of a cut over which one tile's result passes
      into the next one's; 0 where both are the same.
  """

  tiles: list[Tile]
  columns: int
  fade: int = 0

  @property
  def side(self) -> tuple[int, int]:
    """Height and width of the windows, LR pixels."""
    rows, columns = self.tiles[0].rows, self.tiles[0].columns
    return rows.stop - rows.start, columns.stop - columns.start

  @property
  def size(self) -> tuple[int, int]:
    """Height and width of the picture, LR pixels."""
    return self.tiles[-1].rows.stop, self.tiles[-1].columns.stop

  @property
  def overhead(self) -> float:
    """How many times the picture's pixels the windows have."""
    return len(self.tiles) * math.prod(self.side) / math.prod(self.size)


def cover(
  height: int, width: int, side: tuple[int, int], reach: int, *, fade: int = 0
) -> Plan:
  """The plan with windows of `side` that see `reach` pixels around a tile."""
  rows = spans(height, side[0] - 2 * reach, reach)
  columns = spans(width, side[1] - 2 * reach, reach)
  return Plan([Tile(r, c) for r in rows for c in columns], len(columns), fade)


def window(
  length: int,
  reach: int,
  limit: int,
  *,
  step: int = 1,
  sides: Iterable[int] = SIDES,
) -> int:
  """The side of windows that covers an axis with the least pixels in all.

  Args:
    length: of the axis, LR pixels.
    reach: what windows see around a tile.
    limit: the largest side.
    step: what the result is a multiple of, wherever the axis is long enough.
    sides: what there is to choose from, beside the whole axis.

  Returns:
    one of `sides`, or `length`; where both are too large, something below
    `limit`.
  """
  least = 2 * reach + 1
  sides = [side for side in sides if least < side <= limit]
  # Two windows for an axis that cannot be one, and the largest of all for a
  # reach that leaves nothing to choose.
  halves = -(-(length + 2 * reach) // (2 * step)) * step
  sides += [halves] * bool(length % step) + [limit // 64 * 64] * (not sides)
  costs: dict[int, float] = {
    side: side * len(spans(length, side - 2 * reach, reach))
    for side in sides
    if least < side < length and side <= limit and not side % step
  }
  if length <= limit and not length % step:
    costs[length] = length * (1 if length in sides else _WHOLE)
  if not costs:
    return min(length, max(least, limit))
  # The larger one of equals: fewer calls.
  return min(sorted(costs, reverse=True), key=costs.__getitem__)


def spans(length: int, tile: int, radius: int) -> list[Span]:
  """One axis of `tiles`; one span if the whole axis fits into a window."""
  window = tile + 2 * radius
  if length <= window:
    return [Span(0, length, 0, length)]
  result, first = [], 0
  for start in range(0, length - window, tile):
    last = start + window - radius
    result.append(Span(start, start + window, first, last))
    first = last
  result.append(Span(length - window, length, first, length))
  return result
