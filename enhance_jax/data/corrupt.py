"""Degradations that spoil pictures: Gaussian noise and Gaussian blur.

At scale 1 the task is to repair a picture of the same size; at larger scales
it is made smaller on the way.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from enhance_jax import errors, resample

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Noise:
  """Reduction, then white Gaussian noise on every value.

  Attributes:
    scale: the factor between LR and HR; 1 for denoising.
    sigma: standard deviation of the noise, on the scale of [0, 1].
    kernel: of the reduction, one of `resample`'s; "box" is the mean over
      scale x scale pixels.
    quantize: clip to [0, 1] and round to 8 bits, as a file would hold it; off
      does neither.
  """

  scale: int
  sigma: float = 0.1
  kernel: str = "box"
  quantize: bool = True

  def __post_init__(self):
    """Refuses a negative sigma."""
    _check("sigma", self.sigma)

  def __call__(self, hr: Array, key: Array) -> Array:
    """float32 [N, H, W, C] in [0, 1] -> [N, H/scale, W/scale, C].

    Args:
      hr: the pictures; H and W are multiples of the scale.
      key: of the noise, which every value of the batch has its own of.
    """
    lr = _reduce(hr, self.scale, self.kernel)
    return _finish(lr, self.sigma, key, self.quantize)


@dataclasses.dataclass(frozen=True)
class Blur:
  """A Gaussian window, reduction, then white Gaussian noise.

  Borders are mirrored with the edge pixel. The window's weights sum to 1.

  Attributes:
    scale: the factor between LR and HR; 1 for deblurring.
    sigma: standard deviation of the window in HR pixels.
    size: the window's side in HR pixels, odd.
    noise: standard deviation of the noise, on the scale of [0, 1].
    kernel: of the reduction, one of `resample`'s.
    quantize: clip to [0, 1] and round to 8 bits; off does neither.
  """

  scale: int
  sigma: float = 2.0
  size: int = 9
  noise: float = 0.003
  kernel: str = "box"
  quantize: bool = True

  def __post_init__(self):
    """Refuses windows without a middle or a width."""
    _check("noise", self.noise)
    if self.size < 1 or self.size % 2 == 0:
      raise errors.EnhanceError(
        f"the blur's size is {self.size}; wanted an odd number of pixels, "
        "such as 9"
      )
    if self.sigma <= 0:
      raise errors.EnhanceError(
        f"the blur's sigma is {self.sigma}; wanted HR pixels, above 0"
      )

  def __call__(self, hr: Array, key: Array) -> Array:
    """float32 [N, H, W, C] in [0, 1] -> [N, H/scale, W/scale, C].

    Args:
      hr: the pictures; H and W are multiples of the scale.
      key: of the noise.
    """
    weights = gaussian(self.size, self.sigma)
    reach = self.size // 2
    x = jnp.pad(
      hr, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="symmetric"
    )
    # Shifted sums, not a convolution: there are few channels to share it.
    for axis in (1, 2):
      length = hr.shape[axis]
      shifted = [
        weight * jax.lax.slice_in_dim(x, tap, tap + length, axis=axis)
        for tap, weight in enumerate(weights)
      ]
      x = functools.reduce(jnp.add, shifted)
    lr = _reduce(x, self.scale, self.kernel)
    return _finish(lr, self.noise, key, self.quantize)


def gaussian(size: int, sigma: float) -> list[float]:
  """A Gaussian's values at `size` neighbouring pixels, their sum being 1."""
  values = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
  return (values / values.sum()).tolist()


def _check(name: str, value: float) -> None:
  if value < 0:
    raise errors.EnhanceError(
      f"the noise's {name} is {value}; wanted 0 or more, where 1 is the "
      "distance from black to white"
    )


def _reduce(hr: Array, scale: int, kernel: str) -> Array:
  if scale == 1:
    return hr
  return resample.resize(hr, scale=1 / scale, kernel=kernel)


def _finish(lr: Array, sigma: float, key: Array, quantize: bool) -> Array:
  lr = lr + sigma * jax.random.normal(key, lr.shape, lr.dtype)
  if not quantize:
    return lr
  return jnp.floor(jnp.clip(lr, 0.0, 1.0) * 255.0 + 0.5) / 255.0
