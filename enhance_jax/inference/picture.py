"""Upscales a picture as its file has it: gray, alpha, 8 or 16 bits kept."""

import dataclasses

import numpy as np

from enhance_jax import images
from enhance_jax.inference import engine


def upscale_picture(
  upscaler: engine.Engine,
  picture: images.Picture,
  *,
  on_tile: engine.OnTile | None = None,
) -> images.Picture:
  """The picture enlarged; channels, depth, ICC profile and EXIF are kept.

  Alpha is enlarged bicubically. Colours that alpha hides are first replaced
  by those of the visible neighbourhood, so that nothing bleeds out of hidden
  pixels into the visible edge.

  Args:
    upscaler: of `engine.open_model`.
    picture: uint8 or uint16, 1 to 4 channels.
    on_tile: called with (tiles done, tiles in all).
  """
  pixels = picture.pixels
  has_alpha = pixels.shape[-1] in (2, 4)
  if not has_alpha:
    sr = _enlarge(upscaler, pixels, on_tile)
    return dataclasses.replace(picture, pixels=sr)
  colour, alpha = pixels[..., :-1], pixels[..., -1:]
  sr = _enlarge(upscaler, fill_hidden(colour, alpha), on_tile)
  bicubic = engine.Interpolation("bicubic", upscaler.scale)
  sr = np.concatenate([sr, _enlarge(bicubic, alpha, None)], axis=-1)
  return dataclasses.replace(picture, pixels=sr)


def fill_hidden(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
  """Gives fully transparent pixels the colour of what is visible near them.

  Args:
    colour: uint8 or uint16 [H, W, C], not premultiplied.
    alpha: the same type, [H, W, 1]; 0 is transparent.

  Returns:
    a copy of `colour`; pixels with alpha above 0 are unchanged.
  """
  visible = alpha > 0
  if visible.all() or not visible.any():
    return colour
  weight = alpha.astype(np.float32) / np.float32(np.iinfo(alpha.dtype).max)
  filled = _pull_push(colour * weight, weight)
  return np.where(visible, colour, np.rint(filled)).astype(colour.dtype)


def _pull_push(total: np.ndarray, weight: np.ndarray) -> np.ndarray:
  """total / weight; where weight is 0, that of the smallest block with some."""
  mean = total / np.where(weight > 0, weight, 1)
  if (weight > 0).all():
    return mean
  height, width = weight.shape[:2]
  coarse = _pull_push(_blocks(total), _blocks(weight))
  coarse = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
  return np.where(weight > 0, mean, coarse)


def _blocks(x: np.ndarray) -> np.ndarray:
  """Sums of 2x2 blocks; odd sides are filled up with zeros."""
  height, width, channels = x.shape
  x = np.pad(x, ((0, height % 2), (0, width % 2), (0, 0)))
  shape = (x.shape[0] // 2, 2, x.shape[1] // 2, 2, channels)
  return x.reshape(shape).sum(axis=(1, 3))


def _enlarge(
  upscaler: engine.Engine,
  pixels: np.ndarray,
  on_tile: engine.OnTile | None,
) -> np.ndarray:
  if pixels.dtype == np.uint16:
    return upscaler.upscale_uint16(pixels, on_tile=on_tile)
  return upscaler.upscale_uint8(pixels, on_tile=on_tile)
