"""Colours from the input, detail from the network.

Networks trained with an adversary, and networks in low precision, shift the
colour of whole regions. What a result lacks of its input's low frequencies is
found at the input's size, where it costs little, and added.
"""

import numpy as np

from enhance_jax import resample
from enhance_jax.inference import tiled

# Standard deviation in LR pixels. Waves of 21 LR pixels are corrected by half,
# of 50 by nine tenths; those below 8 are left to the network.
SIGMA = 4.0
_TRUNCATE = 3.0
# LR pixels that the Gaussian reaches, and bicubic there and back.
_REACH = int(_TRUNCATE * SIGMA + 0.5) + 4


class ColorFix(tiled.Tiled):
  """Gives a result the low frequencies of its input; see `correct`.

  Depends on 16 LR pixels more around a tile than the upscaler inside, so it
  goes through tiles and streams as that one does.
  """

  def __init__(self, inner: tiled.Tiled):
    """Takes over name, card, scale, tile and seams of the upscaler inside."""
    super().__init__(
      f"{inner.name} + colour fix",
      inner.scale,
      inner.radius + _REACH,
      inner.card,
      inner.tile,
      inner.sha256,
      inner.multiple,
    )
    self.seams = inner.seams
    self._inner = inner

  def enlarge(self, window: np.ndarray) -> np.ndarray:
    """See `tiled.Tiled.enlarge`."""
    return correct(self._inner.enlarge(window), window)


def correct(sr: np.ndarray, lr: np.ndarray) -> np.ndarray:
  """sr + U G (lr - D sr): G a Gaussian, D and U MATLAB's bicubic.

  What lies beyond black and white will be cut off, so it does not count as
  colour. Where LR is black or white all around, HR can have been nothing else:
  there the result is that, in each channel.

  Args:
    sr: float32 [h scale, w scale, C], nominally in [0, 1].
    lr: float32 [h, w, C] in [0, 1].

  Returns:
    float32, the shape of sr, not clipped.
  """
  from scipy import ndimage

  scale = sr.shape[0] // lr.shape[0]
  low = lr - resample.resize(np.clip(sr, 0, 1), scale=1 / scale)
  for axis in (0, 1):
    low = ndimage.gaussian_filter1d(
      low, SIGMA, axis, mode="reflect", truncate=_TRUNCATE
    )
  result = sr + resample.resize(low, scale=scale)
  for level, saturated in ((0, lr <= 0), (1, lr >= 1)):
    inside = ndimage.binary_erosion(
      saturated, np.ones((3, 3, 1)), border_value=True
    )
    if inside.any():
      inside = inside.repeat(scale, axis=0).repeat(scale, axis=1)
      result[inside] = level
  return result
