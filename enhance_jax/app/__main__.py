"""Command: opens a local page that enlarges pictures."""

import argparse
import dataclasses
import os
import pathlib

from enhance_jax import errors
from enhance_jax.app import server
from enhance_jax.app.limits import Limits

EXAMPLES = """\
examples:
  python -m enhance_jax.app
  python -m enhance_jax.app --models pixel.safetensors gan.safetensors
  python -m enhance_jax.app --host=192.168.1.20 --password-file=password.txt

Only programs on this computer can open the page unless --host says otherwise.
Of two files of one architecture, the second trained adversarially, the page
makes a pair and lets you choose between faithful and imagined. Nothing is sent
to the internet. Give a page that others use an encrypted way in, such as an SSH
tunnel: its password is sent as it is.
"""
VARIABLE = "ENHANCE_PASSWORD"
SHORTEST = 12


def main(argv: list[str]) -> int:
  """Serves the page until Ctrl-C."""
  flags = _parser().parse_args(argv)
  limits = dataclasses.replace(
    Limits(),
    file_bytes=_positive(flags.max_megabytes, "--max-megabytes") << 20,
    result_pixels=_positive(flags.max_megapixels, "--max-megapixels") * 10**6,
    keep_seconds=60.0 * _positive(flags.keep_minutes, "--keep-minutes"),
  )
  password = _password(flags.password_file)
  server.serve(flags.models, flags.host, flags.port, password, limits)
  return 0


def _positive(value: int, flag: str) -> int:
  if value < 1:
    raise errors.EnhanceError(f"{flag}={value}; wanted 1 or more")
  return value


def _password(file: str | None) -> str | None:
  """The password of a file's first line, or of the environment.

  Raises:
    EnhanceError: an unreadable file, or a password that is soon guessed.
  """
  password = os.environ.get(VARIABLE)
  if file is not None:
    try:
      password = pathlib.Path(file).read_text().partition("\n")[0].strip("\r")
    except (OSError, ValueError) as error:
      raise errors.EnhanceError(
        f"--password-file={file} cannot be read ({error}); wanted a text file "
        "whose first line is the password"
      ) from error
  if password is not None and len(password) < SHORTEST:
    raise errors.EnhanceError(
      f"the password has {len(password)} characters; wanted {SHORTEST} or more"
    )
  return password


def _parser() -> argparse.ArgumentParser:
  default = Limits()
  parser = argparse.ArgumentParser(
    prog="python -m enhance_jax.app",
    description="Opens a local page that enlarges pictures.",
    epilog=EXAMPLES,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument(
    "--models",
    nargs="+",
    default=[],
    metavar="FILE",
    help="networks to offer before the bundled ones: .safetensors files",
  )
  parser.add_argument(
    "--host",
    default="127.0.0.1",
    help="address to listen on; default 127.0.0.1, this computer alone; "
    "others only with a password",
  )
  parser.add_argument(
    "--port", type=int, default=7860, help="default %(default)s"
  )
  parser.add_argument(
    "--password-file",
    metavar="FILE",
    help=f"its first line is wanted from visitors; or set {VARIABLE}",
  )
  parser.add_argument(
    "--max-megabytes",
    type=int,
    default=default.file_bytes >> 20,
    metavar="N",
    help="of one uploaded file; default %(default)s",
  )
  parser.add_argument(
    "--max-megapixels",
    type=int,
    default=default.result_pixels // 10**6,
    metavar="N",
    help="of one result; default %(default)s",
  )
  parser.add_argument(
    "--keep-minutes",
    type=int,
    default=round(default.keep_seconds / 60),
    metavar="N",
    help="how long files of visitors outlive their last use; default "
    "%(default)s",
  )
  return parser


if __name__ == "__main__":
  errors.run_door(main)
