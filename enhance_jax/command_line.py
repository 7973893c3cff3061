"""Configuration flags whose refusals are one clear line."""

import re
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags

from enhance_jax import errors
from enhance_jax.config import Config


def parse(argv: Sequence[str], help_text: str | None) -> list[str]:
  """absl's parser, with its refusals as one clear line.

  Args:
    argv: program name and arguments.
    help_text: shown above the flags for --help, which ends the program.

  Returns:
    The program name and the arguments that are no flags.

  Raises:
    EnhanceError: unknown flag or configuration key (the nearest is named), or
      a value of the wrong type.
  """
  if {"--help", "-h", "-help"} & set(argv):
    print(f"{help_text}{flags.FLAGS.main_module_help()}")
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
  unknown = f'the configuration has no key "{key}"'
  if close is None:
    return f"{unknown}; see the file given to --config"
  return f'{unknown}; did you mean "{key.rpartition(".")[0]}.{close[1]}"?'


def config_of(holder: flags.FlagHolder[Any]) -> Config:
  """The configuration that a `DEFINE_config_file` flag was given.

  Raises:
    EnhanceError: none was given, or the file cannot be loaded.
  """
  if holder.value is None:
    raise errors.EnhanceError(
      "no configuration; give one with --config=configs/srgan.py:demo"
    )
  try:
    holder.value.name  # noqa: B018  A file that failed to load says so here.
  except OSError as error:
    path = config_flags.get_config_filename(flags.FLAGS[holder.name])
    raise errors.EnhanceError(
      f"the configuration {path} cannot be loaded; wanted a Python file with "
      "get_config(), as configs/srgan.py"
    ) from error
  return holder.value
