"""Adversarial games against golden numbers, by hand and against PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.losses import adversarial
from enhance_jax.models.layers import convolve

REAL = jnp.asarray([2.0, 0.5, -1.0, 1.5])
FAKE = jnp.asarray([-0.5, 1.0, -2.0, 0.0])

# Means over these logits, computed in NumPy in float64 apart from this code;
# the generator's hinge and Wasserstein losses are -mean(FAKE).
GOLDEN = {
  "bce": (1.18077350, 1.02685356),
  "ragan": (0.79011673, 3.04011679),
  "lsgan": (2.6875, 3.0625),
  "hinge": (1.5, 0.375),
  "wgan": (-1.125, 0.375),
}


def test_every_game_has_golden_values():
  assert GOLDEN.keys() == adversarial.ADVERSARIAL.keys()


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name):
  game = adversarial.game(name)
  for loss, expected in zip(game, GOLDEN[name], strict=True):
    found = loss(REAL, FAKE)
    assert found.shape == (4,) and found.dtype == jnp.float32
    np.testing.assert_allclose(found.mean(), expected, rtol=1e-6)
    jitted = jax.jit(loss)(REAL.astype(jnp.bfloat16), FAKE)
    np.testing.assert_allclose(jitted, found, rtol=1e-6)


def test_smoothed_labels_golden_value():
  smooth = adversarial.bce_discriminator(REAL, FAKE, smoothing=0.1)
  np.testing.assert_allclose(smooth.mean(), 1.25577354, rtol=1e-6)


@pytest.mark.parametrize("name", GOLDEN)
def test_maps_are_averaged_for_each_image(name):
  # Two images, each with a map of 1x2: the same four logits.
  real, fake = REAL.reshape(2, 1, 2), FAKE.reshape(2, 1, 2)
  game = adversarial.game(name)
  for loss in game:
    flat = loss(REAL, FAKE).reshape(2, 2).mean(axis=1)
    np.testing.assert_allclose(loss(real, fake), flat, rtol=1e-6)


@pytest.mark.parametrize("name", GOLDEN)
def test_huge_logits_stay_finite(name):
  huge = jnp.asarray([1e4, -1e4])
  for loss in adversarial.game(name):
    value, grads = jax.value_and_grad(
      lambda r, f, loss=loss: loss(r, f).sum(), argnums=(0, 1)
    )(huge, -huge)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in grads)


def test_bce_of_huge_logits():
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


def test_ragan_gradient_flows_through_both_terms():
  # L = mean sp(r_i - m) + mean sp(m' - f_j), m the mean of f, m' that of r:
  # dL/df_k = -mean s(r - m) / N - s(m' - f_k) / N, with s the sigmoid.
  grad = jax.grad(lambda f: adversarial.ragan_generator(REAL, f).mean())(FAKE)
  first = jax.nn.sigmoid(REAL - FAKE.mean()).mean()
  second = jax.nn.sigmoid(REAL.mean() - FAKE)
  np.testing.assert_allclose(grad, -(first + second) / 4, rtol=1e-6)


def test_adversarial_errors():
  with pytest.raises(errors.EnhanceError, match="shapes"):
    adversarial.bce_generator(REAL, FAKE[:2])
  with pytest.raises(errors.EnhanceError, match="shapes"):
    adversarial.bce_generator(REAL[:, None], FAKE[:, None])
  with pytest.raises(errors.EnhanceError, match="int32"):
    adversarial.bce_generator(REAL, FAKE.astype(jnp.int32))
  with pytest.raises(errors.EnhanceError, match="smoothing is 1.0"):
    adversarial.bce_discriminator(REAL, FAKE, smoothing=1.0)
  with pytest.raises(errors.EnhanceError, match='"bcee".*"bce"'):
    adversarial.game("bcee")


@pytest.mark.parametrize("name", sorted(GOLDEN.keys() - {"bce"}))
def test_smoothing_is_refused_where_it_means_nothing(name):
  with pytest.raises(errors.EnhanceError, match=f'0.1, but the game "{name}"'):
    adversarial.game(name).discriminator(REAL, FAKE, smoothing=0.1)


def half_square(x):
  """A critic whose gradient is the picture itself."""
  return 0.5 * jnp.sum(jnp.square(x), axis=(1, 2, 3))


def test_penalty_of_known_gradients():
  # Between equal pictures the point is known: the gradient of half_square is
  # the picture, of norms 5 and 0.5, so (5 - 1)^2 and (0.5 - 1)^2.
  x = jnp.asarray([3.0, 4.0, 0.3, 0.4]).reshape(2, 1, 1, 2)
  key = jax.random.key(0)
  found = adversarial.gradient_penalty(half_square, x, x, key)
  assert found.shape == (2,) and found.dtype == jnp.float32
  np.testing.assert_allclose(found, [16.0, 0.25], rtol=1e-5)
  np.testing.assert_allclose(adversarial.r1(half_square, x), [12.5, 0.125])


def test_penalty_mixes_with_one_number_a_picture():
  # From ones to zeros the point is e times ones, its norm 4 e: the mean of
  # (4 e - 1)^2 over e in [0, 1] is 16/3 - 4 + 1. With an e for each of the 16
  # values it would be near (4 / sqrt(3) - 1)^2 = 1.7.
  ones = jnp.ones((4000, 4, 4, 1))
  found = adversarial.gradient_penalty(
    half_square, ones, 0 * ones, jax.random.key(1)
  )
  np.testing.assert_allclose(found.mean(), 7 / 3, rtol=0.05)


def test_map_critics_are_averaged():
  # The mean over 2x3 places divides the gradient by 6.
  x = jnp.arange(12.0).reshape(2, 2, 3, 1)
  found = adversarial.r1(lambda x: 0.5 * jnp.square(x[..., 0]), x)
  expected = adversarial.r1(half_square, x) / 36
  np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_flat_critic_has_finite_second_derivatives():
  x = jnp.ones((2, 3, 3, 1))

  def loss(slope):
    def critic(x):
      return slope * jnp.sum(x, axis=(1, 2, 3))

    return adversarial.gradient_penalty(critic, x, x, jax.random.key(0)).sum()

  value, grad = jax.value_and_grad(loss)(jnp.float32(0.0))
  assert value == 2.0 and np.isfinite(grad)


def test_penalties_by_parameters_equal_pytorch():
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  rng = np.random.default_rng(0)
  x = rng.standard_normal((2, 6, 6, 3)).astype(np.float32)
  kernel = rng.standard_normal((3, 3, 3, 4)).astype(np.float32)

  @jax.jit
  def ours(kernel):
    def critic(x):
      return jnp.mean(jnp.tanh(convolve(x, kernel, 2, 1)), axis=-1)

    # Equal pictures, so that the mixing number does not matter.
    key = jax.random.key(0)
    return adversarial.gradient_penalty(critic, x, x, key), adversarial.r1(
      critic, x
    )

  weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
  weight.requires_grad_(True)
  pictures = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
  pictures.requires_grad_(True)
  logits = torch.conv2d(pictures, weight, stride=2, padding=1).tanh()
  judged = logits.mean(dim=(1, 2, 3)).sum()
  (slope,) = torch.autograd.grad(judged, pictures, create_graph=True)
  square = slope.square().sum(dim=(1, 2, 3))
  theirs = (square.sqrt() - 1).square(), 0.5 * square
  for i in range(2):
    expected = theirs[i].detach().numpy()
    np.testing.assert_allclose(ours(kernel)[i], expected, rtol=1e-4)
    (by_weight,) = torch.autograd.grad(
      theirs[i].sum(), weight, retain_graph=True
    )
    found = jax.grad(lambda k, i=i: ours(k)[i].sum())(kernel)
    expected = by_weight.numpy().transpose(2, 3, 1, 0)
    error = np.abs(found - expected).max()
    assert error <= 1e-4 * np.abs(expected).max()


def test_penalty_errors():
  x = jnp.ones((2, 3, 3, 1))
  with pytest.raises(errors.EnhanceError, match="pictures of shapes"):
    adversarial.gradient_penalty(half_square, x, x[:1], jax.random.key(0))
  with pytest.raises(errors.EnhanceError, match="critic gave logits of shape"):
    adversarial.r1(jnp.sum, x)
