"""The two sides of a generative adversarial game, per image, from logits."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from enhance_jax.errors import EnhanceError, nearest

Array = jax.Array


class Game(NamedTuple):
  """The two losses of a game.

  Attributes:
    discriminator: (real, fake, *, smoothing) logits [N] -> float32 [N].
    generator: (real, fake) logits [N] -> float32 [N].
  """

  discriminator: Callable[..., Array]
  generator: Callable[[Array, Array], Array]


def bce_discriminator(
  real: Array, fake: Array, *, smoothing: float = 0.0
) -> Array:
  """-log D(real) - log(1 - D(fake)), with D the sigmoid of the logits.

  Args:
    real: logits [N] of real pictures.
    fake: logits [N] of generated ones.
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
  return jax.nn.softplus(-real) + smoothing * real + jax.nn.softplus(fake)


def bce_generator(real: Array, fake: Array) -> Array:
  """-log D(fake): the non-saturating form of Goodfellow et al. (1406.2661)."""
  _, fake = _logits(real, fake)
  return jax.nn.softplus(-fake)


ADVERSARIAL = {"bce": Game(bce_discriminator, bce_generator)}


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


def _logits(real: Array, fake: Array) -> tuple[Array, Array]:
  if real.shape != fake.shape or real.ndim != 1:
    raise EnhanceError(
      f"the adversarial loss got logits of shapes {real.shape} and "
      f"{fake.shape}; wanted two equal [N]"
    )
  for logits in (real, fake):
    if not jnp.issubdtype(logits.dtype, jnp.floating):
      raise EnhanceError(
        f"the adversarial loss got {logits.dtype} logits; wanted floats"
      )
  return real.astype(jnp.float32), fake.astype(jnp.float32)
