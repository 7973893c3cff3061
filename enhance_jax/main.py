"""Trains and evaluates: python -m enhance_jax.main --config=configs/srgan.py.

Every key of the configuration can be overridden: --config.data.batch_size=8.
The same command resumes a run that was stopped or killed.
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from enhance_jax import command_line, errors

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
  config = command_line.config_of(_CONFIG)
  workdir = pathlib.Path(_WORKDIR.value or f"runs/{config.name}")
  # Here, so that --help and a mistyped flag do not wait for JAX.
  from enhance_jax import experiment

  status = 0
  if _MODE.value != "evaluate":
    status = experiment.train(config, workdir)
  if _MODE.value != "train" and status == 0:
    status = experiment.evaluate(config, workdir)
  return status


def main() -> None:
  """Runs the command line and exits with its status."""
  errors.run_door(
    lambda args: _run(command_line.parse([sys.argv[0], *args], __doc__))
  )


if __name__ == "__main__":
  main()
