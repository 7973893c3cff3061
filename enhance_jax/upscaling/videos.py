"""Enlarges videos; the frames' way is `video.film`'s."""

import argparse
import time

from enhance_jax import errors, zoo
from enhance_jax.inference import sizes
from enhance_jax.upscaling import models, pictures, plan, progress, report
from enhance_jax.video import film, probe


def enlarge(
  label: str,
  job: plan.Job,
  entry: report.Entry,
  nets: models.Models,
  flags: argparse.Namespace,
  show: progress.Progress,
) -> None:
  """Enlarges one video; what went wrong stands in its entry.

  Args:
    label: names it in lines.
    job: of `plan.assign`.
    entry: of the report.
    nets: opens the engines.
    flags: of the command.
    show: tells the user.
  """
  try:
    _enlarge(label, job, entry, nets, flags, show)
  except (errors.EnhanceError, OSError, MemoryError) as error:
    pictures.fail(job, entry, error, show)


def _enlarge(
  label: str,
  job: plan.Job,
  entry: report.Entry,
  nets: models.Models,
  flags: argparse.Namespace,
  show: progress.Progress,
) -> None:
  tools = probe.find_tools()
  clip = probe.header(job.source, tools)
  entry.input_size = (clip.width, clip.height)
  upscaler = nets.suiting((clip.height, clip.width))
  if flags.uncertainty:
    raise errors.EnhanceError("--uncertainty is for pictures; leave it out")
  size = pictures.other_size(
    flags.size, upscaler.scale, clip.height, clip.width
  )
  if flags.skip_existing and job.target.exists():
    if _is_finished(job, clip, upscaler.scale, flags, tools):
      entry.status = "skipped"
      show.skip(job.pixels)
      show.line(f"{label}: already there")
      return
  began = time.perf_counter()
  before: list[float] = []

  def on_frame(done: int, total: int) -> None:
    share = job.pixels * done / total
    if not before:
      # What an earlier run has done says nothing about this one's pace.
      before.append(share)
      show.skip(share)
    show.part(f"{label}: frame {done}/{total}", share - before[0])

  outcome = film.upscale_video(
    upscaler,
    job.source,
    job.target,
    size=size,
    codec=flags.codec,
    crf=flags.crf,
    anew=flags.overwrite,
    on_frame=on_frame,
    tools=tools,
  )
  entry.model, entry.weights_sha256 = upscaler.name, upscaler.sha256
  entry.output_size = (outcome.size[1], outcome.size[0])
  entry.frames, entry.notes = outcome.frames, list(outcome.notes)
  entry.output_sha256 = zoo.file_sha256(job.target)
  entry.input_sha256 = zoo.file_sha256(job.source)
  entry.seconds = time.perf_counter() - began
  entry.status = "ok"
  text = f"{label}: {outcome.frames} frames, {pictures.in_words(entry)}"
  show.done(text, job.pixels - before[0])
  for note in outcome.notes:
    show.line(f"  note: {note}")


def _is_finished(
  job: plan.Job,
  clip: probe.Clip,
  scale: int,
  flags: argparse.Namespace,
  tools: probe.Tools,
) -> bool:
  """Whether its result is there and has the right size."""
  wish = flags.size or sizes.Size(scale=scale)
  wanted = sizes.target(wish, clip.height, clip.width)
  try:
    made = probe.header(job.target, tools)
    got = (made.height, made.width)
  except errors.EnhanceError:
    got = None
  if got == wanted:
    return True
  pictures.refuse_other(job, got, wanted, flags)
  return False
