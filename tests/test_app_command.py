"""The command: refusals come before anything is opened."""

import subprocess
import sys

import pytest

from enhance_jax import errors
from enhance_jax.app import __main__ as door
from enhance_jax.app import server
from tests import runs


@pytest.fixture
def served(monkeypatch):
  """What `serve` was called with, in place of serving."""
  seen = []
  monkeypatch.setattr(server, "serve", lambda *args: seen.append(args))
  monkeypatch.delenv(door.VARIABLE, raising=False)
  return seen


def test_defaults_stay_on_this_computer(served):
  assert door.main([]) == 0
  ((models, host, port, password, limits),) = served
  assert (models, host, port, password) == ([], "127.0.0.1", 7860, None)
  assert limits.file_bytes == 64 << 20
  assert limits.result_pixels == 256_000_000
  assert limits.keep_seconds == 3600


def test_flags_become_limits(served):
  flags = ["--max-megabytes=2", "--max-megapixels=3", "--keep-minutes=4"]
  door.main([*flags, "--models", "a", "b"])
  ((models, *_, limits),) = served
  assert models == ["a", "b"]
  assert limits.file_bytes == 2 << 20 and limits.request_bytes == 8 << 20
  assert limits.result_pixels == 3_000_000 and limits.keep_seconds == 240
  with pytest.raises(errors.EnhanceError, match="--keep-minutes=0"):
    door.main(["--keep-minutes=0"])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.20", "box"])
def test_other_hosts_want_a_password(monkeypatch, host):
  monkeypatch.delenv(door.VARIABLE, raising=False)
  with pytest.raises(errors.EnhanceError, match="--password-file=FILE"):
    door.main([f"--host={host}"])


def test_passwords(served, monkeypatch, tmp_path):
  file = tmp_path / "password"
  file.write_bytes(b"correct horse\r\nnot this\n")
  door.main(["--host=0.0.0.0", f"--password-file={file}"])
  assert served[-1][3] == "correct horse"
  monkeypatch.setenv(door.VARIABLE, "battery staple")
  door.main(["--host=0.0.0.0"])
  assert served[-1][3] == "battery staple"
  door.main([f"--password-file={file}"])
  assert served[-1][3] == "correct horse"
  monkeypatch.setenv(door.VARIABLE, "")
  with pytest.raises(errors.EnhanceError, match="has 0 characters"):
    door.main(["--host=0.0.0.0"])
  file.write_text("short")
  with pytest.raises(errors.EnhanceError, match="5 characters; wanted 12"):
    door.main([f"--password-file={file}"])
  with pytest.raises(errors.EnhanceError, match="cannot be read"):
    door.main([f"--password-file={tmp_path / 'none'}"])


def test_help_does_not_wait_for_gradio():
  code = (
    "import sys, runpy\n"
    "sys.argv = ['enhance_jax.app', '--help']\n"
    "try:\n"
    "  runpy.run_module('enhance_jax.app', None, '__main__', True)\n"
    "except SystemExit as stop:\n"
    "  assert not stop.code, stop.code\n"
    "heavy = {'jax', 'gradio', 'fastapi', 'matplotlib'} & set(sys.modules)\n"
    "assert not heavy, heavy\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], cwd=runs.ROOT, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  assert "--password-file" in done.stdout


def test_missing_gradio_is_said(monkeypatch, tmp_path):
  monkeypatch.setitem(sys.modules, "gradio", None)
  for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR"):
    monkeypatch.setenv(name, "")
  for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE"):
    monkeypatch.setenv(name, "")
  with pytest.raises(errors.EnhanceError, match=r"pip install '\.\[app\]'"):
    server._import_gradio(tmp_path)
