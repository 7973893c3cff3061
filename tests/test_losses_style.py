"""Gram matrices and the texture loss against golden numbers and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.losses import style

# F[h, w, c] = (12 h + 4 w + c) / 10.
F = jnp.arange(24.0).reshape(1, 2, 3, 4) / 10


def test_gram_golden_values():
  # Computed in NumPy in float64 apart from this code.
  found = style.gram(F)
  assert found.shape == (1, 4, 4) and found.dtype == jnp.float32
  row = [0.36666667, 0.39166667, 0.41666667, 0.44166667]
  np.testing.assert_allclose(found[0, 0], row, rtol=1e-6)
  np.testing.assert_allclose(found[0, 3, 3], 0.53916667, rtol=1e-6)
  np.testing.assert_array_equal(found, found.transpose(0, 2, 1))


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_style_by_its_definition(norm):
  rng = np.random.default_rng(0)
  a, b = rng.random((2, 2, 3, 5, 4))
  expected = []
  for x, y in zip(a, b, strict=True):
    x, y = x.reshape(15, 4), y.reshape(15, 4)
    difference = (x.T @ x - y.T @ y) / (15 * 4)
    power = np.abs(difference) if norm == "l1" else difference**2
    expected.append(power.mean())
  found = jax.jit(lambda a, b: style.style(a, b, norm=norm))(
    jnp.float32(a), jnp.float32(b)
  )
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_places_do_not_matter():
  rng = np.random.default_rng(1)
  x = jnp.asarray(rng.random((1, 4, 6, 3), np.float32))
  np.testing.assert_allclose(style.style(x, x[:, ::-1, ::-1]), [0.0], atol=1e-6)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_gradients_are_finite(norm):
  for x in (F, F + 0.1, 0 * F):
    grad = jax.grad(lambda x: style.style(x, F, norm=norm).sum())(x)
    assert np.isfinite(grad).all()


def test_bfloat16_is_summed_in_float32():
  # 40000 squares of 1/2; a bfloat16 sum would stop long before.
  x = jnp.full((1, 200, 200, 1), 0.5, jnp.bfloat16)
  np.testing.assert_allclose(style.gram(x), [[[0.25]]])


def test_what_is_refused():
  with pytest.raises(errors.EnhanceError, match="shapes"):
    style.style(F, F[..., :2])
  with pytest.raises(errors.EnhanceError, match='norm "l3"'):
    style.style(F, F, norm="l3")
