"""The exception that means "the user can fix this", and the command door."""

import difflib
import os
import sys
from collections.abc import Callable, Iterable


class EnhanceError(Exception):
  """Bad input or environment: what was got, what was wanted, what helps."""


def nearest(name: str, known: Iterable[str]) -> str:
  """A clause naming the known words nearest to `name`, for error messages."""
  known = sorted(known)
  close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
  if close:
    return f'did you mean "{close[0]}"? Known: {", ".join(known)}'
  return f"known: {', '.join(known)}"


def run_door(main: Callable[[list[str]], int]) -> None:
  """Runs a command and exits: 0, its own status, or 1 after one clear error.

  Args:
    main: takes the arguments without the program name, returns a status.
  """
  try:
    status = main(sys.argv[1:])
    sys.stdout.flush()
  except EnhanceError as error:
    print(f"error: {error}", file=sys.stderr)
    status = 1
  except BrokenPipeError:
    # The reader (`| head`) went away; Python would complain again at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    status = 1
  except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    status = 130
  sys.exit(status)
