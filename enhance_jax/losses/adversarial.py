"""The two sides of a generative adversarial game, per image, from logits.

Logits are [N], or a map [N, h, w] where a discriminator judges every place; an
image's loss is then the mean over its map. All is computed in float32.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from enhance_jax.errors import EnhanceError, nearest

Array = jax.Array
Critic = Callable[[Array], Array]


class Game(NamedTuple):
  """The two losses of a game.

  Attributes:
    discriminator: (real, fake, *, smoothing) logits -> float32 [N]: the i-th
      real and the i-th fake term added. `smoothing` is refused by games that
      do not define it.
    generator: (real, fake) logits -> float32 [N].
  """

  discriminator: Callable[..., Array]
  generator: Callable[[Array, Array], Array]


def bce_discriminator(
  real: Array, fake: Array, *, smoothing: float = 0.0
) -> Array:
  """-log D(real) - log(1 - D(fake)), with D the sigmoid of the logits.

  Args:
    real: logits [N] or [N, h, w] of real pictures.
    fake: logits of generated ones, the same shape.
    smoothing: the real label is 1 minus this; the fake one stays 0 (one-sided
      label smoothing, Salimans et al., arXiv 1606.03498).

  Returns:
    [N] float32: the i-th real and the i-th fake term added.
  """
  real, fake = _logits(real, fake)
  if not 0.0 <= smoothing < 1.0:
    raise EnhanceError(
      f"label smoothing is {smoothing}; it must be at least 0 and below 1"
    )
  # a sp(-r) + (1 - a) sp(r) with sp(r) = sp(-r) + r and a = 1 - smoothing.
  each = jax.nn.softplus(-real) + smoothing * real + jax.nn.softplus(fake)
  return _per_image(each)


def bce_generator(real: Array, fake: Array) -> Array:
  """-log D(fake): the non-saturating form of Goodfellow et al. (1406.2661)."""
  _, fake = _logits(real, fake)
  return _per_image(jax.nn.softplus(-fake))


def lsgan_discriminator(
  real: Array, fake: Array, *, smoothing: float = 0.0
) -> Array:
  """(real - 1)^2 + fake^2, without the halves (Mao et al., 1611.04076)."""
  _refuse_smoothing("lsgan", smoothing)
  real, fake = _logits(real, fake)
  return _per_image(jnp.square(real - 1) + jnp.square(fake))


def lsgan_generator(real: Array, fake: Array) -> Array:
  """(fake - 1)^2 (Mao et al., arXiv 1611.04076)."""
  _, fake = _logits(real, fake)
  return _per_image(jnp.square(fake - 1))


def hinge_discriminator(
  real: Array, fake: Array, *, smoothing: float = 0.0
) -> Array:
  """max(0, 1 - real) + max(0, 1 + fake) (Lim & Ye, arXiv 1705.02894)."""
  _refuse_smoothing("hinge", smoothing)
  real, fake = _logits(real, fake)
  return _per_image(jax.nn.relu(1 - real) + jax.nn.relu(1 + fake))


def wgan_discriminator(
  real: Array, fake: Array, *, smoothing: float = 0.0
) -> Array:
  """fake - real, to be used with `gradient_penalty` (Gulrajani, 1704.00028)."""
  _refuse_smoothing("wgan", smoothing)
  real, fake = _logits(real, fake)
  return _per_image(fake - real)


def critic_generator(real: Array, fake: Array) -> Array:
  """-fake: the generator's side of the hinge and the Wasserstein games."""
  _, fake = _logits(real, fake)
  return _per_image(-fake)


def ragan_discriminator(
  real: Array, fake: Array, *, smoothing: float = 0.0
) -> Array:
  """Relativistic average game (Jolicoeur-Martineau, 1807.00734; ESRGAN).

  -log s(real - mean fake) - log(1 - s(fake - mean real)), s the sigmoid. The
  means are over the whole batch and map; where a jitted batch is spread over
  devices, over all of it.
  """
  _refuse_smoothing("ragan", smoothing)
  over_fake, over_real = _relative(real, fake)
  return _per_image(jax.nn.softplus(-over_fake) + jax.nn.softplus(over_real))


def ragan_generator(real: Array, fake: Array) -> Array:
  """The discriminator's loss with real and fake exchanged (ESRGAN, eq. 2).

  The gradient flows through both terms, as the paper says: into the fake
  logits and into their mean.
  """
  over_fake, over_real = _relative(real, fake)
  return _per_image(jax.nn.softplus(over_fake) + jax.nn.softplus(-over_real))


ADVERSARIAL = {
  "bce": Game(bce_discriminator, bce_generator),
  "lsgan": Game(lsgan_discriminator, lsgan_generator),
  "hinge": Game(hinge_discriminator, critic_generator),
  "wgan": Game(wgan_discriminator, critic_generator),
  "ragan": Game(ragan_discriminator, ragan_generator),
}


def game(name: str) -> Game:
  """The game called `name`.

  Raises:
    EnhanceError: there is none; the known ones are listed.
  """
  if name not in ADVERSARIAL:
    raise EnhanceError(
      f'there is no adversarial loss "{name}"; {nearest(name, ADVERSARIAL)}'
    )
  return ADVERSARIAL[name]


def gradient_penalty(
  critic: Critic, real: Array, fake: Array, key: Array
) -> Array:
  """WGAN-GP's penalty without its weight (Gulrajani et al., 1704.00028).

  (|grad critic(x)| - 1)^2 at x = e real + (1 - e) fake with one e in [0, 1) a
  picture; the norm is over all values of the picture. The critic must judge
  each picture by itself, that is, without batch normalisation.

  Args:
    critic: pictures -> logits [N] or [N, h, w].
    real: [N, H, W, C].
    fake: the same shape.
    key: from which e is drawn.

  Returns:
    float32 [N].
  """
  if real.shape != fake.shape or real.ndim != 4:
    raise EnhanceError(
      f"the gradient penalty got pictures of shapes {real.shape} and "
      f"{fake.shape}; wanted two equal [N, H, W, C]"
    )
  real, fake = real.astype(jnp.float32), fake.astype(jnp.float32)
  mix = jax.random.uniform(key, (real.shape[0], 1, 1, 1))
  square = _squared_slope(critic, mix * real + (1 - mix) * fake)
  # A root without the infinite derivative at 0, where a flat critic lands.
  flat = square == 0
  norm = jnp.where(flat, 0.0, jnp.sqrt(jnp.where(flat, 1.0, square)))
  return jnp.square(norm - 1)


def r1(critic: Critic, real: Array) -> Array:
  """Half the squared gradient norm on real pictures (Mescheder, 1801.04406).

  Args:
    critic: pictures -> logits [N] or [N, h, w].
    real: [N, H, W, C].

  Returns:
    float32 [N], without the factor gamma.
  """
  return 0.5 * _squared_slope(critic, real.astype(jnp.float32))


def _squared_slope(critic: Critic, x: Array) -> Array:
  """|d critic(x_i) / d x_i|^2 of each picture, [N]."""

  def total(x: Array) -> Array:
    logits = critic(x)
    if logits.ndim not in (1, 3) or logits.shape[0] != x.shape[0]:
      raise EnhanceError(
        f"the critic gave logits of shape {logits.shape} for pictures of shape "
        f"{x.shape}; wanted [N] or [N, h, w]"
      )
    return jnp.sum(_per_image(logits.astype(jnp.float32)))

  return jnp.sum(jnp.square(jax.grad(total)(x)), axis=(1, 2, 3))


def _relative(real: Array, fake: Array) -> tuple[Array, Array]:
  """Real above the mean fake, and fake above the mean real."""
  real, fake = _logits(real, fake)
  return real - jnp.mean(fake), fake - jnp.mean(real)


def _per_image(each: Array) -> Array:
  return jnp.mean(each, axis=tuple(range(1, each.ndim)))


def _refuse_smoothing(name: str, smoothing: float) -> None:
  if smoothing:
    raise EnhanceError(
      f'label smoothing is {smoothing}, but the game "{name}" has no labels to '
      'smooth; use 0, or the game "bce"'
    )


def _logits(real: Array, fake: Array) -> tuple[Array, Array]:
  if real.shape != fake.shape or real.ndim not in (1, 3):
    raise EnhanceError(
      f"the adversarial loss got logits of shapes {real.shape} and "
      f"{fake.shape}; wanted two equal [N] or [N, h, w]"
    )
  for logits in (real, fake):
    if not jnp.issubdtype(logits.dtype, jnp.floating):
      raise EnhanceError(
        f"the adversarial loss got {logits.dtype} logits; wanted floats"
      )
  return real.astype(jnp.float32), fake.astype(jnp.float32)
