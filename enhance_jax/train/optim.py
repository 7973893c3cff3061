"""Optax optimisers and rate schedules from a phase's settings."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from enhance_jax import errors
from enhance_jax.config import Config


def schedule(settings: Config) -> optax.Schedule:
  """The learning rate as a function of the updates done in the phase.

  Args:
    settings: from `config.optimizer`.
  """
  rate = optax.constant_schedule(settings.learning_rate)
  if settings.decay_every:
    rate = optax.exponential_decay(
      settings.learning_rate,
      settings.decay_every,
      settings.decay_rate,
      staircase=True,
    )
  if not settings.decay_at:
    return rate
  steps = optax.piecewise_constant_schedule(
    1.0, {int(step): settings.decay_rate for step in settings.decay_at}
  )
  return lambda count: rate(count) * steps(count)


def build(settings: Config) -> optax.GradientTransformation:
  """An optimiser; its count starts at 0 in each phase.

  Args:
    settings: from `config.optimizer`.

  Raises:
    EnhanceError: unknown optimiser.
  """
  rate = schedule(settings)
  makers = {
    "adam": lambda: optax.scale_by_adam(
      b1=settings.b1, b2=settings.b2, eps=settings.eps
    ),
    "sgd": lambda: optax.trace(settings.b1),
  }
  if settings.name not in makers:
    raise errors.EnhanceError(
      f'there is no optimiser called "{settings.name}"; '
      f"{errors.nearest(settings.name, makers)}"
    )
  parts = []
  if settings.clip_norm:
    parts.append(optax.clip_by_global_norm(settings.clip_norm))
  if settings.clip_scaled:
    parts.append(_clip_scaled(settings.clip_scaled, rate))
  if settings.weight_decay:
    parts.append(optax.add_decayed_weights(settings.weight_decay))
  parts.append(makers[settings.name]())
  if settings.multipliers:
    parts.append(_multiply(settings.multipliers.to_dict()))
  return optax.chain(*parts, optax.scale_by_learning_rate(rate))


def _clip_scaled(
  theta: float, rate: optax.Schedule
) -> optax.GradientTransformation:
  """VDSR's adjustable clipping (arXiv 1511.04587, section 3.2)."""

  def init(params: Any) -> optax.ScaleByScheduleState:
    del params
    return optax.ScaleByScheduleState(count=jnp.zeros((), jnp.int32))

  def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
    del params
    bound = theta / rate(state.count)
    clipped = jax.tree.map(lambda g: jnp.clip(g, -bound, bound), updates)
    return clipped, optax.ScaleByScheduleState(count=state.count + 1)

  return optax.GradientTransformation(init, update)


def _multiply(factors: dict[str, float]) -> optax.GradientTransformation:
  """Scales the updates of parameters whose path begins with a name.

  Raises:
    EnhanceError: a name that no parameter has, when first used.
  """

  def factor(path: str) -> float:
    fitting = [name for name in factors if path.startswith(name)]
    return factors[max(fitting, key=len)] if fitting else 1.0

  def update(updates: Any, params: Any = None) -> Any:
    del params
    flat, tree = jax.tree_util.tree_flatten_with_path(updates)
    paths = ["/".join(str(key.key) for key in path) for path, _ in flat]
    for name in factors:
      if not any(path.startswith(name) for path in paths):
        raise errors.EnhanceError(
          f'the optimiser has a multiplier for "{name}" and no parameter is '
          f"called so; {errors.nearest(name, paths)}"
        )
    scaled = [
      leaf * factor(path) for path, (_, leaf) in zip(paths, flat, strict=True)
    ]
    return jax.tree_util.tree_unflatten(tree, scaled)

  return optax.stateless(update)
