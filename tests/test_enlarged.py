"""The enlargement in front of a network, and how far it lets pixels reach."""

import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import resample
from enhance_jax.models import enlarged


def test_scale_1_leaves_pictures_and_their_type():
  x = jnp.ones((1, 3, 4, 1), jnp.bfloat16)
  assert enlarged.enlarge(x, 1) is x


def test_it_is_matlabs_bicubic():
  """Interior weights of x2, worked out from Keys' kernel."""
  x = np.zeros((1, 1, 8, 1), np.float32)
  x[0, 0, 4] = 1.0
  found = enlarged.enlarge(jnp.asarray(x), 2)[0, 0, :, 0]
  expected = [-0.0234375, -0.0703125, 0.2265625, 0.8671875]
  expected += expected[::-1]
  np.testing.assert_allclose(found[5:13], expected, atol=1e-6)
  assert not np.any(found[:5]) and not np.any(found[13:])


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5, 8])
def test_radius_counts_the_taps_of_the_resampling_matrix(scale):
  middle = 30
  matrix = resample.weights(2 * middle + 1, (2 * middle + 1) * scale)
  start = middle * scale
  for reach in range(24):
    seen = matrix[start - reach : start + scale + reach]
    columns = np.nonzero(np.abs(seen).sum(axis=0) > 1e-12)[0]
    expected = max(middle - columns.min(), columns.max() - middle)
    assert enlarged.radius(scale, reach) == expected
