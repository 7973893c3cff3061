"""Losses and gradients of one batch: one generator forward, two pullbacks.

The discriminator judges the real and the generated batch apart, so that its
BatchNorm sees each kind by itself (as every PyTorch implementation does), and
its running statistics take in both, real first. Generator and discriminator
are differentiated from the same forward pass, as srez and magvit do it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
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
    augment: (hr, key) -> hr with other colours, or None.
    degrade: (hr, key) -> LR, both float32 in [0, 1].
    sharpen: hr -> what the losses on pictures aim at, or None for hr itself.
    teacher: the network that the term `teacher` aims at, or None; its
      variables are `constants["teacher"]`.
    seed: of the run.
    ema_decay: of the moving average of the generator.
    accumulate: micro-batches whose gradients are averaged.
  """

  generator: nn.Module
  discriminator: nn.Module | None
  phase: state_lib.Phase
  fetch: Callable[..., jax.Array]
  augment: Callable[[jax.Array, jax.Array], jax.Array] | None
  degrade: Callable[[jax.Array, jax.Array], jax.Array]
  sharpen: Callable[[jax.Array], jax.Array] | None
  teacher: nn.Module | None
  seed: int
  ema_decay: float
  accumulate: int


@dataclasses.dataclass
class Batch:
  """A micro-batch, float32 [N, H, W, C] in [0, 1], and what goes with it."""

  lr: jax.Array
  hr: jax.Array
  key: jax.Array
  count: jax.Array

  def part(self, index: int, parts: int) -> "Batch":
    """Every `parts`-th example, from `index` on."""
    return dataclasses.replace(
      self,
      lr=self.lr[index::parts],
      hr=self.hr[index::parts],
      key=jax.random.fold_in(self.key, index),
    )


@dataclasses.dataclass
class Result:
  """One micro-batch: gradients, statistics and what to log."""

  generator_grads: state_lib.Tree
  discriminator_grads: state_lib.Tree
  generator_stats: state_lib.Tree
  discriminator_stats: state_lib.Tree
  metrics: Metrics


def _judge(
  module: nn.Module,
  params: state_lib.Tree,
  stats: state_lib.Tree,
  image: jax.Array,
  *,
  train: bool = True,
) -> tuple[objective_lib.Judgement, state_lib.Tree]:
  (logits, features), changed = module.apply(
    {"params": params, "batch_stats": stats},
    image,
    train=train,
    mutable=["batch_stats"],
  )
  judgement = objective_lib.Judgement(logits, features)
  return judgement, changed.get("batch_stats", stats)


def _verdicts(
  real: objective_lib.Judgement, fake: objective_lib.Judgement
) -> Metrics:
  """Mean D(real) and D(fake), and how much of each is told right."""
  return {
    "d_real": jnp.mean(jax.nn.sigmoid(real.logits)),
    "d_fake": jnp.mean(jax.nn.sigmoid(fake.logits)),
    "d_recall": jnp.mean((real.logits >= 0).astype(jnp.float32)),
    "d_specificity": jnp.mean((fake.logits < 0).astype(jnp.float32)),
  }


def _enlarge(
  module: nn.Module, variables: state_lib.Tree, lr: jax.Array
) -> jax.Array:
  """The output of a generator at rest; no gradient goes into it."""
  sr: Any = module.apply(variables, lr, train=False)
  return jax.lax.stop_gradient(sr)


def _example(
  recipe: Recipe,
  batch: Batch,
  sr: jax.Array,
  constants: Mapping[str, state_lib.Tree],
) -> objective_lib.Example:
  """What the generator's loss looks at, before a discriminator has spoken."""
  teacher = None
  if recipe.phase.objective.uses_teacher:
    assert recipe.teacher is not None
    teacher = _enlarge(recipe.teacher, constants["teacher"], batch.lr)
  hr = recipe.sharpen(batch.hr) if recipe.sharpen else batch.hr
  return objective_lib.Example(batch.count, sr, hr, teacher=teacher)


def _gradients(
  recipe: Recipe,
  state: state_lib.State,
  generator_stats: state_lib.Tree,
  discriminator_stats: state_lib.Tree,
  batch: Batch,
  constants: Mapping[str, state_lib.Tree],
) -> Result:
  objective = recipe.phase.objective
  plays = objective.uses_discriminator

  def losses(generator_params, discriminator_params):
    sr, changed = recipe.generator.apply(
      {"params": generator_params, "batch_stats": generator_stats},
      batch.lr,
      train=True,
      mutable=["batch_stats"],
    )
    stats, metrics, rival_loss = discriminator_stats, {}, jnp.float32(0)
    example = _example(recipe, batch, sr, constants)
    if plays:
      judge = recipe.discriminator
      assert judge is not None
      real, stats = _judge(judge, discriminator_params, stats, batch.hr)
      fake, stats = _judge(judge, discriminator_params, stats, sr)
      example = dataclasses.replace(example, real=real, fake=fake)
      rival_loss = objective.discriminator(real, fake)
      if objective.penalty:
        before = stats

        def critic(x):
          return _judge(judge, discriminator_params, before, x)[0].logits

        slope = objective.slope(critic, batch.hr, sr, batch.key)
        metrics["loss/penalty"] = slope
        rival_loss += objective.penalty_weight * slope
      metrics["loss/discriminator"] = rival_loss
      metrics.update(_verdicts(real, fake))
    loss, terms = objective.generator(example, constants)
    metrics["loss/generator"] = loss
    metrics.update(terms)
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
  return Result(
    generator_grads,
    discriminator_grads,
    generator_stats,
    discriminator_stats,
    metrics,
  )


def accumulated(
  recipe: Recipe,
  state: state_lib.State,
  batch: Batch,
  constants: Mapping[str, state_lib.Tree],
) -> Result:
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
      batch.part(index, recipe.accumulate),
      constants,
    )
    generator_stats = part.generator_stats
    discriminator_stats = part.discriminator_stats
    parts.append(part)

  def mean(*trees):
    return jax.tree.map(lambda *xs: sum(xs) / len(xs), *trees)

  return Result(
    mean(*(part.generator_grads for part in parts)),
    mean(*(part.discriminator_grads for part in parts)),
    generator_stats,
    discriminator_stats,
    mean(*(part.metrics for part in parts)),
  )


def prepare(recipe: Recipe, state: state_lib.State, pixels: jax.Array) -> Batch:
  """From uint8 HR crops to a batch; all that is random comes from the step."""
  hr = pixels.astype(jnp.float32) / 255.0
  keys = [
    state_lib.stream_key(recipe.seed, stream, state.step)
    for stream in ("augment", "degrade", "penalty")
  ]
  if recipe.augment is not None:
    hr = recipe.augment(hr, keys[0])
  count = state.step - recipe.phase.start
  return Batch(recipe.degrade(hr, keys[1]), hr, keys[2], count)


def validation_losses(
  recipe: Recipe,
  state: state_lib.State,
  pixels: jax.Array,
  constants: Mapping[str, state_lib.Tree],
) -> Metrics:
  """The losses on held-out crops, by the moving average's generator.

  Args:
    recipe: as for `train_step`.
    state: of `recipe.phase`; nothing in it changes.
    pixels: uint8 [N, H, W, C].
    constants: as for `train_step`.

  Returns:
    float32 scalars: every term, their sum as "loss/generator", and what the
    discriminator makes of the crops, where one plays.
  """
  hr = pixels.astype(jnp.float32) / 255.0
  key = state_lib.stream_key(recipe.seed, "validation", 0)
  count = state.step - recipe.phase.start
  batch = Batch(recipe.degrade(hr, key), hr, key, count)
  sr = _enlarge(recipe.generator, state.ema, batch.lr)
  example = _example(recipe, batch, sr, constants)
  metrics, objective = {}, recipe.phase.objective
  if objective.uses_discriminator:
    judge, rival = recipe.discriminator, state.discriminator
    assert judge is not None and rival is not None
    real, fake = (
      _judge(judge, rival.params, rival.batch_stats, x, train=False)[0]
      for x in (hr, sr)
    )
    example = dataclasses.replace(example, real=real, fake=fake)
    metrics = _verdicts(real, fake)
    metrics["loss/discriminator"] = objective.discriminator(real, fake)
  loss, terms = objective.generator(example, constants)
  return {**metrics, **terms, "loss/generator": loss}
