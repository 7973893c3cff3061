"""Enlarges a picture into a file, row by row where the format can.

The rows that one row of tiles makes final are compressed and written in a
thread of their own while the next are computed. What needs the whole picture
(a consistent engine, JPEG, WebP, BMP) has it in memory as before.
"""

import os
from collections.abc import Iterator

import numpy as np

from enhance_jax import images
from enhance_jax.inference import overlap, sizes
from enhance_jax.inference import picture as pictures
from enhance_jax.inference.face import Engine, OnTile

# LR pixels that bicubic interpolation reaches.
_REACH = 2


def upscale_file(
  upscaler: Engine,
  picture: images.Picture,
  target: str | os.PathLike[str],
  *,
  quality: int = 95,
  on_tile: OnTile | None = None,
) -> tuple[int, int]:
  """Enlarges a picture into a file, whole or not at all.

  The pixels are those of `picture.upscale_picture`.

  Args:
    upscaler: of `engine.open_model`.
    picture: with the metadata that the result shall have.
    target: the suffix is the format; an existing file is replaced.
    quality: 1..100 of JPEG and WebP.
    on_tile: called with (tiles done, tiles in all); what it raises ends the
      work.

  Returns:
    (height, width) of the result.

  Raises:
    EnhanceError: see `Engine.upscale` and `images.write_picture`.
  """
  height, width = (n * upscaler.scale for n in picture.pixels.shape[:2])
  file = images.PictureFile(target, picture, (height, width), quality=quality)
  with file:
    bands = _rows(upscaler, picture.pixels, on_tile)
    for _ in overlap.ahead(file.write, bands, depth=1):
      pass
  return height, width


def _rows(
  upscaler: Engine, pixels: np.ndarray, on_tile: OnTile | None
) -> Iterator[np.ndarray]:
  """Rows of the enlarged picture, alpha beside its colours."""
  if pixels.shape[-1] not in (2, 4):
    yield from upscaler.bands(pixels, on_tile=on_tile)
    return
  colour, alpha = pixels[..., :-1], pixels[..., -1:]
  filled, done = pictures.fill_hidden(colour, alpha), 0
  for band in upscaler.bands(filled, on_tile=on_tile):
    last = done + len(band)
    beside = _alpha(alpha, done, last, upscaler.scale)
    yield np.concatenate([band, beside], axis=-1)
    done = last


def _alpha(alpha: np.ndarray, first: int, last: int, scale: int) -> np.ndarray:
  """Rows first to last of enlarged alpha, from no more rows than they need."""
  top = max(0, first // scale - _REACH)
  bottom = min(len(alpha), -(-last // scale) + _REACH)
  part = alpha[top:bottom]
  size = (len(part) * scale, alpha.shape[1] * scale)
  large = sizes.resize_pixels(part, size)
  return large[first - top * scale : last - top * scale]
