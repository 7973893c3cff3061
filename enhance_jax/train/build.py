"""From a configuration to everything a run computes with."""

import dataclasses
import functools
import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from enhance_jax import backbones, config_check, errors, registry, zoo
from enhance_jax import config as config_lib
from enhance_jax.config import Config
from enhance_jax.data import augment, degrade, pipeline, sharpen
from enhance_jax.losses import objective
from enhance_jax.train import gradients, optim, steps
from enhance_jax.train import mesh as mesh_lib
from enhance_jax.train import state as state_lib

_LOG = logging.getLogger(__name__)
Tree = Any


@dataclasses.dataclass(frozen=True)
class Parts:
  """The built pieces of a run.

  Attributes:
    config: the configuration.
    mesh: the devices.
    generator: the generator module, as it is trained.
    discriminator: the discriminator module, or None.
    phases: in order.
    loader: training data.
    degrade: HR -> LR.
    teacher: the network that the term `teacher` aims at, or None.
    held_out: uint8 [V, H, W, C], crops for the validation losses.
    constants: arrays on the devices that every step reads.
  """

  config: Config
  mesh: mesh_lib.Mesh
  generator: nn.Module
  discriminator: nn.Module | None
  phases: list[state_lib.Phase]
  loader: pipeline.Loader
  degrade: Callable[[jax.Array, jax.Array], jax.Array]
  teacher: nn.Module | None
  held_out: np.ndarray
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
    """The state before the first update, on the devices.

    Raises:
      EnhanceError: `config.generator.start` cannot be used.
    """
    state = jax.jit(self._start, out_shardings=self.mesh.replicated)()
    start = self.config.generator.start
    if not start:
      return state
    variables, _, left = zoo.take(start, jax.device_get(state.ema))
    if left:
      _LOG.warning("%s has nothing for %s", start, ", ".join(left))
    network = dataclasses.replace(
      state.generator, **self.mesh.replicate(variables)
    )
    return dataclasses.replace(
      state, generator=network, ema=self.mesh.replicate(variables)
    )

  def _start(self) -> state_lib.State:
    config = self.config
    state = state_lib.init(
      self.generator,
      self.discriminator,
      seed=config.seed,
      hr_shape=(*config_lib.crop_size(config), config.task.channels),
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

  def recipe(self, phase: state_lib.Phase) -> gradients.Recipe:
    """The static parts of a phase's step."""
    train = self.config.train
    jitter = self.config.data.jitter.to_dict()
    sharpened = self.config.phases[phase.name].sharpen
    return gradients.Recipe(
      generator=self.generator,
      discriminator=self.discriminator,
      phase=phase,
      fetch=self.loader.fetch,
      augment=augment.Jitter(**jitter) if jitter else None,
      degrade=self.degrade,
      sharpen=sharpen.usm_sharpen if sharpened else None,
      teacher=self.teacher,
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

  def validate(
    self, phase: state_lib.Phase
  ) -> Callable[[state_lib.State], gradients.Metrics]:
    """A phase's state -> losses on held-out crops, jitted."""
    losses = functools.partial(gradients.validation_losses, self.recipe(phase))
    compiled = self.mesh.compile(losses, donate=False)
    return lambda state: compiled(state, self.held_out, self.constants)

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


def _weight(value: Any) -> float | objective.Ramp:
  if isinstance(value, dict):
    return objective.Ramp(
      value["from"], value["to"], value["begin"], value["steps"]
    )
  return value


def _objective(config: Config, settings: Config) -> objective.Objective:
  weights = settings.objective.to_dict()
  return objective.Objective(
    weights={name: _weight(value) for name, value in weights.items()},
    game=settings.adversarial,
    label_smoothing=settings.label_smoothing,
    penalty=settings.penalty,
    penalty_weight=settings.penalty_weight,
    margin=settings.margin,
    networks={
      name: functools.partial(backbones.features, name)
      for name in config_check.networks(config)
    },
    dtype=jnp.dtype(config.train.compute_dtype),
  )


def phases(config: Config) -> list[state_lib.Phase]:
  """Builds the phases of a configuration."""
  return [
    state_lib.Phase(
      name=name,
      start=start,
      end=end,
      objective=_objective(config, settings),
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


def degradation(config: Config) -> Callable[..., jax.Array]:
  """HR -> LR of a configuration, or -> enlarged LR at one of its scales."""
  settings, scales = config.task.degradation, tuple(config.task.scales)
  options = settings.options.to_dict()
  if scales:
    makers = [
      registry.build(
        registry.DEGRADATIONS,
        settings.name,
        "degradation",
        scale=scale,
        **options,
      )
      for scale in scales
    ]
    return degrade.Enlarged(tuple(makers))
  return registry.build(
    registry.DEGRADATIONS,
    settings.name,
    "degradation",
    scale=config.task.scale,
    **options,
  )


def _constants(config: Config) -> tuple[nn.Module | None, dict[str, Tree]]:
  """The teacher and the arrays of every frozen network."""
  constants: dict[str, Tree] = {}
  for network in sorted(config_check.networks(config)):
    files = config[config_lib.NETWORKS[network]]
    constants[network] = backbones.find(
      network, files.weights or None, files.sha256 or None
    )
  if not config.teacher:
    return None, constants
  bundle = zoo.load_generator(config.teacher)
  wanted = (config.task.scale, config.task.channels)
  if (bundle.module.scale, bundle.module.channels) != wanted:
    raise errors.EnhanceError(
      f"config.teacher={config.teacher} enlarges x{bundle.module.scale} with "
      f"{bundle.module.channels} channel(s); wanted x{wanted[0]} with "
      f"{wanted[1]}"
    )
  constants["teacher"] = bundle.variables
  return bundle.module, constants


def _discriminator(
  config: Config, built: list[state_lib.Phase]
) -> nn.Module | None:
  if not any(phase.objective.uses_discriminator for phase in built):
    return None
  module = _module(
    registry.DISCRIMINATORS,
    config.discriminator,
    "discriminator",
    dtype=jnp.dtype(config.train.compute_dtype),
  )
  size = (1, *config_lib.crop_size(config), config.task.channels)
  shapes = jax.eval_shape(
    lambda: module.init(jax.random.key(0), jnp.zeros(size), train=False)
  )
  normalised = any(
    path[-1].key == "var"
    for path, _ in jax.tree_util.tree_leaves_with_path(dict(shapes))
  )
  for phase in built:
    if phase.objective.penalty == "gradient" and normalised:
      raise errors.EnhanceError(
        f'config.phases.{phase.name}.penalty="gradient" looks at each picture '
        f'by itself and the discriminator "{config.discriminator.name}" has '
        "BatchNorm, which mixes the batch; switch it off with "
        "config.discriminator.options.batch_norm=False"
      )
  return module


def build(config: Config, mesh: mesh_lib.Mesh) -> Parts:
  """Builds a run; weights that are needed and absent stop it here.

  Args:
    config: a validated configuration.
    mesh: the devices.

  Raises:
    EnhanceError: unknown names or options, unusable data, a network's weights
      missing, or a batch that the devices cannot share.
  """
  mesh.check_batch(config.data.batch_size // config.train.accumulate)
  built = phases(config)
  discriminator = _discriminator(config, built)
  teacher, constants = _constants(config)
  module = generator(config)
  loader = pipeline.open_loader(config)
  return Parts(
    config=config,
    mesh=mesh,
    generator=module.clone(scale=1) if config.task.scales else module,
    discriminator=discriminator,
    phases=built,
    loader=loader,
    degrade=degradation(config),
    teacher=teacher,
    held_out=pipeline.held_out_crops(config),
    constants=mesh.replicate({**constants, **loader.constants()}),
  )
