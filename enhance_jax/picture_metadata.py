"""What picture files say besides pixels: EXIF, XMP and PNG's text.

Nothing here decodes a picture. XMP is handed on as bytes and never parsed.
"""

import io
import os
import re
import struct
from typing import IO

from PIL import Image, TiffImagePlugin

DECODE_ERRORS = (
  OSError,
  SyntaxError,
  ValueError,
  TypeError,
  LookupError,
  EOFError,
  ArithmeticError,
  RuntimeError,
  struct.error,
)
XMP_KEYWORD = "XML:com.adobe.xmp"
_ORIENTATION = 274
# Tags of a TIFF file that tell about the picture and not about its storage.
_KEPT_TIFF_TAGS = frozenset(
  {270, 271, 272, 282, 283, 296, 305, 306, 315, 33432, 34665, 34853}
)
_XMP_ORIENTATION = re.compile(
  rb"(tiff:Orientation(?:\s*=\s*[\"']|\s*>)\s*)([2-8])(?=\s*[\"'<])"
)
# ImageMagick's way to keep a block in a PNG text: hexadecimal after three lines
# that say what it is and how long.
_RAW_PROFILE = "Raw profile type "
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xaeB`\x82"


def exif(image: Image.Image) -> tuple[bytes | None, int]:
  """The EXIF block with orientation 1, and the orientation it had."""
  try:
    tags = image.getexif()
    orientation = tags.get(_ORIENTATION, 1)
    if image.format == "TIFF":
      # Pillow turns TIFF pictures itself, and reports storage tags as EXIF.
      kept = Image.Exif()
      for tag in sorted(_KEPT_TIFF_TAGS & set(tags)):
        is_block = tag in (34665, 34853)
        kept[tag] = dict(tags.get_ifd(tag)) if is_block else tags[tag]
      return (kept.tobytes() if len(kept) else None), 1
    if not len(tags):
      return None, orientation
    if orientation == 1 and "exif" in image.info:
      return image.info["exif"], 1
    if _ORIENTATION in tags:
      tags[_ORIENTATION] = 1
    return tags.tobytes(), orientation
  except DECODE_ERRORS:
    # Damaged EXIF says nothing; the pixels are still good.
    return None, 1


def orientation(image: Image.Image) -> int:
  """1..8: what turns the picture as it is opened upright."""
  if isinstance(image, TiffImagePlugin.TiffImageFile):
    if _ORIENTATION in image.tag_v2:
      # Its size is given upright already.
      return 1
  try:
    # PNG's own getexif would decode the picture to look behind it.
    return Image.Image.getexif(image).get(_ORIENTATION, 1)
  except DECODE_ERRORS:
    return 1


def xmp(image: Image.Image) -> bytes | None:
  """The XMP packet in UTF-8; its orientation, now applied, is 1."""
  packet = image.info.get("xmp")
  raw = image.info.get(f"{_RAW_PROFILE}xmp")
  if packet is None and isinstance(raw, str):
    try:
      packet = bytes.fromhex("".join(raw.split("\n")[3:]))
    except ValueError:
      return None
  if not isinstance(packet, bytes):
    return None
  if packet.startswith((b"\xff\xfe", b"\xfe\xff")):
    packet = packet.decode("utf-16", "replace").encode()
  return _XMP_ORIENTATION.sub(rb"\g<1>1", packet).rstrip(b"\0 ") or None


def text(image: Image.Image) -> dict[str, str]:
  """PNG's text by keyword, without what EXIF and XMP hold."""
  if image.format != "PNG":
    return {}
  return {
    key: str(value)
    for key, value in image.info.items()
    if isinstance(key, str)
    and isinstance(value, str)
    and key != XMP_KEYWORD
    and not key.startswith(_RAW_PROFILE)
  }


def png_without_pixels(file: IO[bytes]) -> io.BytesIO:
  """A PNG file of all chunks but pixels, those behind the pixels too."""
  file.seek(8)
  parts = [_SIGNATURE]
  while len(head := file.read(8)) == 8:
    length, name = struct.unpack(">I4s", head)
    if name == b"IEND":
      break
    if name in (b"IDAT", b"fdAT"):
      file.seek(length + 4, os.SEEK_CUR)
      continue
    body = file.read(length + 4)
    if len(body) < length + 4:
      break
    parts += [head, body]
  return io.BytesIO(b"".join([*parts, _END]))
