"""Noise and blur: statistics, SciPy's filter, hand-computed windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from enhance_jax import errors, registry
from enhance_jax.data import corrupt


def pictures(n=2, h=16, w=12, c=3):
  return np.random.default_rng(0).random((n, h, w, c), np.float32)


def test_noise_at_scale_1_is_white_and_of_the_size_asked_for():
  hr = jnp.full((4, 64, 64, 3), 0.5)
  noise = corrupt.Noise(scale=1, sigma=0.1, quantize=False)
  lr = np.asarray(jax.jit(noise)(hr, jax.random.key(0)), np.float64) - 0.5
  # 49152 values: the deviation is known to 0.3 percent.
  assert np.std(lr) == pytest.approx(0.1, rel=0.02)
  assert abs(lr.mean()) < 0.002
  # Every picture and channel has its own: uncorrelated to 1 / sqrt(4096).
  planes = lr.transpose(0, 3, 1, 2).reshape(12, -1)
  others = np.corrcoef(planes) - np.eye(12)
  assert np.abs(others).max() < 0.08
  assert (
    abs(np.corrcoef(planes[:, 1:].ravel(), planes[:, :-1].ravel())[0, 1]) < 0.03
  )


def test_srez_input_is_block_means_plus_noise():
  hr = pictures(64)
  clean = hr.reshape(64, 4, 4, 3, 4, 3).mean((2, 4))
  quiet = corrupt.Noise(scale=4, sigma=0.0, quantize=False)
  key = jax.random.key(0)
  np.testing.assert_allclose(quiet(jnp.asarray(hr), key), clean, atol=1e-6)
  noisy = corrupt.Noise(scale=4, sigma=0.03, quantize=False)
  found = np.asarray(noisy(jnp.asarray(hr), key)) - clean
  assert np.std(found) == pytest.approx(0.03, rel=0.06)


def test_other_kernels_reduce_as_the_plain_degradation():
  hr = jnp.asarray(pictures())
  found = corrupt.Noise(scale=4, sigma=0.0, kernel="bicubic")(
    hr, jax.random.key(0)
  )
  plain = registry.build(registry.DEGRADATIONS, "resize", scale=4)
  np.testing.assert_allclose(found, plain(hr, jax.random.key(0)), atol=1e-7)


@pytest.mark.parametrize(
  "degrade",
  [
    corrupt.Noise(scale=1, sigma=0.5),
    corrupt.Noise(scale=2, sigma=0.5),
    corrupt.Blur(scale=1, noise=0.5),
  ],
)
def test_a_file_could_hold_it(degrade):
  lr = np.asarray(degrade(jnp.asarray(pictures()), jax.random.key(0)))
  assert lr.min() == 0 and lr.max() == 1
  np.testing.assert_allclose(lr * 255, np.round(lr * 255), atol=1e-4)
  again = degrade(jnp.asarray(pictures()), jax.random.key(0))
  np.testing.assert_array_equal(lr, again)
  other = degrade(jnp.asarray(pictures()), jax.random.key(1))
  assert not np.array_equal(lr, other)


@pytest.mark.parametrize("sigma", [0.8, 2.0])
def test_blur_equals_scipy(sigma):
  hr = pictures()
  blur = corrupt.Blur(scale=1, sigma=sigma, noise=0.0, quantize=False)
  found = jax.jit(blur)(jnp.asarray(hr), jax.random.key(0))
  # "reflect" is SciPy's word for mirrored with the edge pixel; a radius of 4
  # is a 9x9 window.
  expected = ndimage.gaussian_filter(
    hr.astype(np.float64), sigma, mode="reflect", radius=4, axes=(1, 2)
  )
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_window_by_hand():
  # exp(-1/2) = 0.6065 on both sides of 1, over their sum of 2.2131.
  found = corrupt.gaussian(3, 1.0)
  np.testing.assert_allclose(found, [0.27406862, 0.45186276, 0.27406862])


def test_blur_then_reduction_then_noise():
  hr = jnp.asarray(pictures(4, 64, 64))
  sharp = corrupt.Blur(scale=1, noise=0.0, quantize=False)
  both = corrupt.Blur(scale=2, noise=0.0, quantize=False)
  key = jax.random.key(0)
  blurred = np.asarray(sharp(hr, key))
  halved = blurred.reshape(4, 32, 2, 32, 2, 3).mean((2, 4))
  np.testing.assert_allclose(both(hr, key), halved, atol=1e-6)
  noise = corrupt.Blur(scale=2, quantize=False)(hr, key) - halved
  assert np.std(noise) == pytest.approx(0.003, rel=0.05)


@pytest.mark.parametrize("shape", [(1, 4, 4, 3), (2, 1, 3, 1)])
def test_blur_of_pictures_smaller_than_the_window(shape):
  # A flat picture stays flat whatever the border.
  hr = jnp.full(shape, 0.25)
  blur = corrupt.Blur(scale=1, noise=0.0, quantize=False)
  np.testing.assert_allclose(blur(hr, jax.random.key(0)), hr, rtol=1e-6)


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: corrupt.Noise(scale=1, sigma=-1.0), "sigma is -1.0; wanted 0"),
    (lambda: corrupt.Blur(scale=1, noise=-1.0), "noise is -1.0; wanted 0"),
    (lambda: corrupt.Blur(scale=1, size=8), "size is 8; wanted an odd"),
    (lambda: corrupt.Blur(scale=1, sigma=0.0), "sigma is 0.0; wanted HR"),
  ],
)
def test_refusals(make, message):
  with pytest.raises(errors.EnhanceError, match=message):
    make()
