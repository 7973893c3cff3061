"""Results of any size: what was wished, by which network, resampled how.

A network enlarges by its own whole number. For any other size the smallest
network that reaches it goes first, and its result is made smaller, or larger
where none reaches it, by MATLAB's antialiased bicubic.
"""

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from enhance_jax import errors, resample

MAX_SCALE = 16.0
# Values that are resampled at a time, as float64: what bounds the memory.
_CHUNK = 1 << 22


@dataclasses.dataclass(frozen=True)
class Size:
  """A wish for a result's size: a scale, or pixels of one or both sides.

  Attributes:
    scale: enlargement of each side, 1 to 16, such as 2.5.
    width: pixels; the height follows the picture's shape.
    height: pixels; the width follows. With `width` too, the largest result
      that fits inside both.
  """

  scale: float | None = None
  width: int | None = None
  height: int | None = None

  def __post_init__(self) -> None:
    """Refuses wishes that say nothing, or two things at once."""
    sides = [n for n in (self.width, self.height) if n is not None]
    if (self.scale is None) == (not sides):
      raise errors.EnhanceError(
        f"got {self}; wanted a scale, or a width, a height or both"
      )
    if any(n < 1 for n in sides):
      raise errors.EnhanceError(
        f"got {self}; a side of a picture has 1 pixel or more"
      )
    # Written so that NaN is refused too.
    if self.scale is not None and not 1 <= self.scale <= MAX_SCALE:
      raise errors.EnhanceError(
        f"got {self}; wanted a scale from 1 to {MAX_SCALE:g}"
      )

  def __str__(self) -> str:
    """As on a command line."""
    if self.scale is not None:
      return f"scale {self.scale:g}"
    named = (("width", self.width), ("height", self.height))
    words = [f"{name} {n}" for name, n in named if n is not None]
    return " and ".join(words) or "no size"


def target(wish: Size, height: int, width: int) -> tuple[int, int]:
  """(height, width) of the result for a picture of that height and width.

  Sides that are not given are rounded to the nearest pixel.

  Raises:
    EnhanceError: the result would be smaller than the picture, or more than
      16 times as large.
  """
  if wish.scale is not None:
    ratio = wish.scale
  else:
    ratio = min(
      math.inf if wanted is None else wanted / side
      for wanted, side in ((wish.height, height), (wish.width, width))
    )
  if not 1 <= ratio <= MAX_SCALE:
    raise errors.EnhanceError(
      f"{wish} makes {width}x{height} pixels {ratio:.3g} times as large; "
      f"wanted an enlargement from 1 to {MAX_SCALE:g}"
    )
  return _nearest(height * ratio), _nearest(width * ratio)


def network_scale(
  wish: Size, size: tuple[int, int], available: Iterable[int]
) -> int:
  """The smallest available scale that reaches the wish, else the largest.

  Args:
    wish: what is wanted.
    size: (height, width) of the picture.
    available: enlargements that there are networks for, one or more.

  Raises:
    EnhanceError: see `target`.
  """
  rows, columns = target(wish, *size)
  scales = sorted(available)
  enough = [
    scale
    for scale in scales
    if scale * size[0] >= rows and scale * size[1] >= columns
  ]
  return enough[0] if enough else scales[-1]


def resize_pixels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Antialiased bicubic; clipped and rounded half up after each of two passes.

  Works through the picture strip by strip; no float copy of the whole. For
  uint8 the result is that of `resample.resize_uint8`, bit for bit.

  Args:
    pixels: uint8 or uint16 [H, W, C].
    size: (height, width) of the result.

  Returns:
    the same type, [height, width, C]; `pixels` itself if that is its size.
  """
  ratios = [size[axis] / pixels.shape[axis] for axis in (0, 1)]
  # The axis that shrinks most goes first, rows where both are equal.
  for axis in sorted((0, 1), key=lambda i: ratios[i]):
    if pixels.shape[axis] != size[axis]:
      pixels = _resize_axis(pixels, axis, size[axis])
  return pixels


def _resize_axis(pixels: np.ndarray, axis: int, n: int) -> np.ndarray:
  shape = list(pixels.shape)
  shape[axis] = n
  result = np.empty(shape, pixels.dtype)
  top = np.iinfo(pixels.dtype).max
  other = 1 - axis
  line = max(n, pixels.shape[axis]) * pixels.shape[2]
  step = max(1, _CHUNK // line)
  for start in range(0, pixels.shape[other], step):
    strip = [slice(None), slice(None)]
    strip[other] = slice(start, start + step)
    part = pixels[tuple(strip)].astype(np.float64)
    rows, columns = part.shape[:2]
    size = (n, columns) if axis == 0 else (rows, n)
    part = resample.resize(part, size=size)
    result[tuple(strip)] = np.floor(np.clip(part, 0, top) + 0.5)
  return result


def _nearest(x: float) -> int:
  return max(1, math.floor(x + 0.5))
