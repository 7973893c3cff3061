"""Convolutions with a choice of border: values, sizes, gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from scipy import ndimage

from enhance_jax import errors
from enhance_jax.models import borders


def test_pad():
  x = jnp.arange(4.0).reshape(1, 2, 2, 1)
  found = borders.pad(x, 1, 2, "replicate")[0, ..., 0]
  row = [[0, 0, 1, 1, 1], [2, 2, 3, 3, 3]]
  np.testing.assert_array_equal(found, np.repeat(row, [2, 3], axis=0))
  found = borders.pad(x, 1, 0, "zeros")[0, ..., 0]
  np.testing.assert_array_equal(found, [[0, 0, 0], [0, 0, 1], [0, 2, 3]])
  with pytest.raises(errors.EnhanceError, match='did you mean "replicate"'):
    borders.pad(x, 1, 1, "replicated")


class Layer(nn.Module):
  """One convolution."""

  size: int
  border: str

  @nn.compact
  def __call__(self, x):
    return borders.conv(x, 1, self.size, border=self.border, name="conv")


@pytest.mark.parametrize(
  ("border", "mode"), [("zeros", "constant"), ("replicate", "nearest")]
)
@pytest.mark.parametrize("size", [1, 3, 5])
def test_conv_equals_scipy(size, border, mode):
  rng = np.random.default_rng(size)
  x = rng.random((1, 6, 4, 1), np.float32)
  kernel = rng.standard_normal((size, size, 1, 1), np.float32)
  params = {"conv": {"kernel": kernel, "bias": np.float32([0.5])}}
  found = Layer(size, border).apply({"params": params}, x)
  expected = 0.5 + ndimage.correlate(
    x[0, ..., 0], kernel[..., 0, 0], mode=mode, cval=0.0
  )
  np.testing.assert_allclose(found[0, ..., 0], expected, atol=1e-5)


def test_within_and_its_gradients_equal_an_unpadded_convolution():
  rng = np.random.default_rng(0)
  x = rng.random((2, 7, 6, 3), np.float32)
  kernel = rng.standard_normal((3, 3, 3, 2), np.float32)
  plain = functools.partial(
    jax.lax.conv_general_dilated,
    window_strides=(1, 1),
    padding="VALID",
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )
  found, pull = jax.vjp(borders.within, x, kernel)
  expected, reference = jax.vjp(plain, x, kernel)
  assert found.shape == (2, 5, 4, 2)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  g = rng.random(found.shape, np.float32)
  for ours, theirs in zip(pull(g), reference(g), strict=True):
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
