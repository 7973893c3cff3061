"""Command: finds out by photographs how far a network's results are off."""

import argparse
import sys

from enhance_jax import errors

EXAMPLES = """\
examples:
  python -m enhance_jax.calibrate --workdir=runs/faces --data=photos/
  python -m enhance_jax.calibrate --model=faces.safetensors --data=photos/ \\
      --consistent -o faces.uncertainty.json

The photographs must not be ones that the network was trained on. A quarter of
them shapes the intervals, half of them calibrates, a quarter measures what is
reached. A file holds calibrations for several ways to run the same weights.
"""


def main(argv: list[str]) -> int:
  """Calibrates, prints what was measured, and writes the file."""
  flags = _parser().parse_args(argv)
  for name in ("alpha", "delta"):
    if not 0 < getattr(flags, name) < 1:
      raise errors.EnhanceError(
        f"--{name}={getattr(flags, name)} is out of range; wanted a share "
        "between 0 and 1, such as 0.1"
      )
  from enhance_jax.inference import calibration, engine, named, uncertainty

  policy = engine.Policy(
    ensemble=flags.ensemble,
    consistent=flags.consistent,
    color_fix=flags.color_fix,
  )
  upscaler = engine.open_model(
    flags.model,
    flags.workdir,
    flags.scale,
    policy,
    blend=flags.blend,
    partner=flags.partner,
  )
  if not upscaler.sha256:
    raise errors.EnhanceError(
      f"{upscaler.name} has no weights that a calibration could belong to; "
      "name a network"
    )
  output = flags.output or uncertainty.beside(
    named.weights(flags.model, flags.workdir, flags.scale)
  )
  paths = calibration.photographs(flags.data, flags.photographs)
  crops = calibration.read_crops(paths, flags.crop, flags.seed)
  made = calibration.calibrate(
    upscaler,
    crops,
    alpha=flags.alpha,
    delta=flags.delta,
    on_sample=_show if sys.stdout.isatty() else None,
  )
  uncertainty.save(output, made)
  print("\n".join(_in_words(made)))
  print(f"written to {output}")
  return 0


def _in_words(made) -> list[str]:
  report = made.report
  shape, factor, held_out = report["photographs"]
  lines = [
    f"{report['model']}, x{report['scale']}: intervals for "
    f"{made.coverage:.0%} of the pixels with confidence "
    f"{1 - report['delta']:.0%}, from {shape} + {factor} photographs",
    f"on {held_out} other photographs:",
    f"  {'region':10}{'area':>7}{'coverage':>10}{'half-width':>12}",
  ]
  for name, values in report["measured"].items():
    lines.append(
      f"  {name:10}{values['area']:7.0%}{values['coverage']:10.1%}"
      f"{values['half_width']:12.1f}"
    )
  worst = report["measured"]["all"]["worst"]
  return [*lines, f"  worst photograph: {worst:.1%} covered"]


def _show(done: int, total: int) -> None:
  end = "\r\033[K" if done == total else ""
  print(f"\r  photograph {done}/{total}{end}", end="", flush=True)


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m enhance_jax.calibrate",
    description="Finds out by photographs how far a network's results are off.",
    epilog=EXAMPLES,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  add = parser.add_argument
  add("-n", "--model", metavar="NAME|FILE", help="bundled name or weights file")
  add("--workdir", metavar="DIR", help="a finished training run's folder")
  add("-s", "--scale", type=int, metavar="N", help="for weights of several")
  add(
    "--data",
    required=True,
    metavar="FOLDER",
    help="photographs that the network was not trained on",
  )
  add(
    "-o",
    "--output",
    metavar="FILE",
    help="default: NAME.uncertainty.json beside the weights",
  )
  add(
    "--photographs",
    type=int,
    default=400,
    metavar="N",
    help="use at most so many, one square of each; default %(default)s",
  )
  add(
    "--crop",
    type=int,
    default=192,
    metavar="N",
    help="side of the squares in pixels; default %(default)s",
  )
  add("--seed", type=int, default=0, metavar="N", help="which squares")
  add(
    "--alpha",
    type=float,
    default=0.1,
    metavar="A",
    help="share of a picture's pixels that may lie outside; default 0.1",
  )
  add(
    "--delta",
    type=float,
    default=0.1,
    metavar="D",
    help="probability that the promise is wrong; default 0.1",
  )
  for name in ("ensemble", "consistent", "color-fix"):
    add(f"--{name}", action="store_true", help="as of enhance_jax.upscale")
  add("--blend", type=float, metavar="A", help="as of enhance_jax.upscale")
  add("--partner", metavar="FILE", help="as of enhance_jax.upscale")
  return parser


if __name__ == "__main__":
  errors.run_door(main)
