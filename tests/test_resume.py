"""A killed run ends in the bits of one that was left alone."""

import random
import signal

import pytest

from tests import runs

pytestmark = pytest.mark.slow

LENGTH = (
  "--config.phases.pixel.steps=24",
  "--config.phases.gan.steps=48",
  "--config.phases.fine.steps=24",
  "--config.train.log_every=5",
  "--config.train.save_every=8",
  "--config.train.evaluate_every=24",
  "--mode=train",
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
  return runs.environment(tmp_path_factory.mktemp("cache"))


def _equal(one, other):
  assert runs.digests(one) == runs.digests(other)
  assert runs.metrics(one) == runs.metrics(other)
  for name in ("pixel", "gan", "fine"):
    file = f"generator.{name}.safetensors"
    assert (one / file).read_bytes() == (other / file).read_bytes()
  last = "generator.safetensors"
  assert (one / last).read_bytes() == (other / last).read_bytes()


@pytest.mark.parametrize("pipeline", ["grain", "resident"])
def test_killed_anywhere_the_run_ends_in_the_same_bits(
  tmp_path, environment, pipeline
):
  """SIGKILL while saving, between phases and at random in the GAN phase."""
  more = (*LENGTH, f"--config.data.pipeline={pipeline}")
  alone, killed = tmp_path / "alone", tmp_path / "killed"
  runs.run(runs.command(alone, *more), environment)
  folder = killed / "checkpoints"

  def saving():
    return any(folder.glob("16*tmp*"))

  def between_phases():
    return (killed / "generator.pixel.safetensors").exists()

  rng = random.Random(pipeline)
  lines = rng.randint(12, 16)

  def somewhere():
    path = killed / "metrics.jsonl"
    return path.exists() and path.read_text().count("\n") > lines

  kills = 0
  for ready, workers in ((saving, 0), (between_phases, 1), (somewhere, 0)):
    args = runs.command(killed, *more, f"--config.data.workers={workers}")
    kills += runs.kill_when(args, environment, ready) == "killed"
  assert kills == 3
  output = runs.run(runs.command(killed, *more), environment)
  assert "resuming from step" in output
  _equal(alone, killed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path, environment, number):
  workdir = tmp_path / "run"
  path = workdir / "metrics.jsonl"
  args = runs.command(workdir, *LENGTH)

  def training():
    return path.exists() and path.read_text()

  output = runs.kill_when(args, environment, training, number)
  assert "resume with the same command" in output
  assert output.endswith(f"exit status {128 + number}")
  output = runs.run(args, environment)
  assert "resuming from step" in output
  again = runs.run(args, environment)
  assert "this run is finished" in again


def test_seeds(tmp_path, environment):
  """Equal seeds give equal runs, other seeds other ones."""
  short = (
    *LENGTH[3:],
    "--config.phases.pixel.steps=2",
    "--config.phases.gan.steps=3",
    "--config.phases.fine.steps=1",
  )
  digests = []
  for name, seed in (("a", 1), ("b", 1), ("c", 2)):
    args = runs.command(tmp_path / name, *short, f"--config.seed={seed}")
    runs.run(args, environment)
    digests.append(runs.digests(tmp_path / name))
  assert digests[0] == digests[1]
  assert digests[0] != digests[2]
