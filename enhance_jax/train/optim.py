"""Optax optimisers and rate schedules from a phase's settings."""

import optax

from enhance_jax import errors
from enhance_jax.config import Config


def schedule(settings: Config) -> optax.Schedule:
  """The learning rate as a function of the updates done in the phase.

  Args:
    settings: from `config.optimizer`.
  """
  if not settings.decay_every:
    return optax.constant_schedule(settings.learning_rate)
  return optax.exponential_decay(
    settings.learning_rate,
    settings.decay_every,
    settings.decay_rate,
    staircase=True,
  )


def build(
  settings: Config,
) -> optax.GradientTransformation:
  """An optimiser; its count starts at 0 in each phase.

  Args:
    settings: from `config.optimizer`.

  Raises:
    EnhanceError: unknown optimiser.
  """
  rate = schedule(settings)
  makers = {
    "adam": lambda: optax.adam(
      rate, b1=settings.b1, b2=settings.b2, eps=settings.eps
    ),
    "sgd": lambda: optax.sgd(rate, momentum=settings.b1),
  }
  if settings.name not in makers:
    raise errors.EnhanceError(
      f'there is no optimiser called "{settings.name}"; '
      f"{errors.nearest(settings.name, makers)}"
    )
  optimizer = makers[settings.name]()
  if settings.clip_norm:
    clip = optax.clip_by_global_norm(settings.clip_norm)
    return optax.chain(clip, optimizer)
  return optimizer
