"""The fused training step: one generator forward, two pullbacks, pure.

The discriminator judges the real and the generated batch apart, so that its
BatchNorm sees each kind by itself (as every PyTorch implementation does), and
its running statistics take in both, real first. Generator and discriminator
are updated together from the same forward pass, as srez and magvit do it.
"""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from enhance_jax.losses import objective as objective_lib
from enhance_jax.train import state as state_lib

Metrics = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Recipe:
  """What a step is made of; everything in it is static.

  Attributes:
    generator: maps LR to SR.
    discriminator: judges, or None.
    phase: objective and optimisers.
    fetch: (batch, constants) -> HR crops, uint8 [B, H, W, C].
    degrade: (hr, key) -> LR, both float32 in [0, 1].
    seed: of the run.
    ema_decay: of the moving average of the generator.
    accumulate: micro-batches whose gradients are averaged.
  """

  generator: nn.Module
  discriminator: nn.Module | None
  phase: state_lib.Phase
  fetch: Callable[..., jax.Array]
  degrade: Callable[[jax.Array, jax.Array], jax.Array]
  seed: int
  ema_decay: float
  accumulate: int


@dataclasses.dataclass
class _Result:
  """One micro-batch: gradients, statistics and what to log."""

  generator_grads: state_lib.Tree
  discriminator_grads: state_lib.Tree
  generator_stats: state_lib.Tree
  discriminator_stats: state_lib.Tree
  metrics: Metrics


def _judge(
  module: nn.Module, params: state_lib.Tree, stats: state_lib.Tree, image
) -> tuple[objective_lib.Judgement, state_lib.Tree]:
  (logits, features), changed = module.apply(
    {"params": params, "batch_stats": stats},
    image,
    train=True,
    mutable=["batch_stats"],
  )
  judgement = objective_lib.Judgement(logits, features)
  return judgement, changed.get("batch_stats", stats)


def _gradients(
  recipe: Recipe,
  state: state_lib.State,
  generator_stats: state_lib.Tree,
  discriminator_stats: state_lib.Tree,
  lr: jax.Array,
  hr: jax.Array,
  constants: Mapping[str, state_lib.Tree],
) -> _Result:
  objective = recipe.phase.objective
  plays = objective.uses_discriminator

  def losses(generator_params, discriminator_params):
    sr, changed = recipe.generator.apply(
      {"params": generator_params, "batch_stats": generator_stats},
      lr,
      train=True,
      mutable=["batch_stats"],
    )
    real = fake = None
    stats = discriminator_stats
    metrics, rival_loss = {}, jnp.float32(0)
    if plays:
      judge = recipe.discriminator
      assert judge is not None
      real, stats = _judge(judge, discriminator_params, stats, hr)
      fake, stats = _judge(judge, discriminator_params, stats, sr)
      rival_loss = objective.discriminator(real, fake)
      metrics["loss/discriminator"] = rival_loss
      metrics["d_real"] = jnp.mean(jax.nn.sigmoid(real.logits))
      metrics["d_fake"] = jnp.mean(jax.nn.sigmoid(fake.logits))
    loss, terms = objective.generator(sr, hr, real, fake, constants.get("vgg"))
    metrics["loss/generator"] = loss
    metrics.update({f"loss/{name}": value for name, value in terms.items()})
    changed = changed.get("batch_stats", generator_stats)
    return (loss, rival_loss), (changed, stats, metrics)

  rival = state.discriminator
  rival_params = rival.params if plays and rival is not None else {}
  _, pull, (generator_stats, discriminator_stats, metrics) = jax.vjp(
    losses, state.generator.params, rival_params, has_aux=True
  )
  one, zero = jnp.float32(1), jnp.float32(0)
  generator_grads, _ = pull((one, zero))
  discriminator_grads = pull((zero, one))[1] if plays else {}
  return _Result(
    generator_grads,
    discriminator_grads,
    generator_stats,
    discriminator_stats,
    metrics,
  )


def _accumulated(
  recipe: Recipe,
  state: state_lib.State,
  lr: jax.Array,
  hr: jax.Array,
  constants: Mapping[str, state_lib.Tree],
) -> _Result:
  """Mean gradients over the micro-batches; statistics pass through each.

  The micro-batches are taken with a stride, which leaves every device its own
  examples, and unrolled: XLA:CPU runs convolution gradients inside a loop
  construct 10 to 35 times slower.
  """
  rival = state.discriminator
  generator_stats = state.generator.batch_stats
  discriminator_stats = rival.batch_stats if rival is not None else {}
  parts = []
  for index in range(recipe.accumulate):
    part = _gradients(
      recipe,
      state,
      generator_stats,
      discriminator_stats,
      lr[index :: recipe.accumulate],
      hr[index :: recipe.accumulate],
      constants,
    )
    generator_stats = part.generator_stats
    discriminator_stats = part.discriminator_stats
    parts.append(part)

  def mean(*trees):
    return jax.tree.map(lambda *xs: sum(xs) / len(xs), *trees)

  return _Result(
    mean(*(part.generator_grads for part in parts)),
    mean(*(part.discriminator_grads for part in parts)),
    generator_stats,
    discriminator_stats,
    mean(*(part.metrics for part in parts)),
  )


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
    the mean D(real) and D(fake), gradient norms, learning rate, `skipped`
    (updates skipped so far) and `streak` (int32: how many of them in a row).
  """
  hr = recipe.fetch(batch, constants).astype(jnp.float32) / 255.0
  key = state_lib.stream_key(recipe.seed, "degrade", state.step)
  lr = recipe.degrade(hr, key)
  result = _accumulated(recipe, state, lr, hr, constants)
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
  recipe: Recipe, state: state_lib.State, result: _Result
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
