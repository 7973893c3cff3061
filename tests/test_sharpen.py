"""Unsharp masking: its taps, its threshold, and a direct form."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from enhance_jax.data import sharpen


def test_taps():
  # From a separate implementation: the middle tap and its neighbours.
  row = sharpen._matrix(101)[50]
  expected = (0.04993894, 0.04955031, 0.04840248)
  np.testing.assert_allclose(row[50:53], expected, atol=1e-8)
  assert np.count_nonzero(row) == 51 and row.sum() == pytest.approx(1)
  np.testing.assert_array_equal(row, row[::-1])


@pytest.mark.parametrize("shape", [(1, 40, 33, 3), (2, 9, 70, 1)])
def test_equals_the_direct_form(shape):
  rng = np.random.default_rng(0)
  hr = np.cumsum(rng.normal(0, 0.1, shape), axis=2)
  hr = np.clip(0.5 + hr, 0, 1).astype(np.float32)

  def blur(x):
    for axis in (1, 2):
      x = ndimage.gaussian_filter1d(x, 8.0, axis=axis, mode="mirror", radius=25)
    return x

  wide = hr.astype(np.float64)
  detail = wide - blur(wide)
  share = blur((np.abs(detail) * 255 > 10).astype(np.float64))
  sharp = np.clip(wide + 0.5 * detail, 0, 1)
  expected = share * sharp + (1 - share) * wide
  assert 0.1 < share.mean() < 0.95
  found = sharpen.usm_sharpen(jnp.asarray(hr))
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert np.abs(expected - hr).max() > 0.05


def test_weak_detail_stays():
  # Five levels of a stripe are below the threshold of ten.
  hr = np.full((1, 64, 64, 3), 0.5, np.float32)
  hr[:, :, 32] += 5 / 255
  np.testing.assert_allclose(
    sharpen.usm_sharpen(jnp.asarray(hr)), hr, atol=1e-6
  )
  hr[:, :, 32] += 15 / 255
  assert np.asarray(sharpen.usm_sharpen(jnp.asarray(hr)))[0, 5, 32, 0] > (
    hr[0, 5, 32, 0] + 0.001
  )
