"""The one pytree that a training step maps to the next, and its keys."""

import dataclasses
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct

from enhance_jax.losses import objective as objective_lib

Tree = Any


@struct.dataclass
class Network:
  """One network's arrays: float32 parameters, statistics, optimiser state."""

  params: Tree
  batch_stats: Tree
  opt_state: Tree

  def variables(self) -> dict[str, Tree]:
    """The collections that Flax's `apply` takes."""
    return {"params": self.params, "batch_stats": self.batch_stats}


@struct.dataclass
class State:
  """Everything that training changes.

  Attributes:
    step: int32, updates attempted over all phases.
    generator: the generator.
    discriminator: the discriminator, or None in a run without one.
    ema: moving average of the generator's params and batch_stats.
    skipped: int32, updates skipped because something was not finite.
    streak: int32, how many of those in a row up to now.
  """

  step: jax.Array
  generator: Network
  discriminator: Network | None
  ema: dict[str, Tree]
  skipped: jax.Array
  streak: jax.Array


@dataclasses.dataclass(frozen=True)
class Phase:
  """A phase with everything built.

  Attributes:
    name: as in the configuration.
    start: first step.
    end: the step after its last update.
    objective: loss terms and weights.
    generator_optimizer: of the generator.
    discriminator_optimizer: of the discriminator.
    rate: the generator's learning rate by updates done in the phase.
  """

  name: str
  start: int
  end: int
  objective: objective_lib.Objective
  generator_optimizer: optax.GradientTransformation
  discriminator_optimizer: optax.GradientTransformation
  rate: optax.Schedule


def stream_key(seed: int, stream: str, step: jax.Array | int) -> jax.Array:
  """The key of a named random stream at a step: nothing random needs saving.

  Args:
    seed: of the run.
    stream: what the numbers are for.
    step: the step, traced or not.
  """
  key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(stream.encode()))
  return jax.random.fold_in(key, step)


def _start(module: nn.Module, key: jax.Array, image: jax.Array) -> Network:
  variables = module.init(key, image, train=False)
  return Network(variables["params"], variables.get("batch_stats", {}), ())


def init(
  generator: nn.Module,
  discriminator: nn.Module | None,
  *,
  seed: int,
  hr_shape: tuple[int, int, int],
) -> State:
  """Fresh networks without optimiser states (`enter` adds them); traceable.

  Args:
    generator: maps LR to SR.
    discriminator: judges HR-sized images, or None.
    seed: of the run.
    hr_shape: height, width and channels of a training crop.
  """
  height, width, channels = hr_shape
  scale = generator.scale
  lr = jnp.zeros((1, height // scale, width // scale, channels))
  network = _start(generator, stream_key(seed, "generator", 0), lr)
  rival = None
  if discriminator is not None:
    rival = _start(
      discriminator,
      stream_key(seed, "discriminator", 0),
      jnp.zeros((1, *hr_shape)),
    )
  return State(
    step=jnp.int32(0),
    generator=network,
    discriminator=rival,
    ema=jax.tree.map(jnp.copy, network.variables()),
    skipped=jnp.int32(0),
    streak=jnp.int32(0),
  )


def enter(state: State, phase: Phase) -> State:
  """The state at the start of a phase: optimisers start afresh; traceable."""
  generator = dataclasses.replace(
    state.generator,
    opt_state=phase.generator_optimizer.init(state.generator.params),
  )
  rival = state.discriminator
  if rival is not None:
    opt_state = ()
    if phase.objective.uses_discriminator:
      opt_state = phase.discriminator_optimizer.init(rival.params)
    rival = dataclasses.replace(rival, opt_state=opt_state)
  return dataclasses.replace(state, generator=generator, discriminator=rival)
