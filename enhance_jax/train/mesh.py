"""Devices and processes: the only module that names them."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from enhance_jax import errors

Tree = Any


def initialize() -> None:
  """Joins the other processes of the run, where the environment names any.

  ENHANCE_COORDINATOR (host:port), ENHANCE_NUM_PROCESSES and
  ENHANCE_PROCESS_ID describe them; ENHANCE_DISTRIBUTED=1 leaves it to JAX to
  find them (Slurm, TPU pods, Kubernetes).

  Raises:
    EnhanceError: the variables contradict each other or nobody answers.
  """
  coordinator = os.environ.get("ENHANCE_COORDINATOR")
  try:
    if coordinator:
      jax.distributed.initialize(
        coordinator,
        int(os.environ["ENHANCE_NUM_PROCESSES"]),
        int(os.environ["ENHANCE_PROCESS_ID"]),
      )
    elif os.environ.get("ENHANCE_DISTRIBUTED") == "1":
      jax.distributed.initialize()
  except (KeyError, ValueError, RuntimeError) as error:
    raise errors.EnhanceError(
      f"the processes of the run could not be joined ({error!r}); wanted "
      "ENHANCE_COORDINATOR=host:port, ENHANCE_NUM_PROCESSES and "
      "ENHANCE_PROCESS_ID for each process, or ENHANCE_DISTRIBUTED=1 under "
      "Slurm or on a TPU pod"
    ) from error


def is_lead() -> bool:
  """Whether this process writes and prints for all of them."""
  return jax.process_index() == 0


class Mesh:
  """Devices in one row; state is copied to each, batches are split.

  Args:
    devices: which; all devices of all processes by default.
  """

  def __init__(self, devices: Sequence[Any] | None = None) -> None:
    devices = jax.devices() if devices is None else devices
    self._mesh = jax.make_mesh(
      (len(devices),), ("data",), (AxisType.Auto,), devices=devices
    )
    self.replicated = NamedSharding(self._mesh, PartitionSpec())
    self.split = NamedSharding(self._mesh, PartitionSpec("data"))
    self._split_later = NamedSharding(self._mesh, PartitionSpec(None, "data"))

  @property
  def process(self) -> int:
    """This process's number."""
    return jax.process_index()

  @property
  def processes(self) -> int:
    """How many processes take part."""
    return jax.process_count()

  @property
  def is_accelerator(self) -> bool:
    """Whether the devices are GPUs or TPUs."""
    return jax.default_backend() != "cpu"

  def describe(self) -> str:
    """Devices in words, for the log and the run record."""
    kind = jax.devices()[0].device_kind
    return (
      f"{self._mesh.size} x {kind} ({jax.default_backend()}), "
      f"{self.processes} process(es)"
    )

  def check_batch(self, batch_size: int) -> None:
    """Refuses a batch that the devices cannot share equally.

    Raises:
      EnhanceError: names the batch sizes near it that would do.
    """
    count = self._mesh.size
    if batch_size % count:
      lower = batch_size - batch_size % count
      fits = f"{lower} or {lower + count}" if lower else str(count)
      raise errors.EnhanceError(
        f"config.data.batch_size={batch_size} cannot be split over {count} "
        f"devices; use {fits}"
      )

  def replicate(self, tree: Tree) -> Tree:
    """Puts equal host arrays of every process on all devices."""
    return jax.tree.map(
      lambda x: jax.make_array_from_process_local_data(
        self.replicated, np.asarray(x), np.shape(x)
      ),
      tree,
    )

  def share(self, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """Makes the global batch of this process's share, [b, ...] arrays."""
    return {
      name: jax.make_array_from_process_local_data(self.split, array)
      for name, array in batch.items()
    }

  def share_many(
    self, batches: Sequence[Mapping[str, np.ndarray]]
  ) -> dict[str, jax.Array]:
    """Stacks several steps' batches: [steps, b, ...] arrays."""
    return {
      name: jax.make_array_from_process_local_data(
        self._split_later, np.stack([batch[name] for batch in batches])
      )
      for name in batches[0]
    }

  def compile(self, function: Callable, *, donate: bool = True) -> Callable:
    """Jits (state, ...) -> tree with replicated results.

    Args:
      function: pure; its first argument is the state.
      donate: let the result take the state's memory.
    """
    # On CPU XLA otherwise orders the program for concurrency, at the price of
    # a fifth more memory and no gain in time.
    options = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
    return jax.jit(
      function,
      out_shardings=self.replicated,
      donate_argnums=(0,) if donate else (),
      compiler_options=None if self.is_accelerator else options,
    )

  def any_process(self, flag: bool, step: int) -> bool:
    """Whether a stop was asked for, agreed on by all processes at one step.

    With several processes JAX's preemption service passes a SIGTERM that any
    of them gets to all; alone, `flag` decides.
    """
    if self.processes == 1:
      return flag
    return bool(multihost_utils.reached_preemption_sync_point(step))
