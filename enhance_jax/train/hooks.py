"""What happens beside the updates: progress, window means, stop signals."""

import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import numpy as np


class Window:
  """Means of the metrics since the last report, exact across a resume.

  Values that are not finite are left out of the mean. The sums are Python
  floats added in step order; they are saved with the checkpoint, and JSON
  gives the same floats back.
  """

  def __init__(self, saved: Mapping[str, Any] | None = None):
    self._sums = {name: tuple(row) for name, row in (saved or {}).items()}

  def add(self, metrics: Mapping[str, np.ndarray]) -> None:
    """Takes in one step's scalars."""
    for name, value in metrics.items():
      if np.isfinite(value):
        total, count = self._sums.get(name, (0.0, 0))
        self._sums[name] = (total + float(value), count + 1)

  def saved(self) -> dict[str, Any]:
    """What a checkpoint keeps."""
    return {name: list(row) for name, row in self._sums.items()}

  def means(self) -> dict[str, float]:
    """The means so far; the window starts afresh."""
    means = {name: total / n for name, (total, n) in self._sums.items()}
    self._sums = {}
    return means


class Timer:
  """Seconds spent training and waiting for data; the total is resumed."""

  def __init__(self, total: float = 0.0):
    self._before = total
    self._start = self._lap = time.perf_counter()
    self._waited = 0.0
    self._images = 0

  @property
  def total(self) -> float:
    """Seconds of the run so far, over all its continuations."""
    return self._before + time.perf_counter() - self._start

  @contextlib.contextmanager
  def waiting(self) -> Iterator[None]:
    """Counts the time inside as waiting for data."""
    start = time.perf_counter()
    yield
    self._waited += time.perf_counter() - start

  def add(self, images: int) -> None:
    """Counts images that were trained on."""
    self._images += images

  def lap(self) -> dict[str, float]:
    """Images a second and share of waiting since the last lap."""
    seconds = max(time.perf_counter() - self._lap, 1e-9)
    result = {
      "timing/images_per_second": self._images / seconds,
      "timing/data_wait_share": self._waited / seconds,
    }
    self._lap, self._waited, self._images = time.perf_counter(), 0.0, 0
    return result

  def skip(self) -> None:
    """Leaves the time since the last lap out (evaluation, saving)."""
    self._lap, self._waited, self._images = time.perf_counter(), 0.0, 0


def clock(seconds: float) -> str:
  """Seconds as 1:23:45 or 2:03."""
  if not math.isfinite(seconds):
    return "?"
  minutes, second = divmod(int(seconds + 0.5), 60)
  hours, minute = divmod(minutes, 60)
  if hours:
    return f"{hours}:{minute:02d}:{second:02d}"
  return f"{minute}:{second:02d}"


class Progress:
  """Tells a person how far the run is: one moving line, or a line a report.

  Args:
    total: steps of the whole run.
    step: the step it starts from.
    stream: where to write (stderr by default); a terminal gets a line that
      moves.
    quiet: write nothing (every process but the first).
  """

  _SHOWN = ("loss/generator", "loss/discriminator", "d_real", "d_fake")

  def __init__(
    self,
    total: int,
    step: int,
    stream: TextIO | None = None,
    *,
    quiet: bool = False,
  ):
    self.phase = ""
    self._total, self._quiet = total, quiet
    self._stream = stream or sys.stderr
    self._moves = self._stream.isatty()
    self._step0, self._start = step, time.perf_counter()
    self._width = 0

  def skip(self, seconds: float) -> None:
    """Leaves time that was not spent on updates out of the estimate."""
    self._start += seconds

  def report(self, step: int, values: Mapping[str, float]) -> None:
    """Shows the scalars of a step: of training, or of an evaluation."""
    held_out = {
      name.removeprefix("validation/"): value
      for name, value in values.items()
      if name.startswith("validation/")
    }
    if held_out:
      words = [f"{name} {value:.4g}" for name, value in held_out.items()]
      self.say(
        f"step {step:,} ({self.phase}) on held-out pictures: "
        + "  ".join(words)
      )
      return
    if step == self._step0:
      return
    spent = time.perf_counter() - self._start
    done = max(step - self._step0, 1)
    left = spent / done * (self._total - step)
    words = [f"{step:,}/{self._total:,} {self.phase:<8}"]
    words += [
      f"{name.removeprefix('loss/')} {values[name]:.4g}"
      for name in self._SHOWN
      if name in values
    ]
    if values.get("skipped"):
      words.append(f"skipped {values['skipped']:.0f}")
    words.append(f"{values.get('timing/images_per_second', 0):.1f} images/s")
    words.append(f"{clock(left)} left")
    self._write("  ".join(words), moving=True)

  def say(self, text: str) -> None:
    """Writes a line that stays."""
    self._write(text, moving=False)

  def _write(self, text: str, *, moving: bool) -> None:
    if self._quiet:
      return
    if self._moves:
      end = "" if moving else "\n"
      self._stream.write(f"\r{text:<{self._width}}{end}")
      self._width = len(text) if moving else 0
    else:
      self._stream.write(text + "\n")
    self._stream.flush()


class StopSignals:
  """Turns SIGTERM and SIGINT into a flag that the loop looks at.

  A second signal ends the process at once, as without the handler. With
  several processes both are left to JAX's preemption service, which knows
  SIGTERM and lets all processes stop at one step.
  """

  def __init__(self, *, alone: bool):
    self.received: signal.Signals | None = None
    self._alone = alone
    self._signals = [signal.SIGINT] + ([signal.SIGTERM] if alone else [])
    self._before: dict[signal.Signals, Any] = {}

  def __enter__(self) -> "StopSignals":
    for number in self._signals:
      self._before[number] = signal.signal(number, self._note)
    return self

  def _note(self, number: int, frame: Any) -> None:
    del frame
    self.received = signal.Signals(number)
    signal.signal(number, self._before[self.received])
    if not self._alone:
      os.kill(os.getpid(), signal.SIGTERM)

  def __exit__(self, *exception: Any) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)
