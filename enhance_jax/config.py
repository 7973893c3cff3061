"""A run's configuration: defaults, phases, validation in words, run record."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

from enhance_jax import errors, registry

ConfigDict = ml_collections.ConfigDict
# A ConfigDict: its values have no types that a checker could know.
Config = Any

# Terms of an objective that are not pixel losses.
FEATURE_TERMS = ("adversarial", "features", "vgg22", "vgg54")


def optimizer(learning_rate: float, **overrides: Any) -> ConfigDict:
  """One network's optimiser: Adam(0.5, 0.9), the default of the GAN phases.

  Args:
    learning_rate: at the start of the phase.
    **overrides: other fields of the returned settings.
  """
  settings = ConfigDict(
    {
      "name": "adam",
      "learning_rate": learning_rate,
      "b1": 0.5,
      "b2": 0.9,
      "eps": 1e-8,
      # Multiply the rate by `decay_rate` every `decay_every` steps; 0: never.
      "decay_every": 0,
      "decay_rate": 0.5,
      # Clip the gradient's global norm to this; 0: no clipping.
      "clip_norm": 0.0,
    }
  )
  settings.update(overrides)
  return settings


def phase(
  steps: int,
  objective: Mapping[str, float],
  generator_optimizer: Config,
  discriminator_optimizer: Config | None = None,
  *,
  adversarial: str = "bce",
  label_smoothing: float = 0.0,
) -> ConfigDict:
  """One stretch of training under one objective.

  Args:
    steps: updates in this phase.
    objective: loss name -> weight, with `adversarial` for the generator's
      side of the game, `features` for discriminator feature matching, `vgg22`
      and `vgg54` for the VGG19 losses, or any pixel loss.
    generator_optimizer: from `optimizer`.
    discriminator_optimizer: from `optimizer`; needed when the objective has
      `adversarial` or `features`.
    adversarial: the kind of game.
    label_smoothing: the real label is 1 minus this.
  """
  return ConfigDict(
    {
      "steps": steps,
      "objective": dict(objective),
      "adversarial": adversarial,
      "label_smoothing": label_smoothing,
      "generator_optimizer": generator_optimizer,
      "discriminator_optimizer": discriminator_optimizer or optimizer(1e-4),
    }
  )


def defaults() -> ConfigDict:
  """Every setting a run has, except its phases, with its default."""
  config = ConfigDict()
  config.name = "run"
  config.seed = 0
  config.task = ConfigDict(
    {
      "scale": 4,
      "channels": 3,
      "degradation": {"name": "resize", "options": {"kernel": "bicubic"}},
    }
  )
  config.data = ConfigDict(
    {
      # `samples`, `folder:DIR`, `tfds:NAME` or `tfds:NAME:SPLIT`.
      "train": "samples",
      "validation": "samples:held_out",
      "tfds_dir": "",
      # Pictures are brought to this height and width first; (): as they are.
      "resize": (),
      "crop": 96,
      "batch_size": 16,
      "flip": True,
      "turn": True,
      "pipeline": "auto",
      "resident_limit_mb": 256,
      "threads": 2,
      "workers": 0,
    }
  )
  config.generator = ConfigDict({"name": "srresnet", "options": {}})
  config.discriminator = ConfigDict({"name": "", "options": {}})
  config.vgg = ConfigDict({"weights": "", "sha256": ""})
  config.train = ConfigDict(
    {
      "compute_dtype": "float32",
      "ema_decay": 0.999,
      "accumulate": 1,
      # Updates per dispatch for resident data on accelerators; 0: by device.
      "steps_per_dispatch": 0,
      "max_bad_steps": 10,
      "log_every": 100,
      "evaluate_every": 5000,
      "save_every": 5000,
      "keep_last": 2,
      "keep_best": 1,
      # Held-out pictures scored and drawn while training; 0: all.
      "evaluate_pictures": 0,
      "sample_pictures": 4,
    }
  )
  config.evaluate = ConfigDict(
    {"color": "y", "ssim": "wang", "crop": -1, "sets": ()}
  )
  config.phase_order = ()
  config.phases = ConfigDict()
  return config


def choose(
  variants: Mapping[str, Callable[[], Config]], variant: str
) -> Callable[[], Config]:
  """The maker of a configuration file's variant (the word after the colon).

  Raises:
    EnhanceError: there is no such variant; the file's variants are listed.
  """
  if variant not in variants:
    raise errors.EnhanceError(
      f'the configuration has no variant "{variant}"; '
      f"{errors.nearest(variant, [name for name in variants if name])}"
    )
  return variants[variant]


def phases(config: Config) -> list[tuple[str, Config, int, int]]:
  """The phases in order as (name, settings, first step, end step)."""
  rows, start = [], 0
  for name in config.phase_order:
    settings = config.phases[name]
    rows.append((name, settings, start, start + settings.steps))
    start += settings.steps
  return rows


def needs_discriminator(settings: Config) -> bool:
  """Whether a phase's objective plays against, or looks through, one."""
  return any(
    settings.objective.get(term, 0) for term in ("adversarial", "features")
  )


def needs_vgg(config: Config) -> bool:
  """Whether any phase uses the VGG19 perceptual loss."""
  return any(
    settings.objective.get(term, 0)
    for _, settings, _, _ in phases(config)
    for term in ("vgg22", "vgg54")
  )


def validate(config: Config) -> None:
  """Refuses contradictory settings before anything is loaded or written.

  Raises:
    EnhanceError: names the key, what it holds and what it may hold.
  """
  _validate_data(config)
  if not config.phase_order:
    raise errors.EnhanceError(
      "config.phase_order is empty; name the phases to run, of "
      f"{', '.join(config.phases) or '(none defined)'}"
    )
  for name in config.phase_order:
    if name not in config.phases:
      raise errors.EnhanceError(
        f'config.phase_order names the phase "{name}"; '
        f"{errors.nearest(name, config.phases)}"
      )
    _validate_phase(config, name, config.phases[name])
  for key in ("log_every", "evaluate_every", "save_every", "accumulate"):
    if config.train[key] < 1:
      raise errors.EnhanceError(
        f"config.train.{key} is {config.train[key]}; it must be at least 1"
      )
  if config.data.batch_size % config.train.accumulate:
    raise errors.EnhanceError(
      f"config.data.batch_size={config.data.batch_size} cannot be split into "
      f"config.train.accumulate={config.train.accumulate} equal parts; choose "
      "a multiple"
    )
  if config.train.compute_dtype not in ("float32", "bfloat16"):
    raise errors.EnhanceError(
      f'config.train.compute_dtype is "{config.train.compute_dtype}"; it may '
      "be float32 or bfloat16"
    )


def _validate_data(config: Config) -> None:
  data, scale = config.data, config.task.scale
  if scale < 1:
    raise errors.EnhanceError(
      f"config.task.scale is {scale}; it must be at least 1"
    )
  if data.crop % scale:
    lower = data.crop - data.crop % scale
    raise errors.EnhanceError(
      f"config.data.crop={data.crop} is not divisible by "
      f"config.task.scale={scale}; use {lower or scale} or {lower + scale}"
    )
  if data.batch_size < 1 or data.crop < 1:
    raise errors.EnhanceError(
      f"config.data.batch_size={data.batch_size} and "
      f"config.data.crop={data.crop} must both be at least 1"
    )
  if data.pipeline not in ("auto", "grain", "resident"):
    raise errors.EnhanceError(
      f'config.data.pipeline is "{data.pipeline}"; it may be auto, grain or '
      "resident"
    )
  if config.task.channels not in (1, 3):
    raise errors.EnhanceError(
      f"config.task.channels is {config.task.channels}; it may be 1 (luma) or "
      "3 (RGB)"
    )


def _validate_phase(config: Config, name: str, settings: Config) -> None:
  key = f"config.phases.{name}"
  if settings.steps < 1:
    raise errors.EnhanceError(
      f"{key}.steps is {settings.steps}; it must be at least 1"
    )
  known = (*registry.PIXEL_LOSSES, *FEATURE_TERMS)
  for term in settings.objective:
    if term not in known:
      raise errors.EnhanceError(
        f'{key}.objective has a term "{term}"; {errors.nearest(term, known)}'
      )
  if not any(settings.objective.values()):
    raise errors.EnhanceError(
      f"{key}.objective has no term with a weight; give at least one of "
      f"{', '.join(known)}"
    )
  if needs_discriminator(settings) and not config.discriminator.name:
    raise errors.EnhanceError(
      f"{key}.objective needs a discriminator and config.discriminator.name "
      f"is empty; known: {', '.join(registry.DISCRIMINATORS)}"
    )


def to_dict(config: Config) -> dict[str, Any]:
  """The configuration as plain values that JSON can hold and give back."""
  return json.loads(config.to_json_best_effort())


# Settings that may change between a run and its continuation: none of them
# has a say in the numbers.
_FREE = (
  "data.threads",
  "data.workers",
  "data.pipeline",
  "data.resident_limit_mb",
  "data.tfds_dir",
  "train.keep_last",
  "train.keep_best",
  "evaluate.sets",
)


def differences(old: Mapping, new: Mapping) -> list[str]:
  """Settings that differ between two `to_dict` results, as "key: a -> b"."""
  before, after = _flatten(old), _flatten(new)
  return [
    f"config.{key}: {before.get(key, '(absent)')} -> "
    f"{after.get(key, '(absent)')}"
    for key in sorted(before.keys() | after.keys())
    if before.get(key) != after.get(key) and key not in _FREE
  ]


def _flatten(tree: Mapping, prefix: str = "") -> dict[str, Any]:
  flat: dict[str, Any] = {}
  for key, value in tree.items():
    if isinstance(value, Mapping):
      flat.update(_flatten(value, f"{prefix}{key}."))
    else:
      flat[prefix + key] = value
  return flat
