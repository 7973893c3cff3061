"""Losses by hand: values for each image, gradients, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.losses import adversarial, perceptual, pixel

# Two 1x2 pictures of one channel.
SR = jnp.asarray([[[[0.5], [0.25]]], [[[1.0], [0.0]]]])
HR = jnp.asarray([[[[0.0], [0.5]]], [[[1.0], [0.0]]]])

REAL = jnp.asarray([2.0, 0.5, -1.0, 1.5])
FAKE = jnp.asarray([-0.5, 1.0, -2.0, 0.0])


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


@pytest.mark.parametrize(
  "loss", [pixel.mse, pixel.l1, pixel.charbonnier, pixel.total_variation]
)
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


# Means over these logits, computed in NumPy in float64 apart from this code.
def test_bce_golden_values():
  game = adversarial.game("bce")
  found = game.discriminator(REAL, FAKE)
  assert found.shape == (4,) and found.dtype == jnp.float32
  np.testing.assert_allclose(found.mean(), 1.18077350, rtol=1e-6)
  np.testing.assert_allclose(
    game.generator(REAL, FAKE).mean(), 1.02685356, rtol=1e-6
  )
  smooth = game.discriminator(REAL, FAKE, smoothing=0.1)
  np.testing.assert_allclose(smooth.mean(), 1.25577354, rtol=1e-6)


def test_bce_is_finite_for_huge_logits():
  huge = jnp.asarray([1e4, -1e4])
  found = adversarial.bce_discriminator(huge, huge)
  np.testing.assert_allclose(found, [1e4, 1e4])
  np.testing.assert_allclose(adversarial.bce_generator(huge, huge), [0.0, 1e4])


def test_bce_gradients():
  # d/df softplus(f) = sigmoid(f); d/df softplus(-f) = -sigmoid(-f).
  by_fake = jax.grad(lambda f: adversarial.bce_discriminator(REAL, f).sum())
  np.testing.assert_allclose(by_fake(FAKE), jax.nn.sigmoid(FAKE), rtol=1e-6)
  generator = jax.grad(lambda f: adversarial.bce_generator(REAL, f).sum())
  np.testing.assert_allclose(generator(FAKE), -jax.nn.sigmoid(-FAKE), rtol=1e-6)


def test_adversarial_errors():
  with pytest.raises(errors.EnhanceError, match="shapes"):
    adversarial.bce_generator(REAL, FAKE[:, None])
  with pytest.raises(errors.EnhanceError, match="int32"):
    adversarial.bce_generator(REAL, FAKE.astype(jnp.int32))
  with pytest.raises(errors.EnhanceError, match="smoothing is 1.0"):
    adversarial.bce_discriminator(REAL, FAKE, smoothing=1.0)
  with pytest.raises(errors.EnhanceError, match='"bcee".*"bce"'):
    adversarial.game("bcee")


# One picture of 1x2 pixels with 3 channels: differences 1, 2, 3 and 0, 0, -2.
A = jnp.asarray([[[[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]]])
B = jnp.asarray([[[[0.0, 0.0, 0.0], [5.0, 5.0, 7.0]]]])


@pytest.mark.parametrize(
  ("norm", "reduce", "expected"),
  [
    # (14 + 4) / 2 pixels; a third of it with the mean over channels.
    ("l2", "paper", 9.0),
    ("l2", "mean", 3.0),
    # (6 + 2) / 2.
    ("l1", "paper", 4.0),
    ("l1", "mean", 4.0 / 3.0),
  ],
)
def test_feature_distance(norm, reduce, expected):
  found = perceptual.feature_distance(A, B, norm=norm, reduce=reduce)
  assert found.shape == (1,) and found.dtype == jnp.float32
  np.testing.assert_allclose(found, [expected], rtol=1e-6)


def test_presets_of_the_srgan_paper():
  vgg22, vgg54 = perceptual.PRESETS["vgg22"], perceptual.PRESETS["vgg54"]
  assert (vgg22.tap, vgg54.tap) == ("relu2_2", "relu5_4")
  for preset in (vgg22, vgg54):
    # 0.006 times the summed squares of one pixel, averaged over pixels.
    np.testing.assert_allclose(preset(A, B), [0.006 * 9.0], rtol=1e-6)


def test_feature_matching_by_hand():
  # Mean absolute differences (6 + 2) / 6 and 0.5, averaged over two layers.
  found = perceptual.feature_matching([A, A[..., :1] + 0.5], [B, A[..., :1]])
  np.testing.assert_allclose(found, [(8 / 6 + 0.5) / 2], rtol=1e-6)


def test_feature_matching_leaves_the_real_side_alone():
  grads = jax.grad(
    lambda fake, real: perceptual.feature_matching([fake], [real]).sum(),
    argnums=(0, 1),
  )(A, B)
  assert np.abs(grads[0]).sum() > 0
  np.testing.assert_array_equal(grads[1], np.zeros_like(B))


def test_perceptual_errors():
  with pytest.raises(errors.EnhanceError, match='norm "l3"'):
    perceptual.feature_distance(A, B, norm="l3")
  with pytest.raises(errors.EnhanceError, match='reduce "sum"'):
    perceptual.feature_distance(A, B, reduce="sum")
  with pytest.raises(errors.EnhanceError, match="shapes"):
    perceptual.feature_distance(A, B[..., :2])
  with pytest.raises(errors.EnhanceError, match="1 and 2 layers"):
    perceptual.feature_matching([A], [A, B])
