"""Command: scores weights, interpolations or ready results on test sets."""

import argparse
import pathlib
import sys

import numpy as np

from enhance_jax import errors, images, scoring
from enhance_jax.inference import engine
from enhance_jax.metrics import image as metrics

EXAMPLES = """\
examples:
  python -m enhance_jax.evaluate --model=bicubic --scale=4 --sets=set5,set14
  python -m enhance_jax.evaluate --workdir=runs/faces --sets=faces/test \\
      --csv=scores.csv --strips=strips
  python -m enhance_jax.evaluate --outputs=results --scale=4 --sets=set5

A set is a folder of HR pictures, or a folder with a sub-folder HR. Low
resolution is made from it with MATLAB's bicubic unless --lr is given.
"""


def main(argv: list[str]) -> int:
  """Scores, prints the table, writes what was asked for; 1 if any failed."""
  flags = _parser().parse_args(argv)
  named = [flags.workdir, flags.model, flags.outputs]
  if sum(value is not None for value in named) != 1:
    raise errors.EnhanceError(
      "name one thing to score: --workdir=DIR, --model=NAME or "
      "FILE.safetensors, or --outputs=DIR of ready results"
    )
  if flags.outputs is None:
    source = engine.open_model(
      flags.model, flags.workdir, flags.scale, flags.tile
    )
    scale, name = source.scale, source.name
  elif flags.scale is None:
    raise errors.EnhanceError(
      "--outputs needs the enlargement to compare at, such as --scale=4"
    )
  else:
    source, scale = flags.outputs, flags.scale
    name = pathlib.Path(flags.outputs).resolve().name
    if not pathlib.Path(flags.outputs).is_dir():
      raise errors.EnhanceError(
        f"--outputs={flags.outputs} is no folder; wanted ready results"
      )
  crop = scale if flags.crop is None else flags.crop
  protocol = metrics.Protocol(flags.protocol, crop, flags.ssim)

  def observe(sample: scoring.Sample) -> None:
    if sys.stderr.isatty():
      print(
        f"{sample.set}/{sample.file}: {sample.values['psnr']:.2f} dB",
        file=sys.stderr,
      )
    if flags.strips:
      strip = scoring.comparison_strip(sample, protocol, name=name)
      _write_strip(pathlib.Path(flags.strips), sample, strip)

  scores = scoring.score_sets(
    source,
    [folder for folder in flags.sets.split(",") if folder],
    scale=scale,
    protocol=protocol,
    lr=flags.lr,
    suffix=flags.suffix,
    observe=observe,
  )
  print(table(scores))
  return _finish(flags, scores)


def table(scores: scoring.Scores) -> str:
  """Model and protocol, then one aligned line a set."""
  protocol = scores["protocol"]
  rows = [("set", "images", "PSNR dB", "SSIM")]
  for name, entry in scores["sets"].items():
    mean = entry["mean"]
    rows.append(
      (
        name,
        str(len(entry["images"])),
        f"{mean['psnr']:.3f}",
        f"{mean['ssim']:.4f}",
      )
    )
  first = max(len(row[0]) for row in rows)
  lines = [
    f"model: {scores['model']}",
    f"protocol: {protocol['text']}; means {protocol['mean']}",
    f"LR: {protocol['lr']}",
    "",
  ]
  lines += [f"{a:{first}}  {b:>6}  {c:>7}  {d:>6}" for a, b, c, d in rows]
  return "\n".join(lines)


def _finish(flags: argparse.Namespace, scores: scoring.Scores) -> int:
  """Writes the files asked for and names what failed."""
  if flags.json:
    scoring.write_json(flags.json, scores)
  if flags.csv:
    scoring.write_csv(flags.csv, scores)
  messages = [
    message
    for entry in scores["sets"].values()
    for message in entry["failed"].values()
  ]
  sys.stdout.flush()
  for message in messages:
    print(f"error: {message}", file=sys.stderr)
  if messages:
    count = len(messages)
    which = "1 picture is" if count == 1 else f"{count} pictures are"
    print(f"error: {which} not in these means", file=sys.stderr)
  written = [path for path in (flags.json, flags.csv, flags.strips) if path]
  if written:
    print(f"written: {', '.join(written)}")
  return 1 if messages else 0


def _write_strip(
  folder: pathlib.Path, sample: scoring.Sample, strip: np.ndarray
) -> None:
  path = folder / sample.set / pathlib.Path(sample.file).with_suffix(".png")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise errors.EnhanceError(
      f"{path.parent}: cannot be made ({error.strerror}); choose another "
      "--strips folder"
    ) from error
  images.write_picture(path, images.Picture(strip))


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m enhance_jax.evaluate",
    description="PSNR and SSIM on test sets, under a named protocol.",
    epilog=EXAMPLES,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  what = parser.add_argument_group("what to score (one of)")
  what.add_argument(
    "--workdir", metavar="DIR", help="a finished training run's folder"
  )
  what.add_argument(
    "-n",
    "--model",
    metavar="NAME|FILE",
    help="nearest, bilinear, bicubic, lanczos, or a .safetensors file",
  )
  what.add_argument(
    "--outputs",
    metavar="DIR",
    help="ready results, matched by file name (one sub-folder a set, or one "
    "folder for all)",
  )
  _add_protocol(parser)
  _add_files(parser)
  return parser


def _add_protocol(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "--sets",
    metavar="DIR,...",
    required=True,
    help="test sets, separated by commas",
  )
  parser.add_argument(
    "-s",
    "--scale",
    type=int,
    metavar="N",
    help="enlargement; weights know their own",
  )
  parser.add_argument(
    "--protocol",
    default="y",
    metavar="y|y8|rgb",
    help="compare float luma (EDSR, RCAN), rounded luma (SRCNN, VDSR) or RGB; "
    "default y",
  )
  parser.add_argument(
    "--crop",
    type=int,
    metavar="N",
    help="pixels dropped on every side; default the scale",
  )
  parser.add_argument(
    "--ssim",
    default="wang",
    metavar="wang|daala",
    help="daala is what the SRGAN paper prints; default wang",
  )


def _add_files(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "--lr", metavar="DIR", help="ready LR pictures instead of made ones"
  )
  parser.add_argument(
    "--suffix",
    metavar="TAIL",
    help="end of the result files' stems, if several fit: _SRCNN",
  )
  parser.add_argument(
    "-t",
    "--tile",
    type=int,
    metavar="N",
    help="LR pixels a tile; less needs less memory, the result is the same",
  )
  parser.add_argument("--json", metavar="FILE", help="write all scores")
  parser.add_argument("--csv", metavar="FILE", help="write a line a picture")
  parser.add_argument(
    "--strips", metavar="DIR", help="write LR, bicubic, result, HR side by side"
  )


if __name__ == "__main__":
  errors.run_door(main)
