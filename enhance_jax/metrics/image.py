"""PSNR and SSIM of one picture under an explicitly named protocol.

The same pair of pictures has many "PSNR"s in the literature: luma as float
(EDSR, RCAN) or rounded (SRCNN, VDSR), RGB, this or that border. A number
without its `Protocol` means nothing, so none is computed without one.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from enhance_jax import images
from enhance_jax.errors import EnhanceError, nearest

_COLORS = {
  "y": "float BT.601 luma",
  "y8": "BT.601 luma rounded to 8 bits",
  "rgb": "RGB",
}
_SSIMS = {"wang": "Wang 2004", "daala": "Daala, on luma rounded to 8 bits"}
_PEAK = 255.0
_C1 = (0.01 * _PEAK) ** 2
_C2 = (0.03 * _PEAK) ** 2
_TAPS = 11
_SIGMA = 1.5


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
  a, b = _planes(sr, hr, protocol, protocol.color)
  error = float(np.mean(np.square(a - b)))
  return math.inf if error == 0 else 10 * math.log10(_PEAK**2 / error)


def ssim(sr: np.ndarray, hr: np.ndarray, protocol: Protocol) -> float:
  """Structural similarity, at most 1 (Wang et al., IEEE TIP 2004, or Daala).

  Args:
    sr: uint8 [H, W, 3 or 1], the picture judged.
    hr: uint8, same shape, the truth.
    protocol: colour, border and variant.
  """
  if protocol.ssim == "daala":
    a, b = _planes(sr, hr, protocol, "y8")
    return _daala(a[..., 0], b[..., 0])
  a, b = _planes(sr, hr, protocol, protocol.color)
  if min(a.shape[:2]) < _TAPS:
    raise EnhanceError(
      f"{a.shape[0]}x{a.shape[1]} pixels are left after cropping "
      f"{protocol.crop}; SSIM needs {_TAPS}x{_TAPS}, so use larger pictures"
    )
  return _wang(a, b)


def _planes(
  sr: np.ndarray, hr: np.ndarray, protocol: Protocol, color: str
) -> tuple[np.ndarray, np.ndarray]:
  """Checked, cropped and converted: two float64 [h, w, C] on 0..255."""
  for name, x in (("sr", sr), ("hr", hr)):
    if x.dtype != np.uint8 or x.ndim != 3 or x.shape[-1] not in (1, 3):
      raise EnhanceError(
        f"{name} is {x.dtype} of shape {x.shape}; metrics compare uint8 "
        "[H, W, 3] or [H, W, 1], so round with images.to_uint8 first"
      )
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
    return images.luma(x / _PEAK) * _PEAK
  return x.astype(np.float64)


def _filter(x: np.ndarray, taps: np.ndarray) -> np.ndarray:
  """Separable correlation of axes 0 and 1, inside only."""
  for axis in (0, 1):
    length = x.shape[axis] - len(taps) + 1
    window = [slice(None)] * x.ndim
    total = np.zeros(())
    for offset, tap in enumerate(taps):
      window[axis] = slice(offset, offset + length)
      total = total + tap * x[tuple(window)]
    x = total
  return x


def _similarity(
  mean_a: np.ndarray,
  mean_b: np.ndarray,
  square_a: np.ndarray,
  square_b: np.ndarray,
  product: np.ndarray,
) -> np.ndarray:
  """The SSIM formula from weighted (biased) moments."""
  both = mean_a * mean_b
  means = mean_a**2 + mean_b**2
  top = (2 * both + _C1) * (2 * (product - both) + _C2)
  return top / ((means + _C1) * (square_a + square_b - means + _C2))


def _wang(a: np.ndarray, b: np.ndarray) -> float:
  offset = np.arange(_TAPS) - _TAPS // 2
  taps = np.exp(-(offset**2) / (2 * _SIGMA**2))
  taps /= taps.sum()
  moments = (_filter(x, taps) for x in (a, b, a * a, b * b, a * b))
  # Pictures are rectangles: the mean of all is the mean of channel means.
  return float(np.mean(_similarity(*moments)))


def _daala_taps(height: int, width: int) -> np.ndarray:
  """Daala's integer Gaussian for a picture of this size; the sum is 256."""
  sigma = height * _SIGMA / 256
  peak = 256 / (sigma * math.sqrt(2 * math.pi))
  # Where the scaled Gaussian falls below one half it would round to nothing.
  reach = sigma * math.sqrt(max(0.0, 2 * math.log(2 * peak)))
  half = min(math.floor(reach), min(height, width) - 1)
  offset = np.arange(1, half + 1)
  outer = np.floor(peak * np.exp(-(offset**2) / (2 * sigma**2)) + 0.5)
  return np.concatenate([outer[::-1], [256 - 2 * outer.sum()], outer])


def _daala(a: np.ndarray, b: np.ndarray) -> float:
  """SSIM of the Daala tools: window cut at borders, every pixel weighted."""
  taps = _daala_taps(*a.shape)
  margin = len(taps) // 2
  weight, *moments = (
    _filter(np.pad(x, margin), taps)
    for x in (np.ones_like(a), a, b, a * a, b * b, a * b)
  )
  similarity = _similarity(*(moment / weight for moment in moments))
  return float(np.sum(weight * similarity) / np.sum(weight))
