"""PSNR, SSIM, MS-SSIM, LR-PSNR of a picture under a named protocol.

The same pair of pictures has many "PSNR"s in the literature: luma as float
(EDSR, RCAN) or rounded (SRCNN, VDSR), RGB, this or that border. A number
without its `Protocol` means nothing, so none is computed without one.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from enhance_jax import images, resample
from enhance_jax.errors import EnhanceError, nearest
from enhance_jax.metrics import structure

_COLORS = {
  "y": "float BT.601 luma",
  "y8": "BT.601 luma rounded to 8 bits",
  "rgb": "RGB",
}
_SSIMS = {"wang": "Wang 2004", "daala": "Daala, on luma rounded to 8 bits"}


@dataclass(frozen=True)
class Protocol:
  """How pictures are compared.

  Attributes:
    color: "y" luma as float, "y8" luma rounded to uint8, "rgb" all channels.
      Gray pictures are compared on their own values under each of them.
    crop: pixels dropped on every side first.
    ssim: "wang" (11-tap Gaussian, inside only; the mean of the channels) or
      "daala" (the window grows with the height; always on rounded luma).
  """

  color: str
  crop: int
  ssim: str = "wang"

  def __post_init__(self) -> None:
    """Refuses combinations that nobody has defined."""
    if self.color not in _COLORS:
      raise EnhanceError(
        f'unknown protocol color "{self.color}"; {nearest(self.color, _COLORS)}'
      )
    if self.ssim not in _SSIMS:
      raise EnhanceError(
        f'unknown protocol ssim "{self.ssim}"; {nearest(self.ssim, _SSIMS)}'
      )
    if self.crop < 0:
      raise EnhanceError(f"got crop {self.crop}; a border has 0 or more pixels")
    if self.ssim == "daala" and self.color == "rgb":
      raise EnhanceError(
        "daala's SSIM is defined on luma only; use color y or y8 with it"
      )

  def describe(self) -> str:
    """One line for reports."""
    return (
      f"{_COLORS[self.color]}, {self.crop} px cropped, "
      f"SSIM of {_SSIMS[self.ssim]}"
    )

  def as_dict(self) -> dict[str, str | int]:
    """Plain values for JSON."""
    return dataclasses.asdict(self)


def psnr(sr: np.ndarray, hr: np.ndarray, protocol: Protocol) -> float:
  """Peak signal-to-noise ratio in dB, peak 255; equal pictures give inf.

  Args:
    sr: uint8 [H, W, 3 or 1], the picture judged.
    hr: uint8, same shape, the truth.
    protocol: colour and border.
  """
  return _decibels(*_planes(sr, hr, protocol, protocol.color))


def ssim(sr: np.ndarray, hr: np.ndarray, protocol: Protocol) -> float:
  """Structural similarity, at most 1 (Wang et al., IEEE TIP 2004, or Daala).

  Args:
    sr: uint8 [H, W, 3 or 1], the picture judged.
    hr: uint8, same shape, the truth.
    protocol: colour, border and variant.
  """
  if protocol.ssim == "daala":
    a, b = _planes(sr, hr, protocol, "y8")
    return structure.daala(a[..., 0], b[..., 0])
  return structure.wang(*_planes(sr, hr, protocol, protocol.color))


def ms_ssim(sr: np.ndarray, hr: np.ndarray, protocol: Protocol) -> float:
  """MS-SSIM, at most 1 (Wang, Simoncelli & Bovik, Asilomar 2003).

  Its SSIM is always Wang's; Daala has defined none of several scales.

  Args:
    sr: uint8 [H, W, 3 or 1], the picture judged.
    hr: uint8, same shape, the truth.
    protocol: colour and border.
  """
  return structure.multi_scale(*_planes(sr, hr, protocol, protocol.color))


def lr_psnr(sr: np.ndarray, lr: np.ndarray, *, rounded: bool = True) -> float:
  """How well sr, made small again, agrees with lr: PSNR in dB, peak 255.

  sr is downscaled by MATLAB's antialiased bicubic with symmetric borders. All
  pixels and channels count: a border of lr is no less known than the rest.

  Args:
    sr: uint8 [h scale, w scale, C], the picture judged.
    lr: uint8 [h, w, C], what it was made from.
    rounded: the small sr is rounded to 8 bits, as lr is; else it stays float.

  Returns:
    dB; inf if nothing differs.

  Raises:
    EnhanceError: the sides of sr are not one multiple of those of lr.
  """
  _want_pixels("sr", sr)
  _want_pixels("lr", lr)
  scale = sr.shape[0] // lr.shape[0]
  if sr.shape != (lr.shape[0] * scale, lr.shape[1] * scale, lr.shape[2]):
    raise EnhanceError(
      f"sr has shape {sr.shape} and lr {lr.shape}; LR-PSNR wants sides of sr "
      "that are one multiple of those of lr, and equal channels"
    )
  if rounded:
    small = resample.resize_uint8(sr, scale=1 / scale).astype(np.float64)
  else:
    small = resample.resize(sr.astype(np.float64), scale=1 / scale)
  return _decibels(small, lr.astype(np.float64))


def rounded_luma(x: np.ndarray, crop: int) -> np.ndarray:
  """What metrics without a reference look at, float64 [h, w] of integers.

  Args:
    x: uint8 [H, W, 3 or 1].
    crop: pixels dropped on every side.

  Returns:
    BT.601 luma rounded to 8 bits; gray pictures keep their own values.
  """
  _want_pixels("sr", x)
  return _convert(images.shave(x, crop), "y8")[..., 0]


def _decibels(a: np.ndarray, b: np.ndarray) -> float:
  error = float(np.mean(np.square(a - b)))
  peak = structure.PEAK
  return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


def _want_pixels(name: str, x: np.ndarray) -> None:
  if x.dtype != np.uint8 or x.ndim != 3 or x.shape[-1] not in (1, 3):
    raise EnhanceError(
      f"{name} is {x.dtype} of shape {x.shape}; metrics compare uint8 "
      "[H, W, 3] or [H, W, 1], so round with images.to_uint8 first"
    )


def _planes(
  sr: np.ndarray, hr: np.ndarray, protocol: Protocol, color: str
) -> tuple[np.ndarray, np.ndarray]:
  """Checked, cropped and converted: two float64 [h, w, C] on 0..255."""
  _want_pixels("sr", sr)
  _want_pixels("hr", hr)
  if sr.shape != hr.shape:
    raise EnhanceError(
      f"sr has shape {sr.shape} and hr {hr.shape}; both must be the same "
      "picture, so crop hr to a multiple of the scale (images.modcrop)"
    )
  sr, hr = (_convert(images.shave(x, protocol.crop), color) for x in (sr, hr))
  return sr, hr


def _convert(x: np.ndarray, color: str) -> np.ndarray:
  if color == "y8":
    x = images.luma_uint8(x)
  elif color == "y":
    return images.luma(x / structure.PEAK) * structure.PEAK
  return x.astype(np.float64)
