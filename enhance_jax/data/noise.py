"""Random noise of a strength of its own for each picture of a canvas."""

import jax
import jax.numpy as jnp

from enhance_jax.data import canvas

Array = jax.Array
_LEVELS = 256
_GRAY = (0.299, 0.587, 0.114)


def gaussian(key: Array, x: Array, sigma: Array, gray: Array) -> Array:
  """Adds normal noise.

  Args:
    key: of the draw.
    x: float32 [N, H, W, C].
    sigma: [N], the standard deviation on x's scale.
    gray: bool [N]: one value for all channels of a pixel.

  Returns:
    x's shape, not clipped.
  """
  channels = x.shape[-1]
  values = jax.random.normal(key, (*x.shape[:3], channels + 1))
  coloured, plain = values[..., :channels], values[..., channels:]
  return x + _spread(sigma) * jnp.where(_spread(gray), plain, coloured)


def poisson(
  key: Array, x: Array, strength: Array, gray: Array, size: canvas.Size
) -> Array:
  """Adds the noise of counted photons (scikit-image's rule, BasicSR's form).

  A picture of n distinct 8-bit values counts up to v, the power of two from n
  on: the noise of a value y is Poisson(y v) / v - y.

  Args:
    key: of the draw.
    x: float32 [N, H, W, 3] in [0, 1], a canvas.
    strength: [N], what the noise is multiplied by.
    gray: bool [N]: the noise of luma, for all channels.
    size: height and width of the pictures.

  Returns:
    x's shape, not clipped.
  """
  inside = canvas.inside(x.shape, size)
  weights = jnp.asarray(_GRAY).reshape(1, 1, 1, 3)
  luma = jnp.sum(x * weights, axis=-1, keepdims=True)
  levels = [
    jnp.clip(jnp.round(part * 255.0), 0, _LEVELS - 1) for part in (x, luma)
  ]
  peaks = [
    jnp.broadcast_to(
      _spread(photons(part.astype(jnp.int32), inside)), part.shape
    )
    for part in levels
  ]
  y = jnp.concatenate(levels, axis=-1) / 255.0
  peak = jnp.concatenate(peaks, axis=-1)
  values = jax.random.poisson(key, y * peak) / peak - y
  coloured, plain = values[..., :3], values[..., 3:]
  return x + _spread(strength) * jnp.where(_spread(gray), plain, coloured)


def photons(levels: Array, inside: Array) -> Array:
  """The power of two from the number of distinct values on.

  Args:
    levels: int32 [N, H, W, C], 0 to 255.
    inside: bool, broadcast to that shape: what counts.

  Returns:
    float32 [N].
  """
  count = levels.shape[0]
  # Values outside fall into a bin of their own.
  bins = jnp.where(inside, levels, _LEVELS).reshape(count, -1)
  seen = jnp.zeros((count, _LEVELS + 1), jnp.int32)
  seen = seen.at[jnp.arange(count)[:, None], bins].set(1)
  distinct = jnp.sum(seen[:, :_LEVELS], axis=1, keepdims=True)
  # Compared, since the logarithm of a power of two may come out too large.
  powers = 2 ** jnp.arange(8)
  return 2.0 ** jnp.sum(distinct > powers[None, :], axis=1)


def _spread(vector: Array) -> Array:
  return vector[:, None, None, None]
