"""Imports run one way, and light commands stay light."""

import ast
import subprocess
import sys

import pytest

from tests import runs

PACKAGE = runs.ROOT / "enhance_jax"

# Each layer may import itself and the layers above it in this list.
LAYERS = (
  {"errors", "cache", "sixteen_bit", "picture_metadata"},
  {"registry", "published_tables"},
  {"config", "published"},
  {"config_check"},
  {"command_line"},
  {"picture_reader"},
  {"picture_rows"},
  {"picture_writer"},
  {"images"},
  {"resample"},
  {"data", "models", "losses", "metrics"},
  {"weights", "torch_files"},
  {"backbones"},
  {"checkpoint", "zoo", "figures"},
  {"measures"},
  {"train", "inference"},
  {"testsets"},
  {"scoring"},
  {"sweep_figures"},
  {"sweep", "validation", "reporting"},
  {"experiment"},
  {"video"},
  {"deploy", "upscaling", "app"},
  {
    "main",
    "evaluate",
    "upscale",
    "report",
    "calibrate",
    "export",
    "zoo.__main__",
    "app.__main__",
  },
)
# Side by side in a layer, yet strangers to each other.
APART = (
  ("data", "models"),
  ("data", "losses"),
  ("models", "losses"),
  ("models", "data"),
  ("models", "metrics"),
  ("losses", "data"),
  ("losses", "metrics"),
  ("metrics", "losses"),
  ("train", "inference"),
  ("train", "metrics"),
  ("inference", "train"),
)
DOORS = LAYERS[-1]
# The configuration stays with those who build a run from it.
READS_CONFIG = {
  "config",
  "config_check",
  "command_line",
  "data",
  "train",
  "validation",
  "experiment",
  "main",
}


def _files():
  return sorted(PACKAGE.rglob("*.py"))


def _room(path) -> str:
  parts = path.relative_to(PACKAGE).with_suffix("").parts
  return ".".join(parts) if parts[-1] == "__main__" else parts[0]


def _imports(path) -> set[tuple[str, ...]]:
  """Dotted names below the package, anywhere in the file."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{path}: relative import"
      found |= {f"{node.module}.{alias.name}" for alias in node.names}
  names = {tuple(name.split(".")) for name in found}
  return {name[1:] for name in names if name[0] == "enhance_jax"}


def _layer(room: str) -> int:
  return next(i for i, rooms in enumerate(LAYERS) if room in rooms)


def test_every_room_has_its_place():
  rooms = {_room(path) for path in _files()} - {"__init__"}
  assert rooms == set().union(*LAYERS)


@pytest.mark.parametrize(
  "path", _files(), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_imports_run_one_way(path):
  room = _room(path)
  if room == "__init__":
    return
  for name in _imports(path):
    other = name[0]
    assert _layer(other) <= _layer(room), f"{path} imports {other}"
    assert (room, other) not in APART, f"{path} imports {other}"
    assert other not in DOORS or other == room, f"{path} imports a door"
    if other == "config":
      assert room in READS_CONFIG, f"{path} sees the configuration"


def test_only_mesh_names_devices():
  for path in _files():
    if path.name == "mesh.py" or _room(path) == "inference":
      continue
    text = path.read_text()
    for word in ("jax.devices", "default_backend", "device_count"):
      assert word not in text, f"{path} names devices"


@pytest.mark.parametrize(
  "command",
  sorted(door.removesuffix(".__main__") for door in DOORS),
)
def test_help_does_not_wait_for_heavy_packages(command):
  code = (
    "import sys, runpy\n"
    f"sys.argv = ['enhance_jax.{command}', '--help']\n"
    "try:\n"
    f"  runpy.run_module('enhance_jax.{command}', None, '__main__', True)\n"
    "except SystemExit as stop:\n"
    "  assert not stop.code, stop.code\n"
    "heavy = {'jax', 'flax', 'tensorflow', 'grain', 'orbax', 'matplotlib'}\n"
    "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", code],
    cwd=runs.ROOT,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  assert "--" in done.stdout
