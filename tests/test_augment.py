"""Colour jitter against colorsys, by hand, and example by example."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.data import augment


def pictures(n=2, size=6, channels=3):
  return np.random.default_rng(0).random((n, size, size, channels), np.float32)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.3, 5.0])
def test_saturation_equals_hsv_and_back(factor):
  x = pictures()
  # Black, gray, white, a pure and a half colour.
  x[0, 0, :5] = [[0, 0, 0], [0.4] * 3, [1, 1, 1], [0, 0, 1], [0.5, 0, 0]]
  expected = np.empty_like(x)
  for place in np.ndindex(x.shape[:3]):
    h, s, v = colorsys.rgb_to_hsv(*x[place].tolist())
    expected[place] = colorsys.hsv_to_rgb(h, min(factor * s, 1.0), v)
  factors = jnp.full((2, 1, 1, 1), factor)
  found = augment.adjust_saturation(jnp.asarray(x), factors)
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_contrast_by_hand():
  # Means 0.5 and 0.2, doubled distances: 0.5 +- 0.2, and 0.2 +- 0.4 clipped.
  x = np.asarray([[0.4, 0.0], [0.6, 0.4]], np.float32).reshape(1, 1, 2, 2)
  found = augment.adjust_contrast(jnp.asarray(x), jnp.full((1, 1, 1, 1), 2.0))
  expected = np.asarray([[0.3, 0.0], [0.7, 0.6]]).reshape(1, 1, 2, 2)
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_every_picture_is_moved_by_its_own_brightness():
  x = np.full((64, 2, 3, 1), 0.5, np.float32)
  jitter = augment.Jitter(brightness=0.05)
  y = np.asarray(jax.jit(jitter)(jnp.asarray(x), jax.random.key(1)))
  shift = y - 0.5
  np.testing.assert_array_equal(shift, shift[:, :1, :1] + np.zeros_like(shift))
  values = np.unique(shift)
  assert len(values) > 60
  assert -0.05 <= values.min() < -0.04 and 0.04 < values.max() <= 0.05


def test_spread_of_saturation_and_contrast():
  gray = np.linspace(0.3, 0.7, 5, dtype=np.float32).reshape(1, 5, 1, 1)
  x = jnp.asarray(np.repeat(gray, 64, axis=0))
  y = augment.Jitter(contrast=0.05)(x, jax.random.key(2))
  factors = np.asarray(y[:, 4, 0, 0] - y[:, 0, 0, 0]) / 0.4
  assert 0.95 <= factors.min() < 0.96 and 1.04 < factors.max() <= 1.0501
  color = jnp.broadcast_to(jnp.asarray([0.8, 0.6, 0.4]), (64, 1, 1, 3))
  y = augment.Jitter(saturation=0.05)(color, jax.random.key(2))
  factors = np.asarray(y[:, 0, 0, 0] - y[:, 0, 0, 2]) / 0.4
  assert 0.95 <= factors.min() < 0.96 and 1.04 < factors.max() <= 1.0501


def test_range_and_repeatability():
  x = jnp.asarray(np.round(pictures(4)))
  jitter = augment.Jitter(saturation=0.5, brightness=0.5, contrast=0.5)
  y = jax.jit(jitter)(x, jax.random.key(3))
  assert y.dtype == jnp.float32 and y.shape == x.shape
  assert y.min() >= 0 and y.max() <= 1 and not np.array_equal(x, y)
  again = jax.jit(jitter)(x, jax.random.key(3))
  np.testing.assert_array_equal(y, again)
  other = jax.jit(jitter)(x, jax.random.key(4))
  assert not np.array_equal(y, other)


def test_nothing_asked_is_nothing_done():
  x = jnp.asarray(pictures(channels=1))
  np.testing.assert_array_equal(augment.Jitter()(x, jax.random.key(0)), x)


def test_refusals():
  with pytest.raises(errors.EnhanceError, match="1 channels; wanted RGB"):
    augment.Jitter(saturation=0.1)(
      jnp.asarray(pictures(channels=1)), jax.random.key(0)
    )
  with pytest.raises(errors.EnhanceError, match="contrast is -0.1; wanted 0"):
    augment.Jitter(contrast=-0.1)
