"""Comparison strips: pictures side by side with captions, as pixels."""

import functools
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# A column: caption lines (the first one stands out) and uint8 [H, W, 1 or 3].
Column = tuple[Sequence[str], np.ndarray]

GAP = 12
_PAPER = (255, 255, 255)
_INK = (20, 20, 20)
_SOFT = (95, 95, 95)


def comparison_strip(
  columns: Sequence[Column], *, least_width: int = 200
) -> np.ndarray:
  """Puts pictures side by side, each with its caption below.

  Args:
    columns: (caption lines, uint8 picture [H, W, 1 or 3]) from left to right.
    least_width: narrower pictures are shown larger, by whole pixels.

  Returns:
    uint8 [H', W', 3], dark text on white.
  """
  widest = max(picture.shape[1] for _, picture in columns)
  zoom = max(1, -(-least_width // widest))
  pictures = [_rgb(picture, zoom) for _, picture in columns]
  cells = [max(picture.shape[1], least_width) for picture in pictures]
  size = _font_size([lines for lines, _ in columns], cells)
  line = round(size * 1.35)
  tallest = max(picture.shape[0] for picture in pictures)
  caption = line * max(len(lines) for lines, _ in columns)
  width = sum(cells) + GAP * (len(columns) + 1)
  height = GAP + tallest + GAP // 2 + caption + GAP // 2
  page = Image.new("RGB", (width, height), _PAPER)
  draw = ImageDraw.Draw(page)
  left = GAP
  for (lines, _), picture, cell in zip(columns, pictures, cells, strict=True):
    inset = (cell - picture.shape[1]) // 2
    page.paste(Image.fromarray(picture), (left + inset, GAP))
    for i, text in enumerate(lines):
      place = (left + cell // 2, GAP + tallest + GAP // 2 + i * line)
      ink = _SOFT if i else _INK
      draw.text(place, _cut(text, size, cell), ink, _font(size), anchor="ma")
    left += cell + GAP
  return np.asarray(page)


def comparison_page(
  rows: Sequence[tuple[str, Sequence[Column]]],
  *,
  title: str = "",
  least_width: int = 200,
) -> np.ndarray:
  """Stacks strips, each below its own heading.

  Args:
    rows: (heading, columns of `comparison_strip`) from top to bottom; an
      empty heading takes no room.
    title: stands at the top of the page.
    least_width: as in `comparison_strip`.

  Returns:
    uint8 [H, W, 3].
  """
  blocks = [_heading(title, 30)] if title else []
  for heading, columns in rows:
    if heading:
      blocks.append(_heading(heading, 26))
    blocks.append(comparison_strip(columns, least_width=least_width))
  width = max(block.shape[1] for block in blocks)
  padded = [
    np.pad(
      block,
      ((0, 0), (0, width - block.shape[1]), (0, 0)),
      constant_values=_PAPER[0],
    )
    for block in blocks
  ]
  return np.concatenate(padded)


def _heading(text: str, size: int) -> np.ndarray:
  width = round(_font(size).getlength(text)) + 2 * GAP
  block = Image.new("RGB", (width, round(size * 1.2) + GAP), _PAPER)
  ImageDraw.Draw(block).text((GAP, GAP), text, _INK, _font(size))
  return np.asarray(block)


def _rgb(picture: np.ndarray, zoom: int) -> np.ndarray:
  if picture.shape[-1] == 1:
    picture = np.repeat(picture, 3, axis=-1)
  return np.ascontiguousarray(picture.repeat(zoom, 0).repeat(zoom, 1))


def _font_size(captions: Sequence[Sequence[str]], cells: Sequence[int]) -> int:
  """The largest size from 10 to 26 at which every line fits its column."""
  for size in range(min(26, max(12, max(cells) // 14)), 10, -1):
    font = _font(size)
    if all(
      font.getlength(text) <= cell
      for lines, cell in zip(captions, cells, strict=True)
      for text in lines
    ):
      return size
  return 10


def _cut(text: str, size: int, cell: int) -> str:
  """The text, or as much of its start as the column has room for."""
  font, kept = _font(size), text
  while kept and font.getlength(text) > cell:
    kept = kept[:-1]
    text = kept + "..."
  return text


@functools.lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
  return ImageFont.load_default(size)
