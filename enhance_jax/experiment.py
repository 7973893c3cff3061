"""One experiment in its folder: train, evaluate, say where everything is."""

import functools
import json
import pathlib
import subprocess
import sys
from typing import Any

from absl import logging

from enhance_jax import (
  cache,
  config_check,
  errors,
  scoring,
  testsets,
  validation,
  zoo,
)
from enhance_jax import config as config_lib
from enhance_jax.config import Config
from enhance_jax.data import pipeline
from enhance_jax.inference import engine
from enhance_jax.train import build, loop, mesh

RECORD = "run.json"
_RAW = " (not averaged)"
# Baselines on the page of pictures; the others are in the table.
_DRAWN = ("bicubic", "lanczos")


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


def record(
  config: Config, data: dict[str, Any], devices: str
) -> dict[str, Any]:
  """What pins a run down: configuration, data, versions, revision, devices."""
  return {
    "config": config_lib.to_dict(config),
    "data": data,
    "devices": devices,
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
  begun = [*workdir.glob("checkpoints/[0-9]*"), *workdir.glob(engine.WEIGHTS)]
  if not path.is_file() or not begun:
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


def claim(workdir: pathlib.Path, now: dict[str, Any]) -> None:
  """Writes a run record into the run's folder, which is made if missing.

  Raises:
    EnhanceError: the folder cannot be written to.
  """
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


def _bundle(config: Config, variables: Any) -> zoo.Generator:
  kwargs = _kwargs(config)
  return zoo.Generator(
    model=config.generator.name,
    kwargs=kwargs,
    module=build.generator(config),
    variables={name: tree for name, tree in variables.items() if tree},
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
  done = order[: order.index(phase) + 1] if order else []
  adversarial = [
    name for name in done if config.phases[name].objective.get("adversarial", 0)
  ]
  scales = {"scales": list(config.task.scales)} if config.task.scales else {}
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
      "averaged": not name.endswith(".raw"),
      **scales,
    },
  )


def is_finished(config: Config, workdir: pathlib.Path) -> bool:
  """Whether the run's last weights are there, from its last step."""
  path = workdir / engine.WEIGHTS
  if not path.is_file():
    return False
  rows = config_lib.phases(config)
  last = rows[-1][3] if rows else 0
  return zoo.load_generator(path).card.get("step") == last


def train(config: Config, workdir: pathlib.Path) -> int:
  """Trains a run to its end, or to a signal.

  Returns:
    0, or 128 plus the signal's number.

  Raises:
    EnhanceError: settings, data, folder or training went wrong.
  """
  config_check.validate(config)
  # Orbax warns of every checkpoint without a score, and repeats at length
  # what a checkpoint's error says in a line.
  logging.set_verbosity(logging.FATAL)
  mesh.initialize()
  cache.enable_compilation_cache()
  lead = mesh.is_lead()
  if config.fit == "none":
    _say(lead, f"{config.name}: there is nothing to train")
    return 0
  check(workdir, config)
  # Not after hours of training.
  if config_lib.test_sets(config):
    testsets.find(config_lib.test_sets(config))
  for path in config_lib.generators_beside(config):
    zoo.load_generator(path, scale=config.task.scale)
  if is_finished(config, workdir):
    _say(lead, f"{workdir}: this run is finished")
    return 0
  if config.fit == "dictionary":
    return _fit(config, workdir) if lead else 0
  return _run(config, workdir, lead)


def _fit(config: Config, workdir: pathlib.Path) -> int:
  """Learns dictionaries in one go; killed, it begins anew and ends the same."""
  from enhance_jax.train import dictionary

  loader = pipeline.open_loader(config)
  position = loader.position()
  claim(workdir, record(config, position, mesh.Mesh().describe()))
  variables = dictionary.fit(config, loader.source, lambda t: _say(True, t))
  for name in (f"generator.{config.fit}", "generator"):
    _export(config, workdir, position, name, variables, config.fit, 0)
  return 0


def _run(config: Config, workdir: pathlib.Path, lead: bool) -> int:
  devices = mesh.Mesh()
  parts = build.build(config, devices)
  held_out = validation.HeldOut(
    config,
    pipeline.open_validation(config),
    config.train.evaluate_pictures,
  )
  position = parts.loader.position()
  run_record = record(config, position, devices.describe())
  if lead:
    claim(workdir, run_record)
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
    baselines=held_out.baselines(),
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

  Writes WORKDIR/evaluation.json and WORKDIR/comparison.png, and for each
  folder in `config.evaluate.sets` the same with the set's name.

  Raises:
    EnhanceError: nothing is trained yet, or a picture set is unusable.
  """
  config_check.validate(config)
  if not mesh.is_lead():
    return 0
  cache.enable_compilation_cache()
  upscalers = _upscalers(config, workdir)
  held_out = validation.HeldOut(config, pipeline.open_validation(config))
  comparison = held_out.compare(upscalers)
  scoring.write_json(workdir / "evaluation.json", comparison.as_dict())
  shown = [
    up.name
    for up in upscalers
    if (up.name in _DRAWN or isinstance(up, engine.Upscaler))
    and not up.name.endswith(_RAW)
  ]
  comparison.write_page(workdir / "comparison.png", shown)
  print(comparison.table())
  for folder in config_lib.test_sets(config):
    name, comparison = validation.compare_on(config, folder, upscalers)
    scoring.write_json(
      workdir / f"evaluation.{name}.json", comparison.as_dict()
    )
    comparison.write_page(workdir / f"comparison.{name}.png", shown)
    print(comparison.table())
  print(_closing(workdir, config.fit != "none"))
  return 0


def _upscalers(config: Config, workdir: pathlib.Path) -> list[engine.Engine]:
  """Baselines, others, then every finished phase, averaged and as trained."""
  found = validation.baselines(config.task.scale)
  for path in config_lib.generators_beside(config):
    found.append(engine.open_model(path, scale=config.task.scale))
  if config.fit == "none":
    claim(workdir, record(config, {}, mesh.Mesh().describe()))
    return [*found, engine.Interpolation("lanczos", config.task.scale)]
  order = tuple(config.phase_order) or (config.fit,)
  for name in validation.finished_phases(workdir, order):
    for ending in ("", ".raw"):
      path = workdir / f"generator.{name}{ending}.safetensors"
      if path.is_file():
        upscaler = engine.open_model(str(path))
        upscaler.name = f"ours, after {name}" + (_RAW if ending else "")
        found.append(upscaler)
  return found


def _closing(workdir: pathlib.Path, trained: bool) -> str:
  root, here = pathlib.Path(__file__).parents[1], pathlib.Path.cwd()
  python = pathlib.Path(sys.executable)
  if python.is_relative_to(here):
    python = python.relative_to(here)
  path = "" if here == root else f"PYTHONPATH={root} "
  results = (
    f"numbers     {workdir / 'evaluation.json'}\n"
    f"pictures    {workdir / 'comparison.png'}"
  )
  if not trained:
    return results
  return (
    f"weights     {workdir / engine.WEIGHTS} (with a model card, .json)\n"
    f"{results}\n"
    f"curves      {workdir / 'metrics.jsonl'} and, for TensorBoard, "
    f"{workdir / 'tensorboard'}\n"
    "Upscale a photo of your own:\n"
    f"  {path}{python} -m enhance_jax.upscale PHOTO.jpg -o BIG.png "
    f"--workdir={workdir}"
  )


def _say(lead: bool, text: str) -> None:
  if lead:
    print(text, flush=True)
