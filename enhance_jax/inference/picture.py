"""Upscales a picture as its file has it: gray, alpha, 8 or 16 bits kept."""

import dataclasses

import numpy as np

from enhance_jax import images
from enhance_jax.inference import sizes, tiled


def upscale_picture(
  upscaler: tiled.Engine,
  picture: images.Picture,
  *,
  size: sizes.Size | None = None,
  on_tile: tiled.OnTile | None = None,
) -> images.Picture:
  """The picture enlarged; channels, depth and all metadata are kept.

  Alpha is enlarged bicubically. Colours that alpha hides are first replaced
  by those of the visible neighbourhood, so that nothing bleeds out of hidden
  pixels into the visible edge.

  Args:
    upscaler: of `engine.open_model`.
    picture: uint8 or uint16, 1 to 4 channels.
    size: of the result; None is the upscaler's own enlargement. Anything else
      is resampled from that, see `sizes`.
    on_tile: called with (tiles done, tiles in all).

  Raises:
    EnhanceError: a size below that of the picture, or what the upscaler
      refuses.
  """
  pixels = picture.pixels
  height, width = pixels.shape[:2]
  if size is None:
    wanted = height * upscaler.scale, width * upscaler.scale
  else:
    # Before the work, so that a wish that cannot be met costs nothing.
    wanted = sizes.target(size, height, width)
  has_alpha = pixels.shape[-1] in (2, 4)
  if not has_alpha:
    sr = sizes.resize_pixels(_enlarge(upscaler, pixels, on_tile), wanted)
    return dataclasses.replace(picture, pixels=sr)
  colour, alpha = pixels[..., :-1], pixels[..., -1:]
  sr = _enlarge(upscaler, fill_hidden(colour, alpha), on_tile)
  planes = [sizes.resize_pixels(plane, wanted) for plane in (sr, alpha)]
  return dataclasses.replace(picture, pixels=np.concatenate(planes, axis=-1))


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
  upscaler: tiled.Engine,
  pixels: np.ndarray,
  on_tile: tiled.OnTile | None,
) -> np.ndarray:
  if pixels.dtype == np.uint16:
    return upscaler.upscale_uint16(pixels, on_tile=on_tile)
  return upscaler.upscale_uint8(pixels, on_tile=on_tile)
