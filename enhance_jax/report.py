"""Command: turns runs' folders into a report with curves and tables."""

import argparse
import dataclasses
import pathlib
from collections.abc import Sequence

from enhance_jax import errors

EXAMPLES = """\
examples:
  python -m enhance_jax.report runs/srgan-demo -o report
  python -m enhance_jax.report runs/pixel runs/gan -o report --sets=set5

A run's folder is what python -m enhance_jax.main wrote. What the run was
scored on is in it; to add a test set, run main again with --mode=evaluate and
--config.evaluate.sets. Written are DIR/report.html, which needs no other file,
DIR/report.md and DIR/pictures.
"""


def main(argv: Sequence[str]) -> int:
  """Reads the runs, writes the report, says where it is."""
  flags = _parser().parse_args(argv)
  # Here, so that --help and a mistyped flag do not wait for the plots.
  from enhance_jax.reporting import page, runs, sections

  found = runs.read([pathlib.Path(folder) for folder in flags.runs])
  if flags.sets is not None:
    found = _only(found, [name for name in flags.sets.split(",") if name])
  written = page.write(
    pathlib.Path(flags.output), sections.TITLE, sections.build(found)
  )
  print(f"written: {', '.join(map(str, written))}")
  return 0


def _only(found: list, names: Sequence[str]) -> list:
  """The runs with their scores and pictures of the named sets alone."""
  known = {scores.set for run in found for scores in run.scores}
  for name in names:
    if name not in known:
      raise errors.EnhanceError(
        f'no run was scored on "{name}"; {errors.nearest(name, known)}'
      )
  return [
    dataclasses.replace(
      run,
      scores=tuple(s for s in run.scores if s.set in names),
      comparisons={k: v for k, v in run.comparisons.items() if k in names},
    )
    for run in found
  ]


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m enhance_jax.report",
    description="A report of training runs: what they are, curves, scores, "
    "published numbers beside ours, pictures.",
    epilog=EXAMPLES,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument(
    "runs", nargs="+", metavar="RUN", help="folders of training runs"
  )
  parser.add_argument(
    "-o", "--output", required=True, metavar="DIR", help="where it is written"
  )
  parser.add_argument(
    "--sets",
    metavar="NAME,...",
    help="show the scores and pictures of these sets only (held_out is the "
    "run's own); default all",
  )
  return parser


if __name__ == "__main__":
  errors.run_door(main)
