"""The page served by a process of its own, whose every look-up is noted."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from tests import runs

# Notes whatever the process asks a name server, or connects to.
SPY = """\
import runpy, sys
def note(event, args):
  if event in ("socket.getaddrinfo", "socket.gethostbyname"):
    print("NETWORK", args[0], flush=True)
  elif event in ("socket.connect", "socket.sendto"):
    print("NETWORK", args[1], flush=True)
sys.addaudithook(note)
runpy.run_module("enhance_jax.app", None, "__main__", True)
"""


class Server:
  """A running page.

  Attributes:
    address: http://127.0.0.1:PORT
    temporary: where its folder lies, and nothing else.
  """

  def __init__(self, folder: pathlib.Path, flags, **variables):
    with socket.socket() as free:
      free.bind(("127.0.0.1", 0))
      port = free.getsockname()[1]
    self.address = f"http://127.0.0.1:{port}"
    self.temporary = folder / "temporary"
    self.temporary.mkdir()
    self._log = folder / "log"
    environment = {
      **os.environ,
      "JAX_PLATFORMS": "cpu",
      "JAX_NUM_CPU_DEVICES": "1",
      "ENHANCE_CACHE": str(folder / "cache"),
      "TMPDIR": str(self.temporary),
      **variables,
    }
    with self._log.open("w") as log:
      self.process = subprocess.Popen(
        [sys.executable, "-c", SPY, f"--port={port}", *flags],
        cwd=runs.ROOT,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
      )

  def wait(self) -> None:
    """Until it answers, whatever it answers."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
      assert self.process.poll() is None, self.log()
      try:
        urllib.request.urlopen(self.address, timeout=5).close()
        return
      except urllib.error.HTTPError:
        return
      except OSError:
        time.sleep(0.2)
    raise AssertionError(f"no answer: {self.log()}")

  def log(self) -> str:
    """All that it has written."""
    return self._log.read_text()

  def reached(self) -> set[str]:
    """What it looked up or connected to beyond this machine."""
    lines = [x for x in self.log().splitlines() if x.startswith("NETWORK")]
    own = ("127.0.0.1", "localhost", "('127.0.0.1'", "None", "::1")
    return {x for x in lines if not x.split(" ", 1)[1].startswith(own)}

  def stop(self) -> None:
    """As Ctrl-C does."""
    self.process.terminate()
    try:
      self.process.wait(30)
    except subprocess.TimeoutExpired:
      self.process.kill()
      self.process.wait()


@contextlib.contextmanager
def serving(folder, flags, **variables):
  """A server that has answered once; stopped at the end."""
  server = Server(folder, flags, **variables)
  try:
    server.wait()
    yield server
  finally:
    server.stop()
