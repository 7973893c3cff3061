"""Trains and evaluates: python -m enhance_jax.main --config=configs/srgan.py.

Every key of the configuration can be overridden: --config.data.batch_size=8.
The same command resumes a run that was stopped or killed.
"""

import pathlib
import re
import sys
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from enhance_jax import errors
from enhance_jax.config import Config

_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "Configuration file, with its variant: configs/srgan.py:demo."
)
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "Folder of the run; runs/NAME by default."
)
_MODE = flags.DEFINE_enum(
  "mode",
  "train_and_evaluate",
  ["train", "evaluate", "train_and_evaluate"],
  "What to do.",
)


def _run(argv: Sequence[str]) -> int:
  if len(argv) > 1:
    raise errors.EnhanceError(
      f"what is {argv[1]!r}? Flags have the form --name=value"
    )
  config = _config()
  workdir = pathlib.Path(_WORKDIR.value or f"runs/{config.name}")
  # Here, so that --help and a mistyped flag do not wait for JAX.
  from enhance_jax import experiment

  status = 0
  if _MODE.value != "evaluate":
    status = experiment.train(config, workdir)
  if _MODE.value != "train" and status == 0:
    status = experiment.evaluate(config, workdir)
  return status


def _config() -> Config:
  if _CONFIG.value is None:
    raise errors.EnhanceError(
      "no configuration; give one with --config=configs/srgan.py:demo"
    )
  try:
    _CONFIG.value.name  # noqa: B018  A file that failed to load says so here.
  except OSError as error:
    path = config_flags.get_config_filename(flags.FLAGS["config"])
    raise errors.EnhanceError(
      f"the configuration {path} cannot be loaded; wanted a Python file with "
      "get_config(), as configs/srgan.py"
    ) from error
  return _CONFIG.value


def _parse(argv: Sequence[str]) -> list[str]:
  """absl's parser, with its refusals as one clear line."""
  if {"--help", "-h", "-help"} & set(argv):
    print(f"{__doc__}{flags.FLAGS.main_module_help()}")
    sys.exit(0)
  try:
    return flags.FLAGS(argv)
  except (AttributeError, KeyError) as error:
    raise errors.EnhanceError(_unknown_key(str(error), argv)) from error
  except (flags.Error, TypeError, ValueError) as error:
    raise errors.EnhanceError(str(error)) from error


def _unknown_key(message: str, argv: Sequence[str]) -> str:
  close = re.search(r'Did you mean "(.+?)" instead of "(.+?)"', message)
  wrong = close[2] if close else message.strip("'\" ")
  flag = next((a for a in argv if f".{wrong}" in a), f"--{wrong}")
  key = flag.split("=")[0].removeprefix("--")
  if close is None:
    return (
      f'the configuration has no key "{key}"; see the file given to --config'
    )
  parent = key.rpartition(".")[0]
  return (
    f'the configuration has no key "{key}"; did you mean "{parent}.{close[1]}"?'
  )


def main() -> None:
  """Runs the command line and exits with its status."""
  errors.run_door(lambda argv: _run(_parse([sys.argv[0], *argv])))


if __name__ == "__main__":
  main()
