"""The work folder of a video: finished pieces, so that a killed run goes on.

A piece is some frames in a file of its own, encoded from its first one anew.
Its file gets its name only when it is whole, and then a note of its digest
beside it; whatever else lies in the folder does not count.
"""

import contextlib
import dataclasses
import fcntl
import json
import pathlib
import secrets
import shutil
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from enhance_jax import errors, zoo

SUFFIX = ".parts"


@dataclasses.dataclass(frozen=True)
class Piece:
  """Frames first..last-1 of a video, as a file in the work folder."""

  number: int
  first: int
  last: int
  folder: pathlib.Path

  @property
  def path(self) -> pathlib.Path:
    """The encoded frames."""
    return self.folder / f"{self.number:06d}.nut"

  @property
  def note(self) -> pathlib.Path:
    """Digest and number of frames."""
    return self.path.with_suffix(".json")

  def unfinished(self) -> pathlib.Path:
    """A new name to encode under."""
    name = f"{self.number:06d}.{secrets.token_hex(4)}.part"
    return self.folder / name

  def accept(self, part: pathlib.Path) -> None:
    """Makes a file that is whole the piece."""
    note = {"frames": self.last - self.first, "sha256": zoo.file_sha256(part)}
    part.replace(self.path)
    zoo.write_atomic(self.note, json.dumps(note).encode())

  def finished(self) -> bool:
    """Whether its file is there and is the one that was noted."""
    try:
      note = json.loads(self.note.read_text())
      return note == {
        "frames": self.last - self.first,
        "sha256": zoo.file_sha256(self.path),
      }
    except (OSError, ValueError):
      return False


def folder_of(target: pathlib.Path) -> pathlib.Path:
  """Where the pieces of a result lie until it is written."""
  return target.with_name(target.name + SUFFIX)


@contextlib.contextmanager
def opened(
  target: pathlib.Path, plan: Mapping[str, Any], *, anew: bool
) -> Iterator[pathlib.Path]:
  """The work folder, held against other programs while the block runs.

  Args:
    target: the result.
    plan: all that decides what the pieces look like, as JSON values.
    anew: forget pieces of another plan.

  Raises:
    EnhanceError: another program works there, or its pieces are of another
      plan.
  """
  folder = folder_of(target)
  folder.mkdir(parents=True, exist_ok=True)
  with (folder / "lock").open("w") as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
      raise errors.EnhanceError(
        f"another program is making {target} (it holds {folder}); let it end, "
        "or choose another name"
      ) from error
    _agree(folder, plan, anew)
    for part in folder.glob("*.part"):
      part.unlink()
    try:
      yield folder
    except BaseException:
      if not any(folder.glob("*.nut")):
        # Nothing was finished, so nothing is worth going on with.
        shutil.rmtree(folder, ignore_errors=True)
      raise


def pieces(folder: pathlib.Path, frames: int, length: int) -> list[Piece]:
  """The pieces of a video, in order.

  Args:
    folder: the work folder.
    frames: in all.
    length: of a piece, in frames.
  """
  starts = range(0, frames, length)
  return [
    Piece(i, first, min(first + length, frames), folder)
    for i, first in enumerate(starts)
  ]


def joined(
  folder: pathlib.Path,
  parts: list[Piece],
  times: list[int],
  end: int,
  time_base: Fraction,
) -> pathlib.Path:
  """A list of the pieces for ffmpeg's concat demuxer.

  Args:
    folder: the work folder.
    parts: all pieces.
    times: when each frame is shown, in ticks.
    end: when the last one's time is over.
    time_base: seconds a tick.

  Returns:
    the list's path.
  """
  lines = ["ffconcat version 1.0"]
  for part in parts:
    stop = times[part.last] if part.last < len(times) else end
    # Microseconds are all that the list can say. Rounding sums, not parts,
    # keeps errors from adding up.
    begin, stop = (
      round(ticks * time_base * 1_000_000)
      for ticks in (times[part.first], stop)
    )
    seconds = f"{(stop - begin) // 1_000_000}.{(stop - begin) % 1_000_000:06d}"
    lines += [f"file {part.path.name}", f"duration {seconds}"]
  path = folder / "pieces.ffconcat"
  zoo.write_atomic(path, ("\n".join(lines) + "\n").encode())
  return path


def remove(target: pathlib.Path) -> None:
  """Deletes the work folder of a result that is written."""
  shutil.rmtree(folder_of(target), ignore_errors=True)


def _agree(folder: pathlib.Path, plan: Mapping[str, Any], anew: bool) -> None:
  """Notes the plan, or compares it with the one that is there."""
  path = folder / "plan.json"
  wanted = json.loads(json.dumps(plan))
  try:
    found = json.loads(path.read_text())
  except (OSError, ValueError):
    found = None
  if found == wanted:
    return
  if found is not None and not anew:
    changed = [
      f"{key} was {found.get(key)!r} and is {wanted.get(key)!r}"
      for key in sorted({*found, *wanted})
      if found.get(key) != wanted.get(key)
    ]
    raise errors.EnhanceError(
      f"{folder} holds the beginning of another result: {'; '.join(changed)}. "
      "Give the same command as before to go on with that one, or add "
      "--overwrite to begin anew"
    )
  for kind in ("*.nut", "*.json", "*.ffconcat"):
    for old in folder.glob(kind):
      old.unlink()
  zoo.write_atomic(path, json.dumps(wanted, indent=2).encode())
