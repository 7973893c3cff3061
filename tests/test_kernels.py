"""Blur kernels: check values, statistics of the draw, the blur itself."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, special

from enhance_jax.data import kernels

MIDDLE = kernels.REACH
PUBLISHED = kernels.Drawing(
  sizes=(7, 9, 11, 13, 15, 17, 19, 21),
  kinds=(0.45, 0.25, 0.12, 0.03, 0.12, 0.03),
  sigma=(0.2, 3.0),
  generalized=(0.5, 4.0),
  plateau=(1.0, 2.0),
  sinc=0.1,
)


def _bell(sigma_x, sigma_y, angle=0.0, beta=1.0, plateau=False, size=7):
  values = (sigma_x, sigma_y, angle, beta, plateau, size)
  return np.asarray(kernels.bell(*(jnp.asarray([v]) for v in values))[0])


def _inner(kernel, size=7):
  reach = size // 2
  inside = slice(MIDDLE - reach, MIDDLE + reach + 1)
  assert np.count_nonzero(kernel) == np.count_nonzero(kernel[inside, inside])
  assert kernel.sum() == pytest.approx(1, abs=1e-6)
  return kernel[inside, inside]


# The middle row of 7x7 kernels, left half; from a separate implementation.
@pytest.mark.parametrize(
  ("options", "expected"),
  [
    ({}, (0.00991586, 0.03012171, 0.05866909, 0.07326883)),
    ({"beta": 0.7}, (0.01495122, 0.02647843, 0.04213475, 0.05594117)),
    (
      {"beta": 1.5, "plateau": True},
      (0.00945991, 0.02526107, 0.06567878, 0.08513916),
    ),
  ],
)
def test_isotropic_check_values(options, expected):
  kernel = _inner(_bell(1.5, 1.5, **options))
  np.testing.assert_allclose(kernel[3, :4], expected, atol=2e-8)
  np.testing.assert_allclose(kernel, kernel[:, ::-1], atol=1e-9)
  np.testing.assert_allclose(kernel, kernel.T, atol=1e-9)


def test_anisotropic_check_values():
  kernel = _inner(_bell(2.0, 0.8, math.pi / 6))
  row = (0.0077413, 0.03284773, 0.0781844, 0.10438986)
  np.testing.assert_allclose(kernel[3, :4], row, atol=2e-8)
  column = (0.00040391, 0.00884085, 0.05631411, 0.10438986)
  np.testing.assert_allclose(kernel[:4, 3], column, atol=2e-8)
  # A turn of the long axis towards larger rows.
  assert kernel[5, 5] > kernel[5, 1]


def test_sinc_check_values():
  kernel = _inner(
    np.asarray(kernels.sinc(jnp.asarray([math.pi / 2]), jnp.asarray([7]))[0])
  )
  row = (-0.02818245, 0.04271755, 0.17014778, 0.23575877)
  np.testing.assert_allclose(kernel[3, :4], row, atol=3e-8)
  assert kernel[0, 0] == pytest.approx(-0.00749881, abs=3e-8)


def test_bessel_function_equals_scipy():
  x = np.linspace(0, 50, 501, dtype=np.float32)
  found = kernels.bessel_j1(jnp.asarray(x))
  np.testing.assert_allclose(found, special.j1(x), atol=2e-6)


def test_draws():
  count = 4000
  found = np.asarray(kernels.draw(jax.random.key(0), count, PUBLISHED))
  assert found.shape == (count, 21, 21) and found.dtype == np.float32
  np.testing.assert_allclose(found.sum((1, 2)), 1, atol=1e-4)
  # All are the same when turned by half a turn.
  np.testing.assert_allclose(found, found[:, ::-1, ::-1], atol=1e-6)
  # 0.9 (0.45 + 0.12 + 0.12) bells and all sincs are symmetric.
  symmetric = np.abs(found - found.transpose(0, 2, 1)).max((1, 2)) < 1e-6
  assert symmetric.mean() == pytest.approx(0.721, abs=0.03)
  # Sincs alone go below zero.
  sinc = found.min((1, 2)) < -1e-4
  assert sinc.mean() == pytest.approx(0.1, abs=0.02)
  # The sizes of sincs, whose corners are not zero, are equally likely.
  edge = np.abs(found[sinc]).max(1) > 0
  sizes = edge.sum(1)
  assert set(sizes) <= set(range(7, 22, 2))
  assert (sizes == 21).mean() == pytest.approx(1 / 8, abs=0.06)


def test_draws_are_functions_of_the_key():
  one, same = (kernels.draw(jax.random.key(3), 5, PUBLISHED) for _ in "ab")
  np.testing.assert_array_equal(one, same)
  other = kernels.draw(jax.random.key(4), 5, PUBLISHED)
  assert np.abs(one - other).max((1, 2)).min() > 0


def test_final_sinc_is_left_out_now_and_then():
  found = kernels.draw_sinc(jax.random.key(1), 1000, PUBLISHED.sizes, 0.8)
  none = np.abs(found - kernels.identity()).max((1, 2)) == 0
  assert none.mean() == pytest.approx(0.2, abs=0.04)
  np.testing.assert_allclose(np.sum(found, (1, 2)), 1, atol=1e-4)


def test_choices_by_hand():
  u = jnp.asarray([0.0, 0.19, 0.21, 0.89, 0.91])
  found = kernels.choose(u, (0.2, 0.7, 0.1))
  np.testing.assert_array_equal(found, [0, 0, 1, 1, 2])
  np.testing.assert_array_equal(
    kernels.pick(u, (7, 9, 11, 13, 15)), [7, 7, 9, 15, 15]
  )
  np.testing.assert_allclose(
    kernels.between(u, (1.0, 3.0)), [1.0, 1.38, 1.42, 2.78, 2.82], rtol=1e-6
  )


def test_blur_equals_scipy_at_the_size_of_the_picture():
  x = np.random.default_rng(0).random((2, 30, 26, 3), np.float32)
  kernel = np.asarray(kernels.draw(jax.random.key(5), 2, PUBLISHED))
  size = jnp.asarray(17), jnp.asarray(14)
  found = jax.jit(kernels.blur)(x, kernel, size)
  assert found.shape == x.shape
  for i in range(2):
    expected = ndimage.convolve(
      x[i, :17, :14].astype(np.float64), kernel[i][..., None], mode="mirror"
    )
    np.testing.assert_allclose(found[i, :17, :14], expected, atol=2e-6)
