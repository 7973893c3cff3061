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
from collections.abc import Mapping
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
  module.SummaryWriter = _tensorboardx_writer()
  return module.SummaryWriter


def _no_media(self: Any, step: int, *args: Any, **kwargs: Any) -> None:
  del self, step, args, kwargs


def json_lines_writer(path: pathlib.Path, last_step: int) -> Any:
  """A CLU writer of one JSON object a line: {"step": ..., name: value, ...}.

  Values are written so that reading gives back the same float. Names that
  begin with "timing/" hold what differs between equal runs.

  Args:
    path: the file; lines beyond `last_step` (from a run that was killed after
      its last checkpoint) are dropped.
    last_step: the step that the run continues from; 0 for a new run.
  """
  metric_writers = import_clu()
  _drop_after(path, last_step)

  class JsonLinesWriter(metric_writers.MetricWriter):
    """Scalars as JSON lines; pictures and the like are not for this file."""

    def __init__(self) -> None:
      self._file = path.open("a", encoding="utf-8")

    def write_scalars(self, step, scalars):
      row = {name: float(value) for name, value in scalars.items()}
      self._file.write(json.dumps({"step": int(step), **row}) + "\n")

    write_summaries = write_images = write_videos = _no_media
    write_audios = write_texts = write_histograms = _no_media

    def write_hparams(self, hparams):
      del hparams

    def flush(self):
      self._file.flush()

    def close(self):
      self._file.close()

  return JsonLinesWriter()


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


def open_writer(workdir: pathlib.Path, *, lead: bool, last_step: int) -> Any:
  """The run's writer: TensorBoard in WORKDIR/tensorboard, metrics.jsonl.

  Console lines are the loop's own (`hooks.Progress`), so that a terminal sees
  one line that moves and a file one line a report.

  Args:
    workdir: the run's folder.
    lead: whether this process writes.
    last_step: the step that the run continues from.
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
    ]
  )


def hparams(config: Mapping[str, Any]) -> dict[str, Any]:
  """A configuration as flat values that every writer takes."""
  flat: dict[str, Any] = {}
  for key, value in config.items():
    if isinstance(value, Mapping):
      inner = hparams(value)
      flat.update({f"{key}.{name}": inner[name] for name in inner})
    else:
      flat[key] = value if isinstance(value, (int, float)) else str(value)
  return flat
