"""The fused training step: gradients, a check, both updates; pure."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

from enhance_jax.train import gradients
from enhance_jax.train import state as state_lib
from enhance_jax.train.gradients import Metrics, Recipe


def _updated(
  network: state_lib.Network,
  optimizer: optax.GradientTransformation,
  grads: state_lib.Tree,
  stats: state_lib.Tree,
) -> state_lib.Network:
  updates, opt_state = optimizer.update(
    grads, network.opt_state, network.params
  )
  params = optax.apply_updates(network.params, updates)
  return state_lib.Network(params, stats, opt_state)


def _finite(tree: state_lib.Tree) -> jax.Array:
  leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
  return jnp.all(jnp.stack(leaves)) if leaves else jnp.bool_(True)


def train_step(
  recipe: Recipe,
  state: state_lib.State,
  batch: Mapping[str, jax.Array],
  constants: Mapping[str, state_lib.Tree],
) -> tuple[state_lib.State, Metrics]:
  """One update of generator and, where one plays, discriminator.

  When a loss, a gradient or a new statistic is not finite, nothing but the
  step and the counters changes.

  Args:
    recipe: the static parts; bind with `functools.partial` before `jax.jit`.
    state: the training state, of `recipe.phase`.
    batch: what `recipe.fetch` takes.
    constants: arrays that stay: the resident pictures, `vgg`'s parameters.

  Returns:
    The next state, and float32 scalars: every loss term before its weight,
    the mean D(real) and D(fake), the discriminator's recall of real and its
    specificity against generated ones, gradient norms, learning rate, `skipped`
    (updates skipped so far) and `streak` (int32: how many of them in a row).
  """
  hr = recipe.fetch(batch, constants)
  batched = gradients.prepare(recipe, state, hr)
  result = gradients.accumulated(recipe, state, batched, constants)
  metrics = dict(result.metrics)
  metrics["grad_norm/generator"] = optax.tree.norm(result.generator_grads)
  if recipe.phase.objective.uses_discriminator:
    metrics["grad_norm/discriminator"] = optax.tree.norm(
      result.discriminator_grads
    )
  fine = _finite(metrics) & _finite(
    (result.generator_stats, result.discriminator_stats)
  )
  # A branch, not a choice for each value: XLA would repeat the whole check in
  # every fused update, and copy the moments instead of updating them in place.
  generator, rival, ema = jax.lax.cond(
    fine,
    lambda: _advance(recipe, state, result),
    lambda: (state.generator, state.discriminator, state.ema),
  )
  bad = 1 - fine.astype(jnp.int32)
  rate = recipe.phase.rate(state.step - recipe.phase.start)
  state = dataclasses.replace(
    state,
    step=state.step + 1,
    generator=generator,
    discriminator=rival,
    ema=ema,
    skipped=state.skipped + bad,
    streak=(state.streak + 1) * bad,
  )
  metrics["learning_rate"] = jnp.asarray(rate, jnp.float32)
  metrics["skipped"] = state.skipped.astype(jnp.float32)
  metrics["streak"] = state.streak
  return state, metrics


def _advance(
  recipe: Recipe, state: state_lib.State, result: gradients.Result
) -> tuple[state_lib.Network, state_lib.Network | None, state_lib.Tree]:
  """Both networks and the moving average after the update."""
  phase, rival = recipe.phase, state.discriminator
  generator = _updated(
    state.generator,
    phase.generator_optimizer,
    result.generator_grads,
    result.generator_stats,
  )
  if phase.objective.uses_discriminator:
    assert rival is not None
    rival = _updated(
      rival,
      phase.discriminator_optimizer,
      result.discriminator_grads,
      result.discriminator_stats,
    )
  # The first steps would otherwise be remembered for 1 / (1 - decay) steps.
  count = state.step.astype(jnp.float32)
  decay = jnp.minimum(recipe.ema_decay, (1.0 + count) / (10.0 + count))
  ema = jax.tree.map(
    lambda old, new: old + (1.0 - decay) * (new - old),
    state.ema,
    generator.variables(),
  )
  return generator, rival, ema


def train_steps(
  recipe: Recipe,
  state: state_lib.State,
  batches: Mapping[str, jax.Array],
  constants: Mapping[str, state_lib.Tree],
) -> tuple[state_lib.State, Metrics]:
  """Several updates in one dispatch by `lax.scan`, for accelerators.

  Args:
    recipe: as for `train_step`.
    state: the training state.
    batches: as for `train_step`, with a leading axis of steps.
    constants: as for `train_step`.

  Returns:
    The last state and the metrics of every step, [steps].
  """

  def body(carry, batch):
    return train_step(recipe, carry, batch, constants)

  return jax.lax.scan(body, state, batches)
