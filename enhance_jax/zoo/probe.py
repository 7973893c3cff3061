"""A small picture through a network, to see whether it enlarges at all."""

import math
from typing import Any

import numpy as np

from enhance_jax import errors, resample

# A right network is below 0.01 and above 25 dB; with a wrong range or layout
# the colours are off by a tenth and more.
COLOUR_LIMIT = 0.1
PSNR_LIMIT = 15.0


def picture(channels: int, side: int = 24) -> np.ndarray:
  """Slow waves and one edge: float32 [side, side, channels] in [0, 1]."""
  y, x, c = np.ogrid[:side, :side, :channels]
  waves = np.sin(x / 5.0 + c) * np.cos(y / 4.0 - c / 2.0)
  edge = np.where(x + 2 * y > 1.6 * side, 0.2, -0.2)
  return (0.5 + 0.25 * waves + edge * (1 - 0.3 * c)).astype(np.float32)


def measure(module: Any, variables: Any) -> dict[str, Any]:
  """Enlarges the picture and compares the result with it.

  Args:
    module: a generator.
    variables: its collections.

  Returns:
    "size" [H, W] of the result, "finite", "colour" (the largest difference of a
    channel's mean, in [0, 1]) and "lr_psnr" (dB, between the result made small
    by bicubic and the picture).
  """
  lr = picture(module.channels)
  # Step by step: one picture is done before a deep network is compiled.
  sr = np.asarray(module.apply(variables, lr[None], train=False))[0]
  figures: dict[str, Any] = {
    "size": list(sr.shape[:2]),
    "wanted": [n * module.scale for n in lr.shape[:2]],
    "finite": bool(np.isfinite(sr).all()),
  }
  if figures["finite"] and figures["size"] == figures["wanted"]:
    small = resample.resize(sr, scale=1 / module.scale)
    colour = np.abs(sr.mean(axis=(0, 1)) - lr.mean(axis=(0, 1))).max()
    mse = float(np.mean((small - lr) ** 2))
    figures["colour"] = round(float(colour), 5)
    figures["lr_psnr"] = round(-10 * math.log10(max(mse, 1e-10)), 2)
  return figures


def check(figures: dict[str, Any], where: str, *, anyway: bool) -> None:
  """Refuses what is no enlargement of the picture.

  Args:
    figures: of `measure`.
    where: the file, for messages.
    anyway: accept colours and PSNR of any kind.

  Raises:
    EnhanceError: not finite, of another size, or another picture.
  """
  if not figures["finite"]:
    raise errors.EnhanceError(
      f"{where}: a test picture comes out with NaN or infinity; the weights "
      "are damaged, or are for another network of the same shapes"
    )
  if figures["size"] != figures["wanted"]:
    raise errors.EnhanceError(
      f"{where}: a test picture comes out as {figures['size']}, wanted "
      f"{figures['wanted']}"
    )
  good = figures["colour"] <= COLOUR_LIMIT and figures["lr_psnr"] >= PSNR_LIMIT
  if not good and not anyway:
    raise errors.EnhanceError(
      f"{where}: a test picture comes out as another one (mean colour off by "
      f"{figures['colour']}, wanted {COLOUR_LIMIT} at most; made small again "
      f"{figures['lr_psnr']} dB, wanted {PSNR_LIMIT:g}). An option that no "
      "array tells may be different (--set NAME=VALUE), or the weights are of "
      "another network with the same shapes; --anyway takes them as they are"
    )
