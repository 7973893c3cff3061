"""The zoo command's verbs and flags."""

import argparse

EXAMPLES = """\
examples:
  python -m enhance_jax.zoo list
  python -m enhance_jax.zoo show runs/faces/generator.safetensors
  python -m enhance_jax.zoo import RealESRGAN_x4plus.pth --generative
  python -m enhance_jax.zoo export compact_x4 -o compact_x4.torch.safetensors
  python -m enhance_jax.zoo train-card compact_x4
  python -m enhance_jax.zoo blend pixel.safetensors gan.safetensors \\
      --alpha=0.8 -o blended.safetensors
  python -m enhance_jax.zoo sweep pixel.safetensors gan.safetensors \\
      --sets=set5,set14 --metrics=psnr,ssim,niqe -o sweep
"""
_NETWORK = "a .safetensors file or a bundled network's name"


def parser() -> argparse.ArgumentParser:
  """The whole command line."""
  made = argparse.ArgumentParser(
    prog="python -m enhance_jax.zoo",
    description="Weights: lists, shows, imports, exports, blends, scores them.",
    epilog=EXAMPLES,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  verbs = made.add_subparsers(dest="verb", required=True, metavar="VERB")

  def verb(name: str, words: str) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=words, allow_abbrev=False)

  verb("list", "the bundled networks")
  show = verb("show", "a network's card, parameters and size")
  show.add_argument("file", metavar="FILE|NAME", help=_NETWORK)
  _add_import(verb("import", "PyTorch weights of others as our own file"))
  _add_export(verb("export", "a network in its public PyTorch layout"))
  card = verb("train-card", "how weights came about, in Markdown")
  card.add_argument(
    "file", metavar="FILE|NAME|RUN", help=f"{_NETWORK}, or a run's folder"
  )
  _add_bundle(verb("bundle", "puts trained weights among the bundled ones"))
  blend = verb("blend", "(1 - alpha) A + alpha B as a file")
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
  sweep = verb("sweep", "scores, curve and pictures from alpha 0 to 1")
  _add_parents(sweep)
  _add_sweep(sweep)
  return made


def scales(text: str) -> tuple[int, ...]:
  """ "2,3,4" as numbers.

  Raises:
    ArgumentTypeError: a part is no whole number from 1.
  """
  parts = text.split(",")
  if not all(part.isdecimal() and int(part) for part in parts):
    raise argparse.ArgumentTypeError(f"{text!r} is no scale such as 3 or 2,3,4")
  return tuple(map(int, parts))


def option(text: str) -> tuple[str, str | bool | int | float]:
  """ "output=linear" as name and value; numbers and True, False as such.

  Raises:
    ArgumentTypeError: there is no "=" in it.
  """
  name, equals, value = text.partition("=")
  if not (name and equals):
    raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
  if value in ("True", "False"):
    return name, value == "True"
  for kind in (int, float):
    try:
      return name, kind(value)
    except ValueError:
      continue
  return name, value


def _add_import(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "file", metavar="FILE", help=".pth of any age, .safetensors or .npz"
  )
  parser.add_argument(
    "-o",
    "--output",
    metavar="OUT",
    help="the new file; default: FILE's name with .safetensors, beside it",
  )
  kind = parser.add_mutually_exclusive_group()
  kind.add_argument(
    "--generative",
    action="store_const",
    const=True,
    help="a discriminator took part in its training",
  )
  kind.add_argument(
    "--faithful",
    dest="generative",
    action="store_const",
    const=False,
    help="none did",
  )
  parser.add_argument(
    "--scale",
    type=scales,
    default=(),
    metavar="N,...",
    help="for networks whose arrays do not tell it: srcnn, vdsr, fsrcnn",
  )
  parser.add_argument(
    "--set",
    type=option,
    action="append",
    default=[],
    metavar="NAME=VALUE",
    help="an option of the network that no array tells: residual_scale=0.1",
  )
  parser.add_argument(
    "--prefix",
    metavar="TEXT",
    help="what stands before the names, where a file holds several networks",
  )
  parser.add_argument(
    "--anyway",
    action="store_true",
    help="take weights whose test picture looks wrong",
  )


def _add_export(parser: argparse.ArgumentParser) -> None:
  parser.add_argument("file", metavar="FILE|NAME", help=_NETWORK)
  parser.add_argument(
    "-o", "--output", required=True, metavar="OUT", help="the new file"
  )
  parser.add_argument(
    "--layout",
    metavar="NAME",
    help="whose names; default: those it was imported from, or the usual ones",
  )


def _add_bundle(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "file", metavar="RUN|FILE", help="a run's folder, or one of its weights"
  )
  parser.add_argument("name", metavar="NAME", help="such as compact_x4")
  parser.add_argument(
    "--half", action="store_true", help="store float16, in half the bytes"
  )
  parser.add_argument(
    "--note", default="", metavar="TEXT", help="for the card: data, thanks"
  )


def _add_parents(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "first", metavar="A", help=f"at alpha 0, trained for PSNR: {_NETWORK}"
  )
  parser.add_argument(
    "second", metavar="B", help="at alpha 1, trained on from A"
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
