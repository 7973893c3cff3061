"""Cuts a picture into windows whose upscaled parts fit without a seam.

A network of receptive radius r sees r LR pixels around each output. A tile of
t pixels is therefore read through a window of t + 2 r, and only what is r or
more away from the window's inner edges is kept. Windows near the border are
moved inwards instead of being padded, so the network's own zero padding
happens only where the picture itself ends: the result is that of the whole
picture at once, and all windows have one shape (one compilation).
"""

import dataclasses

from enhance_jax import errors


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
