"""The flags of the command `upscale`, and what they say together."""

import argparse
import pathlib

from enhance_jax import errors
from enhance_jax.inference import engine, sizes
from enhance_jax.upscaling import names
from enhance_jax.video import codecs

EXAMPLES = """\
examples:
  python -m enhance_jax.upscale photo.jpg -o large.png
  python -m enhance_jax.upscale photos/ -o large/ --skip-existing
  python -m enhance_jax.upscale "trip/**/*.jpg" -o large/ --width=3840 --ext=jpg
  python -m enhance_jax.upscale photo.jpg -o sharper.png --blend=0.7
  python -m enhance_jax.upscale photo.jpg -o mine.png --workdir=runs/faces
  python -m enhance_jax.upscale clip.mp4 -o large.mp4
  python -m enhance_jax.upscale --inspect large.png

Without --model a network that comes with the project is used (`python -m
enhance_jax.zoo list` shows them). Folders are searched to the bottom and their
tree is kept. 16 bits, gray, alpha, colour profile, EXIF and XMP are kept;
inputs are never overwritten. Every result carries a record of what made it. A
network trained adversarially invents detail: a face or a number plate in its
results is no evidence.

exit status: 0 all done, 1 something failed (it is named), 2 wrong usage, 130
interrupted. Videos need ffmpeg; an interrupted one goes on where it was when
the same command is given again.
"""
EXTENSIONS = ("png", "auto", "jpg", "webp", "tif")


def parse(argv: list[str]) -> argparse.Namespace:
  """The flags; `size` is added: the wished `sizes.Size`, or None.

  Raises:
    EnhanceError: flags that are out of range, or belong to another kind of
      work than what was asked for.
  """
  flags = _parser().parse_args(argv)
  if flags.inspect:
    if flags.inputs or flags.output:
      raise errors.EnhanceError(
        "--inspect enlarges nothing; leave IN and -o out"
      )
    return flags
  if not flags.inputs or flags.output is None:
    raise errors.EnhanceError(
      "name what to enlarge and where to: "
      "python -m enhance_jax.upscale photo.jpg -o large.png"
    )
  if not 1 <= flags.quality <= 100:
    raise errors.EnhanceError(f"got --quality={flags.quality}; wanted 1 to 100")
  if flags.report is not None and flags.report.suffix != ".json":
    raise errors.EnhanceError(
      f"got --report={flags.report}; wanted a name that ends in .json"
    )
  codecs.check(flags.codec, flags.crf)
  wish = (flags.scale, flags.width, flags.height)
  flags.size = None if wish == (None, None, None) else sizes.Size(*wish)
  flags.name = names.Template(flags.name)
  sides = flags.width or flags.height
  if sides and "scale" in flags.name.fields:
    raise errors.EnhanceError(
      f"--name={flags.name} names a scale, and with --width or --height each "
      "picture has its own; leave {scale} out"
    )
  return flags


def policy(flags: argparse.Namespace) -> engine.Policy:
  """How the networks are run."""
  return engine.Policy(
    tile=flags.tile,
    seams=flags.seams,
    ensemble=flags.ensemble,
    consistent=flags.consistent,
    color_fix=flags.color_fix,
    shard_rows=flags.shard_rows,
  )


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m enhance_jax.upscale",
    usage="%(prog)s IN [IN ...] -o OUT [flags]",
    description="Enlarges pictures and videos by a trained network or an "
    "interpolation.",
    epilog=EXAMPLES,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument(
    "inputs",
    nargs="*",
    metavar="IN",
    help='pictures, videos, folders, or quoted patterns such as "a/**/*.jpg"',
  )
  parser.add_argument(
    "-o",
    "--output",
    metavar="OUT",
    help="folder, or a file's name for one input file",
  )
  _add_network(parser.add_argument_group("network"))
  _add_size(parser.add_argument_group("size"))
  _add_refinements(parser.add_argument_group("how it is run"))
  _add_files(parser.add_argument_group("files"))
  _add_video(parser.add_argument_group("video"))
  _add_questions(parser.add_argument_group("instead of enlarging"))
  return parser


def _add_network(group: argparse._ArgumentGroup) -> None:
  group.add_argument(
    "-n",
    "--model",
    metavar="NAME|FILE",
    help="a name of `zoo list`, a .safetensors file, or nearest, bilinear, "
    "bicubic, lanczos; default: the bundled network for the size",
  )
  group.add_argument(
    "--workdir", metavar="DIR", help="a finished training run's folder"
  )
  group.add_argument(
    "--blend",
    type=float,
    metavar="X",
    help="0 faithful to 1 imagined: the network between a pair",
  )
  group.add_argument(
    "--partner",
    metavar="FILE",
    help="the second network of the pair, where --model is no bundled one",
  )


def _add_size(group: argparse._ArgumentGroup) -> None:
  group.add_argument(
    "-s",
    "--scale",
    type=float,
    metavar="X",
    help="enlargement of each side, 1 to 16, such as 2.5; default: the "
    "network's own. The network goes first, resampling does the rest",
  )
  group.add_argument(
    "--width", type=int, metavar="N", help="pixels; the height follows"
  )
  group.add_argument(
    "--height",
    type=int,
    metavar="N",
    help="pixels; the width follows. With --width: fit inside both",
  )


def _add_refinements(group: argparse._ArgumentGroup) -> None:
  group.add_argument(
    "-t",
    "--tile",
    type=int,
    metavar="N",
    help="input pixels a side of a tile; less needs less memory",
  )
  group.add_argument(
    "--seams",
    default="exact",
    choices=engine.SEAMS,
    help="exact: tiles give the result of the whole picture (default); "
    "blend: faster, one tile fades into the next",
  )
  group.add_argument(
    "--shard-rows",
    action="store_true",
    help="several devices share each window by rows, in place of each taking "
    "windows of its own: for networks that see far, such as RRDB",
  )
  group.add_argument(
    "--ensemble",
    action="store_true",
    help="mean of the eight mirrored and turned pictures' results: a little "
    "more exact, eight times slower",
  )
  group.add_argument(
    "--consistent",
    action="store_true",
    help="correct each result until, made small, it is its input again; only "
    "for inputs that were themselves made small, not noisy photographs",
  )
  group.add_argument(
    "--color-fix",
    action="store_true",
    help="give each result the large-scale colours of its input",
  )
  group.add_argument(
    "--uncertainty",
    action="store_true",
    help="write NAME.uncertainty.png, how far each pixel may be off, and "
    "NAME.uncertainty-overlay.png, the same as heat over the result",
  )


def _add_files(group: argparse._ArgumentGroup) -> None:
  group.add_argument(
    "--skip-existing",
    action="store_true",
    help="keep results that are there and have the right size",
  )
  group.add_argument(
    "--overwrite", action="store_true", help="replace results that are there"
  )
  group.add_argument(
    "--name",
    default=names.DEFAULT,
    metavar="TEMPLATE",
    help="of results in a folder, from {stem}, {scale}, {model}, {suffix} and "
    f"other letters; default {names.DEFAULT}",
  )
  group.add_argument(
    "--ext",
    default="png",
    choices=EXTENSIONS,
    help="format of pictures in a folder; auto keeps the input's; default png",
  )
  group.add_argument(
    "--quality",
    type=int,
    default=95,
    metavar="N",
    help="of JPEG and WebP, 1 to 100; default 95",
  )
  group.add_argument(
    "--no-metadata",
    action="store_true",
    help="leave the inputs' EXIF, XMP, texts and colour profile out; colours "
    "are converted to sRGB. The record of what made the result stays",
  )
  group.add_argument(
    "--report",
    type=pathlib.Path,
    metavar="FILE.json",
    help="what became of every file, for scripts",
  )


def _add_video(group: argparse._ArgumentGroup) -> None:
  group.add_argument(
    "--codec",
    default=codecs.DEFAULT,
    choices=sorted(codecs.CODECS),
    help=f"default {codecs.DEFAULT}",
  )
  group.add_argument(
    "--crf",
    type=int,
    metavar="N",
    help="the codec's own measure of loss; less is better and larger; default "
    + ", ".join(
      f"{codec.crf} for {name}"
      for name, codec in codecs.CODECS.items()
      if codec.crf is not None
    ),
  )


def _add_questions(group: argparse._ArgumentGroup) -> None:
  group.add_argument(
    "--inspect",
    type=pathlib.Path,
    metavar="FILE",
    help="print what made a result, as JSON",
  )
