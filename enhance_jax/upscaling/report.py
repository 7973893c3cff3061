"""What became of every file, for the summary and for scripts."""

import dataclasses
import json
import math
import pathlib
import time
from typing import Any

from enhance_jax import zoo
from enhance_jax.upscaling import plan

STATUSES = ("pending", "ok", "skipped", "failed")


@dataclasses.dataclass
class Entry:
  """One file.

  Attributes:
    input: its path.
    output: that of the result.
    status: one of `STATUSES`; what was not finished stays "pending".
    input_size: (width, height) in pixels.
    output_size: likewise.
    frames: of a video.
    seconds: from the beginning of reading to the end of writing.
    error: why it failed.
    lr_psnr: dB between the input and the result made small, where --consistent
      measured it; None otherwise.
    model: the network's name.
    weights_sha256: digest of its file; "" for an interpolation.
    input_sha256: digest of the input.
    output_sha256: digest of the result.
    extras: further files that were written.
    notes: what its owner should know.
  """

  input: str
  output: str
  status: str = "pending"
  input_size: tuple[int, int] | None = None
  output_size: tuple[int, int] | None = None
  frames: int | None = None
  seconds: float | None = None
  error: str | None = None
  lr_psnr: float | None = None
  model: str | None = None
  weights_sha256: str | None = None
  input_sha256: str | None = None
  output_sha256: str | None = None
  extras: list[str] = dataclasses.field(default_factory=list)
  notes: list[str] = dataclasses.field(default_factory=list)


class Report:
  """The entries of all jobs, and the file they go to."""

  def __init__(self, jobs: list[plan.Job], path: pathlib.Path | None):
    """Takes the jobs in their order; path None writes no file."""
    self.entries = [Entry(str(job.source), str(job.target)) for job in jobs]
    self._path = path
    self._began = time.time()

  def count(self, status: str) -> int:
    """How many files have that status."""
    return sum(entry.status == status for entry in self.entries)

  def write(self, *, interrupted: bool) -> None:
    """Writes the file, wholly or not at all.

    Raises:
      EnhanceError: the disk refuses.
    """
    if self._path is None:
      return
    content = {
      "format": "enhance_jax upscale report 1",
      "interrupted": interrupted,
      "began": _utc(self._began),
      "ended": _utc(time.time()),
      **{status: self.count(status) for status in STATUSES},
      "files": [_json(entry) for entry in self.entries],
      "versions": zoo.versions(),
    }
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    zoo.write_atomic(self._path, (text + "\n").encode())


def _json(entry: Entry) -> dict[str, Any]:
  fields = dataclasses.asdict(entry)
  # JSON has no infinity, which a perfect agreement would be.
  if entry.lr_psnr is not None and math.isinf(entry.lr_psnr):
    fields["lr_psnr"] = "inf"
  return fields


def _utc(seconds: float) -> str:
  return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
