"""Convolutions trained for eight-bit integer arithmetic, and their integers.

Simulated as in Jacob et al., arXiv 1712.05877: values are rounded to the
integers that they will be, and gradients pass the rounding straight through.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from enhance_jax.models.layers import convolve, torch_uniform

Array = jax.Array

# Eight-bit activations; the picture's own levels are its integers plus 128.
LOWEST, HIGHEST = -128, 127
# Symmetric weights do without -128, so that w and -w are equally near.
LARGEST_WEIGHT = 127


class Conv(nn.Module):
  """A 3x3 convolution of eight-bit integers, simulated.

  Parameters have the names and shapes of `layers.Conv`, so weights trained
  without quantisation start this one. What is simulated:

  - the kernel: integers in +-127 times a step for each output channel, which
    is the channel's largest weight over 127;
  - the input: integers in -128..127, with one step and one integer that means
    zero for the whole tensor, from its lowest and highest value: moving
    averages of the batches' (collection `batch_stats`: low [1], high [1]), or
    0 and 1 where the input is the picture;
  - the bias: an integer multiple of the two steps' product;
  - their sum of products: exact, as 32-bit integers are. It is computed in
    float32 (or wider), which is exact to 2^24.

  The result is a float: the sum times the two steps. Activation functions are
  not simulated. Until a batch was seen the input's range is not known, and the
  input passes as it is.

  Attributes:
    features: output channels.
    picture: whether the input is the picture, in [0, 1].
    momentum: weight of the old range when a training batch moves it.
    dtype: a wider type than float32, for float64; narrower ones could not
      hold the integers and are not used.
  """

  features: int
  picture: bool = False
  momentum: float = 0.99
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """Maps [N, H, W, I] to [N, H, W, features]."""
    dtype = jnp.promote_types(self.dtype, jnp.float32)
    x = x.astype(dtype)
    init = torch_uniform(9 * x.shape[-1])
    kernel = self.param("kernel", init, (3, 3, x.shape[-1], self.features))
    bias = self.param("bias", init, (self.features,))
    low, high = self._range(x, train)
    step, zero = input_step(low, high)
    known = high > low
    # From the integer that means zero, which is what padding is.
    whole = jnp.clip(
      _rounded(x / step), _fixed(LOWEST - zero), _fixed(HIGHEST - zero)
    )
    whole = jnp.where(known, whole, x / step)
    kernel_step = weight_step(kernel)
    weights = _rounded(kernel / kernel_step.reshape(1, 1, 1, -1))
    steps = (step * kernel_step).astype(dtype)
    # Whole numbers of 255 at most: bfloat16 and TF32, in which accelerators
    # may multiply float32, hold them exactly.
    total = convolve(whole, weights.astype(dtype), 1, 1)
    total += _rounded(bias.astype(dtype) / steps).reshape(1, 1, 1, -1)
    return total * steps.reshape(1, 1, 1, -1)

  def _range(self, x: Array, train: bool) -> tuple[Array, Array]:
    """The input's lowest and highest value; training moves them."""
    if self.picture:
      return jnp.zeros((), x.dtype), jnp.ones((), x.dtype)
    low = self.variable("batch_stats", "low", jnp.zeros, (1,))
    high = self.variable("batch_stats", "high", jnp.zeros, (1,))
    if train and not self.is_initializing():
      fixed = _fixed(x).astype(low.value.dtype)
      # The first batch sets the range, the others move it.
      rate = jnp.where(high.value > low.value, 1.0 - self.momentum, 1.0)
      # Zero is always within: it is what the border is padded with.
      low.value += rate * (jnp.minimum(fixed.min(), 0.0) - low.value)
      high.value += rate * (jnp.maximum(fixed.max(), 0.0) - high.value)
    return low.value[0].astype(x.dtype), high.value[0].astype(x.dtype)


def input_step(low: Array, high: Array) -> tuple[Array, Array]:
  """The step between an input's integers, and the integer that means 0.

  Args:
    low: lowest value, 0 or less.
    high: highest value, 0 or more; equal to low where no range is known.
  """
  step = jnp.where(high > low, (high - low) / (HIGHEST - LOWEST), 1.0)
  zero = jnp.clip(jnp.round(LOWEST - low / step), LOWEST, HIGHEST)
  return step, zero


def weight_step(kernel: Array) -> Array:
  """The step between the integers of each output channel's weights, [O]."""
  largest = jnp.max(jnp.abs(_fixed(kernel)), axis=(0, 1, 2))
  # Any step serves a channel of zeros.
  return jnp.where(largest > 0, largest, 1.0) / LARGEST_WEIGHT


def export(
  params: Mapping[str, Any], stats: Mapping[str, Any]
) -> dict[str, np.ndarray]:
  """The integers of a trained `Conv`, for arithmetic without floats.

  With input integers q the result is, in 32-bit integers,
  convolution(q - input_zero, kernel) + bias, times `step` for each channel;
  the border is padded with q = input_zero.

  Args:
    params: kernel and bias.
    stats: low [1] and high [1]; without them the input is the picture.

  Returns:
    kernel int8 [3, 3, I, O], bias int32 [O], input_step float32 [],
    input_zero int32 [], step float32 [O].
  """
  kernel = jnp.asarray(params["kernel"])
  low, high = stats.get("low", [0.0]), stats.get("high", [1.0])
  step, zero = input_step(jnp.asarray(low)[0], jnp.asarray(high)[0])
  kernel_step = weight_step(kernel)
  whole = jnp.round(kernel / kernel_step.reshape(1, 1, 1, -1))
  steps = step * kernel_step
  return {
    "kernel": np.asarray(whole, np.int8),
    "bias": np.asarray(jnp.round(params["bias"] / steps), np.int32),
    "input_step": np.asarray(step, np.float32),
    "input_zero": np.asarray(zero, np.int32),
    "step": np.asarray(steps, np.float32),
  }


def _fixed(x: Array) -> Array:
  return jax.lax.stop_gradient(x)


def _rounded(x: Array) -> Array:
  """Rounds, with the gradient of the identity."""
  return x + _fixed(jnp.round(x) - x)
