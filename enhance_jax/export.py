"""Command: writes networks for other runtimes, StableHLO or ONNX."""

import argparse
import pathlib

from enhance_jax import cache, deploy, errors, zoo
from enhance_jax.inference import named

EXAMPLES = """\
examples:
  python -m enhance_jax.export compact_x4 -o compact_x4.onnx --format=onnx
  python -m enhance_jax.export faces.safetensors -o faces.stablehlo \\
      --format=stablehlo --dtype=bfloat16 --sets=set5,set14
  python -m enhance_jax.export --workdir=runs/faces -o faces.onnx \\
      --format=onnx --dtype=int8 --calibrate=photographs --sets=set5

An ONNX file takes and gives float32 [batch, channels, height, width] in
[0, 1], RGB or luma, of any size; `deploy.load` reads both formats. Beside OUT
stands OUT.json: what it takes, where its weights are from, what its type costs.
"""


def main(argv: list[str]) -> int:
  """Exports one network and says what was written."""
  flags = _parser().parse_args(argv)
  if (flags.model is None) == (flags.workdir is None):
    raise errors.EnhanceError(
      "name one network: MODEL, or --workdir=DIR of a finished run"
    )
  path = named.weights(flags.model, flags.workdir, flags.scale)
  out = pathlib.Path(flags.output)
  cache.enable_compilation_cache()
  metadata = deploy.export(
    zoo.load_generator(path, scale=flags.scale),
    out,
    deploy.Request(
      format=flags.format,
      dtype=flags.dtype,
      size=_size(flags.size),
      calibrate=flags.calibrate,
      sets=tuple(name for name in (flags.sets or "").split(",") if name),
      color=flags.protocol,
    ),
  )
  for line in _report(metadata):
    print(line)
  print(f"written: {out}, {out}.json")
  return 0


def _report(metadata: dict) -> list[str]:
  """What an artefact is and what it costs, a line each."""
  sides = metadata["input"]["shape"]
  lines = [
    f"{metadata['model']} x{metadata['scale']}, {metadata['format']}, "
    f"{metadata['bytes']:,} bytes; arithmetic: {metadata['arithmetic']}",
    f"input {metadata['input']['layout']} "
    f"[{', '.join(map(str, sides))}] float32 in [0, 1]; differs from the "
    f"network by {metadata['difference']:.1e} of its peak on a probe",
  ]
  if metadata["generative"]:
    lines.append(
      "note: it was trained adversarially; the fine detail in its pictures is "
      "invented, not recovered"
    )
  if "loss" in metadata:
    loss = metadata["loss"]
    lines += [f"protocol: {loss['protocol']}", f"LR: {loss['lr']}"]
    for name, row in loss["sets"].items():
      pictures = "picture" if row["images"] == 1 else "pictures"
      lines.append(
        f"{name}, {row['images']} {pictures}: {row['psnr']:.3f} dB, float32 "
        f"{row['psnr_float32']:.3f} dB, loss {row['loss']:+.3f} dB; against "
        f"the float32 result {float(row['psnr_to_float32']):.2f} dB"
      )
  return lines


def _size(text: str | None) -> tuple[int, int] | None:
  if text is None:
    return None
  sides = text.split("x")
  if len(sides) != 2 or not all(s.isdecimal() and int(s) > 0 for s in sides):
    raise errors.EnhanceError(
      f"--size={text} is no size; wanted HEIGHTxWIDTH, such as 270x480"
    )
  return int(sides[0]), int(sides[1])


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m enhance_jax.export",
    description="Writes a network as a file for other runtimes.",
    epilog=EXAMPLES,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument(
    "model",
    nargs="?",
    metavar="MODEL",
    help="bundled weights by name, or a .safetensors file",
  )
  parser.add_argument(
    "--workdir", metavar="DIR", help="a finished training run's folder"
  )
  parser.add_argument(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="the new file: NAME.stablehlo or NAME.onnx",
  )
  parser.add_argument("--format", required=True, choices=deploy.FORMATS)
  parser.add_argument(
    "--dtype",
    default="float32",
    choices=deploy.DTYPES,
    help="how kernels are kept, and where the runtime can, computed with; "
    "default float32",
  )
  parser.add_argument(
    "-s",
    "--scale",
    type=int,
    metavar="N",
    help="enlargement, for weights that have several",
  )
  parser.add_argument(
    "--size",
    metavar="HxW",
    help="for pictures of this height and width alone; default: for any",
  )
  _add_small_types(parser)
  return parser


def _add_small_types(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "--calibrate",
    metavar="DIR",
    help="photographs that show the ranges of activations, for int8 in ONNX",
  )
  parser.add_argument(
    "--sets",
    metavar="DIR,...",
    help="test sets to measure the loss of PSNR on, separated by commas",
  )
  parser.add_argument(
    "--protocol",
    default="y",
    metavar="y|y8|rgb",
    help="of that PSNR: float luma, rounded luma or RGB; default y",
  )


if __name__ == "__main__":
  errors.run_door(main)
