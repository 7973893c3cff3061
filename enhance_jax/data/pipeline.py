"""Batches as a pure function of seed and step, from files or device memory."""

import dataclasses
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

import grain
import jax
import numpy as np
from absl import flags

from enhance_jax import config as config_lib
from enhance_jax import errors
from enhance_jax.config import Config
from enhance_jax.data import resident, sampling, sources

# Fewer would say little about the discriminator, whatever the batches are.
_HELD_OUT_CROPS = 32


@dataclasses.dataclass(frozen=True)
class Loader:
  """A source, how it is drawn from, and where the pixels wait.

  Attributes:
    source: the training pictures.
    drawing: how crops are drawn.
    store: the pixels for the resident pipeline, or None for Grain.
    seed: of the run.
    batch_size: of all processes together.
    threads: reading threads a process.
    workers: reading processes a process; 0: none.
  """

  source: sources.Source
  drawing: sampling.Drawing
  store: resident.Store | None
  seed: int
  batch_size: int
  threads: int
  workers: int

  @property
  def pipeline(self) -> str:
    """Which pipeline this is: "grain" or "resident"."""
    return "grain" if self.store is None else "resident"

  def constants(self) -> dict[str, np.ndarray]:
    """Arrays that the step needs beside the batch."""
    if self.store is None:
      return {}
    return {"pixels": self.store.pixels, "table": self.store.table}

  def fetch(
    self, batch: Mapping[str, jax.Array], constants: Mapping[str, jax.Array]
  ) -> jax.Array:
    """The HR crops of a batch, uint8 [B, H, W, C]; traceable."""
    if self.store is None:
      return batch["hr"]
    return resident.cut(
      constants["pixels"], constants["table"], dict(batch), self.drawing.crop
    )

  def position(self) -> dict[str, Any]:
    """What, with the step, pins down every batch to come."""
    return {
      "seed": self.seed,
      "source": repr(self.source),
      "fingerprint": self.source.fingerprint(),
      "pictures": len(self.source),
    }

  def dataset(self, process: int, processes: int) -> grain.MapDataset:
    """Element s is this process's share of step s's batch (NumPy arrays)."""
    if self.store is None:
      source, transform = self.source, sampling.CutCrop(self.drawing)
    else:
      source, transform = self.store.rows(), sampling.PlanCrop(self.drawing)
    return sampling.batches(
      source,
      transform,
      seed=self.seed,
      batch_size=self.batch_size // processes,
      process=process,
      processes=processes,
    )

  def batches(
    self, step: int, process: int = 0, processes: int = 1
  ) -> grain.DatasetIterator:
    """This process's shares of the batches from `step` on, without end."""
    dataset = self.dataset(process, processes)[step:].to_iter_dataset(
      grain.ReadOptions(num_threads=self.threads, prefetch_buffer_size=8)
    )
    if self.workers and self.store is None:
      if not flags.FLAGS.is_parsed():
        # Grain's workers read absl flags; outside absl's app nobody parsed.
        flags.FLAGS.mark_as_parsed()
      dataset = dataset.mp_prefetch(
        grain.MultiprocessingOptions(num_workers=self.workers),
        worker_init_fn=_end_with_parent,
      )
    return iter(dataset)


def _end_with_parent(worker: int, workers: int) -> None:
  """Ends a loader process whose run was killed; Grain would leave it behind."""
  del worker, workers
  parent = os.getppid()

  def watch() -> None:
    while os.getppid() == parent:
      time.sleep(1.0)
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()


def open_loader(config: Config) -> Loader:
  """Opens the training data of a run.

  Args:
    config: the run's configuration; `data` and `task` are read.

  Raises:
    EnhanceError: the source cannot be opened or holds nothing usable.
  """
  data = config.data
  crop = config_lib.crop_size(config)
  source = _open(config, "train", crop)
  return Loader(
    source=source,
    drawing=sampling.Drawing(crop, data.flip, data.turn),
    store=resident.load(source) if _is_resident(data, source) else None,
    seed=config.seed,
    batch_size=data.batch_size,
    threads=data.threads,
    workers=data.workers,
  )


def _open(config: Config, key: str, crop: tuple[int, int]) -> sources.Source:
  data = config.data
  needs = sources.Needs(
    config.task.channels,
    crop,
    tuple(data.resize) or None,
    tuple(data.box) or None,
    data.tfds_dir,
  )
  sizes = tuple(data.rescale) if key == "train" else (1.0,)
  try:
    return sources.open_source(data[key], needs, sizes)
  except errors.EnhanceError as error:
    raise errors.EnhanceError(
      f"config.data.{key}={data[key]}: {error}"
    ) from error


def _is_resident(data: Config, source: sources.Source) -> bool:
  if data.pipeline != "auto":
    return data.pipeline == "resident"
  limit = data.resident_limit_mb * 2**20
  return source.bytes_up_to(limit) <= limit


def open_validation(config: Config) -> sources.Source:
  """Opens the held-out pictures of a run.

  Raises:
    EnhanceError: the source cannot be opened.
  """
  return _open(config, "validation", (config.task.scale, config.task.scale))


def held_out_crops(config: Config) -> np.ndarray:
  """The middle of held-out pictures, for the losses while training.

  A batch of them, or 32 where batches are smaller, taken evenly from all;
  pictures smaller than the crop are left out.

  Returns:
    uint8 [V, H, W, C], H and W being the crop's; V may be 0.
  """
  source = open_validation(config)
  height, width = config_lib.crop_size(config)
  wanted = min(max(config.data.batch_size, _HELD_OUT_CROPS), len(source))
  crops = []
  for i in range(wanted):
    picture = source[i * len(source) // wanted]
    top, left = picture.shape[0] - height, picture.shape[1] - width
    if min(top, left) >= 0:
      top, left = top // 2, left // 2
      crops.append(picture[top : top + height, left : left + width])
  shape = (0, height, width, config.task.channels)
  return np.stack(crops) if crops else np.zeros(shape, np.uint8)
