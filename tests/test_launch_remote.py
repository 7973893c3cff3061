"""Launching under Slurm and on Cloud TPUs, with stand-ins for both."""

import os
import pathlib
import shutil
import signal

import pytest

from tests.launch_place import Place, ended, wait_for

# Each records its arguments, one call a line; srun then runs the command.
SRUN = """#!/bin/bash
printf 'srun %s ' "$@" >>"$LOG"; echo >>"$LOG"
shift
exec "$@"
"""
SCANCEL = """#!/bin/bash
echo "scancel $*" >>"$LOG"
kill -TERM "$(cat "$LOG.pid")"
"""
RECORD = """#!/bin/bash
echo "{name} $*" >>"$LOG"
{then}
"""


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
  """Python, Slurm's commands and gcloud, all stand-ins."""
  place = Place(tmp_path)
  place.python("python3.11")
  place.program("srun", SRUN)
  place.program("scancel", SCANCEL)
  place.program("scontrol", RECORD.format(name="scontrol", then=""))
  return place


def test_slurm_dry_run_prints_the_step(place: Place) -> None:
  status, output = place.run("launch/slurm.sbatch", "--dry-run", "--x=a b")
  assert status == 0
  assert "ENHANCE_DISTRIBUTED=1" in output
  assert "srun --kill-on-bad-exit=1" in output and "--x=a\\ b" in output
  assert not place.log.exists()


def test_slurm_job_finds_the_project_from_its_spooled_copy(
  place: Place,
) -> None:
  spooled = place.elsewhere / "slurm_script"
  shutil.copy(place.root / "launch/slurm.sbatch", spooled)
  job = {"SLURM_JOB_ID": "8", "SLURM_SUBMIT_DIR": str(place.root)}
  status, _ = place.run(str(spooled), "three", "--workdir=w", **job)
  assert status == 3
  assert place.main()["argv"] == ["three", "--workdir=w"]
  assert place.main()["env"]["ENHANCE_DISTRIBUTED"] == "1"
  job["SLURM_SUBMIT_DIR"] = str(place.elsewhere)
  status, output = place.run(str(spooled), **job)
  assert status == 1 and "submit the job from" in output


def test_slurm_installs_cuda_for_gpus(place: Place) -> None:
  job = {"SLURM_JOB_ID": "8", "SLURM_GPUS_ON_NODE": "2"}
  status, _ = place.run("launch/slurm.sbatch", SLURM_NTASKS_PER_NODE="2", **job)
  assert status == 0
  assert place.calls("pip install")[0].endswith("jax[cuda13]")


@pytest.mark.parametrize(
  "setting", [{"SLURM_NTASKS_PER_NODE": "1"}, {"SLURM_GPUS_PER_TASK": "1"}]
)
def test_slurm_refuses_layouts_that_waste_gpus(
  place: Place, setting: dict[str, str]
) -> None:
  job = {"SLURM_JOB_ID": "8", "SLURM_GPUS_ON_NODE": "2", **setting}
  status, output = place.run("launch/slurm.sbatch", **job)
  assert status == 1
  assert "use --gres=gpu:N with --ntasks-per-node=N" in output


def test_slurm_saves_and_queues_again_before_the_limit(place: Place) -> None:
  process = place.start("launch/slurm.sbatch", "wait", SLURM_JOB_ID="8")
  main = place.log.parent / "main-0.json"
  wait_for(main.exists)
  pathlib.Path(f"{place.log}.pid").write_text(str(place.main()["pid"]))
  process.send_signal(signal.SIGUSR1)
  process.communicate(timeout=10)
  assert process.returncode == 0
  assert place.main()["signal"] == signal.SIGTERM
  assert place.calls("")[-2:] == [
    "scancel --signal=TERM 8.0",
    "scontrol requeue 8",
  ]


def tpu(place: Place, *args: str) -> tuple[int, str]:
  """Runs tpu_vm.sh with a gcloud whose workers are this machine."""
  then = """
case "$*" in
  *describe*) echo ACTIVE ;;
  *scp*) cp "$5" "$HOME/enhance_jax.tgz" ;;
  *--command=*)
    cd "$HOME"
    for word; do
      if [[ "$word" == --command=* ]]; then bash -c "${word#*=}"; fi
    done ;;
esac"""
  place.program("gcloud", RECORD.format(name="gcloud", then=then))
  return place.run("launch/tpu_vm.sh", *args)


def test_tpu_life_from_create_to_delete(place: Place) -> None:
  at = ("--zone=us-central1-a", "--project=p")
  assert tpu(place, "create", "t1", "--type=v6e-8", "--spot", *at)[0] == 0
  # The flags as gcloud 528 knows them.
  assert place.calls("create") == [
    "gcloud compute tpus queued-resources create t1 --node-id=t1"
    " --accelerator-type=v6e-8 --runtime-version=v2-alpha-tpuv5-lite --spot"
    " --zone=us-central1-a --project=p"
  ]
  assert tpu(place, "setup", "t1", *at)[0] == 0
  assert place.calls("pip install -r")[0].endswith("jax[tpu]")

  assert tpu(place, "run", "t1", *at, "--", "wait", "a 'b'")[0] == 0
  wait_for((place.log.parent / "main-0.json").exists)
  assert place.main()["argv"] == ["wait", "a 'b'"]
  assert place.main()["cwd"] == str(place.home / "enhance_jax")
  assert place.main()["env"]["ENHANCE_DISTRIBUTED"] == "1"
  status, output = tpu(place, "run", "t1", "--", "wait")
  assert status == 1 and "a run is in progress" in output
  output = tpu(place, "status", "t1")[1]
  assert "ACTIVE\nrunning" in output

  pid = int((place.home / "enhance_jax.pid").read_text())
  assert pid == place.main()["pid"]
  os.kill(pid, signal.SIGTERM)
  wait_for(lambda: ended(pid))
  assert "ACTIVE\nnot running" in tpu(place, "status", "t1")[1]
  assert tpu(place, "delete", "t1", *at)[0] == 0
  assert place.calls("delete")[0].endswith(
    "delete t1 --force --zone=us-central1-a --project=p"
  )


def test_tpu_dry_run_calls_nothing(place: Place) -> None:
  status, output = tpu(place, "setup", "t1", "--dry-run")
  assert status == 0
  assert "gcloud compute tpus tpu-vm scp" in output
  assert not place.log.exists()


def test_tpu_bad_words_say_what_was_wanted(place: Place) -> None:
  status, output = tpu(place, "make", "t1")
  assert status == 1 and "wanted create, setup, run, status or delete" in output
  status, output = tpu(place, "create", "--zone=us-central1-a")
  assert status == 1 and "is no TPU name" in output
  status, output = tpu(place, "create", "t1", "--tpye=v6e-8")
  assert status == 1 and 'no argument "--tpye=v6e-8"' in output
