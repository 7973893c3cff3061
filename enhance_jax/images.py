"""Pixel conventions: ranges, rounding, colour and crops, plus picture files.

Between modules an image is float32 [N, H, W, C] in [0, 1], RGB or gray; in a
file it is uint8 or uint16 [H, W, C]. This is the only place where one becomes
the other. Files are handled by `picture_reader` and `picture_writer`, whose
public names are available here too.
"""

import os
from typing import Any

import numpy as np

from enhance_jax.errors import EnhanceError
from enhance_jax.picture_reader import (
  MAX_PIXELS,
  SUFFIXES,
  Picture,
  list_pictures,
  picture_size,
  read_picture,
)
from enhance_jax.picture_writer import PictureFile, write_picture

__all__ = [
  "MAX_PIXELS",
  "SUFFIXES",
  "Picture",
  "PictureFile",
  "list_pictures",
  "luma",
  "luma_uint8",
  "modcrop",
  "picture_size",
  "read_hr",
  "read_picture",
  "rgb_to_ycbcr",
  "shave",
  "to_channels",
  "to_float",
  "to_uint16",
  "to_uint8",
  "write_picture",
  "ycbcr_to_rgb",
]

# MATLAB's rgb2ycbcr (ITU-R BT.601, studio swing): rows Y, Cb, Cr on the 0..255
# scale for R, G, B in [0, 1].
_YCBCR = (
  (65.481, 128.553, 24.966),
  (-37.797, -74.203, 112.0),
  (112.0, -93.786, -18.214),
)
_OFFSET = (16.0, 128.0, 128.0)
_INVERSE = tuple(
  tuple(float(value) for value in row) for row in np.linalg.inv(_YCBCR)
)


def to_float(pixels: np.ndarray) -> np.ndarray:
  """uint8 or uint16 pixels of any shape as float32 in [0, 1]."""
  if pixels.dtype not in (np.uint8, np.uint16):
    raise EnhanceError(
      f"got pixels of dtype {pixels.dtype}; file pixels are uint8 or uint16"
    )
  return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def _to_integers(x: Any, dtype: type[np.unsignedinteger]) -> np.ndarray:
  x = np.asarray(x)
  if not np.issubdtype(x.dtype, np.floating):
    x = x.astype(np.float32) if x.dtype.name == "bfloat16" else x
  if x.dtype.kind != "f":
    raise EnhanceError(f"got {x.dtype}; rounding wants floats in [0, 1]")
  # A cast would turn NaN into 0, a black picture nobody asked for.
  bad = x.size - int(np.count_nonzero(np.isfinite(x)))
  if bad:
    raise EnhanceError(
      f"{bad} of {x.size} values are NaN or infinite, so there is no picture "
      "to save; check the weights, or use float32 in place of bfloat16"
    )
  x = x.astype(np.promote_types(x.dtype, np.float32))
  return np.floor(np.clip(x, 0, 1) * np.iinfo(dtype).max + 0.5).astype(dtype)


def to_uint8(x: Any) -> np.ndarray:
  """Floats in [0, 1], clipped and rounded half up to uint8 0..255."""
  return _to_integers(x, np.uint8)


def to_uint16(x: Any) -> np.ndarray:
  """Floats in [0, 1], clipped and rounded half up to uint16 0..65535."""
  return _to_integers(x, np.uint16)


def _combine(
  x: Any, rows: tuple[tuple[float, ...], ...], offset: tuple[float, ...]
) -> list[Any]:
  """Linear mixtures of the three channels, one [..., 1] array for each row."""
  # Scalars, not a matrix product: no dtype or matmul precision is imposed.
  red, green, blue = x[..., 0:1], x[..., 1:2], x[..., 2:3]
  return [
    row[0] * red + row[1] * green + row[2] * blue + constant
    for row, constant in zip(rows, offset, strict=True)
  ]


def _want_rgb(x: Any) -> None:
  if x.shape[-1] != 3:
    raise EnhanceError(f"got {x.shape[-1]} channels; RGB has 3 (last axis)")


def luma(x: Any) -> Any:
  """BT.601 luma as MATLAB's rgb2ycbcr has it (studio swing).

  Args:
    x: floats [..., 3] in [0, 1] (NumPy or JAX), or gray [..., 1].

  Returns:
    [..., 1], RGB mapped to 16/255..235/255. Gray is returned as it is: the
    literature scores gray pictures on their own values.
  """
  if x.shape[-1] == 1:
    return x
  _want_rgb(x)
  return _combine(x, _YCBCR[:1], _OFFSET[:1])[0] / 255.0


def luma_uint8(pixels: np.ndarray) -> np.ndarray:
  """MATLAB's rgb2ycbcr luma of uint8 [..., 3] (or gray), rounded to uint8."""
  if pixels.dtype != np.uint8:
    raise EnhanceError(f"got {pixels.dtype}; luma_uint8 wants uint8 pixels")
  if pixels.shape[-1] == 1:
    return pixels
  _want_rgb(pixels)
  y = _combine(pixels / 255.0, _YCBCR[:1], _OFFSET[:1])[0]
  # A few colours lie exactly between two levels; half to even, as BasicSR has
  # it, makes the result the least dependent on float noise.
  return np.round(y).astype(np.uint8)


def rgb_to_ycbcr(x: Any) -> Any:
  """MATLAB's rgb2ycbcr: floats [..., 3] in [0, 1] to Y, Cb, Cr over 255."""
  _want_rgb(x)
  parts = [part / 255.0 for part in _combine(x, _YCBCR, _OFFSET)]
  return _namespace(x).concatenate(parts, axis=-1)


def ycbcr_to_rgb(x: Any) -> Any:
  """Inverse of `rgb_to_ycbcr`, not clipped: floats [..., 3]."""
  _want_rgb(x)
  zero = (0.0, 0.0, 0.0)
  shifted = x * 255.0 - np.asarray(_OFFSET, x.dtype).reshape(
    (1,) * (x.ndim - 1) + (3,)
  )
  return _namespace(x).concatenate(_combine(shifted, _INVERSE, zero), axis=-1)


def _namespace(x: Any) -> Any:
  """`numpy` or `jax.numpy`, whichever x belongs to."""
  return np if isinstance(x, np.ndarray) else x.__array_namespace__()


def _crop(x: Any, top: int, bottom: int, left: int, right: int) -> Any:
  if x.ndim == 2:
    return x[top:bottom, left:right]
  return x[..., top:bottom, left:right, :]


def _sides(x: Any) -> tuple[int, int]:
  return x.shape if x.ndim == 2 else x.shape[-3:-1]


def modcrop(x: Any, scale: int) -> Any:
  """Cuts bottom and right so that both sides are multiples of `scale`.

  Args:
    x: [H, W] or [..., H, W, C], any dtype.
    scale: the super-resolution factor.
  """
  height, width = _sides(x)
  if min(height, width) < scale:
    raise EnhanceError(
      f"got a picture of {height}x{width} pixels; scale {scale} needs at least "
      f"{scale} on each side"
    )
  return _crop(x, 0, height - height % scale, 0, width - width % scale)


def shave(x: Any, border: int) -> Any:
  """Drops `border` pixels on all four sides of [H, W] or [..., H, W, C]."""
  height, width = _sides(x)
  if border < 0 or min(height, width) <= 2 * border:
    raise EnhanceError(
      f"got a picture of {height}x{width} pixels and a border of {border}; the "
      "border must be 0 or more and leave at least one pixel"
    )
  return _crop(x, border, height - border, border, width - border)


def read_hr(path: str | os.PathLike[str], channels: int = 3) -> np.ndarray:
  """A picture for training or scoring, uint8 [H, W, channels].

  See `to_channels` for what happens to alpha, 16 bits, gray and colour.
  """
  return to_channels(read_picture(path).pixels, channels)


def to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
  """Pixels as uint8 [H, W, channels].

  Alpha is dropped, 16 bits are rounded to 8, gray is repeated for three
  channels, and colour is turned to rounded BT.601 luma for one.

  Args:
    pixels: uint8 or uint16 [H, W, 1 to 4].
    channels: 1 or 3.
  """
  if channels not in (1, 3):
    raise EnhanceError(f"got channels={channels}; pictures have 1 or 3")
  pixels = pixels[..., : 1 if pixels.shape[-1] < 3 else 3]
  if pixels.dtype == np.uint16:
    pixels = to_uint8(to_float(pixels))
  if channels == 3 and pixels.shape[-1] == 1:
    return np.repeat(pixels, 3, axis=-1)
  if channels == 1 and pixels.shape[-1] == 3:
    return luma_uint8(pixels)
  return pixels
