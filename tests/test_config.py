"""Configurations: every one is sound, every refusal says what to do."""

import pathlib
import subprocess
import sys

import ml_collections
import pytest
from ml_collections import config_flags  # noqa: F401  (flags of main)

from enhance_jax import config as config_lib
from enhance_jax import config_check, errors, registry
from enhance_jax.train import build, optim
from tests import runs


def _namespace(name: str) -> dict:
  namespace: dict = {"__name__": name}
  path = runs.ROOT / "configs" / f"{name}.py"
  exec(compile(path.read_text(), path, "exec"), namespace)
  return namespace


def _load(name: str, variant: str) -> ml_collections.ConfigDict:
  return _namespace(name)["get_config"](variant)


CONFIGS = sorted(path.stem for path in (runs.ROOT / "configs").glob("*.py"))


def variants(name: str) -> dict:
  """The variants of a configuration file: name -> maker."""
  return _namespace(name)["_VARIANTS"]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_variant_is_sound_and_one_is_for_smoke(name):
  assert {"", "smoke"} <= set(variants(name))
  for variant in variants(name):
    config = _load(name, variant)
    config_check.validate(config)
    assert config.name != "run", f"{name}:{variant} has no name"


def test_names_of_runs_are_unique():
  """The default folder of a run is runs/NAME."""
  names = [
    _load(name, variant).name for name in CONFIGS for variant in variants(name)
  ]
  assert len(set(names)) == len(names), sorted(names)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_module_can_be_built(name):
  """Unknown options are refused when a run starts; here without a run."""
  for variant in variants(name):
    config = _load(name, variant)
    build.generator(config)
    build.degradation(config)
    for settings in (p for _, p, _, _ in config_lib.phases(config)):
      optim.build(settings.generator_optimizer)
    if config.discriminator.name:
      registry.build(
        registry.DISCRIMINATORS,
        config.discriminator.name,
        "discriminator",
        **config.discriminator.options.to_dict(),
      )


def test_phases_of_the_paper():
  """Ledig et al. section 3.2: 1e6 updates, then 1e5 at 1e-4, 1e5 at 1e-5."""
  rows = config_lib.phases(_load("srgan", ""))
  assert [(n, a, b) for n, _, a, b in rows] == [
    ("pixel", 0, 1_000_000),
    ("gan", 1_000_000, 1_100_000),
    ("fine", 1_100_000, 1_200_000),
  ]
  rates = [p.generator_optimizer.learning_rate for _, p, _, _ in rows]
  assert rates == [1e-4, 1e-4, 1e-5]


def test_gan_default_is_adam_05_09():
  settings = config_lib.optimizer(2e-4)
  assert (settings.name, settings.b1, settings.b2) == ("adam", 0.5, 0.9)


def test_unknown_variant_is_named():
  with pytest.raises(errors.EnhanceError, match='did you mean "smoke"'):
    _load("srgan", "smok")


@pytest.mark.parametrize(
  ("key", "value", "message"),
  [
    ("data.crop", 30, "30 is not divisible by config.task.scale=4; use 28"),
    ("data.pipeline", "tf", "may be auto, grain or resident"),
    ("data.batch_size", 0, "at least 1"),
    ("task.channels", 2, "may be 1"),
    ("train.save_every", 0, "save_every is 0"),
    ("train.accumulate", 3, "cannot be split"),
    ("train.compute_dtype", "float16", "float32 or bfloat16"),
    ("phases.gan.steps", 0, "config.phases.gan.steps is 0"),
    ("phase_order", ("pixel", "gam"), 'did you mean "gan"'),
    ("phase_order", (), "phase_order is empty"),
    ("discriminator.name", "", "needs a discriminator"),
    ("data.crop_width", 30, "crop_width=30 is not divisible"),
    ("data.crop_width", 16, "turn needs square crops, not 32x16"),
    ("data.rescale", (1.0, 1.5), "rescale holds 1.5"),
    ("data.box", (1, 2, 3), "wanted 4 numbers"),
    ("phases.gan.penalty", "r2", "penalty is"),
    ("phases.gan.margin", 16, "margin=16 leaves nothing"),
    ("fit", "dictionary", "config.phase_order is"),
    ("fit", "guess", "gradient, dictionary or none"),
  ],
)
def test_contradictions_are_refused(key, value, message):
  config = _load("srgan", "smoke")
  with config.ignore_type():
    config.update_from_flattened_dict({key: value})
  with pytest.raises(errors.EnhanceError, match=message):
    config_check.validate(config)


@pytest.mark.parametrize(
  ("objective", "message"),
  [
    ({"l3": 1.0}, 'a term "l3"; did you mean "l1"'),
    ({"l1": 0.0}, "no term with a weight"),
    ({"teacher": 1.0}, "config.teacher is empty"),
    ({"l1": {"from": 0.0, "to": 1.0}}, "a ramp has from, to, begin, steps"),
  ],
)
def test_objectives_are_checked(objective, message):
  config = _load("srgan", "smoke")
  config.phases.pixel.objective = ml_collections.ConfigDict(objective)
  with pytest.raises(errors.EnhanceError, match=message):
    config_check.validate(config)


def test_differences_leave_out_what_has_no_say():
  one, other = _load("srgan", "smoke"), _load("srgan", "smoke")
  other.data.workers = 3
  assert not config_lib.differences(
    config_lib.to_dict(one), config_lib.to_dict(other)
  )
  other.seed = 5
  other.phases.gan.objective.l1 = 0.5
  assert config_lib.differences(
    config_lib.to_dict(one), config_lib.to_dict(other)
  ) == ["config.phases.gan.objective.l1: 1.0 -> 0.5", "config.seed: 0 -> 5"]


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (["--config.data.batchsize=8"], 'did you mean "config.data.batch_size"'),
    (["--config.phases.gan.stps=8"], 'did you mean "config.phases.gan.steps"'),
    (["--config.data.batch_size=many"], "batch_size"),
    (["--confg=x"], "Did you mean: config"),
    (["--mode=trian"], "train_and_evaluate"),
    (["smoke"], "--name=value"),
    (["--config=configs/srgan.py:demmo"], 'did you mean "demo"'),
    (["--config=configs/nothing.py"], "configs/nothing.py"),
  ],
)
def test_command_line_refusals_are_one_line(tmp_path, flags, message):
  done = subprocess.run(
    [*runs.command(tmp_path / "run"), *flags],
    cwd=runs.ROOT,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 1
  assert done.stderr.startswith("error: ") and message in done.stderr
  assert "Traceback" not in done.stderr
  assert not pathlib.Path(tmp_path / "run").exists()
  assert sys.executable  # the same interpreter ran it
