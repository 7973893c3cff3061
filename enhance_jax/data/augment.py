"""Random changes of colour while training, in the terms of tf.image."""

import dataclasses

import jax
import jax.numpy as jnp

from enhance_jax import errors

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Jitter:
  """Saturation, brightness and contrast, in this order; 0 leaves one out.

  Every picture of a batch draws its own three numbers. After each change the
  values are clipped to [0, 1], as 8 bits would.

  Attributes:
    saturation: the HSV saturation is multiplied by 1 +- this.
    brightness: all values are moved by +- this.
    contrast: distances from the channel's mean are multiplied by 1 +- this.
  """

  saturation: float = 0.0
  brightness: float = 0.0
  contrast: float = 0.0

  def __post_init__(self):
    """Refuses ranges that would turn colours around."""
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if not 0 <= value <= 1:
        raise errors.EnhanceError(
          f"the jitter's {field.name} is {value}; wanted 0 (off) to 1"
        )

  def __call__(self, hr: Array, key: Array) -> Array:
    """Changes float32 [N, H, W, C] in [0, 1]; same shape and range.

    Args:
      hr: the pictures; with `saturation`, C is 3.
      key: of the random numbers.

    Raises:
      EnhanceError: `saturation` and pictures that are not RGB.
    """
    keys = jax.random.split(key, 3)

    def draw(key: Array, spread: float) -> Array:
      shape = (hr.shape[0], 1, 1, 1)
      return jax.random.uniform(key, shape, hr.dtype, -spread, spread)

    if self.saturation:
      hr = adjust_saturation(hr, 1.0 + draw(keys[0], self.saturation))
    if self.brightness:
      hr = jnp.clip(hr + draw(keys[1], self.brightness), 0.0, 1.0)
    if self.contrast:
      hr = adjust_contrast(hr, 1.0 + draw(keys[2], self.contrast))
    return hr


def adjust_saturation(x: Array, factor: Array) -> Array:
  """Multiplies the saturation of HSV, which ends at 1.

  With hue and value kept, every channel's distance from the largest one is
  proportional to the saturation, so there is no need to go through the hue.

  Args:
    x: float [N, H, W, 3] in [0, 1].
    factor: 0 or more, [N, 1, 1, 1].

  Raises:
    EnhanceError: x is not RGB.
  """
  if x.shape[-1] != 3:
    raise errors.EnhanceError(
      f"saturation was to change in pictures of {x.shape[-1]} channels; wanted "
      "RGB: set config.data.jitter.saturation=0 or config.task.channels=3"
    )
  value = jnp.max(x, axis=-1, keepdims=True)
  chroma = value - jnp.min(x, axis=-1, keepdims=True)
  # chroma / value is the saturation; gray has no chroma to change.
  limit = value / jnp.where(chroma > 0, chroma, 1.0)
  return value - (value - x) * jnp.minimum(factor, limit)


def adjust_contrast(x: Array, factor: Array) -> Array:
  """Stretches values around each channel's mean over the picture, clipped.

  Args:
    x: float [N, H, W, C] in [0, 1].
    factor: [N, 1, 1, 1].
  """
  mean = jnp.mean(x, axis=(1, 2), keepdims=True)
  return jnp.clip((x - mean) * factor + mean, 0.0, 1.0)
