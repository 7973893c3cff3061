"""Command: scores weights, interpolations or ready results on test sets."""

import argparse
import pathlib
import sys

import numpy as np

from enhance_jax import errors, images, measures, scoring
from enhance_jax.inference import engine

EXAMPLES = """\
examples:
  python -m enhance_jax.evaluate --model=bicubic --scale=4 --sets=set5,set14
  python -m enhance_jax.evaluate --workdir=runs/faces --sets=faces/test \\
      --metrics=psnr,ssim,lpips_squeeze,niqe --weights=weights \\
      --csv=scores.csv --strips=strips
  python -m enhance_jax.evaluate --outputs=results --scale=4 --sets=set5
  python -m enhance_jax.evaluate --fit-niqe=photographs -o niqe.npz

A set is a folder of HR pictures, or a folder with a sub-folder HR. Low
resolution is made from it with MATLAB's bicubic unless --lr is given.
"""
METRICS = f"""\
comma-separated, default {",".join(measures.DEFAULT)}; higher is better:
{", ".join(k for k, v in measures.KINDS.items() if v.better == "higher")};
lower: {", ".join(k for k, v in measures.KINDS.items() if v.better == "lower")}
"""


def main(argv: list[str]) -> int:
  """Scores, prints the table, writes what was asked for; 1 if any failed."""
  flags = _parser().parse_args(argv)
  if flags.fit_niqe is not None or flags.output is not None:
    return _fit_niqe(flags)
  sets = [folder for folder in (flags.sets or "").split(",") if folder]
  if not sets:
    raise errors.EnhanceError("no test set was named; wanted --sets=DIR,...")
  source, scale, name = _source(flags)
  crop = scale if flags.crop is None else flags.crop
  protocol = scoring.Protocol(flags.protocol, crop, flags.ssim)

  def observe(sample: scoring.Sample) -> None:
    if sys.stderr.isatty():
      values = ", ".join(
        f"{measures.KINDS[key].title} {value:.{measures.KINDS[key].decimals}f}"
        for key, value in sample.values.items()
      )
      print(f"{sample.set}/{sample.file}: {values}", file=sys.stderr)
    if flags.strips:
      strip = scoring.comparison_strip(sample, protocol, name=name)
      _write_strip(pathlib.Path(flags.strips), sample, strip)

  scores = scoring.score_sets(
    source,
    sets,
    scale=scale,
    protocol=protocol,
    metrics=_metrics(flags),
    lr=flags.lr,
    suffix=flags.suffix,
    observe=observe,
  )
  print(table(scores))
  return _finish(flags, scores)


def table(scores: scoring.Scores) -> str:
  """Model, protocol and metrics in words, then one aligned line a set."""
  protocol = scores["protocol"]
  kinds = {name: measures.KINDS[name] for name in protocol["metrics"]}
  rows = [["set", "images", *(kind.title for kind in kinds.values())]]
  for name, entry in scores["sets"].items():
    means = [
      f"{entry['mean'][key]:.{kind.decimals}f}" for key, kind in kinds.items()
    ]
    rows.append([name, str(len(entry["images"])), *means])
  widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
  lines = [
    f"model: {scores['model']}",
    f"protocol: {protocol['text']}; means {protocol['mean']}",
    f"LR: {protocol['lr']}",
    *(f"{name}: {text}" for name, text in protocol["metrics"].items()),
    "",
  ]
  for first, *others in rows:
    cells = zip(others, widths[1:], strict=True)
    numbers = "".join(f"  {cell:>{width}}" for cell, width in cells)
    lines.append(f"{first:{widths[0]}}{numbers}")
  return "\n".join(lines)


def _fit_niqe(flags: argparse.Namespace) -> int:
  if flags.fit_niqe is None or flags.output is None:
    raise errors.EnhanceError(
      "NIQE parameters are fitted by --fit-niqe=FOLDER -o FILE.npz, and both "
      "are needed for it"
    )
  count = measures.fit_niqe(flags.fit_niqe, flags.output)
  print(f"NIQE parameters of {count} photographs written: {flags.output}")
  return 0


def _source(
  flags: argparse.Namespace,
) -> tuple[engine.Engine | str, int, str]:
  """What is scored, its enlargement, and its name."""
  named = [flags.workdir, flags.model, flags.outputs]
  if sum(value is not None for value in named) != 1:
    raise errors.EnhanceError(
      "name one thing to score: --workdir=DIR, --model=NAME or "
      "FILE.safetensors, or --outputs=DIR of ready results"
    )
  if flags.outputs is None:
    policy = engine.Policy(
      tile=flags.tile, ensemble=flags.ensemble, consistent=flags.consistent
    )
    upscaler = engine.open_model(
      flags.model, flags.workdir, flags.scale, policy
    )
    return upscaler, upscaler.scale, upscaler.name
  if flags.ensemble or flags.consistent:
    raise errors.EnhanceError(
      "--ensemble and --consistent change how a model is run; --outputs names "
      "ready results, so leave them out"
    )
  if flags.scale is None:
    raise errors.EnhanceError(
      "--outputs needs the enlargement to compare at, such as --scale=4"
    )
  folder = pathlib.Path(flags.outputs)
  if not folder.is_dir():
    raise errors.EnhanceError(
      f"--outputs={flags.outputs} is no folder; wanted ready results"
    )
  return flags.outputs, flags.scale, folder.resolve().name


def _metrics(flags: argparse.Namespace) -> scoring.Metrics:
  fid = None
  if flags.fid is not None:
    fid = tuple(flags.fid.split(","))
    if len(fid) != 2:
      raise errors.EnhanceError(
        f"--fid={flags.fid} names {len(fid)} files; wanted two, HR.npz,SR.npz"
      )
  return scoring.Metrics(
    [name for name in flags.metrics.split(",") if name],
    flags.weights,
    niqe=flags.niqe,
    ma=flags.ma,
    fid=fid,
  )


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
    description="Metrics on test sets, each under a named protocol.",
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
  what.add_argument(
    "--fit-niqe",
    metavar="DIR",
    help="score nothing; fit NIQE parameters to a folder of photographs and "
    "write them to -o FILE.npz",
  )
  _add_protocol(parser)
  _add_metrics(parser)
  _add_files(parser)
  return parser


def _add_protocol(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "--sets",
    metavar="DIR,...",
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


def _add_metrics(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "--metrics",
    default=",".join(measures.DEFAULT),
    metavar="NAME,...",
    help=METRICS,
  )
  parser.add_argument(
    "--weights",
    metavar="DIR",
    help="folder of network, LPIPS head and NIQE parameter files; default "
    "$ENHANCE_CACHE, else ~/.cache/enhance_jax",
  )
  parser.add_argument(
    "--niqe", metavar="FILE.npz", help="NIQE parameters, if not in --weights"
  )
  parser.add_argument(
    "--ma",
    metavar="SCORE|FILE.csv",
    help="Ma scores for pi: one number, or columns image and ma",
  )
  parser.add_argument(
    "--fid",
    metavar="HR.npz,SR.npz",
    help="Inception features for fid: arrays mu and sigma, or features",
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
  parser.add_argument(
    "--ensemble",
    action="store_true",
    help="average over the eight mirrored and turned pictures",
  )
  parser.add_argument(
    "--consistent",
    action="store_true",
    help="correct results until, made small, they are the input again",
  )
  parser.add_argument(
    "-o", "--output", metavar="FILE.npz", help="where --fit-niqe writes"
  )
  parser.add_argument("--json", metavar="FILE", help="write all scores")
  parser.add_argument("--csv", metavar="FILE", help="write a line a picture")
  parser.add_argument(
    "--strips", metavar="DIR", help="write LR, bicubic, result, HR side by side"
  )


if __name__ == "__main__":
  errors.run_door(main)
