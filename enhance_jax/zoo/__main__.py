"""Command: shows weights, blends two of them, scores what lies between."""

import argparse
import json
import pathlib
import sys

from enhance_jax import errors, zoo

EXAMPLES = """\
examples:
  python -m enhance_jax.zoo show runs/faces/generator.safetensors
  python -m enhance_jax.zoo blend pixel.safetensors gan.safetensors \\
      --alpha=0.8 -o blended.safetensors
  python -m enhance_jax.zoo sweep pixel.safetensors gan.safetensors \\
      --sets=set5,set14 --metrics=psnr,ssim,niqe -o sweep
"""
# Of a card, what the first lines say already.
_SAID = ("format", "model", "kwargs", "scale", "channels", "generative")


def main(argv: list[str]) -> int:
  """Runs one of the three verbs; 1 if a picture could not be scored."""
  flags = _parser().parse_args(argv)
  return {"show": _show, "blend": _blend, "sweep": _sweep}[flags.verb](flags)


def _show(flags: argparse.Namespace) -> int:
  path = _weights(flags.file)
  generator = zoo.load_generator(path)
  arrays = zoo.flatten(generator.variables)
  sizes = {
    kind: [x.size for name, x in arrays.items() if name.startswith(kind)]
    for kind in ("params/", "batch_stats/")
  }
  parameters, statistics = sizes.values()
  options = ", ".join(f"{k}={v}" for k, v in generator.kwargs.items())
  scales = generator.card.get("scales", [generator.module.scale])
  print(f"file        {path}, {path.stat().st_size:,} bytes")
  print(f"sha256      {generator.sha256}")
  print(f"model       {generator.model}({options})")
  print(f"enlarges    {' or '.join(f'x{scale}' for scale in scales)}")
  print(
    f"parameters  {sum(parameters):,} in {len(parameters)} arrays, and "
    f"{sum(statistics):,} running statistics"
  )
  invented = (
    "yes, its fine detail is invented" if generator.card["generative"] else "no"
  )
  print(f"generative  {invented}")
  rest = {k: v for k, v in generator.card.items() if k not in _SAID}
  print("card        " + json.dumps(rest, indent=2, ensure_ascii=False))
  return 0


def _weights(text: str) -> pathlib.Path:
  return pathlib.Path(text.removesuffix(zoo.SUFFIX) + zoo.SUFFIX)


def _blend(flags: argparse.Namespace) -> int:
  out = _weights(flags.output)
  if out.exists():
    raise errors.EnhanceError(f"-o {out} is already there; choose another name")
  made = zoo.blend(
    zoo.load_generator(flags.first),
    zoo.load_generator(flags.second),
    flags.alpha,
  )
  zoo.save_generator(
    out,
    model=made.model,
    kwargs=made.kwargs,
    variables=made.variables,
    card=made.card,
  )
  print(
    f"{1 - flags.alpha:g} of {flags.first} and {flags.alpha:g} of "
    f"{flags.second}: {out}"
  )
  return 0


def _sweep(flags: argparse.Namespace) -> int:
  # Here: it brings the metrics with it.
  from enhance_jax import sweep

  outcome = sweep.sweep(
    flags.first,
    flags.second,
    [folder for folder in flags.sets.split(",") if folder],
    flags.output,
    steps=flags.steps,
    metrics=[name for name in flags.metrics.split(",") if name],
    weights=flags.weights,
    color=flags.protocol,
    tile=flags.tile,
    say=lambda line: print(line, flush=True),
  )
  for message in outcome.failures:
    print(f"error: {message}", file=sys.stderr)
  print(f"written: {', '.join(map(str, outcome.files))}")
  return 1 if outcome.failures else 0


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m enhance_jax.zoo",
    description="Shows weights, blends two of them, scores what lies between.",
    epilog=EXAMPLES,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
  show = verbs.add_parser("show", help="a file's card, parameters and size")
  show.add_argument("file", metavar="FILE", help="a .safetensors file")
  blend = verbs.add_parser("blend", help="(1 - alpha) A + alpha B as a file")
  _add_parents(blend)
  blend.add_argument(
    "--alpha",
    type=float,
    required=True,
    metavar="X",
    help="0 is A, 1 is B; ESRGAN's authors like 0.8",
  )
  blend.add_argument(
    "-o", "--output", required=True, metavar="C", help="the new file"
  )
  sweep = verbs.add_parser(
    "sweep", help="scores, curve and pictures from alpha 0 to 1"
  )
  _add_parents(sweep)
  _add_sweep(sweep)
  return parser


def _add_parents(parser: argparse.ArgumentParser) -> None:
  parser.allow_abbrev = False
  parser.add_argument(
    "first", metavar="A", help="weights at alpha 0, trained for PSNR"
  )
  parser.add_argument(
    "second", metavar="B", help="weights at alpha 1, trained on from A"
  )


def _add_sweep(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "--sets",
    required=True,
    metavar="DIR,...",
    help="test sets, separated by commas",
  )
  parser.add_argument(
    "--steps",
    type=int,
    default=5,
    metavar="N",
    help="steps from alpha 0 to 1; default 5, that is 0.2 each",
  )
  parser.add_argument(
    "--metrics",
    default="psnr,ssim",
    metavar="NAME,...",
    help="drawn over PSNR; default psnr,ssim",
  )
  parser.add_argument(
    "--weights",
    metavar="DIR",
    help="what metrics need: network, head and NIQE files",
  )
  parser.add_argument(
    "--protocol",
    default="y",
    metavar="y|y8|rgb",
    help="compare float luma, rounded luma or RGB; default y",
  )
  parser.add_argument(
    "-t", "--tile", type=int, metavar="N", help="LR pixels a tile"
  )
  parser.add_argument(
    "-o", "--output", required=True, metavar="FOLDER", help="for the results"
  )


if __name__ == "__main__":
  errors.run_door(main)
