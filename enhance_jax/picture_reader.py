"""Reading picture files: upright, at their own depth, with their metadata.

Damaged, hostile and unusual files end in one clear error that names the file.
"""

import io
import os
import pathlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
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

from enhance_jax import picture_metadata as metadata
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
_MODES = {"1": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "YCbCr": "RGB"}


@dataclass(frozen=True)
class Picture:
  """The content of a picture file, upright.

  Attributes:
    pixels: uint8 or uint16 [H, W, C]; C is 1 gray, 2 gray and alpha, 3 RGB,
      4 RGB and alpha. White is 255 or 65535.
    icc: colour profile, as stored.
    exif: EXIF block; its orientation has been applied and reset to 1.
    xmp: XMP packet, UTF-8.
    text: keyword -> text, for PNG's text chunks.
  """

  pixels: np.ndarray
  icc: bytes | None = None
  exif: bytes | None = None
  xmp: bytes | None = None
  text: Mapping[str, str] = field(default_factory=dict)

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
    exif, orientation = metadata.exif(image)
    pixels = np.ascontiguousarray(_upright(pixels, orientation))
    xmp, text = metadata.xmp(image), metadata.text(image)
    return Picture(pixels, icc, exif, xmp, text)


def picture_size(path: PathLike) -> tuple[int, int]:
  """(height, width) of the upright picture, read from the header alone."""
  with _header(path) as image:
    width, height = image.size
    turned = metadata.orientation(image) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def read_remarks(path: PathLike) -> tuple[bytes | None, dict[str, str]]:
  """(XMP packet, PNG's text) of a picture file; its pixels are not decoded."""
  with _header(path) as image:
    return metadata.xmp(image), metadata.text(image)


@contextmanager
def _header(path: PathLike) -> Iterator[ImageFile.ImageFile]:
  """The picture file opened, all its metadata read, nothing decoded."""
  path = pathlib.Path(path)
  try:
    file = path.open("rb")
  except OSError as error:
    raise _unreadable(path, error) from error
  with file, _naming(path):
    image = _open(file, None)
    if image.format == "PNG":
      image = _open(metadata.png_without_pixels(file), None)
    yield image


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
  except metadata.DECODE_ERRORS as error:
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


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
  """Undoes an EXIF orientation 1..8; unknown values mean 1."""
  if orientation in (5, 6, 7, 8):
    pixels = pixels.swapaxes(0, 1)
  if orientation in (3, 4, 7, 8):
    pixels = pixels[::-1]
  if orientation in (2, 3, 6, 7):
    pixels = pixels[:, ::-1]
  return pixels
