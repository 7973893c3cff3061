"""Command: enlarges pictures and videos, files and whole folders of them."""

import argparse
import json
import pathlib

from enhance_jax import errors
from enhance_jax.inference import provenance
from enhance_jax.upscaling import (
  flags,
  models,
  pictures,
  plan,
  progress,
  report,
  videos,
)
from enhance_jax.video import film, probe


def main(argv: list[str]) -> int:
  """Plans everything, then enlarges file by file; 1 if any failed."""
  chosen = flags.parse(argv)
  if chosen.inspect is not None:
    return _inspect(chosen.inspect)
  found = plan.find(chosen.inputs, chosen.output)
  nets = models.Models(chosen)
  name = plan.template_namer(chosen.name, chosen.scale, nets.suiting)
  jobs = plan.assign(found, chosen.output, chosen.ext, name)
  if not (chosen.overwrite or chosen.skip_existing):
    plan.refuse_existing(jobs, plan.EXTRAS if chosen.uncertainty else ())
  # Before the first file is touched: weights may be missing or damaged.
  nets.suiting(next((job.size for job in jobs if job.size), None))
  if found.left_out:
    print(
      f"note: videos in folders are left out ({len(found.left_out)}, such as "
      f"{found.left_out[0]}); name those that you want"
    )
  return _run(jobs, nets, chosen)


def _run(
  jobs: list[plan.Job], nets: models.Models, chosen: argparse.Namespace
) -> int:
  outcome = report.Report(jobs, chosen.report)
  show = progress.Progress(len(jobs), sum(job.pixels for job in jobs))
  labelled = [
    (f"[{i + 1}/{len(jobs)}] {job.source}", job, entry)
    for i, (job, entry) in enumerate(zip(jobs, outcome.entries, strict=True))
  ]
  interrupted = True
  try:
    still = [one for one in labelled if not one[1].is_video]
    pictures.enlarge(still, nets, chosen, show)
    for label, job, entry in labelled:
      if job.is_video:
        videos.enlarge(label, job, entry, nets, chosen, show)
    interrupted = False
  finally:
    _summarise(outcome, nets, show, chosen.output)
    outcome.write(interrupted=interrupted)
  return 1 if outcome.count("failed") else 0


def _summarise(
  outcome: report.Report,
  nets: models.Models,
  show: progress.Progress,
  output: str,
) -> None:
  made = " and ".join(f"x{one.scale} by {one.name}" for one in nets.opened)
  done = sum(entry.status == "ok" for entry in outcome.entries)
  words = [
    f"{done} of {len(outcome.entries)} files enlarged {made} in "
    f"{progress.duration(show.seconds)}"
  ]
  for status, text in (
    ("skipped", "already there"),
    ("failed", "failed"),
    ("pending", "not finished; --skip-existing goes on with them"),
  ):
    count = outcome.count(status)
    words += [f"{count} {text}"] if count else []
  show.line(f"{', '.join(words)}: {output}")


def _inspect(path: pathlib.Path) -> int:
  known = probe.SUFFIXES
  is_video = path.suffix.lower() in known
  record = film.inspect(path) if is_video else provenance.inspect(path)
  print(json.dumps(record, indent=2, ensure_ascii=False))
  return 0


if __name__ == "__main__":
  errors.run_door(main)
