"""PNG and TIFF files written row by row, so that none is held as a whole.

Pillow encodes whole pictures only. The pixels are compressed by zlib; TIFF's
directory, which comes last, is laid out by Pillow.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Protocol

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin, TiffTags

from enhance_jax.picture_metadata import XMP_KEYWORD

# Nearly the best compression of upscaled pictures at a third of its time.
_LEVEL = 4
_STRIP_BYTES = 1 << 18
# Offsets of plain TIFF have 32 bits; noise may grow a little by compression.
_BIG = 4_000_000_000
_EXIF, _GPS, _INTEROP = 34665, 34853, 40965
_OFFSETS, _COUNTS = 273, 279


@dataclass(frozen=True)
class Sheet:
  """A picture without its pixels.

  Attributes:
    height: in pixels.
    width: likewise.
    channels: 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
    dtype: uint8 or uint16.
    icc: colour profile.
    exif: EXIF block.
    xmp: XMP packet, UTF-8.
    text: keyword -> text; PNG alone has room for it.
  """

  height: int
  width: int
  channels: int
  dtype: np.dtype
  icc: bytes | None = None
  exif: bytes | None = None
  xmp: bytes | None = None
  text: Mapping[str, str] = field(default_factory=dict)


class Rows(Protocol):
  """A file that takes rows."""

  def write(self, rows: np.ndarray) -> None:
    """Takes the next rows, [some, W, C] of the sheet's type."""

  def close(self) -> None:
    """Writes what is left; the file itself stays open."""


class PngRows:
  """A PNG file (ISO/IEC 15948) of 8 or 16 bits."""

  def __init__(self, file: IO[bytes], sheet: Sheet):
    """Writes everything before the pixels."""
    self._file = file
    self._above = np.zeros(sheet.width * sheet.channels, sheet.dtype).view("u1")
    self._zlib = zlib.compressobj(_LEVEL)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[sheet.channels]
    depth = 8 * sheet.dtype.itemsize
    head = (sheet.width, sheet.height, depth, kind, 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    self._chunk(b"IHDR", struct.pack(">IIBBBBB", *head))
    if sheet.icc:
      self._chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(sheet.icc))
    if sheet.exif:
      self._chunk(b"eXIf", sheet.exif.removeprefix(b"Exif\0\0"))
    info = PngImagePlugin.PngInfo()
    if sheet.xmp:
      info.add_itxt(XMP_KEYWORD, sheet.xmp.decode("utf-8", "replace"))
    for keyword, text in sheet.text.items():
      # Becomes iTXt where Latin-1 does not suffice.
      info.add_text(keyword, text)
    for name, data, *_ in info.chunks:
      self._chunk(name, data)

  def write(self, rows: np.ndarray) -> None:
    """See `Rows.write`."""
    order = rows.astype(rows.dtype.newbyteorder(">"), copy=False)
    lines = np.ascontiguousarray(order).reshape(len(rows), -1).view("u1")
    # Filter 2: each byte minus the one above it.
    filtered = np.empty((len(rows), 1 + lines.shape[1]), np.uint8)
    filtered[:, 0] = 2
    np.subtract(lines[0], self._above, out=filtered[0, 1:])
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    self._above = lines[-1].copy()
    self._data(self._zlib.compress(filtered.tobytes()))

  def close(self) -> None:
    """See `Rows.close`."""
    self._data(self._zlib.flush())
    self._chunk(b"IEND", b"")

  def _data(self, data: bytes) -> None:
    if data:
      self._chunk(b"IDAT", data)

  def _chunk(self, name: bytes, data: bytes) -> None:
    check = zlib.crc32(data, zlib.crc32(name))
    self._file.write(struct.pack(">I", len(data)) + name)
    self._file.write(data)
    self._file.write(struct.pack(">I", check))


class TiffRows:
  """A Deflate TIFF file of 8 or 16 bits in strips; BigTIFF where needed."""

  def __init__(self, file: IO[bytes], sheet: Sheet, *, big: bool | None = None):
    """Leaves room for the place of the directory, which comes last.

    Args:
      file: at its beginning; must be able to seek.
      sheet: what is written.
      big: 64-bit offsets; None decides by the size.
    """
    line = sheet.width * sheet.channels * sheet.dtype.itemsize
    self._file = file
    self._sheet = sheet
    self._big = line * sheet.height > _BIG if big is None else big
    self._step = max(1, _STRIP_BYTES // line)
    shape = (0, sheet.width, sheet.channels)
    self._left = np.empty(shape, sheet.dtype)
    self._strips: list[tuple[int, int]] = []
    file.write(self._head(0))

  def write(self, rows: np.ndarray) -> None:
    """See `Rows.write`."""
    if len(self._left):
      rows = np.concatenate([self._left, rows])
    whole = len(rows) // self._step * self._step
    for start in range(0, whole, self._step):
      self._strip(rows[start : start + self._step])
    self._left = rows[whole:].copy()

  def close(self) -> None:
    """See `Rows.close`."""
    if len(self._left):
      self._strip(self._left)
    place = self._file.seek(0, 2)
    # Directories begin at even places.
    place += self._file.write(b"\0" * (place % 2))
    self._file.write(self._directory(place))
    self._file.seek(0)
    self._file.write(self._head(place))

  def _head(self, place: int) -> bytes:
    if self._big:
      return struct.pack("<2sHHHQ", b"II", 43, 8, 0, place)
    return struct.pack("<2sHI", b"II", 42, place)

  def _strip(self, rows: np.ndarray) -> None:
    # Predictor 2: each sample minus the sample of the pixel to its left.
    samples = rows.copy()
    samples[:, 1:] -= rows[:, :-1]
    little = samples.astype(samples.dtype.newbyteorder("<"), copy=False)
    data = zlib.compress(little.tobytes(), _LEVEL)
    self._strips.append((self._file.tell(), len(data)))
    self._file.write(data)

  def _directory(self, place: int) -> bytes:
    """The tags, for a directory that begins at `place`."""
    sheet = self._sheet
    offsets, counts = zip(*self._strips, strict=True)
    tags = TiffImagePlugin.ImageFileDirectory_v2(self._head(place))
    for tag, value in _exif_tags(sheet.exif).items():
      tags[tag] = value
    kind = TiffTags.LONG8 if self._big else TiffTags.LONG
    tags.tagtype[_OFFSETS] = tags.tagtype[_COUNTS] = kind
    for tag, value in {
      256: sheet.width,
      257: sheet.height,
      258: (8 * sheet.dtype.itemsize,) * sheet.channels,
      259: 8,  # compression: Deflate
      262: 2 if sheet.channels >= 3 else 1,  # RGB or black is zero
      # Pillow moves offsets, as for a picture that follows; `_put` is exact.
      _OFFSETS: (0,) * len(offsets),
      277: sheet.channels,
      278: self._step,
      _COUNTS: counts,
      284: 1,  # samples interleaved
      317: 2,  # horizontal predictor
    }.items():
      tags[tag] = value
    if sheet.channels in (2, 4):
      tags[338] = 2  # the extra sample is alpha, not premultiplied
    if sheet.icc:
      tags[34675] = sheet.icc
    if sheet.xmp:
      tags[700] = sheet.xmp
    return self._put(tags.tobytes(place), place, offsets)

  def _put(self, data: bytes, place: int, offsets: tuple[int, ...]) -> bytes:
    """Puts the strips' true offsets into a directory."""
    count, entry, number = (
      ("Q", "HHQQ", "Q") if self._big else ("H", "HHII", "I")
    )
    first, size = struct.calcsize("<" + count), struct.calcsize("<" + entry)
    values = struct.pack(f"<{len(offsets)}{number}", *offsets)
    for i in range(struct.unpack_from("<" + count, data)[0]):
      at = first + i * size
      tag, _, _, target = struct.unpack_from("<" + entry, data, at)
      if tag == _OFFSETS:
        inline = at + size - struct.calcsize(number)
        at = inline if len(offsets) == 1 else target - place
        return data[:at] + values + data[at + len(values) :]
    raise ValueError("the directory lost its strips")


def _exif_tags(block: bytes | None) -> dict[int, object]:
  """EXIF as tags of a TIFF directory, with the directories inside it."""
  if not block:
    return {}
  exif = Image.Exif()
  exif.load(block)
  tags: dict[int, object] = dict(exif)
  for tag in {_EXIF, _GPS} & set(tags):
    inside = dict(exif.get_ifd(tag))
    if _INTEROP in inside:
      inside[_INTEROP] = dict(exif.get_ifd(_INTEROP))
    tags[tag] = inside
  return tags
