"""Pixel losses by hand: values for each image, gradients, what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.losses import pixel

# Two 1x2 pictures of one channel.
SR = jnp.asarray([[[[0.5], [0.25]]], [[[1.0], [0.0]]]])
HR = jnp.asarray([[[[0.0], [0.5]]], [[[1.0], [0.0]]]])

LOSSES = [
  pixel.mse,
  pixel.l1,
  pixel.charbonnier,
  pixel.total_variation,
  pixel.total_variation_squared,
  functools.partial(pixel.block_l1, size=1),
]


@pytest.mark.parametrize(
  ("loss", "expected"),
  [
    # ((1/2)^2 + (1/4)^2) / 2 and so on, by hand.
    (pixel.mse, [0.15625, 0.0]),
    (pixel.l1, [0.375, 0.0]),
    # (sqrt(1/4 + 1e-6) + sqrt(1/16 + 1e-6)) / 2 and sqrt(1e-6).
    (pixel.charbonnier, [0.3750015, 0.001]),
  ],
)
def test_pixel_losses(loss, expected):
  found = loss(SR, HR)
  assert found.shape == (2,) and found.dtype == jnp.float32
  np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_total_variation():
  # A 2x3 picture: steps down 3, 3, 3; across 1, 1, 1, 1.
  sr = jnp.arange(6.0).reshape(1, 2, 3, 1)
  np.testing.assert_allclose(pixel.total_variation(sr, sr), [4.0])


def test_charbonnier_gradient_is_finite_at_zero():
  grad = jax.grad(lambda x: pixel.charbonnier(x, HR).sum())(HR)
  np.testing.assert_array_equal(grad, np.zeros_like(HR))


def test_total_variation_squared():
  # The same steps, squared and added: 3 * 9 + 4 * 1; then a picture twice as
  # steep, which shows that pictures are kept apart.
  sr = jnp.arange(6.0).reshape(1, 2, 3, 1)
  sr = jnp.concatenate([sr, 2 * sr])
  np.testing.assert_allclose(pixel.total_variation_squared(sr, sr), [31.0, 124])


def test_block_l1():
  # One column of blocks of 2x2: means 1 and 3 against 0 and 5; a checkerboard
  # of mean zero on top goes unseen.
  sr = jnp.asarray([1.0, 1, 1, 1, 3, 3, 3, 3]).reshape(1, 4, 2, 1)
  hr = jnp.asarray([0.0, 0, 0, 0, 5, 5, 5, 5]).reshape(1, 4, 2, 1)
  board = jnp.asarray([1.0, -1, -1, 1, 1, -1, -1, 1]).reshape(1, 4, 2, 1)
  found = pixel.block_l1(sr + board, hr, size=2)
  np.testing.assert_allclose(found, [1.5])
  with pytest.raises(errors.EnhanceError, match="4x2 pictures .* 4x4"):
    pixel.block_l1(sr, hr)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_finite_and_jit_changes_nothing(loss):
  def total(sr):
    return loss(sr, HR).sum()

  for sr in (SR, HR):
    value, grad = jax.jit(jax.value_and_grad(total))(sr)
    np.testing.assert_allclose(value, total(sr), rtol=1e-6)
    assert np.isfinite(grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_bfloat16_pictures_are_compared_in_float32(loss):
  # These values are exact in bfloat16.
  found = loss(SR.astype(jnp.bfloat16), HR.astype(jnp.bfloat16))
  assert found.dtype == jnp.float32
  np.testing.assert_array_equal(found, loss(SR, HR))


@pytest.mark.parametrize("loss", LOSSES)
def test_pixel_losses_refuse_what_would_broadcast_or_cast(loss):
  with pytest.raises(errors.EnhanceError, match="shapes"):
    loss(SR, HR[:1])
  with pytest.raises(errors.EnhanceError, match="shapes"):
    loss(SR[0], HR[0])
  with pytest.raises(errors.EnhanceError, match="uint8"):
    loss(SR.astype(jnp.uint8), HR.astype(jnp.uint8))


def test_bfloat16_is_summed_in_float32():
  # 0.5^2 over 10000 pixels; a bfloat16 sum would stop long before.
  sr = jnp.full((1, 100, 100, 1), 0.5, jnp.bfloat16)
  found = pixel.mse(sr, jnp.zeros_like(sr))
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found, [0.25])
