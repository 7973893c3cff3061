"""Several devices and several processes give the result of one."""

import signal
import socket

import jax
import numpy as np
import pytest

from enhance_jax import config_check
from enhance_jax.train import build
from enhance_jax.train import mesh as mesh_lib
from tests import runs
from tests.test_config import _load


def _steps(devices, pipeline: str, count: int, **train):
  """States after `count` GAN steps, and the loss of each."""
  config = _load("srgan", "smoke")
  config.data.pipeline = pipeline
  config.data.batch_size = 8
  config.train.update(train)
  config.phase_order = ("gan",)
  config_check.validate(config)
  parts = build.build(config, mesh_lib.Mesh(devices))
  step, _ = parts.compile(parts.phases[0])
  state, losses = parts.init(), []
  batches = parts.loader.batches(0)
  for _ in range(count):
    state, metrics = step(
      state, parts.mesh.share(next(batches)), parts.constants
    )
    losses.append(float(metrics["loss/generator"]))
  return jax.device_get(state), losses, step


@pytest.mark.parametrize("pipeline", ["grain", "resident"])
def test_four_devices_give_the_result_of_one(pipeline):
  """BatchNorm's statistics are those of the whole batch."""
  one, losses_one, _ = _steps(jax.devices()[:1], pipeline, 3)
  four, losses_four, step = _steps(jax.devices()[:4], pipeline, 3)
  assert step._cache_size() == 1
  np.testing.assert_allclose(losses_four, losses_one, rtol=1e-5)
  for name in ("generator", "discriminator"):
    a, b = getattr(one, name), getattr(four, name)
    jax.tree.map(
      lambda x, y: np.testing.assert_allclose(y, x, rtol=0, atol=1e-5),
      (a.batch_stats, a.params),
      (b.batch_stats, b.params),
    )


def test_accumulation_on_four_devices():
  one, losses_one, _ = _steps(jax.devices()[:1], "resident", 2, accumulate=2)
  four, losses_four, _ = _steps(jax.devices()[:4], "resident", 2, accumulate=2)
  np.testing.assert_allclose(losses_four, losses_one, rtol=1e-5)


def _port() -> int:
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    return free.getsockname()[1]


def _start_pair(cache, args) -> list[runs.Started]:
  port = _port()
  return [
    runs.Started(
      args,
      runs.environment(
        cache,
        devices=2,
        ENHANCE_COORDINATOR=f"127.0.0.1:{port}",
        ENHANCE_NUM_PROCESSES="2",
        ENHANCE_PROCESS_ID=str(number),
      ),
    )
    for number in range(2)
  ]


def _two_processes(cache, args) -> list[str]:
  pair = _start_pair(cache, args)
  outputs = [started.finish() for started in pair]
  for started, output in zip(pair, outputs, strict=True):
    assert started.process.returncode == 0, output
  return outputs


@pytest.mark.slow
def test_two_processes_train_checkpoint_and_resume(tmp_path):
  cache = tmp_path / "cache"
  length = ("--mode=train", "--config.train.log_every=1")
  alone, pair = tmp_path / "alone", tmp_path / "pair"
  runs.run(runs.command(alone, *length), runs.environment(cache, devices=4))
  short = (*length, "--config.phase_order=('pixel','gan')")
  _two_processes(cache, runs.command(pair, *short))
  (pair / "run.json").unlink()
  (pair / "generator.safetensors").unlink()
  outputs = _two_processes(cache, runs.command(pair, *length))
  assert "resuming from step 8 of 12" in outputs[0]
  assert "resuming" not in outputs[1]
  rows = list(zip(runs.metrics(alone), runs.metrics(pair), strict=True))
  assert len(rows) > 12
  for one, two in rows:
    assert one.keys() == two.keys()
    for name, value in one.items():
      assert two[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name


@pytest.mark.slow
def test_sigterm_to_one_process_saves_and_stops_both(tmp_path):
  """As when a cluster takes one machine of a run away."""
  workdir = tmp_path / "run"
  args = runs.command(
    workdir,
    "--mode=train",
    "--config.phases.pixel.steps=5000",
    "--config.train.save_every=1000",
    "--config.train.evaluate_every=5000",
    "--config.train.log_every=1",
  )
  pair = _start_pair(tmp_path / "cache", args)
  path = workdir / "metrics.jsonl"
  runs.wait_for(lambda: path.exists() and path.read_text(), pair)
  pair[1].process.send_signal(signal.SIGTERM)
  outputs = [started.finish() for started in pair]
  assert [s.process.returncode for s in pair] == [128 + signal.SIGTERM] * 2
  assert "saved; resume with the same command" in outputs[0]
  (step,) = [
    int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit()
  ]
  assert f"at step {step:,}" in outputs[0]
