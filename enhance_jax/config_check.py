"""Refuses contradictory settings before anything is loaded or written."""

from collections.abc import Iterable
from typing import Any

from enhance_jax import config as config_lib
from enhance_jax import errors, registry
from enhance_jax.config import Config

TERMS = (
  *registry.PIXEL_LOSSES,
  *registry.PERCEPTUAL_LOSSES,
  *config_lib.GAME_TERMS,
)
_RAMP = ("from", "to", "begin", "steps")


def networks(config: Config) -> set[str]:
  """The ImageNet networks that the objectives of all phases look through."""
  return {
    registry.PERCEPTUAL_LOSSES[term]
    for _, settings, _, _ in config_lib.phases(config)
    for term in active_terms(settings)
    if registry.PERCEPTUAL_LOSSES.get(term)
  }


def active_terms(settings: Config) -> list[str]:
  """The terms of a phase that have a weight."""
  return [term for term, weight in settings.objective.items() if weight]


def needs_discriminator(settings: Config) -> bool:
  """Whether a phase's objective plays against, or looks through, one."""
  return bool({"adversarial", "features"} & set(active_terms(settings)))


def validate(config: Config) -> None:
  """Checks a whole configuration.

  Raises:
    EnhanceError: names the key, what it holds and what it may hold.
  """
  _data(config)
  _one_of("config.fit", config.fit, ("gradient", "dictionary", "none"))
  _phase_order(config)
  for name in config.phase_order:
    _phase(config, name, config.phases[name])
  for key in ("log_every", "evaluate_every", "save_every", "accumulate"):
    _at_least(f"config.train.{key}", config.train[key], 1)
  if config.data.batch_size % config.train.accumulate:
    raise errors.EnhanceError(
      f"config.data.batch_size={config.data.batch_size} cannot be split into "
      f"config.train.accumulate={config.train.accumulate} equal parts; choose "
      "a multiple"
    )
  _one_of(
    "config.train.compute_dtype",
    config.train.compute_dtype,
    ("float32", "bfloat16"),
  )


def _phase_order(config: Config) -> None:
  if config.fit != "gradient":
    if config.phase_order:
      raise errors.EnhanceError(
        f'config.fit="{config.fit}" trains without phases and '
        f"config.phase_order is {tuple(config.phase_order)}; empty it"
      )
    return
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


def _data(config: Config) -> None:
  data, scale = config.data, config.task.scale
  _at_least("config.task.scale", scale, 1)
  height, width = config_lib.crop_size(config)
  for key, size in (("crop", height), ("crop_width", width)):
    if size % scale and not config.task.scales:
      lower = size - size % scale
      raise errors.EnhanceError(
        f"config.data.{key}={size} is not divisible by "
        f"config.task.scale={scale}; use {lower or scale} or {lower + scale}"
      )
  if data.batch_size < 1 or data.crop < 1:
    raise errors.EnhanceError(
      f"config.data.batch_size={data.batch_size} and "
      f"config.data.crop={data.crop} must both be at least 1"
    )
  if data.turn and height != width:
    raise errors.EnhanceError(
      f"config.data.turn needs square crops, not {height}x{width}; set "
      "config.data.turn=False"
    )
  for size in data.rescale:
    if not 0 < size <= 1:
      raise errors.EnhanceError(
        f"config.data.rescale holds {size}; each size must be above 0 and at "
        "most 1"
      )
  for key, length in (("resize", 2), ("box", 4)):
    if len(data[key]) not in (0, length):
      raise errors.EnhanceError(
        f"config.data.{key} is {tuple(data[key])}; wanted {length} numbers, "
        "or none"
      )
  _one_of("config.data.pipeline", data.pipeline, ("auto", "grain", "resident"))
  if config.task.channels not in (1, 3):
    raise errors.EnhanceError(
      f"config.task.channels is {config.task.channels}; it may be 1 (luma) or "
      "3 (RGB)"
    )


def _phase(config: Config, name: str, settings: Config) -> None:
  key = f"config.phases.{name}"
  _at_least(f"{key}.steps", settings.steps, 1)
  for term, weight in settings.objective.items():
    if term not in TERMS:
      raise errors.EnhanceError(
        f'{key}.objective has a term "{term}"; {errors.nearest(term, TERMS)}'
      )
    if isinstance(weight, config_lib.ConfigDict) and set(weight) != set(_RAMP):
      raise errors.EnhanceError(
        f"{key}.objective.{term} has the keys {', '.join(weight)}; a ramp has "
        f"{', '.join(_RAMP)}"
      )
  terms = active_terms(settings)
  if not terms:
    raise errors.EnhanceError(
      f"{key}.objective has no term with a weight; give at least one of "
      f"{', '.join(TERMS)}"
    )
  if needs_discriminator(settings) and not config.discriminator.name:
    raise errors.EnhanceError(
      f"{key}.objective needs a discriminator and config.discriminator.name "
      f"is empty; known: {', '.join(registry.DISCRIMINATORS)}"
    )
  if "teacher" in terms and not config.teacher:
    raise errors.EnhanceError(
      f'{key}.objective has the term "teacher" and config.teacher is empty; '
      "give a generator's weights: --config.teacher=FILE.safetensors"
    )
  _one_of(f"{key}.penalty", settings.penalty, ("", "gradient", "r1"))
  if 2 * settings.margin >= min(config_lib.crop_size(config)):
    raise errors.EnhanceError(
      f"{key}.margin={settings.margin} leaves nothing of crops of "
      f"{config.data.crop} pixels; choose less than half of them"
    )


def _one_of(key: str, value: Any, known: Iterable[str]) -> None:
  if value not in known:
    words = [word or '""' for word in known]
    raise errors.EnhanceError(
      f'{key} is "{value}"; it may be {", ".join(words[:-1])} or {words[-1]}'
    )


def _at_least(key: str, value: int, least: int) -> None:
  if value < least:
    raise errors.EnhanceError(f"{key} is {value}; it must be at least {least}")
