"""Reading picture files: upright, at their own depth, with their metadata.

Damaged, hostile and unusual files end in one clear error that names the file.
"""

import io
import os
import pathlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL import (
  BmpImagePlugin,
  Image,
  ImageCms,
  ImageFile,
  JpegImagePlugin,
  PngImagePlugin,
  TiffImagePlugin,
  WebPImagePlugin,
)

from enhance_jax import sixteen_bit
from enhance_jax.errors import EnhanceError

PathLike = str | os.PathLike[str]

MAX_PIXELS = 400_000_000
SUFFIXES = {
  ".bmp": "BMP",
  ".jpeg": "JPEG",
  ".jpg": "JPEG",
  ".png": "PNG",
  ".tif": "TIFF",
  ".tiff": "TIFF",
  ".webp": "WEBP",
}

# First bytes -> decoder. Going round Image.open keeps its size limit, a global
# of the process, out of the way of `max_pixels`, and its other formats shut.
_OPENERS = (
  (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
  (b"\xff\xd8\xff", JpegImagePlugin.jpeg_factory),
  (b"RIFF", WebPImagePlugin.WebPImageFile),
  (b"II*\0", TiffImagePlugin.TiffImageFile),
  (b"MM\0*", TiffImagePlugin.TiffImageFile),
  (b"BM", BmpImagePlugin.BmpImageFile),
)
_DECODE_ERRORS = (
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
_ORIENTATION = 274
# Tags of a TIFF file that tell about the picture and not about its storage.
_KEPT_TIFF_TAGS = frozenset(
  {270, 271, 272, 282, 283, 296, 305, 306, 315, 33432, 34665, 34853}
)
_MODES = {"1": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "YCbCr": "RGB"}


@dataclass(frozen=True)
class Picture:
  """The content of a picture file, upright.

  Attributes:
    pixels: uint8 or uint16 [H, W, C]; C is 1 gray, 2 gray and alpha, 3 RGB,
      4 RGB and alpha. White is 255 or 65535.
    icc: colour profile, as stored.
    exif: EXIF block; its orientation has been applied and reset to 1.
  """

  pixels: np.ndarray
  icc: bytes | None = None
  exif: bytes | None = None

  def __post_init__(self) -> None:
    """Refuses arrays that no picture file could hold."""
    p = self.pixels
    if p.dtype not in (np.uint8, np.uint16) or p.ndim != 3:
      raise EnhanceError(
        f"got {p.dtype} of shape {p.shape}; a picture is uint8 or uint16 "
        "[H, W, C]"
      )
    if p.shape[2] not in (1, 2, 3, 4) or 0 in p.shape:
      raise EnhanceError(
        f"got shape {p.shape}; a picture has 1 to 4 channels and no empty side"
      )


def read_picture(path: PathLike, *, max_pixels: int = MAX_PIXELS) -> Picture:
  """Reads a picture file, upright and at its own depth.

  Palettes become RGB (RGBA with transparency), CMYK becomes RGB, 1-bit becomes
  gray; 16 bits stay 16 bits.

  Args:
    path: a PNG, JPEG, WebP, TIFF or BMP file; its content decides, not its
      name.
    max_pixels: larger pictures are refused before they are decoded; WebP and
      TIFF obey Pillow's own limit, 2 * PIL.Image.MAX_IMAGE_PIXELS, as well.

  Raises:
    EnhanceError: names the file, what is wrong with it and what helps.
  """
  path = pathlib.Path(path)
  try:
    data = path.read_bytes()
  except OSError as error:
    raise _unreadable(path, error) from error
  with _naming(path):
    image = _open(io.BytesIO(data), max_pixels)
    if image.format == "PNG":
      # Decoding alone would overlook damage that inflates to some pixels.
      image.verify()
      image = _open(io.BytesIO(data), max_pixels)
    frames = getattr(image, "n_frames", 1)
    # The second picture in a phone's JPEG is a preview or a gain map.
    if frames > 1 and image.format != "MPO":
      raise EnhanceError(
        f"holds {frames} frames or pages, and one picture is wanted; "
        "save the frame you need as a file of its own"
      )
    if sixteen_bit.is_wide(image):
      pixels, image = sixteen_bit.decode(
        lambda: _open(io.BytesIO(data), max_pixels)
      )
      pixels = _keyed(pixels, image)
    else:
      image.load()
      pixels = _pixels(image)
    icc = None if image.mode == "CMYK" else image.info.get("icc_profile")
    exif, orientation = _exif(image)
    pixels = np.ascontiguousarray(_upright(pixels, orientation))
    return Picture(pixels, icc, exif)


def picture_size(path: PathLike) -> tuple[int, int]:
  """(height, width) of the upright picture, read from the header alone."""
  path = pathlib.Path(path)
  try:
    file = path.open("rb")
  except OSError as error:
    raise _unreadable(path, error) from error
  with file, _naming(path):
    image = _open(file, None)
    width, height = image.size
    if image.format == "TIFF":
      return height, width
    if image.format == "PNG" and "exif" not in image.info:
      image.info["exif"] = _late_png_exif(file)
    try:
      # PNG's own getexif would decode the picture to look behind it.
      orientation = Image.Image.getexif(image).get(_ORIENTATION, 1)
    except _DECODE_ERRORS:
      orientation = 1
    return (width, height) if orientation in (5, 6, 7, 8) else (height, width)


def list_pictures(folder: PathLike) -> list[pathlib.Path]:
  """Picture files below a folder, sorted; hidden ones are left out."""
  folder = pathlib.Path(folder)
  if not folder.is_dir():
    raise EnhanceError(f"{folder}: no such folder; give a folder of pictures")
  return sorted(
    path
    for path in folder.rglob("*")
    if path.suffix.lower() in SUFFIXES
    and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    and path.is_file()
  )


def _unreadable(path: pathlib.Path, error: OSError) -> EnhanceError:
  return EnhanceError(
    f"{path}: cannot be read ({error.strerror or error}); check the name and "
    "the permissions"
  )


@contextmanager
def _naming(path: pathlib.Path) -> Iterator[None]:
  """Turns whatever a decoder throws into an error that names the file."""
  try:
    yield
  except EnhanceError as error:
    raise EnhanceError(f"{path}: {error}") from error
  except Image.DecompressionBombError as error:
    raise EnhanceError(
      f"{path}: {error} Cut it in pieces, or save it as PNG"
    ) from error
  except _DECODE_ERRORS as error:
    raise EnhanceError(
      f"{path}: damaged, truncated or of an unsupported kind ({error}); get a "
      "good copy of the file, or save it as PNG"
    ) from error


def _open(file: IO[bytes], max_pixels: int | None) -> ImageFile.ImageFile:
  """Reads the header only and checks the size it claims."""
  head = file.read(12)
  file.seek(0)
  if not head:
    raise EnhanceError("the file is empty; get a good copy of it")
  for magic, opener in _OPENERS:
    if head.startswith(magic) and (magic != b"RIFF" or head[8:] == b"WEBP"):
      image = opener(file)
      break
  else:
    raise EnhanceError(
      "not a picture in a known format; PNG, JPEG, WebP, TIFF and BMP are read"
    )
  width, height = image.size
  if max_pixels is not None and width * height > max_pixels:
    raise EnhanceError(
      f"{width}x{height} is {width * height / 1e6:.0f} megapixels and the "
      f"limit is {max_pixels / 1e6:.0f}; cut it in pieces or raise max_pixels"
    )
  return image


def _pixels(image: Image.Image) -> np.ndarray:
  """uint8 or uint16 [H, W, C] of a decoded image."""
  if image.mode.startswith("I;16"):
    values = np.asarray(image).astype(np.uint16)[..., None]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
      values = _tiff_levels(values, image)
    return _keyed(values, image)
  mode = _MODES.get(image.mode, image.mode)
  if image.mode == "CMYK":
    return np.asarray(_cmyk_to_rgb(image))
  if mode in ("P", "PA"):
    mode = "RGBA" if image.has_transparency_data else "RGB"
  elif mode in ("L", "RGB") and image.has_transparency_data:
    mode += "A"
  if mode not in ("L", "LA", "RGB", "RGBA"):
    raise EnhanceError(
      f"pixels of kind {image.mode} are not supported; save the picture as "
      "8-bit or 16-bit gray or RGB"
    )
  pixels = np.asarray(image if image.mode == mode else image.convert(mode))
  return pixels[..., None] if pixels.ndim == 2 else pixels


def _tiff_levels(
  values: np.ndarray, image: TiffImagePlugin.TiffImageFile
) -> np.ndarray:
  """Gray TIFF samples as uint16 with white at 65535."""
  bits = image.tag_v2.get(258, (16,))
  if tuple(bits) != (16,):
    raise EnhanceError(
      f"gray of {bits[0]} bits is not supported; save it with 8 or 16 bits"
    )
  # Photometric 0 is "white is zero"; Pillow inverts that for 8 bits only.
  return 65535 - values if image.tag_v2.get(262) == 0 else values


def _keyed(pixels: np.ndarray, image: Image.Image) -> np.ndarray:
  """16-bit pixels with alpha where a PNG names one colour transparent."""
  key = image.info.get("transparency")
  if key is None or pixels.shape[-1] not in (1, 3):
    return pixels
  clear = np.all(pixels == np.asarray(key), axis=-1, keepdims=True)
  alpha = np.where(clear, 0, 65535).astype(np.uint16)
  return np.concatenate([pixels, alpha], axis=-1)


def _cmyk_to_rgb(image: Image.Image) -> Image.Image:
  """Through the picture's own profile where that works, to sRGB."""
  profile = image.info.get("icc_profile")
  converted = None
  if profile:
    # A damaged profile must not make the picture unreadable.
    with suppress(ImageCms.PyCMSError, OSError):
      converted = ImageCms.profileToProfile(
        image,
        io.BytesIO(profile),
        ImageCms.createProfile("sRGB"),
        outputMode="RGB",
      )
  return converted or image.convert("RGB")


def _exif(image: Image.Image) -> tuple[bytes | None, int]:
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
      return None, 1
    if orientation == 1 and "exif" in image.info:
      return image.info["exif"], 1
    if _ORIENTATION in tags:
      tags[_ORIENTATION] = 1
    return tags.tobytes(), orientation
  except _DECODE_ERRORS:
    # Damaged EXIF says nothing; the pixels are still good.
    return None, 1


def _late_png_exif(file: IO[bytes]) -> bytes:
  """The EXIF chunk of a PNG file wherever it is, without decoding; or b""."""
  file.seek(8)
  while len(head := file.read(8)) == 8:
    length, name = struct.unpack(">I4s", head)
    if name == b"eXIf":
      return b"Exif\0\0" + file.read(length)
    file.seek(length + 4, os.SEEK_CUR)
  return b""


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
  """Undoes an EXIF orientation 1..8; unknown values mean 1."""
  if orientation in (5, 6, 7, 8):
    pixels = pixels.swapaxes(0, 1)
  if orientation in (3, 4, 7, 8):
    pixels = pixels[::-1]
  if orientation in (2, 3, 6, 7):
    pixels = pixels[:, ::-1]
  return pixels
