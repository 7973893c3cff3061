"""Starts real training runs in processes of their own."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

ROOT = pathlib.Path(__file__).resolve().parent.parent


def command(workdir: pathlib.Path, *more: str) -> list[str]:
  """The smoke run's command line."""
  return [
    sys.executable,
    "-m",
    "enhance_jax.main",
    "--config=configs/srgan.py:smoke",
    f"--workdir={workdir}",
    *more,
  ]


def environment(cache: pathlib.Path, devices: int = 1, **more: str) -> dict:
  """Variables for a run: compiled programs are shared through `cache`."""
  return {
    **os.environ,
    "XLA_FLAGS": "",
    "JAX_PLATFORMS": "cpu",
    "JAX_NUM_CPU_DEVICES": str(devices),
    "ENHANCE_CACHE": str(cache),
    **more,
  }


class Started:
  """A run in the background; its output goes to a file.

  Not to a pipe: loader processes that outlive a killed run for a moment would
  keep that open.
  """

  def __init__(self, args: list[str], env: dict):
    self._file = tempfile.TemporaryFile("w+")
    self.process = subprocess.Popen(
      args, cwd=ROOT, env=env, stdout=self._file, stderr=subprocess.STDOUT
    )

  def finish(self) -> str:
    """Waits for the end and returns the output."""
    self.process.wait(timeout=400)
    self._file.seek(0)
    with self._file:
      return self._file.read()


def run(args: list[str], env: dict, status: int = 0) -> str:
  """Runs to the end, checks the exit status and returns the output."""
  done = subprocess.run(
    args, cwd=ROOT, env=env, capture_output=True, text=True, timeout=400
  )
  output = done.stdout + done.stderr
  assert done.returncode == status, output
  return output


def kill_when(
  args: list[str],
  env: dict,
  ready: Callable[[], bool],
  number: int = signal.SIGKILL,
) -> str:
  """Starts a run and sends it a signal as soon as `ready` says so.

  Returns:
    "killed", or the output of a run that ended by itself.
  """
  started = Started(args, env)
  process = started.process
  while process.poll() is None:
    if ready():
      process.send_signal(number)
      break
    time.sleep(0.001)
  output = started.finish()
  if process.returncode == -signal.SIGKILL:
    return "killed"
  return f"{output}\nexit status {process.returncode}"


def wait_for(ready: Callable[[], bool], started: Sequence[Started]) -> None:
  """Waits until `ready` says so, as long as all runs are alive."""
  while not ready():
    for one in started:
      assert one.process.poll() is None, one.finish()
    time.sleep(0.01)


def metrics(workdir: pathlib.Path) -> list[dict]:
  """Every logged row without what is about time."""
  rows = [
    json.loads(line)
    for line in (workdir / "metrics.jsonl").read_text().splitlines()
  ]
  return [
    {k: v for k, v in row.items() if not k.startswith("timing/")}
    for row in rows
  ]


def digests(workdir: pathlib.Path) -> dict[str, str]:
  """SHA-256 of every array in the newest checkpoint."""
  folder = workdir / "checkpoints"
  newest = max(int(p.name) for p in folder.iterdir() if p.name.isdigit())
  path = folder / str(newest) / "meta" / "metadata"
  return json.loads(path.read_text())["sha256"]
