"""From a configuration to everything a run computes with."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from enhance_jax import config as config_lib
from enhance_jax import registry, weights
from enhance_jax.config import Config
from enhance_jax.data import pipeline
from enhance_jax.losses import objective
from enhance_jax.train import mesh as mesh_lib
from enhance_jax.train import optim, steps
from enhance_jax.train import state as state_lib

Tree = Any


@dataclasses.dataclass(frozen=True)
class Parts:
  """The built pieces of a run.

  Attributes:
    config: the configuration.
    mesh: the devices.
    generator: the generator module.
    discriminator: the discriminator module, or None.
    phases: in order.
    loader: training data.
    degrade: HR -> LR.
    constants: arrays on the devices that every step reads.
  """

  config: Config
  mesh: mesh_lib.Mesh
  generator: nn.Module
  discriminator: nn.Module | None
  phases: list[state_lib.Phase]
  loader: pipeline.Loader
  degrade: Callable[[jax.Array, jax.Array], jax.Array]
  constants: dict[str, Tree]

  @property
  def total(self) -> int:
    """Updates in all phases."""
    return self.phases[-1].end

  def phase_at(self, step: int) -> state_lib.Phase:
    """The phase whose optimiser states the state of `step` holds.

    At a boundary that is the phase just finished: a state enters the next one
    right before its first update.
    """
    return next(p for p in self.phases if step <= p.end)

  def next_phase(self, step: int) -> state_lib.Phase:
    """The phase that update number `step` (from 0) belongs to."""
    return next(p for p in self.phases if step < p.end)

  def init(self) -> state_lib.State:
    """The state before the first update, on the devices."""
    return jax.jit(self._start, out_shardings=self.mesh.replicated)()

  def _start(self) -> state_lib.State:
    config = self.config
    state = state_lib.init(
      self.generator,
      self.discriminator,
      seed=config.seed,
      hr_shape=(config.data.crop, config.data.crop, config.task.channels),
      scale=config.task.scale,
    )
    return state_lib.enter(state, self.phases[0])

  def template(self, step: int) -> state_lib.State:
    """Shapes, types and shardings of the state of `step`."""
    phase = self.phase_at(step)
    shapes = jax.eval_shape(lambda: state_lib.enter(self._start(), phase))
    return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(
        x.shape, x.dtype, sharding=self.mesh.replicated
      ),
      shapes,
    )

  def enter(
    self, state: state_lib.State, phase: state_lib.Phase
  ) -> state_lib.State:
    """Starts a phase: fresh optimiser states."""
    enter = functools.partial(state_lib.enter, phase=phase)
    return self.mesh.compile(enter, donate=False)(state)

  def recipe(self, phase: state_lib.Phase) -> steps.Recipe:
    """The static parts of a phase's step."""
    train = self.config.train
    return steps.Recipe(
      generator=self.generator,
      discriminator=self.discriminator,
      phase=phase,
      fetch=self.loader.fetch,
      degrade=self.degrade,
      seed=self.config.seed,
      ema_decay=train.ema_decay,
      accumulate=train.accumulate,
    )

  def compile(
    self, phase: state_lib.Phase
  ) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A phase's (one update, several updates) functions, jitted."""
    recipe = self.recipe(phase)
    return (
      self.mesh.compile(functools.partial(steps.train_step, recipe)),
      self.mesh.compile(functools.partial(steps.train_steps, recipe)),
    )

  def steps_per_dispatch(self) -> int:
    """Updates in one dispatch: 1 on CPU and with Grain, else as configured."""
    wanted = self.config.train.steps_per_dispatch
    if self.loader.pipeline != "resident":
      return 1
    return wanted or (8 if self.mesh.is_accelerator else 1)


def _module(
  table: dict[str, str], settings: Config, what: str, **more
) -> nn.Module:
  options = {**settings.options.to_dict(), **more}
  return registry.build(table, settings.name, what, **options)


def phases(config: Config) -> list[state_lib.Phase]:
  """Builds the phases of a configuration."""
  return [
    state_lib.Phase(
      name=name,
      start=start,
      end=end,
      objective=objective.Objective(
        weights=settings.objective.to_dict(),
        game=settings.adversarial,
        label_smoothing=settings.label_smoothing,
        dtype=jnp.dtype(config.train.compute_dtype),
      ),
      generator_optimizer=optim.build(settings.generator_optimizer),
      discriminator_optimizer=optim.build(settings.discriminator_optimizer),
      rate=optim.schedule(settings.generator_optimizer),
    )
    for name, settings, start, end in config_lib.phases(config)
  ]


def generator(config: Config) -> nn.Module:
  """The generator of a configuration."""
  return _module(
    registry.GENERATORS,
    config.generator,
    "generator",
    scale=config.task.scale,
    channels=config.task.channels,
    dtype=jnp.dtype(config.train.compute_dtype),
  )


def build(config: Config, mesh: mesh_lib.Mesh) -> Parts:
  """Builds a run; weights that are needed and absent stop it here.

  Args:
    config: a validated configuration.
    mesh: the devices.

  Raises:
    EnhanceError: unknown names or options, unusable data, VGG19's weights
      missing, or a batch that the devices cannot share.
  """
  mesh.check_batch(config.data.batch_size // config.train.accumulate)
  built_phases = phases(config)
  dtype = jnp.dtype(config.train.compute_dtype)
  discriminator = None
  if any(phase.objective.uses_discriminator for phase in built_phases):
    discriminator = _module(
      registry.DISCRIMINATORS,
      config.discriminator,
      "discriminator",
      dtype=dtype,
    )
  vgg = {}
  if config_lib.needs_vgg(config):
    vgg["vgg"] = weights.find_vgg19(
      config.vgg.weights or None, config.vgg.sha256 or None
    )
  degradation = config.task.degradation
  degrade = registry.build(
    registry.DEGRADATIONS,
    degradation.name,
    "degradation",
    scale=config.task.scale,
    **degradation.options.to_dict(),
  )
  loader = pipeline.open_loader(config)
  return Parts(
    config=config,
    mesh=mesh,
    generator=generator(config),
    discriminator=discriminator,
    phases=built_phases,
    loader=loader,
    degrade=degrade,
    constants=mesh.replicate({**vgg, **loader.constants()}),
  )
