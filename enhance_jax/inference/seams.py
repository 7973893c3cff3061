"""Puts the results of tiles together, and checks what blended seams cost.

Exact tiles lie side by side. Tiles that saw less than the network does differ
from the whole picture, most at their edges: those fade into each other over a
few pixels around every cut, and how far the result is off there is measured.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from enhance_jax.inference import tiling

# Cuts whose surroundings are computed a second time.
_PROBES = 4


class Join:
  """Rows of tiles to rows of the picture, from the top to the bottom.

  Attributes:
    dtype: of the results that it takes and of the bands that it gives.
  """

  def __init__(
    self, plan: tiling.Plan, scale: int, channels: int, dtype: np.dtype
  ):
    """Takes the plan, and the channels and type of the picture's pixels."""
    self.dtype = np.dtype(np.float32) if plan.fade else dtype
    self._plan = plan
    self._scale = scale
    self._channels = channels
    self._band = np.empty((0, 0, 0), self.dtype)
    self._tail: np.ndarray | None = None

  def first_row(self, skip: int) -> int:
    """The row of tiles to begin with when so many result rows are there."""
    fade, tops = self._plan.fade, self._plan.tiles[:: self._plan.columns]
    row = next(
      i
      for i, tile in enumerate(tops)
      if (tile.rows.last - fade) * self._scale > skip or i == len(tops) - 1
    )
    # A row of tiles that fades needs the one above it.
    return max(0, row - 1) if fade else row

  def put(
    self, tile: tiling.Tile, part: np.ndarray
  ) -> tuple[int, np.ndarray] | None:
    """Takes the result of a window.

    Returns:
      after the last tile of a row (first row of the picture, rows that are
      final now), else None.
    """
    plan, scale = self._plan, self._scale
    height, width = (side * scale for side in plan.size)
    rows, columns = (
      _widened(span, length, plan.fade)
      for span, length in zip((tile.rows, tile.columns), plan.size, strict=True)
    )
    if not tile.columns.first:
      self._begin((rows[1] - rows[0]) * scale, width)
    inside = part[
      _scaled(rows, tile.rows.start, scale),
      _scaled(columns, tile.columns.start, scale),
    ]
    target = self._band[:, _scaled(columns, 0, scale)]
    if not plan.fade:
      target[:] = inside
    else:
      down = _ramps(rows, tile.rows, plan.fade * scale, scale)
      along = _ramps(columns, tile.columns, plan.fade * scale, scale)
      target += inside * down[:, None, None] * along[:, None]
    if tile.columns.last * scale < width:
      return None
    whole, top = self._band, rows[0] * scale
    if tile.rows.last * scale < height and plan.fade:
      tail = 2 * plan.fade * scale
      self._tail, whole = whole[-tail:].copy(), whole[:-tail]
    return top, whole

  def _begin(self, height: int, width: int) -> None:
    shape = (height, width, self._channels)
    if not self._plan.fade:
      self._band = np.empty(shape, self.dtype)
      return
    self._band = np.zeros(shape, self.dtype)
    if self._tail is not None:
      self._band[: len(self._tail)] = self._tail


def _widened(span: tiling.Span, length: int, fade: int) -> tuple[int, int]:
  """What a tile has a share in: its kept part and the fades around it."""
  before = fade if span.first else 0
  after = fade if span.last < length else 0
  return span.first - before, span.last + after


def _scaled(ends: tuple[int, int], origin: int, scale: int) -> slice:
  return slice((ends[0] - origin) * scale, (ends[1] - origin) * scale)


def _ramps(
  ends: tuple[int, int], span: tiling.Span, fade: int, scale: int
) -> np.ndarray:
  """The share of a tile in each of its rows or columns, 0 to 1.

  Over 2 `fade` result pixels around a cut the shares of its two sides add up
  to 1.
  """
  share = np.ones((ends[1] - ends[0]) * scale, np.float32)
  rise = (np.arange(2 * fade, dtype=np.float32) + 0.5) / np.float32(2 * fade)
  if ends[0] < span.first:
    share[: 2 * fade] = rise
  if ends[1] > span.last:
    share[-2 * fade :] = rise[::-1]
  return share


@dataclasses.dataclass(frozen=True)
class Check:
  """What blended seams cost, as far as it was measured.

  Attributes:
    levels: the largest difference found, in levels of 8 bits (1 / 255).
    cuts: how many cuts were looked at.
    seen: LR pixels around a cut that the comparison saw.
    radius: LR pixels that the network sees.
  """

  levels: float
  cuts: int
  seen: int
  radius: int

  def __str__(self) -> str:
    """For a line of a log."""
    against = "exact ones"
    if self.seen < self.radius:
      against = (
        f"windows that see {self.seen} of the {self.radius} pixels that "
        "the network does"
      )
    return (
      f"blended seams: off by at most {self.levels:.2f} of 255 levels at "
      f"{self.cuts} cuts, compared with {against}"
    )


def probes(plan: tiling.Plan, reach: int) -> tiling.Plan:
  """Windows around some cuts, of the plan's size, so no new compilation.

  Each keeps what lies around its cut: where the seam is worst. As their own
  edges are half a window away, they see more than the tiles do.
  """
  height, width = plan.size
  rows = [tile.rows.last for tile in plan.tiles[:: plan.columns]]
  columns = [tile.columns.last for tile in plan.tiles[: plan.columns]]
  # The last one is the picture's edge.
  cuts = [
    (row, column)
    for row in rows[:-1] or [height // 2]
    for column in columns[:-1] or [width // 2]
  ]
  step = -(-len(cuts) // _PROBES)
  return tiling.Plan(
    [
      tiling.Tile(
        _around(row, plan.side[0], height, reach),
        _around(column, plan.side[1], width, reach),
      )
      for row, column in cuts[step // 2 :: step]
    ],
    1,
  )


def _around(cut: int, side: int, length: int, reach: int) -> tiling.Span:
  start = min(max(cut - side // 2, 0), length - side)
  return tiling.Span(
    start, start + side, max(cut - reach, 0), min(cut + reach, length)
  )


class Checker:
  """Compares the bands of a picture with what its probes gave."""

  def __init__(
    self,
    found: Iterator[tuple[tiling.Tile, np.ndarray]],
    plan: tiling.Plan,
    scale: int,
    radius: int,
  ):
    """Takes the probes' results; keeps what they keep."""
    self._scale = scale
    self._radius = radius
    self._seen = radius
    self._worst = 0.0
    self._probes = []
    for tile, part in found:
      self._probes.append((tile, np.clip(part[tile.inside(scale)], 0, 1)))
      for span, length in zip(
        (tile.rows, tile.columns), plan.size, strict=True
      ):
        self._seen = min(self._seen, _sight(span, length))

  def look(self, top: int, band: np.ndarray) -> None:
    """Takes float32 rows of the picture, from row `top` on."""
    for tile, right in self._probes:
      rows, columns = tile.kept(self._scale)
      first = max(rows.start, top)
      last = min(rows.stop, top + len(band))
      if first < last:
        got = np.clip(band[first - top : last - top, columns], 0, 1)
        off = np.abs(got - right[first - rows.start : last - rows.start])
        self._worst = max(self._worst, float(off.max()))

  def result(self) -> Check:
    """What was found so far."""
    return Check(255 * self._worst, len(self._probes), self._seen, self._radius)


def _sight(span: tiling.Span, length: int) -> int:
  """LR pixels between what a window keeps and its nearest inner edge."""
  before = span.first - span.start if span.start else length
  after = span.stop - span.last if span.stop < length else length
  return min(before, after)
