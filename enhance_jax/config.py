"""A run's configuration: settings with their defaults, phases, comparison."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

from enhance_jax import errors

ConfigDict = ml_collections.ConfigDict
# A ConfigDict: its values have no types that a checker could know.
Config = Any

# Terms of an objective that are not functions of two pictures alone.
GAME_TERMS = ("adversarial", "features", "teacher")
# ImageNet networks -> the key of their weights in a configuration.
NETWORKS = {"vgg19": "vgg", "alexnet": "alexnet", "squeezenet": "squeezenet"}


def optimizer(learning_rate: float, **overrides: Any) -> ConfigDict:
  """One network's optimiser: Adam(0.5, 0.9), the default of the GAN phases.

  Args:
    learning_rate: at the start of the phase.
    **overrides: other fields of the returned settings.
  """
  settings = ConfigDict(
    {
      # "adam", or "sgd" with momentum b1.
      "name": "adam",
      "learning_rate": learning_rate,
      "b1": 0.5,
      "b2": 0.9,
      "eps": 1e-8,
      # Multiply the rate by `decay_rate` every `decay_every` steps (0: never)
      # and at each step of `decay_at`.
      "decay_every": 0,
      "decay_at": (),
      "decay_rate": 0.5,
      # Added to the gradient, times the parameter (L2 regularisation).
      "weight_decay": 0.0,
      # Clip the gradient's global norm to this; 0: no clipping.
      "clip_norm": 0.0,
      # Clip each component to this over the current rate; 0: no clipping.
      "clip_scaled": 0.0,
      # Start of a parameter's path -> factor of its rate; 0 freezes it.
      "multipliers": {},
    }
  )
  settings.update(overrides)
  return settings


def phase(
  steps: int,
  objective: Mapping[str, Any],
  generator_optimizer: Config,
  discriminator_optimizer: Config | None = None,
  **overrides: Any,
) -> ConfigDict:
  """One stretch of training under one objective.

  Args:
    steps: updates in this phase.
    objective: loss name -> weight, with `adversarial` for the generator's
      side of the game, `features` for discriminator feature matching,
      `teacher` for the L1 distance to the teacher's output, a perceptual term
      or any pixel loss. A weight is a number, or {"from", "to", "begin",
      "steps"}: a linear ramp over updates of the phase.
    generator_optimizer: from `optimizer`.
    discriminator_optimizer: from `optimizer`; needed when the objective has
      `adversarial` or `features`.
    **overrides: other fields of the returned settings.
  """
  settings = ConfigDict(
    {
      "steps": steps,
      "objective": dict(objective),
      # The kind of game, of `losses.adversarial`; the real label is 1 minus
      # the smoothing.
      "adversarial": "bce",
      "label_smoothing": 0.0,
      # On the discriminator's slope: "gradient" (WGAN-GP) or "r1".
      "penalty": "",
      "penalty_weight": 10.0,
      # HR pixels on every side that the losses on pictures leave out.
      "margin": 0,
      # Whether the losses on pictures aim at USM-sharpened HR (Real-ESRGAN).
      "sharpen": False,
      "generator_optimizer": generator_optimizer,
      "discriminator_optimizer": discriminator_optimizer or optimizer(1e-4),
    }
  )
  settings.update(overrides)
  return settings


def defaults() -> ConfigDict:
  """Every setting a run has, except its phases, with its default."""
  config = ConfigDict()
  config.name = "run"
  config.seed = 0
  config.task = ConfigDict(
    {
      "scale": 4,
      # For networks on enlarged pictures: train on one of these at random.
      "scales": (),
      "channels": 3,
      "degradation": {"name": "resize", "options": {"kernel": "bicubic"}},
    }
  )
  config.data = _data()
  # `start`: weights to begin with, taken where name and shape agree.
  config.generator = ConfigDict(
    {"name": "srresnet", "options": {}, "start": ""}
  )
  config.discriminator = ConfigDict({"name": "", "options": {}})
  # Weights of the network whose output the term `teacher` aims at.
  config.teacher = ""
  # ImageNet networks of the perceptual terms.
  for key in NETWORKS.values():
    config[key] = ConfigDict({"weights": "", "sha256": ""})
  # How the generator comes about: "gradient" (phases), "dictionary" (sparse
  # coding) or "none" (nothing to train).
  config.fit = "gradient"
  config.train = _train()
  config.evaluate = _evaluate()
  config.phase_order = ()
  config.phases = ConfigDict()
  return config


def _data() -> ConfigDict:
  return ConfigDict(
    {
      # `samples`, `folder:DIR`, `folder:DIR:train`, `folder:DIR:held_out`,
      # `tfds:NAME` or `tfds:NAME:SPLIT`; several joined by "+".
      "train": "samples",
      "validation": "samples:held_out",
      "tfds_dir": "",
      # Pictures are brought to this height and width first; (): as they are.
      "resize": (),
      # Top, left, height and width that are cut from each then; (): all.
      "box": (),
      # Sizes at which each picture takes part, for training.
      "rescale": (1.0,),
      "crop": 96,
      # Width of the crop; 0: a square.
      "crop_width": 0,
      "batch_size": 16,
      "flip": True,
      "turn": True,
      # Random saturation, brightness and contrast: name -> largest change.
      "jitter": {},
      "pipeline": "auto",
      "resident_limit_mb": 256,
      "threads": 2,
      "workers": 0,
    }
  )


def _train() -> ConfigDict:
  return ConfigDict(
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


def _evaluate() -> ConfigDict:
  return ConfigDict(
    {
      "color": "y",
      "ssim": "wang",
      "crop": -1,
      # Folders of test pictures, joined by commas.
      "sets": "",
      # Other generators, "FILE,...", scored and drawn beside the run's own.
      "beside": "",
      # How LR is made for it; no name: as for training.
      "degradation": {"name": "", "options": {}},
      # Of `evaluate --metrics`, and the folder of the files they need.
      "metrics": ("psnr", "ssim"),
      "weights": "",
    }
  )


def smoke(config: Config, *, crop: int) -> ConfigDict:
  """Cuts a recipe down to the smallest real run: four updates a phase.

  Args:
    config: the recipe, with small networks already; it is changed.
    crop: HR pixels of a training crop.
  """
  config.name = f"{config.name}-smoke"
  config.data.train = "samples"
  config.data.validation = "samples:held_out"
  config.data.crop = crop
  config.data.batch_size = 4
  config.train.update({"log_every": 2, "evaluate_every": 4, "save_every": 4})
  config.train.update({"evaluate_pictures": 1, "sample_pictures": 1})
  for name in config.phase_order:
    config.phases[name].steps = 4
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


def crop_size(config: Config) -> tuple[int, int]:
  """Height and width of the training crops in HR pixels."""
  return config.data.crop, config.data.crop_width or config.data.crop


def test_sets(config: Config) -> list[str]:
  """The folders of `config.evaluate.sets`."""
  return [folder for folder in config.evaluate.sets.split(",") if folder]


def generators_beside(config: Config) -> list[str]:
  """The weights files of `config.evaluate.beside`."""
  return [path for path in config.evaluate.beside.split(",") if path]


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
  "evaluate.beside",
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
