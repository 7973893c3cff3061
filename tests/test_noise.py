"""Noise on canvases: moments, gray noise, how photons are counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax.data import noise

GRAY = jnp.asarray([False, True])


def test_gaussian_noise():
  x = jnp.full((2, 64, 64, 3), 0.5)
  sigma = jnp.asarray([0.02, 0.1])
  added = np.asarray(noise.gaussian(jax.random.key(0), x, sigma, GRAY) - x)
  np.testing.assert_allclose(added.std((1, 2, 3)), sigma, rtol=0.04)
  np.testing.assert_allclose(added.mean((1, 2, 3)), 0, atol=0.005)
  assert np.ptp(added[0], axis=-1).min() > 0
  np.testing.assert_array_equal(np.ptp(added[1], axis=-1), 0)


def test_distinct_values_are_counted_inside():
  levels = np.zeros((4, 2, 4, 1), np.int32)
  levels[1, 0, :3, 0] = (7, 8, 9)
  levels[2, :, :, 0] = np.arange(8).reshape(2, 4)
  # All the same but for the last column, which lies outside.
  levels[3, :, 3, 0] = 5
  inside = np.ones((1, 2, 4, 1), bool)
  inside[:, :, 3] = False
  found = noise.photons(jnp.asarray(levels), jnp.asarray(inside))
  # 1, 4, 6 and 1 values.
  np.testing.assert_array_equal(found, [1, 4, 8, 1])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 128, 129, 255, 256])
def test_photons_are_a_power_of_two(count):
  levels = jnp.arange(256).reshape(1, 16, 16, 1) % count
  (found,) = noise.photons(levels, jnp.ones((1, 16, 16, 1), bool))
  assert found == 2 ** int(np.ceil(np.log2(count)))


def test_poisson_noise():
  # Two values: y v / v - y has variance y / v with v = 2 (luma: 0.5 and 1).
  x = np.ones((2, 64, 64, 3), np.float32)
  x[:, ::2] = 128 / 255
  strength = jnp.asarray([1.0, 0.5])
  added = noise.poisson(
    jax.random.key(1), jnp.asarray(x), strength, GRAY, (64, 64)
  )
  added = np.asarray(added) - x
  for i, scale in enumerate((1.0, 0.5)):
    for rows, y in ((slice(0, None, 2), 128 / 255), (slice(1, None, 2), 1.0)):
      part = added[i, rows]
      assert part.mean() == pytest.approx(0, abs=0.04 * scale)
      assert part.std() == pytest.approx(scale * np.sqrt(y / 2), rel=0.05)
  assert np.ptp(added[0], axis=-1).max() > 0
  np.testing.assert_array_equal(np.ptp(added[1], axis=-1) < 1e-6, True)
