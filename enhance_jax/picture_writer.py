"""Writing picture files: whole or not at all, with nothing silently lost.

PNG and TIFF files are written row by row, the others as wholes.
"""

import contextlib
import io
import os
import pathlib
import secrets
import struct
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from PIL import Image

from enhance_jax.errors import EnhanceError
from enhance_jax.picture_reader import SUFFIXES, PathLike, Picture
from enhance_jax.picture_rows import PngRows, Rows, Sheet, TiffRows


def write_picture(
  path: PathLike, picture: Picture, *, quality: int = 95
) -> None:
  """Writes a picture file whole or not at all; the suffix is the format.

  Args:
    path: .png, .jpg, .jpeg, .webp, .tif, .tiff or .bmp; an existing file is
      replaced.
    picture: written with its depth, alpha, colour profile, EXIF and XMP; its
      text goes into PNG files, and no other format has room for it.
    quality: 1..100 of JPEG and WebP.

  Raises:
    EnhanceError: the format cannot hold the picture without loss of depth,
      alpha or metadata, or the disk refuses.
  """
  height, width = picture.pixels.shape[:2]
  with PictureFile(path, picture, (height, width), quality=quality) as file:
    file.write(picture.pixels)


class PictureFile:
  """A picture file that takes its rows from the top, some at a time.

  A context: at its end the file takes its name, or, where something was
  raised, there is none and an older file of that name stays.
  """

  def __init__(
    self,
    path: PathLike,
    like: Picture,
    size: tuple[int, int],
    *,
    quality: int = 95,
  ):
    """Checks what can be checked before the work; opens nothing yet.

    Args:
      path: as of `write_picture`.
      like: channels, depth and metadata of what will be written.
      size: its height and width.
      quality: 1..100 of JPEG and WebP.

    Raises:
      EnhanceError: the format cannot hold such a picture.
    """
    self._path = pathlib.Path(path)
    pixels = like.pixels
    self._sheet = Sheet(
      *size,
      pixels.shape[2],
      pixels.dtype,
      like.icc,
      like.exif,
      like.xmp,
      like.text,
    )
    self._kind = _check_writable(self._path, self._sheet)
    self._quality = quality
    self._temporary = self._path.with_name(
      f".{self._path.name}.{secrets.token_hex(4)}.tmp"
    )
    self._done = 0

  def __enter__(self) -> "PictureFile":
    with self._refusals():
      self._file = self._temporary.open("xb")
      self._rows = self._open()
    return self

  def write(self, rows: np.ndarray) -> None:
    """Takes the next rows, [some, W, C].

    Raises:
      EnhanceError: the disk or the format refuses.
    """
    with self._refusals():
      self._rows.write(rows)
    self._done += len(rows)

  def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
    try:
      if kind is None:
        if self._done != self._sheet.height:
          raise ValueError(f"{self._done} of {self._sheet.height} rows came")
        with self._refusals():
          self._rows.close()
          self._file.close()
          os.replace(self._temporary, self._path)
    finally:
      self._discard()

  def _open(self) -> Rows:
    if self._kind == "PNG":
      return PngRows(self._file, self._sheet)
    if self._kind == "TIFF":
      return TiffRows(self._file, self._sheet)
    return _Whole(self._file, self._sheet, self._kind, self._quality)

  @contextlib.contextmanager
  def _refusals(self) -> Iterator[None]:
    """Says in whose name the disk or an encoder refused; cleans up."""
    try:
      yield
    except EnhanceError:
      raise
    except (_EncodingError, ValueError, OverflowError, struct.error) as error:
      self._discard()
      raise EnhanceError(
        f"{self._path}: cannot be encoded ({error}); .png takes any picture"
      ) from error
    except OSError as error:
      self._discard()
      reason = error.strerror or error
      raise EnhanceError(
        f"{self._path}: cannot be written ({reason}); check that the folder "
        "exists, may be written to and has room"
      ) from error
    except BaseException:
      self._discard()
      raise

  def _discard(self) -> None:
    """Closes and removes what was begun; nothing where it has its name."""
    with contextlib.suppress(OSError, AttributeError):
      self._file.close()
    self._temporary.unlink(missing_ok=True)


class _EncodingError(Exception):
  """An encoder's refusal, which Pillow reports as an error of the disk."""


class _Whole:
  """A file of a format that Pillow writes as a whole."""

  def __init__(self, file: IO[bytes], sheet: Sheet, kind: str, quality: int):
    self._file, self._sheet = file, sheet
    self._kind, self._quality = kind, quality
    self._pixels = np.empty((0, sheet.width, sheet.channels), sheet.dtype)
    self._done = 0

  def write(self, rows: np.ndarray) -> None:
    sheet = self._sheet
    if len(rows) == sheet.height:
      self._pixels = rows
      return
    if not self._done:
      shape = (sheet.height, sheet.width, sheet.channels)
      self._pixels = np.empty(shape, sheet.dtype)
    self._pixels[self._done : self._done + len(rows)] = rows
    self._done += len(rows)

  def close(self) -> None:
    try:
      data = _encode(self._kind, self._sheet, self._pixels, self._quality)
    except OSError as error:
      raise _EncodingError(str(error)) from error
    self._file.write(data)


def _check_writable(path: pathlib.Path, sheet: Sheet) -> str:
  """The format, which can hold all of the picture."""
  kind = SUFFIXES.get(path.suffix.lower())
  if kind is None:
    raise EnhanceError(
      f'{path}: the suffix "{path.suffix}" names no known format; use one of '
      f"{', '.join(sorted(SUFFIXES))}"
    )
  lost = []
  wide = sheet.dtype == np.uint16
  if wide and kind not in ("PNG", "TIFF"):
    lost.append("16 bits")
  if sheet.channels in (2, 4) and kind in ("JPEG", "BMP"):
    lost.append("alpha")
  elif sheet.channels == 2 and kind == "TIFF" and wide:
    # Few programs read such files, Pillow among those that do not.
    lost.append("16-bit gray with alpha")
  if kind == "BMP":
    lost += ["a colour profile"] * bool(sheet.icc)
    lost += ["EXIF"] * bool(sheet.exif)
    lost += ["XMP"] * bool(sheet.xmp)
  if lost:
    raise EnhanceError(
      f"{path}: {kind} cannot hold {' or '.join(lost)} of this picture; write "
      "a .png, or take that away first"
    )
  return kind


def _encode(kind: str, sheet: Sheet, pixels: np.ndarray, quality: int) -> bytes:
  options = {}
  if kind in ("JPEG", "WEBP"):
    options["quality"] = quality
  if kind == "JPEG":
    # Halved chroma would throw away what a network has just restored.
    options["subsampling"] = 0
  given = {"icc_profile": sheet.icc, "exif": sheet.exif, "xmp": sheet.xmp}
  options.update({key: value for key, value in given.items() if value})
  buffer = io.BytesIO()
  image = Image.fromarray(pixels[..., 0] if sheet.channels == 1 else pixels)
  image.save(buffer, kind, **options)
  return buffer.getvalue()
