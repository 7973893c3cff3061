"""Times our networks against the same ones in PyTorch and onnxruntime.

  python benchmarks/inference.py                  # on the default device
  python benchmarks/inference.py --networks=compact,fsrcnn --sides=256
  python benchmarks/inference.py --frames --dtype=bfloat16     # on a GPU

Whole pictures go through the engine, from float to float; weights are random,
as only the speed matters. Each contender runs in a process of its own; rounds
alternate, so that what else the machine does hits all alike. `--frames`
enlarges film of 480 x 270 by four, uint8 to uint8, and says what share of the
device's roofline that is.
"""

import argparse
import importlib.util
import pathlib
import sys
import tempfile
from typing import Any

# Started as a file, this has its own folder on the path and not the project's.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from benchmarks import train_step as rounds  # noqa: E402

# Name -> (model, arguments, sides of the input, timed runs of the largest).
NETWORKS: dict[str, tuple[str, dict[str, Any], tuple[int, ...], int]] = {
  "srresnet": ("srresnet", {}, (128, 256), 1),
  "rrdb": ("rrdb", {}, (64, 128), 1),
  "compact": ("compact", {"convs": 32}, (128, 256), 2),
  "fsrcnn": (
    "fsrcnn",
    {"scale": 4, "padding": "zeros"},
    (128, 256),
    10,
  ),
  "espcn": ("espcn", {"scale": 4}, (128, 256), 10),
}
# What OpenVINO or onnxruntime need of PyTorch's time on two AVX2 cores.
AIMS = {"srresnet": 0.64, "rrdb": 0.78, "compact": 0.60, "fsrcnn": 0.55}
FILM = (270, 480)

OURS = "ours"
EAGER = "PyTorch eager"
# Name -> (module, variant, package that it needs).
CONTENDERS = {
  OURS: ("benchmarks.inference_jax", "engine", "jax"),
  EAGER: ("benchmarks.inference_torch", "eager", "torch"),
  "PyTorch channels_last": (
    "benchmarks.inference_torch",
    "channels_last",
    "torch",
  ),
  "onnxruntime, our export": (
    "benchmarks.inference_jax",
    "onnx",
    "onnxruntime",
  ),
}


def _arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add("--networks", default=",".join(NETWORKS), help="names, by commas (all)")
  add("--sides", default="", help="input sides, by commas (each network's)")
  add("--rounds", type=int, default=3, help="processes a contender (3)")
  add("--dtype", choices=("float32", "bfloat16"), default="float32")
  add("--threads", type=int, default=0, help="processor cores to use (all)")
  add("--no-peers", action="store_true", help="measure ours alone")
  add("--frames", action="store_true", help="film, in frames a second")
  add("--batch", type=int, default=16, help="frames at a time (16)")
  args = parser.parse_args()
  args.networks = [name for name in args.networks.split(",") if name]
  for name in args.networks:
    if name not in NETWORKS:
      parser.error(f"--networks={name}: wanted some of {', '.join(NETWORKS)}")
  try:
    args.sides = [int(side) for side in args.sides.split(",") if side]
  except ValueError:
    parser.error(f"--sides={args.sides}: wanted numbers")
  for name, least in (("rounds", 1), ("batch", 1)):
    if getattr(args, name) < least:
      parser.error(f"--{name}={getattr(args, name)}: wanted at least {least}")
  if args.threads and not 1 <= args.threads <= len(rounds.cores()):
    parser.error(f"--threads={args.threads}: wanted 1 to {rounds.cores()}")
  return args


def _there(args: argparse.Namespace) -> list[str]:
  if args.no_peers or args.frames:
    return [OURS]
  return [
    name
    for name, (_, _, package) in CONTENDERS.items()
    if importlib.util.find_spec(package) is not None
  ]


def _settings(
  args: argparse.Namespace, network: str, size: tuple[int, int]
) -> dict[str, Any]:
  model, kwargs, sides, steps = NETWORKS[network]
  least = max(sides) ** 2 / (size[0] * size[1])
  return {
    "model": model,
    "kwargs": kwargs,
    "size": size,
    "dtype": args.dtype,
    "threads": args.threads,
    "frames": args.batch if args.frames else 0,
    "steps": max(1, round(steps * least)),
  }


def _measure(
  args: argparse.Namespace, names: list[str], network: str, size, cache: str
) -> dict[str, list[dict]]:
  """The rounds of every contender; prints each, and what failed."""
  results: dict[str, list[dict]] = {}
  failed = set()
  for number in range(args.rounds):
    for name in names:
      if name in failed:
        continue
      module, variant, _ = CONTENDERS[name]
      settings = {**_settings(args, network, size), "variant": variant}
      row = rounds.run(module, settings, cache)
      if isinstance(row, str):
        failed.add(name)
        print(f"{network}, {name}: not measured: {row}")
        continue
      results.setdefault(name, []).append(row)
      print(
        f"{network} {size[0]}x{size[1]}, {name}, round {number + 1}: "
        f"{row['ms']:.0f} ms, {row['cpu_s']:.2f} processor seconds; other "
        f"programs used {row['others']:.2f} cores",
        file=sys.stderr,
      )
  return results


def _lines(
  network: str, size: tuple[int, int], results: dict[str, list[dict]]
) -> list[list[str]]:
  lines = []
  for name, rows in results.items():
    aim = AIMS.get(network)
    eager = results.get(EAGER)
    lines.append(
      [
        f"{network}, {size[0]}x{size[1]}",
        name,
        f"{rounds.median(rows, 'ms'):.0f}",
        f"{rounds.median(rows, 'cpu_s'):.3f}",
        rounds.ratio(rows, eager, "ms"),
        rounds.ratio(rows, eager, "cpu_s"),
        f"{aim:.2f}" if aim and name == OURS else "-",
        f"{rows[0]['first_s']:.1f}",
        f"{rounds.median(rows, 'rss_mb'):.0f}",
      ]
    )
  return lines


def _film(network: str, rows: list[dict]) -> str:
  """A line of frames a second and the roofline's share."""
  best = min(rows, key=lambda row: row["ms"])
  fps = best["frames"] / best["ms"] * 1e3
  text = f"{network}: {fps:.2f} frames/s of 480x270 -> 1920x1080"
  flops, bytes_ = best["flops"] / best["frames"], best["bytes"] / best["frames"]
  text += f", {flops / 1e9:.1f} GFLOP and {bytes_ / 1e6:.0f} MB a frame"
  if not best["roofline_s"]:
    return f"{text}; the roofline of {best['device']} is not known"
  share = best["roofline_s"] / (best["ms"] / 1e3)
  return f"{text}; {share:.0%} of the roofline of {best['device']}"


def main() -> int:
  """Runs the command line; 1 where our own networks could not be measured."""
  args = _arguments()
  names = _there(args)
  table, film, firsts, missing = [], [], {}, []
  with tempfile.TemporaryDirectory() as cache:
    for network in args.networks:
      sides = args.sides or NETWORKS[network][2]
      sizes = [FILM] if args.frames else [(side, side) for side in sides]
      for size in sizes:
        results = _measure(args, names, network, size, cache)
        if OURS not in results:
          missing.append(network)
        elif args.frames:
          film.append(_film(network, results[OURS]))
        table += _lines(network, size, results)
        for rows in results.values():
          firsts |= {**rows[0]["versions"], "device": rows[0]["device"]}
  heads = ["network, input", "", "ms", "CPU s", "time/eager", "CPU/eager"]
  heads += ["aim", "first s", "peak MB"]
  print(
    f"enlarging, {args.dtype}, {args.rounds} rounds, medians; random weights"
  )
  print(", ".join(f"{key} {value}" for key, value in firsts.items()) + "\n")
  for line in film or [heads, ["---"] * len(heads), *table]:
    print(line if film else f"| {' | '.join(line)} |")
  print("\nfirst s: from the start of the process's work to its first result")
  print(f"rounds where others used {rounds.QUIET} cores or more are left out")
  print("where there are quieter ones; CPU s: of all threads, a picture")
  return int(bool(missing))


if __name__ == "__main__":
  sys.exit(main())
