"""A copy of the project in which launch scripts run with stand-ins only."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOOLS = (
  "bash cat cp dirname env flock hostname ls mkdir mktemp mv nohup rm sed sleep"
  " tail tar gzip"
).split()

# Stands in for an interpreter: `venv` copies it, `pip` obeys $FAKE_PIP, and
# whatever needs a real Python gets the one that runs the tests.
FAKE_PYTHON = """#!/bin/bash
case "$1 $2" in
  "-I -c")
    if [[ "$3" == *ensurepip* ]]; then echo "{version}"; exit "{status}"; fi
    exec "{real}" "$@" ;;
  "-I -") exec "{real}" "$@" ;;
  "-m venv")
    mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; echo "venv $0" >>"$LOG" ;;
  "-I -m") echo "${{*:3}}" >>"$LOG"; eval "$FAKE_PIP" ;;
  "-P -m") exec "{real}" "$@" ;;
  *) echo "$* data=$ENHANCE_DATA" >>"$LOG"; eval "$FAKE_TOOL" ;;
esac
"""

# Stands in for enhance_jax.main: records how it was called, then acts.
FAKE_MAIN = """
import json, os, pathlib, signal, sys, time
me = os.environ.get("ENHANCE_PROCESS_ID", "0")
out = pathlib.Path(os.environ["LOG"]).parent / f"main-{me}.json"
def write(**more):
  keys = {k: v for k, v in os.environ.items() if k.startswith("ENHANCE_")}
  text = json.dumps(
    dict(argv=sys.argv[1:], cwd=os.getcwd(), pid=os.getpid(), env=keys, **more)
  )
  part = out.with_suffix(".part")
  part.write_text(text)
  part.replace(out)
def stop(number, frame):
  write(signal=number)
  sys.exit(5)
act = sys.argv[1:2]
if act == ["wait"]:
  signal.signal(signal.SIGTERM, stop)
  signal.signal(signal.SIGINT, stop)
if act == ["deaf"]:
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
write()
if act == ["deaf"] and me == "1":
  sys.exit(7)
if act in (["wait"], ["deaf"]):
  time.sleep(60)
sys.exit(3 if act == ["three"] else 0)
"""


class Place:
  """A copy of the scripts in a folder with a space, and a PATH of stand-ins."""

  def __init__(self, folder: pathlib.Path) -> None:
    self.root = folder / "a project"
    self.bin = folder / "bin"
    self.log = folder / "log"
    self.home = folder / "home"
    self.elsewhere = folder / "else where"
    for made in (self.bin, self.home, self.elsewhere, self.root / ".ci"):
      made.mkdir(parents=True)
    shutil.copytree(ROOT / "launch", self.root / "launch")
    shutil.copy(ROOT / ".ci/run", self.root / ".ci/run")
    for name in ("requirements.txt", "pyproject.toml"):
      shutil.copy(ROOT / name, self.root / name)
    (self.root / "enhance_jax").mkdir()
    (self.root / "enhance_jax/__init__.py").touch()
    (self.root / "enhance_jax/main.py").write_text(FAKE_MAIN)
    for tool in TOOLS:
      if found := shutil.which(tool):
        (self.bin / tool).symlink_to(found)

  def program(self, name: str, text: str) -> pathlib.Path:
    path = self.bin / name
    path.write_text(text)
    path.chmod(0o755)
    return path

  def python(
    self, name: str, version: str = "3.11", status: int = 0
  ) -> pathlib.Path:
    real = sys.executable
    return self.program(
      name, FAKE_PYTHON.format(version=version, status=status, real=real)
    )

  def start(self, script: str, *args: str, **env: str) -> subprocess.Popen[str]:
    clean = {"PATH": str(self.bin), "HOME": str(self.home)}
    return subprocess.Popen(
      ["bash", str(self.root / script), *args],
      env={**clean, "LOG": str(self.log), **env},
      cwd=self.elsewhere,
      stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )

  def run(self, script: str, *args: str, **env: str) -> tuple[int, str]:
    with self.start(script, *args, **env) as process:
      output, _ = process.communicate(timeout=30)
    return process.returncode, output

  def main(self, process: int = 0) -> dict:
    return json.loads((self.log.parent / f"main-{process}.json").read_text())

  def calls(self, word: str) -> list[str]:
    lines = self.log.read_text().splitlines() if self.log.exists() else []
    return [line for line in lines if word in line]


def wait_for(condition, seconds: float = 10) -> None:
  end = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < end, "the awaited thing did not happen"
    time.sleep(0.02)


def ended(pid: int) -> bool:
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return True
  return False
