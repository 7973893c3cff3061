"""The way in of networks that work on a picture enlarged already."""

import jax

from enhance_jax import resample


def enlarge(lr: jax.Array, scale: int) -> jax.Array:
  """MATLAB's bicubic enlargement of [N, H, W, C].

  Args:
    lr: floats in [0, 1].
    scale: 1 leaves the pictures as they are.

  Returns:
    [N, H scale, W scale, C], float32 unless the scale is 1.
  """
  return lr if scale == 1 else resample.resize(lr, scale=scale)


def radius(scale: int, reach: int) -> int:
  """LR pixels that an input pixel reaches through `enlarge` and a network.

  Args:
    scale: of the enlargement.
    reach: HR pixels that the network behind it reaches.
  """
  if scale == 1:
    return reach
  lowest = 0
  # The first HR pixel of a block sees back as far as the reach. Where that one
  # lies on an LR pixel, which then is its only source, its neighbour sees on.
  for hr in (-reach, 1 - reach):
    source, phase = divmod(2 * hr + 1 - scale, 2 * scale)
    lowest = min(lowest, source - 1 if phase else source)
  return -lowest
