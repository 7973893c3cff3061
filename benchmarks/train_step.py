"""Times our training step against the same networks in PyTorch.

  python benchmarks/train_step.py                # on the default device
  python benchmarks/train_step.py --no-torch --batch=16 --dtype=bfloat16

The step is SRGAN's: SRResNet, discriminator, VGG54 and adversarial loss, Adam.
VGG19's weights are random: only the speed matters. Each contender runs in a
process of its own; rounds alternate, so that what else the machine does hits
all alike.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Name -> (module, variant).
OURS = "ours"
LOADER = "ours, Grain loader"
EAGER = "PyTorch eager"
COMPILED = "PyTorch compiled"
CONTENDERS = {
  OURS: ("benchmarks.train_step_jax", "resident"),
  EAGER: ("benchmarks.train_step_torch", "eager"),
  "PyTorch channels_last": ("benchmarks.train_step_torch", "channels_last"),
  COMPILED: ("benchmarks.train_step_torch", "compiled"),
}


def measure(take: Callable[[], None], settings: dict[str, Any]) -> dict:
  """Runs `take` once, which does `steps` steps, in this warmed-up process.

  Returns:
    ms (wall) and cpu_s (processor seconds of all threads) a step, and rss_mb,
    the process's peak of resident memory from its start on.
  """
  wall, cpu = time.perf_counter(), time.process_time()
  take()
  wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  unit = 1 if sys.platform == "darwin" else 1024
  return {
    "ms": wall / settings["steps"] * 1e3,
    "cpu_s": cpu / settings["steps"],
    "rss_mb": peak * unit / 1e6,
  }


def _arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add("--batch", type=int, default=4, help="pictures a step (4)")
  add("--crop", type=int, default=96, help="HR crop, a multiple of 16 (96)")
  add("--steps", type=int, default=5, help="timed steps a round (5)")
  add("--rounds", type=int, default=3, help="processes a contender (3)")
  add("--dtype", choices=("float32", "bfloat16"), default="float32")
  add("--threads", type=int, default=0, help="processor cores to use (all)")
  add("--width", type=int, default=64, help="channels of both networks (64)")
  add("--blocks", type=int, default=16, help="residual blocks (16)")
  add("--no-torch", action="store_true", help="measure ours alone")
  args = parser.parse_args()
  for name in ("batch", "crop", "steps", "rounds", "width", "blocks"):
    if getattr(args, name) < 1:
      parser.error(f"--{name}={getattr(args, name)}: wanted at least 1")
  if args.crop % 16:
    parser.error(f"--crop={args.crop}: wanted a multiple of 16")
  cores = len(os.sched_getaffinity(0)) if _can_pin() else 0
  if args.threads and not 1 <= args.threads <= cores:
    parser.error(f"--threads={args.threads}: this machine offers 1 to {cores}")
  return args


def _can_pin() -> bool:
  return hasattr(os, "sched_getaffinity")


def _run(
  module: str, settings: dict[str, Any], cache: str
) -> dict[str, Any] | str:
  """One round of a contender: its numbers, or the last line of its failure."""
  pin = None
  if settings["threads"]:
    cores = sorted(os.sched_getaffinity(0))[: settings["threads"]]
    pin = lambda: os.sched_setaffinity(0, cores)  # noqa: E731
  done = subprocess.run(
    [sys.executable, "-m", module, json.dumps(settings)],
    cwd=ROOT,
    env={**os.environ, "ENHANCE_CACHE": cache},
    capture_output=True,
    text=True,
    preexec_fn=pin,
  )
  lines = (done.stdout if done.returncode == 0 else done.stderr).split("\n")
  last = next((line for line in reversed(lines) if line.strip()), "no output")
  if done.returncode:
    return f"failed with status {done.returncode}: {last.strip()[:160]}"
  return json.loads(last)


def _rounds(args: argparse.Namespace) -> tuple[dict[str, list[dict]], dict]:
  """Every contender's rounds, and the failures in words."""
  names = list(CONTENDERS)
  if args.no_torch or importlib.util.find_spec("torch") is None:
    names = [OURS]
  settings = {key: value for key, value in vars(args).items()}
  results: dict[str, list[dict]] = {name: [] for name in names}
  failures = {}
  with tempfile.TemporaryDirectory() as cache:
    for number in range(args.rounds):
      for name in names:
        if name in failures:
          continue
        module, variant = CONTENDERS[name]
        result = _run(module, {**settings, "variant": variant}, cache)
        if isinstance(result, str):
          failures[name] = result
          continue
        results[name].append(result)
        print(
          f"round {number + 1} of {args.rounds}, {name}: "
          f"{result['ms']:.0f} ms a step",
          file=sys.stderr,
        )
    module, _ = CONTENDERS[OURS]
    result = _run(module, {**settings, "variant": "grain"}, cache)
    if isinstance(result, str):
      failures[LOADER] = result
    else:
      results[LOADER] = [result]
  return results, failures
