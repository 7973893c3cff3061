"""HR -> LR operators of a task: jittable, run inside the training step."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from enhance_jax import resample


@dataclasses.dataclass(frozen=True)
class Resize:
  """Antialiased reduction, as MATLAB's imresize with "bicubic".

  Attributes:
    scale: the factor between LR and HR.
    kernel: one of `resample`'s kernels.
    border: "symmetric" or "replicate".
    quantize: round to 8 bits, as the files are that a network will be given.
  """

  scale: int
  kernel: str = "bicubic"
  border: str = "symmetric"
  quantize: bool = True

  def __call__(self, hr: jax.Array, key: jax.Array) -> jax.Array:
    """float32 [N, H, W, C] in [0, 1] -> [N, H/scale, W/scale, C] in [0, 1].

    Args:
      hr: the pictures; H and W are multiples of the scale.
      key: not used: nothing here is random.
    """
    del key
    lr = resample.resize(
      hr, scale=1 / self.scale, kernel=self.kernel, border=self.border
    )
    lr = jnp.clip(lr, 0.0, 1.0)
    return jnp.floor(lr * 255.0 + 0.5) / 255.0 if self.quantize else lr


@dataclasses.dataclass(frozen=True)
class Enlarged:
  """Reduction by one of several factors, then bicubic enlargement.

  What a network that works on enlarged pictures is trained on (SRCNN, VDSR).
  Every example draws its own factor. Sizes need not be multiples of it: the
  reduced size is rounded up and the enlarged picture cut, as MATLAB does it.

  Attributes:
    makers: the reductions, each with its `scale`.
  """

  makers: tuple[Callable[..., jax.Array], ...]

  def __call__(self, hr: jax.Array, key: jax.Array) -> jax.Array:
    """float32 [N, H, W, C] in [0, 1] -> the same shape, not clipped.

    Args:
      hr: the pictures.
      key: draws the factors.
    """
    count, height, width, _ = hr.shape
    versions = []
    for maker in self.makers:
      lr = maker(hr, key)
      large = resample.resize(lr, scale=maker.scale)
      versions.append(large[:, :height, :width])
    choice = jax.random.randint(key, (count,), 0, len(versions))
    return jnp.stack(versions)[choice, jnp.arange(count)]
