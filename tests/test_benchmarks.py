"""The benchmarks run; what they measure is not tested here."""

import subprocess
import sys

import pytest

from tests import runs


@pytest.mark.slow
def test_the_training_step_is_measured_without_a_peer(tmp_path):
  done = subprocess.run(
    [
      sys.executable,
      "benchmarks/train_step.py",
      "--no-torch",
      "--crop=32",
      "--batch=2",
      "--steps=1",
      "--rounds=1",
      "--width=4",
      "--blocks=1",
    ],
    cwd=runs.ROOT,
    env=runs.environment(tmp_path),
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  rows = [line.split("|") for line in done.stdout.splitlines() if "|" in line]
  names = [row[1].strip() for row in rows]
  assert names[2:] == ["ours", "ours, Grain loader"]
  assert float(rows[2][2]) > 0 and float(rows[2][3]) > 0
  assert "no peer was measured" in done.stdout


def test_a_crop_that_the_networks_cannot_take_is_refused():
  done = subprocess.run(
    [sys.executable, "benchmarks/train_step.py", "--crop=50"],
    cwd=runs.ROOT,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 2
  assert "--crop=50: wanted a multiple of 16" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("film", [False, True])
def test_inference_is_measured_without_a_peer(tmp_path, film):
  flags = ["--frames", "--batch=1"] if film else ["--sides=16,24"]
  done = subprocess.run(
    [
      sys.executable,
      "benchmarks/inference.py",
      "--no-peers",
      "--networks=espcn",
      "--rounds=1",
      *flags,
    ],
    cwd=runs.ROOT,
    env=runs.environment(tmp_path),
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  if film:
    assert "frames/s of 480x270 -> 1920x1080" in done.stdout
    assert "GFLOP" in done.stdout and "roofline of cpu is not" in done.stdout
    return
  rows = [line.split("|") for line in done.stdout.splitlines() if "|" in line]
  assert [row[1].strip() for row in rows[2:]] == [
    "espcn, 16x16",
    "espcn, 24x24",
  ]
  assert all(row[2].strip() == "ours" and float(row[4]) > 0 for row in rows[2:])


def test_a_network_that_is_not_measured_is_refused():
  done = subprocess.run(
    [sys.executable, "benchmarks/inference.py", "--networks=vgg"],
    cwd=runs.ROOT,
    capture_output=True,
    text=True,
  )
  assert (
    done.returncode == 2 and "--networks=vgg: wanted some of" in done.stderr
  )
