"""Enlarges pictures one after the other; reading and writing overlap it.

One thread decodes the next pictures, this one computes, another encodes the
previous ones, so a folder takes as long as the slowest of the three.
"""

import argparse
import contextlib
import dataclasses
import time
from collections.abc import Callable

from enhance_jax import errors, images, zoo
from enhance_jax.inference import (
  engine,
  fidelity,
  overlap,
  picture,
  provenance,
  sizes,
  stream,
  tiled,
  uncertainty,
)
from enhance_jax.upscaling import metadata, models, plan, progress, report

# Results up to this many bytes wait in memory to be encoded while the next one
# is computed; larger ones go to their files row by row.
_IN_MEMORY = 1 << 26


@dataclasses.dataclass
class _Task:
  """One picture on its way through the three stages."""

  label: str
  job: plan.Job
  entry: report.Entry
  began: float = 0.0
  picture: images.Picture | None = None
  result: images.Picture | None = None
  map: uncertainty.Map | None = None
  # What else the line about it says.
  remark: str = ""

  @property
  def open(self) -> bool:
    """Whether the next stage has something to do."""
    return self.entry.status == "pending"


def enlarge(
  jobs: list[tuple[str, plan.Job, report.Entry]],
  nets: models.Models,
  flags: argparse.Namespace,
  show: progress.Progress,
) -> None:
  """Enlarges all of them; what went wrong stands in the entries.

  Args:
    jobs: label, job and entry of each.
    nets: opens the engines.
    flags: of the command.
    show: tells the user.
  """
  work = _Work(nets, flags, show)
  tasks = (_Task(*job) for job in jobs)
  with contextlib.ExitStack() as stack:
    read = overlap.ahead(work.stage(work.read), tasks)
    stack.enter_context(contextlib.closing(read))
    compute = work.stage(work.compute)
    written = overlap.ahead(
      work.stage(work.write), (compute(task) for task in read)
    )
    stack.enter_context(contextlib.closing(written))
    for _ in written:
      pass


class _Work:
  """The three stages, each of one task."""

  def __init__(
    self,
    nets: models.Models,
    flags: argparse.Namespace,
    show: progress.Progress,
  ):
    self._nets = nets
    self._flags = flags
    self._show = show

  def stage(self, work: Callable[[_Task], None]) -> Callable[[_Task], _Task]:
    """`work` for tasks that are still open; failures end in the entry."""

    def guarded(task: _Task) -> _Task:
      if task.open:
        try:
          work(task)
        except (errors.EnhanceError, OSError, MemoryError) as error:
          fail(task.job, task.entry, error, self._show)
      return task

    return guarded

  def read(self, task: _Task) -> None:
    job, entry, flags = task.job, task.entry, self._flags
    if flags.skip_existing and job.target.exists() and job.size is not None:
      upscaler = self._nets.suiting(job.size)
      if is_finished(job, upscaler.scale, flags):
        entry.status = "skipped"
        self._show.skip(job.pixels)
        self._show.line(f"{task.label}: already there")
        return
    task.began = time.perf_counter()
    entry.input_sha256 = zoo.file_sha256(job.source)
    task.picture = images.read_picture(job.source)
    height, width = task.picture.pixels.shape[:2]
    entry.input_size = (width, height)
    if flags.no_metadata:
      task.picture = metadata.stripped(task.picture)

  def compute(self, task: _Task) -> None:
    original, entry, flags = task.picture, task.entry, self._flags
    assert original is not None
    height, width = original.pixels.shape[:2]
    upscaler = self._nets.suiting((height, width))
    size = other_size(flags.size, upscaler.scale, height, width)
    entry.model, entry.weights_sha256 = upscaler.name, upscaler.sha256
    if flags.uncertainty:
      if size is not None:
        raise errors.EnhanceError(
          "--uncertainty knows the network's own size only; use "
          f"--scale={upscaler.scale}, or leave one of the two out"
        )
      calibration = self._nets.calibration(upscaler)
    streams = size is None and not (flags.consistent or flags.uncertainty)
    if streams and original.pixels.nbytes * upscaler.scale**2 > _IN_MEMORY:
      stamped = self._stamp(task, original, upscaler, None)
      task.job.target.parent.mkdir(parents=True, exist_ok=True)
      height, width = stream.upscale_file(
        upscaler,
        stamped,
        task.job.target,
        quality=flags.quality,
        on_tile=self._on_tile(task),
      )
    else:
      result = picture.upscale_picture(
        upscaler, original, size=size, on_tile=self._on_tile(task)
      )
      if isinstance(upscaler, fidelity.Consistent) and upscaler.agreement:
        # A resampled result is no longer the one that was measured.
        if size is None:
          entry.lr_psnr = upscaler.agreement.written
          task.remark += f", {upscaler.agreement}"
      task.result = self._stamp(task, result, upscaler, size)
      height, width = result.pixels.shape[:2]
      if flags.uncertainty:
        task.map = uncertainty.estimate(
          upscaler, original, calibration, result=result
        )
    if isinstance(upscaler, tiled.Tiled) and upscaler.seam_check is not None:
      task.remark += f", {upscaler.seam_check}"
    entry.output_size = (width, height)
    # Its memory is wanted for the next one.
    task.picture = None

  def write(self, task: _Task) -> None:
    job, entry, flags = task.job, task.entry, self._flags
    job.target.parent.mkdir(parents=True, exist_ok=True)
    if task.result is not None:
      images.write_picture(job.target, task.result, quality=flags.quality)
    if task.map is not None and task.result is not None:
      shown = (task.map.image(), task.map.overlay(task.result))
      for suffix, one in zip(plan.EXTRAS, shown, strict=True):
        images.write_picture(job.extra(suffix), one)
        entry.extras.append(str(job.extra(suffix)))
      task.remark += f", {task.map.summary()}"
    task.result = task.map = None
    entry.output_sha256 = zoo.file_sha256(job.target)
    entry.seconds = time.perf_counter() - task.began
    entry.status = "ok"
    self._show.done(f"{task.label}: {in_words(entry)}{task.remark}", job.pixels)

  def _stamp(
    self,
    task: _Task,
    made: images.Picture,
    upscaler: engine.Engine,
    size: sizes.Size | None,
  ) -> images.Picture:
    settings = {} if size is None else {"size": str(size)}
    source = task.entry.input_sha256
    return provenance.stamp(made, upscaler, settings, source)

  def _on_tile(self, task: _Task) -> engine.OnTile:
    def show(done: int, total: int) -> None:
      if total > 1:
        share = task.job.pixels * done / total
        self._show.part(f"{task.label}: tile {done}/{total}", share)

    return show


def fail(
  job: plan.Job,
  entry: report.Entry,
  error: Exception,
  show: progress.Progress,
) -> None:
  """Notes and tells why a file failed; the message names it."""
  if isinstance(error, MemoryError):
    text = "the result does not fit into memory; cut the picture in pieces"
  else:
    text = str(error)
  named = str(job.source) in text or str(job.target) in text
  entry.error = text if named else f"{job.source}: {text}"
  entry.status = "failed"
  show.skip(job.pixels)
  show.line(f"error: {entry.error}", error=True)


def other_size(
  wish: sizes.Size | None, scale: int, height: int, width: int
) -> sizes.Size | None:
  """The wish, or None where the network's own enlargement is just that.

  Raises:
    EnhanceError: the wish is no enlargement of such a picture.
  """
  if wish is None:
    return None
  if sizes.target(wish, height, width) == (height * scale, width * scale):
    return None
  return wish


def is_finished(job: plan.Job, scale: int, flags: argparse.Namespace) -> bool:
  """Whether a picture's result is there and has the right size.

  Raises:
    EnhanceError: it has another one, and nothing says that it may be replaced.
  """
  assert job.size is not None
  height, width = job.size
  wish = flags.size or sizes.Size(scale=scale)
  wanted = sizes.target(wish, height, width)
  try:
    got = images.picture_size(job.target)
  except errors.EnhanceError:
    got = None
  if got == wanted:
    missing = [job.extra(s) for s in plan.EXTRAS if not job.extra(s).exists()]
    return not (flags.uncertainty and missing)
  refuse_other(job, got, wanted, flags)
  return False


def refuse_other(
  job: plan.Job,
  got: tuple[int, int] | None,
  wanted: tuple[int, int],
  flags: argparse.Namespace,
) -> None:
  """Raises EnhanceError for a result of another size, but for --overwrite."""
  if flags.overwrite:
    return
  found = f"{got[1]}x{got[0]} pixels" if got else "no readable file of its kind"
  raise errors.EnhanceError(
    f"{job.target} is there but is {found}, wanted {wanted[1]}x{wanted[0]}; "
    "add --overwrite to replace such files"
  )


def in_words(entry: report.Entry) -> str:
  """Both sizes, and how long it took."""
  sizes_of = (entry.input_size, entry.output_size)
  words = ["x".join(map(str, size)) for size in sizes_of if size]
  return f"{' -> '.join(words)} in {progress.duration(entry.seconds or 0)}"
