"""Interpolation as a generator: the same numbers as the plain function."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors, zoo
from enhance_jax.models import classical, interpolation


@pytest.mark.parametrize("kernel", classical.KERNELS)
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_equals_the_plain_function(kernel, scale):
  module = interpolation.Generator(scale=scale, kernel=kernel)
  lr = np.random.default_rng(0).random((2, 7, 5, 3), np.float32)
  sr = module.apply({}, jnp.asarray(lr), train=False)
  assert sr.shape == (2, 7 * scale, 5 * scale, 3) and sr.dtype == jnp.float32
  expected = classical.upscale(kernel, lr[1], scale)
  np.testing.assert_allclose(sr[1], expected, atol=1e-6)


def test_no_parameters():
  assert zoo.expected_shapes(interpolation.Generator()) == {}


@pytest.mark.parametrize("kernel", classical.KERNELS)
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_radius_is_the_reach_of_an_input_pixel(kernel, scale):
  module = interpolation.Generator(scale=scale, channels=1, kernel=kernel)
  n = 13

  def block(lr):
    start = 6 * scale
    sr = module.apply({}, lr, train=False)
    return sr[0, start : start + scale, start : start + scale]

  slopes = jax.jacobian(block)(jnp.zeros((1, n, n, 1)))
  # Above what rounding leaves of a kernel's zeros.
  seen = np.abs(slopes[..., 0]).max((0, 1, 2, 3)) > 1e-9
  rows, columns = np.nonzero(seen)
  reach = module.radius
  assert (rows.min(), rows.max()) == (6 - reach, 6 + reach)
  assert (columns.min(), columns.max()) == (6 - reach, 6 + reach)


def test_wrong_options_are_named():
  for options, message in (
    ({"kernel": "bicubik"}, 'did you mean "bicubic"'),
    ({"scale": 17}, "from 1 to 16"),
  ):
    module = interpolation.Generator(**options)
    with pytest.raises(errors.EnhanceError, match=message):
      module.apply({}, jnp.zeros((1, 4, 4, 3)), train=False)
    with pytest.raises(errors.EnhanceError, match=message):
      _ = module.radius
