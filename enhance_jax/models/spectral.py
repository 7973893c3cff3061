"""A convolution with spectral normalisation (Miyato et al., arXiv 1802.05957).

The kernel is divided by an estimate of the largest singular value of the
matrix that it is when its taps and inputs are put in one row.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from enhance_jax.models.layers import convolve, torch_uniform

Array = jax.Array

_EPSILON = 1e-12


class Conv(nn.Module):
  """A square convolution without bias whose kernel has spectral norm 1.

  The estimate is PyTorch's `spectral_norm`: collection `batch_stats` holds the
  singular vectors u [O] and v [k k I]; each call with `train` makes one step
  of the power iteration from u and keeps both; other calls take them as they
  are. Gradients see the vectors as constants.

  Attributes:
    features: output channels.
    size: kernel size k.
    stride: step of the output grid in input pixels.
    padding: zeros on every side.
    dtype: type of the convolution; kernel and norm are float32.
  """

  features: int
  size: int = 3
  stride: int = 1
  padding: int = 1
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """Maps [N, H, W, I] to [N, H', W', features]."""
    fan_in = self.size * self.size * x.shape[-1]
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = self.param("kernel", torch_uniform(fan_in), shape)
    matrix = kernel.reshape(fan_in, self.features)
    still = jax.lax.stop_gradient(matrix)
    u = self.variable("batch_stats", "u", self._start)
    v = self.variable("batch_stats", "v", lambda: _unit(still @ u.value))
    if train and not self.is_initializing():
      v.value = _unit(still @ u.value)
      u.value = _unit(v.value @ still)
    norm = jnp.vdot(v.value @ matrix, u.value)
    kernel = (kernel / norm).astype(self.dtype)
    return convolve(x.astype(self.dtype), kernel, self.stride, self.padding)

  def _start(self) -> Array:
    return _unit(jax.random.normal(self.make_rng("params"), (self.features,)))


def _unit(vector: Array) -> Array:
  return vector / jnp.maximum(jnp.linalg.norm(vector), _EPSILON)
