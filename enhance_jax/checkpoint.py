"""Orbax checkpoints that prove themselves: digest, fallback, readable errors.

A step is a folder WORKDIR/checkpoints/STEP, written asynchronously and moved
into place whole. Beside the state it holds `meta`: what the loop needs to go
on, each leaf's type and shape, and each leaf's SHA-256, because no format
notices a flipped bit by itself.
"""

import dataclasses
import hashlib
import logging
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from enhance_jax import errors

Tree = Any
_LOG = logging.getLogger(__name__)
# Room for what a step holds besides the arrays, in bytes.
_MARGIN = 2 * 2**20


class _Damaged(Exception):
  """A step that cannot be read back as it was written."""


@dataclasses.dataclass(frozen=True)
class Restored:
  """A state that was read back and verified.

  Attributes:
    step: which one.
    state: the tree, placed as the template asked.
    meta: what was saved with it.
  """

  step: int
  state: Tree
  meta: dict[str, Any]


def _leaves(tree: Tree) -> dict[str, Any]:
  flat = jax.tree_util.tree_flatten_with_path(tree)[0]
  return {jax.tree_util.keystr(path): leaf for path, leaf in flat}


def describe(tree: Tree) -> dict[str, str]:
  """Each leaf's path -> type and shape, as "float32[3,3,64,64]"."""
  return {
    path: f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}".replace(" ", "")
    for path, leaf in _leaves(tree).items()
  }


def digests(tree: Tree) -> dict[str, str]:
  """Each leaf's path -> SHA-256 of its bytes (a copy on the host is made)."""
  return {
    path: hashlib.sha256(np.ascontiguousarray(leaf).data).hexdigest()
    for path, leaf in _leaves(jax.device_get(tree)).items()
  }


def compare(saved: dict[str, str], wanted: dict[str, str]) -> list[str]:
  """How two `describe` results differ, a readable line for each leaf."""
  return [
    f"{path}: saved {saved.get(path, 'nothing')}, "
    f"wanted {wanted.get(path, 'nothing')}"
    for path in sorted(saved.keys() | wanted.keys())
    if saved.get(path) != wanted.get(path)
  ]


class Checkpoints:
  """The checkpoints of one run.

  Args:
    directory: where the steps are kept; made when it is missing.
    keep_last: how many of the newest stay.
    keep_best: how many of those with the best score stay besides.
    lead: whether this process moves damaged steps out of the way.

  Raises:
    EnhanceError: the folder cannot be made or written to.
  """

  def __init__(
    self,
    directory: pathlib.Path,
    *,
    keep_last: int = 2,
    keep_best: int = 1,
    lead: bool = True,
  ):
    self._directory = directory.resolve()
    self._lead = lead
    self._check_writable()
    policies = [
      preservation_policy.LatestN(keep_last),
      preservation_policy.BestN(
        get_metric_fn=_score,
        n=keep_best,
        keep_checkpoints_without_metrics=False,
      ),
    ]
    self._manager = ocp.CheckpointManager(
      self._directory,
      options=ocp.CheckpointManagerOptions(
        preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
        best_fn=_score,
        best_mode="max",
      ),
    )

  def _check_writable(self) -> None:
    try:
      self._directory.mkdir(parents=True, exist_ok=True)
      probe = self._directory / ".writable"
      probe.touch()
      probe.unlink(missing_ok=True)
    except OSError as error:
      raise errors.EnhanceError(
        f"checkpoints cannot be written to {self._directory} "
        f"({error.strerror}); give a folder that you may write to with "
        "--workdir=DIR"
      ) from error

  def steps(self) -> list[int]:
    """The steps on disk, oldest first."""
    return sorted(self._manager.all_steps())

  def best_step(self) -> int | None:
    """The step with the best score, if any was scored."""
    return self._manager.best_step()

  def save(
    self, step: int, state: Tree, meta: dict[str, Any], score: float | None
  ) -> None:
    """Begins to write a step; the one before is awaited and checked first.

    Args:
      step: updates done.
      state: the tree; may be donated to the next step at once.
      meta: plain values that JSON holds.
      score: held-out quality, higher is better; None when not measured.

    Raises:
      EnhanceError: the previous or this step could not be written.
    """
    self.wait()
    if step in self._manager.all_steps():
      return
    self._check_room(state)
    meta = {**meta, "tree": describe(state), "sha256": digests(state)}
    scored = score is not None and np.isfinite(score)
    try:
      began = self._manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta)
        ),
        metrics={"score": score} if scored else None,
      )
    except Exception as error:
      raise self._unwritten(error) from error
    if not began:
      raise self._unwritten("the writer refused the step")

  def _check_room(self, state: Tree) -> None:
    """Says that the disk is full in one line; Orbax would say it in 1,000."""
    need = sum(leaf.nbytes for leaf in _leaves(state).values())
    need = need * 1.1 + _MARGIN
    if shutil.disk_usage(self._directory).free < need:
      raise self._unwritten(f"it needs {need / 2**20:.0f} MiB")

  def wait(self) -> None:
    """Waits for the step being written; a full disk shows only here.

    Raises:
      EnhanceError: it could not be written.
    """
    try:
      self._manager.wait_until_finished()
      self._manager.check_for_errors()
    except Exception as error:
      raise self._unwritten(error) from error

  def _unwritten(self, cause: object) -> errors.EnhanceError:
    free = shutil.disk_usage(self._directory).free / 2**20
    kept = ", ".join(map(str, self.steps())) or "none"
    return errors.EnhanceError(
      f"a checkpoint could not be written to {self._directory} "
      f"({_brief(cause)}; {free:.0f} MiB free); "
      f"steps that are safe: {kept}; make room and resume with the same "
      "command"
    )

  def restore(self, template: Callable[[int], Tree]) -> Restored | None:
    """Reads the newest step that is whole; damaged ones are set aside.

    Args:
      template: step -> tree of `jax.ShapeDtypeStruct` with shardings.

    Returns:
      The step, or None when there is none.

    Raises:
      EnhanceError: a step fits another network, or none is whole.
    """
    found = self.steps()
    for step in reversed(found):
      try:
        restored = self._read(step, template(step))
      except _Damaged as damage:
        self._set_aside(step, damage)
      else:
        return restored
    if found:
      raise errors.EnhanceError(
        f"none of the checkpoints {found} in {self._directory} is whole; they "
        f"were moved to {self._aside()}; the same command starts anew"
      )
    return None

  def _read(self, step: int, template: Tree) -> Restored:
    try:
      meta = self._manager.restore(
        step, args=ocp.args.Composite(meta=ocp.args.JsonRestore())
      )["meta"]
      saved_tree, saved_digests = meta["tree"], meta["sha256"]
    except Exception as error:
      raise _Damaged(f"its record cannot be read ({_brief(error)})") from error
    lines = compare(saved_tree, describe(template))
    if lines:
      more = f" and {len(lines) - 8} more" if len(lines) > 8 else ""
      raise errors.EnhanceError(
        f"checkpoint {step} in {self._directory} does not fit this "
        f"configuration:\n  " + "\n  ".join(lines[:8]) + more + "\n"
        "use the configuration it was made with, or another --workdir"
      )
    try:
      state = self._manager.restore(
        step,
        args=ocp.args.Composite(state=ocp.args.StandardRestore(template)),
      )["state"]
    except Exception as error:
      raise _Damaged(f"its state cannot be read ({_brief(error)})") from error
    now = digests(state)
    wrong = [path for path in saved_digests if now[path] != saved_digests[path]]
    if wrong:
      raise _Damaged(
        f"{len(wrong)} arrays are not what was saved, {wrong[0]} first"
      )
    return Restored(step, state, meta)

  def _aside(self) -> pathlib.Path:
    return self._directory.with_name(f"{self._directory.name}.damaged")

  def _set_aside(self, step: int, damage: _Damaged) -> None:
    _LOG.error(
      "CHECKPOINT %d IS DAMAGED: %s. It is moved to %s; the step before it "
      "is tried.",
      step,
      damage,
      self._aside(),
    )
    if self._lead:
      target = self._aside() / str(step)
      shutil.rmtree(target, ignore_errors=True)
      target.parent.mkdir(exist_ok=True)
      (self._directory / str(step)).rename(target)
    self._manager.reload()

  def close(self) -> None:
    """Waits for the last step and releases the writer's threads.

    Raises:
      EnhanceError: the last step could not be written.
    """
    self.wait()
    self._manager.close()


def _brief(cause: object) -> str:
  lines = str(cause).strip().splitlines() or [type(cause).__name__]
  return lines[0][:160]


def _score(metrics: dict[str, float]) -> float:
  return metrics["score"]
