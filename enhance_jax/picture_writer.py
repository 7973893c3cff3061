"""Writing picture files: whole or not at all, with nothing silently lost."""

import io
import os
import pathlib
import secrets
import struct
import zlib

import numpy as np
from PIL import Image

from enhance_jax.errors import EnhanceError
from enhance_jax.picture_reader import SUFFIXES, PathLike, Picture


def write_picture(
  path: PathLike, picture: Picture, *, quality: int = 95
) -> None:
  """Writes a picture file whole or not at all; the suffix is the format.

  Args:
    path: .png, .jpg, .jpeg, .webp, .tif, .tiff or .bmp; an existing file is
      replaced.
    picture: written with its depth, alpha, colour profile and EXIF.
    quality: 1..100 of JPEG and WebP.

  Raises:
    EnhanceError: the format cannot hold the picture without loss of depth,
      alpha or metadata, or the disk refuses.
  """
  path = pathlib.Path(path)
  _check_writable(path, picture)
  try:
    data = _encode(SUFFIXES[path.suffix.lower()], picture, quality)
  except (OSError, ValueError, OverflowError, struct.error) as error:
    raise EnhanceError(
      f"{path}: cannot be encoded ({error}); .png takes any picture"
    ) from error
  temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
  try:
    try:
      with temporary.open("xb") as file:
        file.write(data)
      os.replace(temporary, path)
    except BaseException:
      temporary.unlink(missing_ok=True)
      raise
  except OSError as error:
    reason = error.strerror or error
    raise EnhanceError(
      f"{path}: cannot be written ({reason}); check that the folder exists, "
      "may be written to and has room"
    ) from error


def _check_writable(path: pathlib.Path, picture: Picture) -> None:
  kind = SUFFIXES.get(path.suffix.lower())
  if kind is None:
    raise EnhanceError(
      f'{path}: the suffix "{path.suffix}" names no known format; use one of '
      f"{', '.join(sorted(SUFFIXES))}"
    )
  lost = []
  wide = picture.pixels.dtype == np.uint16
  if wide and kind not in ("PNG", "TIFF"):
    lost.append("16 bits")
  if picture.pixels.shape[2] in (2, 4) and kind in ("JPEG", "BMP"):
    lost.append("alpha")
  elif picture.pixels.shape[2] == 2 and kind == "TIFF" and wide:
    # Few programs read such files, Pillow among those that do not.
    lost.append("16-bit gray with alpha")
  if kind == "BMP":
    lost += ["a colour profile"] * bool(picture.icc)
    lost += ["EXIF"] * bool(picture.exif)
  if lost:
    raise EnhanceError(
      f"{path}: {kind} cannot hold {' or '.join(lost)} of this picture; write "
      "a .png, or take that away first"
    )


def _encode(kind: str, picture: Picture, quality: int) -> bytes:
  pixels, icc, exif = picture.pixels, picture.icc, picture.exif
  if kind == "TIFF":
    return _encode_tiff(pixels, icc, exif)
  if pixels.dtype == np.uint16:
    return _encode_wide_png(pixels, icc, exif)
  options = {}
  if kind in ("JPEG", "WEBP"):
    options["quality"] = quality
  if kind == "JPEG":
    # Halved chroma would throw away what a network has just restored.
    options["subsampling"] = 0
  if icc:
    options["icc_profile"] = icc
  if exif:
    options["exif"] = exif
  buffer = io.BytesIO()
  one_channel = pixels.shape[2] == 1
  image = Image.fromarray(pixels[..., 0] if one_channel else pixels)
  image.save(buffer, kind, **options)
  return buffer.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
  check = zlib.crc32(name + data)
  return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def _encode_wide_png(
  pixels: np.ndarray, icc: bytes | None, exif: bytes | None
) -> bytes:
  """A 16-bit PNG file (ISO/IEC 15948) of uint16 [H, W, 1..4]."""
  height, width, channels = pixels.shape
  color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
  head = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
  rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
  step = 2 * channels
  # Filter 1: each byte minus the same byte of the pixel to its left.
  filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
  filtered[:, 0] = 1
  filtered[:, 1 : 1 + step] = rows[:, :step]
  filtered[:, 1 + step :] = rows[:, step:] - rows[:, :-step]
  chunks = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", head)]
  if icc:
    chunks.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
  if exif:
    chunks.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
  chunks.append(_chunk(b"IDAT", zlib.compress(filtered.tobytes())))
  chunks.append(_chunk(b"IEND", b""))
  return b"".join(chunks)


def _encode_tiff(
  pixels: np.ndarray, icc: bytes | None, exif: bytes | None
) -> bytes:
  """A Deflate TIFF file of uint8 or uint16 [H, W, 1..4], one strip."""
  height, width, channels = pixels.shape
  bits = 8 * pixels.dtype.itemsize
  # Predictor 2: each sample minus the sample of the pixel to its left.
  samples = pixels.copy()
  samples[:, 1:] -= pixels[:, :-1]
  little = samples.astype(samples.dtype.newbyteorder("<"))
  strip = zlib.compress(little.tobytes())
  tags = Image.Exif()
  if exif:
    tags.load(exif)
  tags.endian = "<"
  tags.update(
    {
      256: width,
      257: height,
      258: (bits,) * channels,
      259: 8,  # compression: Deflate
      262: 2 if channels >= 3 else 1,  # photometric: RGB or black is zero
      273: 0,  # strip offset: Pillow adds the end of the directory
      277: channels,
      278: height,
      279: len(strip),
      284: 1,  # samples interleaved
      317: 2,  # horizontal predictor
    }
  )
  if channels in (2, 4):
    tags[338] = 2  # the extra sample is alpha, not premultiplied
  if icc:
    tags[34675] = icc
  return tags.tobytes().removeprefix(b"Exif\0\0") + strip
