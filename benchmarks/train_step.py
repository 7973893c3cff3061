"""Times our training step against the same networks in PyTorch.

  python benchmarks/train_step.py                # on the default device
  python benchmarks/train_step.py --no-torch --batch=16 --dtype=bfloat16

The step is SRGAN's: SRResNet, discriminator, VGG54 and adversarial loss, Adam.
VGG19's weights are random: only the speed matters. Each contender runs in a
process of its own; rounds alternate, so that what else the machine does hits
all alike.
"""

import argparse
import functools
import importlib.util
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A round counts if other programs used less than this, in cores: threads that
# wait actively, as PyTorch's do, suffer from company out of proportion.
QUIET = 0.15

# Name -> (module, variant).
OURS = "ours"
LOADER = "ours, Grain loader"
EAGER = "PyTorch eager"
COMPILED = "PyTorch compiled"
PEERS = {
  EAGER: ("benchmarks.train_step_torch", "eager"),
  "PyTorch channels_last": ("benchmarks.train_step_torch", "channels_last"),
  COMPILED: ("benchmarks.train_step_torch", "compiled"),
}
CONTENDERS = {
  OURS: ("benchmarks.train_step_jax", "resident"),
  LOADER: ("benchmarks.train_step_jax", "grain"),
  **PEERS,
}


def measure(take: Callable[[], None], settings: dict[str, Any]) -> dict:
  """Runs `take` once, which does `steps` steps, in this warmed-up process.

  Returns:
    ms (wall) and cpu_s (processor seconds of all threads) a step, rss_mb, the
    process's peak of resident memory from its start on, and others, the cores
    that other programs used meanwhile.
  """
  busy, wall, cpu = _busy(), time.perf_counter(), time.process_time()
  take()
  wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
  busy = _busy() - busy
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  unit = 1 if sys.platform == "darwin" else 1024
  return {
    "ms": wall / settings["steps"] * 1e3,
    "cpu_s": cpu / settings["steps"],
    "rss_mb": peak * unit / 1e6,
    "others": max(busy - cpu, 0.0) / wall,
  }


def _busy() -> float:
  """Processor seconds of all programs since the start; 0 where unknown."""
  stat = pathlib.Path("/proc/stat")
  if not stat.exists():
    return 0.0
  ticks = [int(word) for word in stat.read_text().split("\n")[0].split()[1:9]]
  # Fields 3 and 4 are idle.
  return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


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
  if args.threads and not 1 <= args.threads <= len(cores()):
    parser.error(f"--threads={args.threads}: wanted 1 to {len(cores())}")
  return args


def cores() -> list[int]:
  """The cores that a process may be pinned to; none where nothing can be."""
  if not hasattr(os, "sched_getaffinity"):
    return []
  return sorted(os.sched_getaffinity(0))


def run(module: str, settings: dict[str, Any], cache: str) -> dict | str:
  """One round of a contender: its numbers, or the last line of its failure."""
  pin = None
  if settings["threads"]:
    chosen = cores()[: settings["threads"]]
    pin = functools.partial(os.sched_setaffinity, 0, chosen)
  done = subprocess.run(
    [sys.executable, "-m", module, json.dumps(settings)],
    cwd=ROOT,
    env={
      **os.environ,
      "ENHANCE_CACHE": cache,
      "TORCHINDUCTOR_CACHE_DIR": f"{cache}/inductor",
    },
    capture_output=True,
    text=True,
    preexec_fn=pin,
  )
  lines = (done.stderr if done.returncode else done.stdout).splitlines()
  last = next((line for line in reversed(lines) if line.strip()), "no output")
  if done.returncode:
    return f"failed with status {done.returncode}: {last.strip()[:160]}"
  return json.loads(last)


def _rounds(
  args: argparse.Namespace, names: list[str]
) -> tuple[dict[str, list[dict]], dict[str, str]]:
  """The rounds of every contender, and what failed, in words."""
  results: dict[str, list[dict]] = {}
  failures: dict[str, str] = {}
  turns = [(n + 1, name) for n in range(args.rounds) for name in names]
  with tempfile.TemporaryDirectory() as cache:
    for number, name in [*turns, (1, LOADER)]:
      if name in failures:
        continue
      module, variant = CONTENDERS[name]
      result = run(module, {**vars(args), "variant": variant}, cache)
      if isinstance(result, str):
        failures[name] = result
        continue
      results.setdefault(name, []).append(result)
      print(
        f"{name}, round {number}: {result['ms']:.0f} ms, "
        f"{result['cpu_s']:.2f} processor seconds a step; other programs "
        f"used {result['others']:.2f} cores",
        file=sys.stderr,
      )
  return results, failures


def median(rows: list[dict] | None, key: str) -> float:
  """Over the quiet rounds, or all where none was quiet.

  Memory: over all rounds but the first, which compiles and has its own column.
  """
  if not rows:
    return float("nan")
  if key == "rss_mb":
    chosen = rows[1:]
  else:
    chosen = [row for row in rows if row["others"] < QUIET]
  return statistics.median(row[key] for row in chosen or rows)


def ratio(rows: list[dict], other: list[dict] | None, key: str) -> str:
  """How many times what another contender took; "-" where that is unknown."""
  quotient = median(rows, key) / (median(other, key) or float("nan"))
  return "-" if quotient != quotient else f"{quotient:.2f}"


def _table(results: dict[str, list[dict]], batch: int) -> str:
  """A Markdown table, a line a contender."""
  heads = ["", "images/s", "ms", "CPU s", "peak MB", "first", "device MB"]
  for peer in ("eager", "compiled"):
    heads += [f"time/{peer}", f"CPU/{peer}", f"memory/{peer}"]
  lines = [heads, ["---"] * len(heads)]
  for name, rows in results.items():
    ms, device = median(rows, "ms"), median(rows, "device_mb")
    line = [
      name,
      f"{batch * 1e3 / ms:.2f}",
      f"{ms:.0f}",
      f"{median(rows, 'cpu_s'):.2f}",
      f"{median(rows, 'rss_mb'):.0f}",
      f"{rows[0]['rss_mb']:.0f}",
      f"{device:.0f}" if device else "-",
    ]
    memory = "device_mb" if device else "rss_mb"
    for peer in (EAGER, COMPILED):
      other = results.get(peer)
      line += [ratio(rows, other, key) for key in ("ms", "cpu_s", memory)]
    lines.append(line)
  return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _report(
  args: argparse.Namespace,
  results: dict[str, list[dict]],
  failures: dict[str, str],
  names: list[str],
) -> None:
  firsts = [rows[0] for rows in results.values()]
  versions = {k: v for row in firsts for k, v in row["versions"].items()}
  print(
    f"SRGAN training step: batch {args.batch}, HR {args.crop}x{args.crop}, "
    f"{args.dtype}, width {args.width}, {args.blocks} blocks, "
    f"{args.threads or len(cores()) or 'all'} threads; {args.rounds} rounds "
    f"of {args.steps} steps, medians"
  )
  print("VGG19 has random weights and the inputs are arbitrary: speed only")
  print(f"machine: {platform.machine()}; " + "; ".join(_devices(firsts)))
  print("versions: " + ", ".join(f"{k} {v}" for k, v in versions.items()))
  print(f"\n{_table(results, args.batch)}\n")
  print(
    "CPU s: of all threads, a step; peak MB: resident memory of the process"
  )
  print("first: the same in the first round, which compiles; later rounds load")
  for name, rows in results.items():
    if loud := sum(row["others"] >= QUIET for row in rows):
      rest = "left out" if loud < len(rows) else "used for want of quiet ones"
      print(f"{name}: {loud} of {len(rows)} rounds were disturbed; {rest}")
  for name, reason in failures.items():
    print(f"{name}: not measured: {reason}")
  if names == [OURS]:
    print("no peer was measured: --no-torch, or PyTorch is not installed")
  for name in (OURS, LOADER):
    if name in results:
      share = median(results[name], "wait_share")
      print(f"{name}: {share:.2%} of the time is spent waiting for data")
  print("the table is on stdout, the rounds on stderr; no file is written")


def _devices(rows: list[dict]) -> list[str]:
  return list(dict.fromkeys(row["device"] for row in rows))


def main() -> int:
  """Runs the command line; 1 where our own step could not be measured."""
  args = _arguments()
  names = [OURS, *PEERS]
  if args.no_torch or importlib.util.find_spec("torch") is None:
    names = [OURS]
  results, failures = _rounds(args, names)
  _report(args, results, failures, names)
  return int(OURS not in results)


if __name__ == "__main__":
  sys.exit(main())
