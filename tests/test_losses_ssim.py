"""SSIM losses against the metric, scikit-image, SciPy and golden numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors, images
from enhance_jax.losses import ssim
from enhance_jax.metrics import image as metrics
from tests.test_metrics_image import noisy, picture_s

LOSSES = {
  # The least size, and one that is large enough.
  ssim.ssim: (11, 24),
  ssim.ms_ssim: (176, 176),
  ssim.ms_ssim_l1: (33, 40),
}


def pair(height, width):
  """uint8 pictures S and N(S), and both as a batch in [0, 1]."""
  hr = picture_s(height, width)
  sr = noisy(hr)
  return sr, hr, *(x[None].astype(np.float32) / 255 for x in (sr, hr))


def test_ssim_equals_the_metric():
  sr, hr, a, b = pair(30, 43)
  found = jax.jit(ssim.ssim)(a, b)
  assert found.shape == (1,) and found.dtype == jnp.float32
  protocol = metrics.Protocol("rgb", 0)
  np.testing.assert_allclose(1 - found, metrics.ssim(sr, hr, protocol), 1e-6)


def test_ssim_equals_scikit_image():
  skimage = pytest.importorskip("skimage.metrics")
  _, _, a, b = pair(40, 33)
  _, values = skimage.structural_similarity(
    a[0].astype(np.float64),
    b[0].astype(np.float64),
    data_range=1,
    channel_axis=-1,
    gaussian_weights=True,
    sigma=1.5,
    use_sample_covariance=False,
    full=True,
  )
  expected = values[5:-5, 5:-5].mean()
  np.testing.assert_allclose(
    1 - jax.jit(ssim.ssim)(a, b), [expected], rtol=1e-6
  )


def test_golden_values():
  # Of luma in float; the loss takes luma as a gray picture.
  sr, hr, _, _ = pair(192, 176)
  assert hr.sum() == 13181961
  gray = [
    jnp.float32(images.luma(x / 255.0)).reshape(1, 192, 176, 1)
    for x in (sr, hr)
  ]
  found = 1 - jax.jit(ssim.ssim)(*gray)
  np.testing.assert_allclose(found, [0.98016842], atol=1e-6)
  found = 1 - jax.jit(ssim.ms_ssim)(*gray)
  np.testing.assert_allclose(found, [0.99900307], atol=1e-6)


def test_ms_ssim_crops_odd_sides():
  # 191x177 has the same 2x2 blocks as 190x176 from the second scale on, and
  # the first scale's window sees one row and one column more.
  _, _, a, b = pair(191, 177)
  loss = jax.jit(ssim.ms_ssim)
  whole, cut = loss(a, b), loss(a[:, :190, :176], b[:, :190, :176])
  assert 0 < np.abs(whole - cut)[0] < 1e-4


def test_ms_ssim_of_opposites_is_1_and_has_a_gradient():
  # Stripes and their negative: contrast and structure are negative, hence 0.
  x = jnp.asarray(np.arange(176) % 2, jnp.float32).reshape(1, 1, 176, 1)
  x = jnp.broadcast_to(x, (1, 176, 176, 1))
  value, grad = jax.jit(jax.value_and_grad(lambda a: ssim.ms_ssim(a, x).sum()))(
    1 - x
  )
  assert value == 1.0 and np.isfinite(grad).all()


def test_mixture_by_its_definition():
  ndimage = pytest.importorskip("scipy.ndimage")
  _, _, a, b = pair(35, 38)
  x, y = (z[0].astype(np.float64) for z in (a, b))

  def blur(z, sigma):
    # 33 taps, those inside the picture only.
    blurred = ndimage.gaussian_filter(z, (sigma, sigma, 0), radius=(16, 16, 0))
    return blurred[16:-16, 16:-16]

  product = 1.0
  for sigma in (0.5, 1, 2, 4, 8):
    mx, my = blur(x, sigma), blur(y, sigma)
    vx, vy = blur(x * x, sigma) - mx**2, blur(y * y, sigma) - my**2
    both = blur(x * y, sigma) - mx * my
    product = product * (2 * both + 0.0009) / (vx + vy + 0.0009)
    luminance = (2 * mx * my + 0.0001) / (mx**2 + my**2 + 0.0001)
  distance = blur(np.abs(x - y), 8)
  mixture = 0.84 * (1 - luminance * product) + 0.16 * distance
  found = jax.jit(ssim.ms_ssim_l1)(a, b)
  assert found.shape == (1,) and found.dtype == jnp.float32
  np.testing.assert_allclose(found, [mixture.mean()], rtol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_pictures(loss):
  size = LOSSES[loss][1]
  _, _, a, b = pair(size, size)
  both = jax.jit(jax.value_and_grad(lambda a, b: loss(a, b).sum()))
  value, grad = both(b, b)
  assert abs(value) < 1e-6 and np.isfinite(grad).all()
  # Flat pictures have no variance at all.
  value, grad = both(0 * b, 0 * b)
  assert abs(value) < 1e-6 and np.isfinite(grad).all()
  # A step against the gradient helps.
  value, grad = both(a, b)
  assert value > 1e-4
  assert both(a - 1e-3 * grad / np.abs(grad).max(), b)[0] < value


@pytest.mark.parametrize("loss", LOSSES)
def test_pictures_are_kept_apart(loss):
  size = LOSSES[loss][1]
  _, _, a, b = pair(size, size)
  two = jax.jit(loss)(np.concatenate([a, b]), np.concatenate([b, b]))
  one = jax.jit(loss)(a, b)
  np.testing.assert_allclose(two, [one[0], 0.0], atol=1e-6)


def test_bfloat16_pictures_are_compared_in_float32():
  # Eighths are exact in bfloat16.
  rng = np.random.default_rng(0)
  sr, hr = rng.integers(0, 9, (2, 1, 36, 36, 1)).astype(np.float32) / 8
  for loss in (ssim.ssim, ssim.ms_ssim_l1):
    narrow = jax.jit(loss)(sr.astype(jnp.bfloat16), hr.astype(jnp.bfloat16))
    assert narrow.dtype == jnp.float32
    np.testing.assert_allclose(narrow, jax.jit(loss)(sr, hr), rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_too_small_pictures_are_told_the_least_size(loss):
  least = LOSSES[loss][0]
  x = jnp.zeros((1, least + 5, least - 1, 3))
  words = f"{loss.__name__} got .* pictures; it needs {least}x{least}"
  with pytest.raises(errors.EnhanceError, match=words):
    loss(x, x)
  x = jnp.zeros((1, least, least, 1))
  jax.eval_shape(loss, x, x)
  with pytest.raises(errors.EnhanceError, match="shapes"):
    loss(x, x[:, :, 1:])
