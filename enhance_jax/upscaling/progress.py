"""What the command says while it works: files, tiles or frames, time left."""

import shutil
import sys
import threading
import time


class Progress:
  """Lines on standard output, and on a terminal one that moves below them.

  Work is counted in input pixels, so a large picture counts for what it costs.
  May be used from several threads.
  """

  def __init__(self, files: int, pixels: int):
    """Starts the clock.

    Args:
      files: to do.
      pixels: of all of them; a video's frames count each.
    """
    self._files = files
    self._pixels: float = pixels
    self._done = 0.0
    self._began = time.perf_counter()
    self._moving = sys.stdout.isatty()
    self._lock = threading.Lock()

  @property
  def seconds(self) -> float:
    """Since the start."""
    return time.perf_counter() - self._began

  def part(self, text: str, pixels: float) -> None:
    """Shows how far a file is, on terminals only.

    Args:
      text: the file, its tiles or frames.
      pixels: of the file's work that are done.
    """
    if not self._moving:
      return
    text += self._left(self._done + pixels)
    width = shutil.get_terminal_size().columns - 1
    with self._lock:
      print(f"\r\033[K{text[:width]}", end="", flush=True)

  def line(self, text: str, *, error: bool = False) -> None:
    """Says something for good."""
    with self._lock:
      if self._moving:
        print("\r\033[K", end="", flush=True)
      print(text, file=sys.stderr if error else sys.stdout, flush=True)

  def skip(self, pixels: float) -> None:
    """Takes out of the work what is there already, or broken."""
    self._pixels -= pixels

  def done(self, text: str, pixels: float) -> None:
    """Says that a file is ready, and about how long the others take."""
    self._done += pixels
    self.line(f"{text}{self._left(self._done)}")

  def _left(self, ready: float) -> str:
    rest = self._pixels - ready
    if rest <= 0 or ready <= 0:
      return ""
    return f", about {duration(rest * self.seconds / ready)} left"


def duration(seconds: float) -> str:
  """Seconds in words: "3.2 s", "4 min 5 s", "2 h 7 min"."""
  if seconds < 60:
    return f"{seconds:.1f} s"
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
