"""The training loop: evaluate, save, next batch, step, log, in this order.

A step number means the same everywhere: the number of updates that the state
has seen. The state of step s is evaluated, saved and logged as s.
"""

import dataclasses
import itertools
import logging
import pathlib
import signal
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from enhance_jax import checkpoint, errors
from enhance_jax.train import build, hooks, writers
from enhance_jax.train import state as state_lib

_LOG = logging.getLogger(__name__)
Tree = Any


@dataclasses.dataclass(frozen=True)
class Hooks:
  """What the loop calls back.

  Attributes:
    evaluate: variables -> (scalars with "psnr", pictures uint8 by name).
    export: (file name, variables, phase name, step) writes portable weights.
    baselines: scores of the interpolations, logged at step 0.
  """

  evaluate: Callable[[Tree], tuple[dict[str, float], dict[str, np.ndarray]]]
  export: Callable[[str, Tree, str, int], None]
  baselines: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Outcome:
  """How the loop ended: all steps done, or stopped by a signal."""

  step: int
  signal: signal.Signals | None


class Loop:
  """One run, from its newest checkpoint to its end.

  Args:
    parts: the built run.
    workdir: its folder.
    callbacks: evaluation and export.
    record: the run record that goes into every checkpoint.
  """

  def __init__(
    self,
    parts: build.Parts,
    workdir: pathlib.Path,
    callbacks: Hooks,
    record: dict[str, Any],
  ):
    self._parts, self._workdir = parts, workdir
    self._callbacks, self._record = callbacks, record
    train = parts.config.train
    self._lead = parts.mesh.process == 0
    self._checkpoints = checkpoint.Checkpoints(
      workdir / "checkpoints",
      keep_last=train.keep_last,
      keep_best=train.keep_best,
      lead=self._lead,
    )
    self._rollbacks = 0
    self._state: Any = None
    self._compiled: dict[str, Any] = {}
    self._validations: dict[str, Any] = {}
    self._begin()

  def _begin(self) -> None:
    """Takes up the newest whole checkpoint, or starts anew."""
    restored = self._checkpoints.restore(self._parts.template)
    if restored is None:
      self._step, meta = 0, {}
      self._state = self._parts.init()
    else:
      self._step, self._state, meta = (
        restored.step,
        restored.state,
        restored.meta,
      )
      self._check_position(meta["data"])
    self._rollbacks = max(self._rollbacks, meta.get("rollbacks", 0))
    self._window = hooks.Window(meta.get("window"))
    self._timer = hooks.Timer(meta.get("seconds", 0.0))
    self._pending: list[tuple[int, dict[str, jax.Array]]] = []
    self._progress = hooks.Progress(
      self._parts.total, self._step, quiet=not self._lead
    )
    self._writer = writers.open_writer(
      self._workdir,
      lead=self._lead,
      last_step=self._step,
      console=self._progress.report,
    )
    self._batches = self._parts.loader.batches(
      self._step, self._parts.mesh.process, self._parts.mesh.processes
    )

  def _check_position(self, saved: dict[str, Any]) -> None:
    now = self._parts.loader.position()
    if saved != now:
      raise errors.EnhanceError(
        f"the training pictures changed since step {self._step}: it was "
        f"{saved}, now {now}; bring the pictures back, or start another run "
        "with --workdir=DIR"
      )

  def run(self) -> Outcome:
    """Trains to the end, or until a signal asks to stop.

    Raises:
      EnhanceError: a checkpoint cannot be written, or the loss is not finite
        for good.
    """
    mesh, total = self._parts.mesh, self._parts.total
    if self._step:
      self._progress.say(f"resuming from step {self._step:,} of {total:,}")
      if any(self._step == phase.end for phase in self._parts.phases):
        # A kill between a phase's last checkpoint and its weights.
        self._export(self._parts.phase_at(self._step))
    if not self._step and self._callbacks.baselines:
      self._writer.write_scalars(0, self._callbacks.baselines)
    with hooks.StopSignals(alone=mesh.processes == 1) as stop:
      try:
        while self._step < total:
          asked = stop.received is not None
          if mesh.any_process(asked, self._step):
            self._save(None)
            break
          self._advance(self._parts.next_phase(self._step))
          self._after_update()
        self._checkpoints.close()
        if self._step == total:
          return Outcome(self._step, None)
        return Outcome(self._step, stop.received or signal.SIGTERM)
      finally:
        self._close_streams()

  def _close_streams(self) -> None:
    self._batches.close()
    self._writer.close()

  def _advance(self, phase: state_lib.Phase) -> None:
    """Dispatches the next update, or several where that is allowed."""
    if self._step == phase.start and phase.start > 0:
      self._state = self._parts.enter(self._state, phase)
    if phase.name not in self._compiled:
      self._compiled[phase.name] = self._parts.compile(phase)
    one, many = self._compiled[phase.name]
    count = self._parts.steps_per_dispatch()
    count = count if count <= self._until_event(phase) else 1
    with self._timer.waiting():
      batches = list(itertools.islice(self._batches, count))
    mesh, constants = self._parts.mesh, self._parts.constants
    if count == 1:
      self._state, metrics = one(self._state, mesh.share(batches[0]), constants)
      rows = [metrics]
    else:
      self._state, metrics = many(
        self._state, mesh.share_many(batches), constants
      )
      rows = [
        {name: values[index] for name, values in metrics.items()}
        for index in range(count)
      ]
    for row in rows:
      self._step += 1
      self._pending.append((self._step, row))
    self._timer.add(count * self._parts.config.data.batch_size)

  def _until_event(self, phase: state_lib.Phase) -> int:
    """Updates until something must look at the state."""
    train = self._parts.config.train
    periods = (train.log_every, train.evaluate_every, train.save_every)
    ahead = [period - self._step % period for period in periods]
    return min(*ahead, phase.end - self._step)

  def _after_update(self) -> None:
    """Logs, evaluates and saves what is due at the step just reached."""
    train, step = self._parts.config.train, self._step
    phase = self._parts.phase_at(step)
    ends = step == phase.end
    log = ends or step % train.log_every == 0
    evaluate = ends or step % train.evaluate_every == 0
    save = ends or step % train.save_every == 0
    # The newest update is still being computed: looking at the one before
    # keeps the devices busy.
    if self._settle(0 if log or evaluate or save else 1):
      return
    if log:
      self._report(phase.name)
    if not (evaluate or save):
      return
    start = time.perf_counter()
    score = self._evaluate(phase.name) if evaluate else None
    if save:
      self._save(score)
    if ends:
      self._export(phase)
    self._progress.skip(time.perf_counter() - start)
    self._timer.skip()

  def _settle(self, keep: int) -> bool:
    """Takes in the metrics of all but `keep` updates; True: rolled back."""
    while len(self._pending) > keep:
      step, metrics = self._pending.pop(0)
      row = {name: np.asarray(value) for name, value in metrics.items()}
      streak, self._skipped = row.pop("streak"), row.pop("skipped")
      self._window.add(row)
      if not streak:
        continue
      bad = [name for name, value in row.items() if not np.isfinite(value)]
      term = min(bad, key=_blame) if bad else "a BatchNorm statistic"
      _LOG.warning("step %d is skipped: %s is not finite", step, term)
      if streak >= self._parts.config.train.max_bad_steps:
        self._roll_back(step, term)
        return True
    return False

  def _roll_back(self, step: int, term: str) -> None:
    """Returns to the last checkpoint, once in a run; then gives up.

    Raises:
      EnhanceError: it happened before, or there is no checkpoint.
    """
    count = self._parts.config.train.max_bad_steps
    phase = self._parts.phase_at(step).name
    what = (
      f"{term} was not finite in {count} updates in a row, up to step {step} "
      f"(phase {phase})"
    )
    self._checkpoints.wait()
    if self._rollbacks or not self._checkpoints.steps():
      tried = (
        "also after going back to a checkpoint"
        if self._rollbacks
        else "and there is no checkpoint to go back to"
      )
      raise errors.EnhanceError(
        f"{what}, {tried}; lower the learning rates of config.phases.{phase}, "
        "set its optimisers' clip_norm, or look for broken pictures"
      )
    self._rollbacks = 1
    self._progress.say(f"{what}: going back to the last checkpoint, once")
    self._close_streams()
    self._begin()
    self._state = self._state.replace(streak=self._state.streak * 0)

  def _report(self, phase: str) -> None:
    values = {
      **self._window.means(),
      "skipped": float(self._skipped),
      **self._timer.lap(),
    }
    self._progress.phase = phase
    self._writer.write_scalars(self._step, values)

  def _evaluate(self, phase: str) -> float:
    """Scores the moving average on held-out pictures; returns the PSNR."""
    scores, pictures = self._callbacks.evaluate(jax.device_get(self._state.ema))
    losses = jax.device_get(self._validation(phase)(self._state))
    values = {**scores, **{name: float(v) for name, v in losses.items()}}
    self._progress.phase = phase
    self._writer.write_scalars(
      self._step, {f"validation/{name}": v for name, v in values.items()}
    )
    for name, picture in pictures.items():
      self._writer.write_images(self._step, {name: picture[None]})
    return scores["psnr"]

  def _validation(self, phase: str) -> Callable[[Tree], dict[str, jax.Array]]:
    """The compiled held-out losses of a phase; none without such crops."""
    if not len(self._parts.held_out):
      return lambda state: {}
    if phase not in self._validations:
      self._validations[phase] = self._parts.validate(
        self._parts.phase_at(self._step)
      )
    return self._validations[phase]

  def _save(self, score: float | None) -> None:
    """Begins a checkpoint; what was logged up to it is on disk before it."""
    if self._settle(0):
      return
    self._writer.flush()
    meta = {
      "phase": self._parts.phase_at(self._step).name,
      "data": self._parts.loader.position(),
      "window": self._window.saved(),
      "seconds": self._timer.total,
      "rollbacks": self._rollbacks,
      "run": self._record,
    }
    self._checkpoints.save(self._step, self._state, meta, score)

  def _export(self, phase: state_lib.Phase) -> None:
    """Writes portable weights at a phase's end: averaged, and as they are."""
    if not self._lead:
      return
    averaged = jax.device_get(self._state.ema)
    raw = jax.device_get(self._state.generator.variables())
    files = {f"generator.{phase.name}": averaged}
    files[f"generator.{phase.name}.raw"] = raw
    if self._step == self._parts.total:
      files["generator"] = averaged
    for name, variables in files.items():
      self._callbacks.export(name, variables, phase.name, self._step)


def _blame(name: str) -> tuple[bool, bool]:
  """Orders what is not finite: single terms, then sums, then gradients."""
  return (
    not name.startswith("loss/"),
    name in ("loss/generator", "loss/discriminator"),
  )
