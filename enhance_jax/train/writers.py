"""CLU metric writers: TensorBoard events, console lines, JSON lines.

CLU's TensorBoard writer imports TensorFlow. Where TensorFlow is not installed,
a tensorboardX writer stands in for it under the module name that CLU imports,
before CLU is imported; with TensorFlow installed CLU's own is used.
"""

import importlib.util
import json
import pathlib
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_CLU_MODULE = "clu.metric_writers.summary_writer"


def _tensorboardx_writer() -> type:
  import tensorboardX
  from clu.metric_writers import interface

  class SummaryWriter(interface.MetricWriter):
    """CLU's TensorBoard writer, on tensorboardX."""

    def __init__(self, logdir: str):
      self._writer = tensorboardX.SummaryWriter(logdir)

    def write_summaries(self, step, values, metadata=None):
      raise NotImplementedError("raw summaries need TensorFlow")

    def write_scalars(self, step, scalars):
      for key, value in scalars.items():
        self._writer.add_scalar(key, float(value), step)

    def write_images(self, step, images):
      for key, value in images.items():
        self._writer.add_images(
          key, np.asarray(value), step, dataformats="NHWC"
        )

    def write_videos(self, step, videos):
      raise NotImplementedError("videos need TensorFlow")

    def write_audios(self, step, audios, *, sample_rate):
      raise NotImplementedError("audios need TensorFlow")

    def write_texts(self, step, texts):
      for key, value in texts.items():
        self._writer.add_text(key, value, step)

    def write_histograms(self, step, arrays, num_buckets=None):
      for key, value in arrays.items():
        self._writer.add_histogram(key, np.asarray(value), step)

    def write_hparams(self, hparams):
      self._writer.add_text("hparams", json.dumps(dict(hparams)), 0)

    def flush(self):
      self._writer.flush()

    def close(self):
      self._writer.close()

  return SummaryWriter


def import_clu() -> types.ModuleType:
  """CLU's `metric_writers`, with or without TensorFlow installed."""
  has_tensorflow = importlib.util.find_spec("tensorflow") is not None
  if not has_tensorflow and _CLU_MODULE not in sys.modules:
    stand_in = types.ModuleType(_CLU_MODULE)
    # CLU reads the attribute while its package is still being imported, and
    # the class derives from that package's interface: so, only when asked.
    stand_in.__getattr__ = lambda name: _attribute(stand_in, name)
    sys.modules[_CLU_MODULE] = stand_in
  from clu import metric_writers

  return metric_writers


def _attribute(module: types.ModuleType, name: str) -> Any:
  if name != "SummaryWriter":
    raise AttributeError(name)
  writer = _tensorboardx_writer()
  setattr(module, name, writer)
  return writer


def _scalar_writer(
  write: Callable[[int, Mapping[str, float]], None],
  flush: Callable[[], None] = lambda: None,
  close: Callable[[], None] = lambda: None,
) -> Any:
  """A CLU writer that takes scalars only and leaves the rest to others."""
  metric_writers = import_clu()

  def ignore(self: Any, *args: Any, **kwargs: Any) -> None:
    del self, args, kwargs

  class ScalarWriter(metric_writers.MetricWriter):
    """Hands scalars on as floats."""

    write_summaries = write_images = write_videos = ignore
    write_audios = write_texts = write_histograms = write_hparams = ignore

    def write_scalars(self, step, scalars):
      write(int(step), {name: float(v) for name, v in scalars.items()})

    def flush(self):
      flush()

    def close(self):
      close()

  return ScalarWriter()


def json_lines_writer(path: pathlib.Path, last_step: int) -> Any:
  """A CLU writer of one JSON object a line: {"step": ..., name: value, ...}.

  Values are written so that reading gives back the same float. Names that
  begin with "timing/" hold what differs between equal runs.

  Args:
    path: the file; lines beyond `last_step` (from a run that was killed after
      its last checkpoint) are dropped.
    last_step: the step that the run continues from; 0 for a new run.
  """
  _drop_after(path, last_step)
  file = path.open("a", buffering=1, encoding="utf-8")

  def write(step: int, scalars: Mapping[str, float]) -> None:
    file.write(json.dumps({"step": step, **scalars}) + "\n")

  return _scalar_writer(write, file.flush, file.close)


def _drop_after(path: pathlib.Path, last_step: int) -> None:
  if not path.exists():
    return
  kept = []
  for line in path.read_text(encoding="utf-8").splitlines():
    try:
      step = json.loads(line)["step"]
    except (ValueError, KeyError):
      break  # the line being written when the run was killed
    if step <= last_step:
      kept.append(line + "\n")
  path.write_text("".join(kept), encoding="utf-8")


def open_writer(
  workdir: pathlib.Path,
  *,
  lead: bool,
  last_step: int,
  console: Callable[[int, Mapping[str, float]], None],
) -> Any:
  """The run's writer: TensorBoard in WORKDIR/tensorboard, JSON lines, console.

  Args:
    workdir: the run's folder.
    lead: whether this process writes.
    last_step: the step that the run continues from.
    console: shows the scalars of a step to a person.
  """
  metric_writers = import_clu()
  if not lead:
    return metric_writers.MultiWriter([])
  return metric_writers.MultiWriter(
    [
      metric_writers.AsyncWriter(
        metric_writers.SummaryWriter(str(workdir / "tensorboard"))
      ),
      json_lines_writer(workdir / "metrics.jsonl", last_step),
      _scalar_writer(console),
    ]
  )
