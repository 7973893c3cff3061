"""One experiment in its folder: train, evaluate, say where everything is."""

import functools
import json
import pathlib
import subprocess
import sys
from typing import Any

from absl import logging

from enhance_jax import cache, errors, scoring, validation, zoo
from enhance_jax import config as config_lib
from enhance_jax.config import Config
from enhance_jax.data import pipeline
from enhance_jax.inference import engine
from enhance_jax.train import build, loop, mesh

RECORD = "run.json"


def revision() -> str:
  """The source's git revision, "+" if changed, or "unknown"."""
  try:
    root = pathlib.Path(__file__).parent
    run = functools.partial(
      subprocess.run, cwd=root, capture_output=True, text=True, check=True
    )
    head = run(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
    changed = run(["git", "status", "--porcelain", "-uno", "."]).stdout
    return head + ("+" if changed.strip() else "")
  except (OSError, subprocess.CalledProcessError):
    return "unknown"


def record(config: Config) -> dict[str, Any]:
  """What pins a run down: configuration, versions, source revision."""
  return {
    "config": config_lib.to_dict(config),
    "versions": zoo.versions(),
    "revision": revision(),
  }


def check(workdir: pathlib.Path, config: Config) -> None:
  """Refuses a folder in which a run of other settings has got somewhere.

  Args:
    workdir: the folder; it need not exist.
    config: of this run.

  Raises:
    EnhanceError: the differences are listed.
  """
  path = workdir / RECORD
  steps = workdir.glob("checkpoints/[0-9]*")
  if not path.is_file() or not any(steps):
    return
  try:
    before = json.loads(path.read_text())["config"]
  except (ValueError, KeyError, OSError) as error:
    raise errors.EnhanceError(
      f"{path} is not a run record ({error}); move it away or use another "
      "--workdir"
    ) from error
  lines = config_lib.differences(before, config_lib.to_dict(config))
  if lines:
    more = f"\n  and {len(lines) - 8} more" if len(lines) > 8 else ""
    raise errors.EnhanceError(
      f"{workdir} holds a run of another configuration (there -> here):\n  "
      + "\n  ".join(lines[:8])
      + more
      + "\nuse another --workdir, or give the settings it was started with"
    )


def claim(
  workdir: pathlib.Path, config: Config, *, lead: bool
) -> dict[str, Any]:
  """Writes the run record into a run's folder, which is made if missing.

  Args:
    workdir: the folder.
    config: of this run.
    lead: whether this process writes.

  Returns:
    The run record.

  Raises:
    EnhanceError: the folder cannot be written to.
  """
  now = record(config)
  if lead:
    try:
      workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      raise errors.EnhanceError(
        f"{workdir} cannot be made ({error.strerror}); give a folder that you "
        "may write to with --workdir=DIR"
      ) from error
    zoo.write_atomic(
      workdir / RECORD, (json.dumps(now, indent=2) + "\n").encode()
    )
  return now


def _bundle(config: Config, variables: Any) -> zoo.Generator:
  kwargs = _kwargs(config)
  return zoo.Generator(
    model=config.generator.name,
    kwargs=kwargs,
    module=build.generator(config),
    variables=variables,
    card={},
    sha256="",
  )


def _kwargs(config: Config) -> dict[str, Any]:
  return {
    **config.generator.options.to_dict(),
    "scale": config.task.scale,
    "channels": config.task.channels,
  }


def _export(
  config: Config,
  workdir: pathlib.Path,
  data: dict[str, Any],
  name: str,
  variables: Any,
  phase: str,
  step: int,
) -> None:
  order = list(config.phase_order)
  done = order[: order.index(phase) + 1]
  adversarial = [
    name for name in done if config.phases[name].objective.get("adversarial", 0)
  ]
  zoo.save_generator(
    workdir / name,
    model=config.generator.name,
    kwargs=_kwargs(config),
    variables=variables,
    card={
      "generative": bool(adversarial),
      "config": config.name,
      "phase": phase,
      "step": step,
      "data": data,
      "recipe": config_lib.to_dict(config)["phases"],
      "revision": revision(),
    },
  )


def is_finished(config: Config, workdir: pathlib.Path) -> bool:
  """Whether the run's last weights are there, from its last step."""
  path = workdir / engine.WEIGHTS
  if not path.is_file():
    return False
  return (
    zoo.load_generator(path).card.get("step")
    == config_lib.phases(config)[-1][3]
  )


def train(config: Config, workdir: pathlib.Path) -> int:
  """Trains a run to its end, or to a signal.

  Returns:
    0, or 128 plus the signal's number.

  Raises:
    EnhanceError: settings, data, folder or training went wrong.
  """
  config_lib.validate(config)
  # Orbax warns of every checkpoint without a score, and repeats at length
  # what a checkpoint's error says in a line.
  logging.set_verbosity(logging.FATAL)
  mesh.initialize()
  cache.enable_compilation_cache()
  devices = mesh.Mesh()
  lead = mesh.is_lead()
  check(workdir, config)
  if is_finished(config, workdir):
    _say(lead, f"{workdir}: this run is finished")
    return 0
  parts = build.build(config, devices)
  held_out = validation.HeldOut(
    config,
    pipeline.open_validation(config),
    config.train.evaluate_pictures,
  )
  run_record = claim(workdir, config, lead=lead)
  position = parts.loader.position()
  _say(
    lead,
    f"{config.name}: {parts.total:,} updates on {devices.describe()}, "
    f"{position['pictures']} pictures ({parts.loader.pipeline} pipeline), "
    f"{len(parts.loader.source.skipped)} skipped, into {workdir}",
  )
  callbacks = loop.Hooks(
    evaluate=lambda variables: held_out.while_training(
      _bundle(config, variables)
    ),
    export=functools.partial(_export, config, workdir, position),
  )
  outcome = loop.Loop(parts, workdir, callbacks, run_record).run()
  if outcome.signal is None:
    return 0
  _say(
    lead,
    f"stopped by {outcome.signal.name} at step {outcome.step:,}, saved; "
    "resume with the same command",
  )
  return 128 + outcome.signal


def evaluate(config: Config, workdir: pathlib.Path) -> int:
  """Scores a run's phases and the baselines; draws the comparison.

  Writes WORKDIR/evaluation.json and WORKDIR/comparison.png, and one JSON file
  for each folder in `config.evaluate.sets`.

  Raises:
    EnhanceError: nothing is trained yet, or a picture set is unusable.
  """
  config_lib.validate(config)
  if not mesh.is_lead():
    return 0
  cache.enable_compilation_cache()
  phases = validation.finished_phases(workdir, config.phase_order)
  held_out = validation.HeldOut(config, pipeline.open_validation(config))
  ours = [
    engine.open_model(str(workdir / f"generator.{name}.safetensors"))
    for name in phases
  ]
  for upscaler, name in zip(ours, phases, strict=True):
    upscaler.name = f"ours, after {name}"
  scale = config.task.scale
  baselines = [engine.Interpolation(n, scale) for n in validation.BASELINES]
  comparison = held_out.compare([*baselines, *ours])
  scoring.write_json(workdir / "evaluation.json", comparison.as_dict())
  comparison.write_page(
    workdir / "comparison.png", ["bicubic", *(up.name for up in ours)]
  )
  print(comparison.table())
  for folder in config.evaluate.sets:
    used = validation.protocol(config)
    scores = scoring.score_sets(ours[-1], [folder], scale=scale, protocol=used)
    for name, row in scores["sets"].items():
      scoring.write_json(workdir / f"evaluation.{name}.json", scores)
      mean = row["mean"]
      print(
        f"{name}, {scores['protocol']['text']}: {mean['psnr']:.3f} dB, "
        f"{mean['ssim']:.4f}"
      )
  print(_closing(workdir))
  return 0


def _closing(workdir: pathlib.Path) -> str:
  root, here = pathlib.Path(__file__).parents[1], pathlib.Path.cwd()
  python = pathlib.Path(sys.executable)
  if python.is_relative_to(here):
    python = python.relative_to(here)
  path = "" if here == root else f"PYTHONPATH={root} "
  return (
    f"weights     {workdir / engine.WEIGHTS} (with a model card, .json)\n"
    f"numbers     {workdir / 'evaluation.json'}\n"
    f"pictures    {workdir / 'comparison.png'}\n"
    f"curves      {workdir / 'metrics.jsonl'} and, for TensorBoard, "
    f"{workdir / 'tensorboard'}\n"
    "Upscale a photo of your own:\n"
    f"  {path}{python} -m enhance_jax.upscale PHOTO.jpg -o BIG.png "
    f"--workdir={workdir}"
  )


def _say(lead: bool, text: str) -> None:
  if lead:
    print(text, flush=True)
