"""Frames through pipes: ffmpeg decodes and encodes, raw RGB lies between."""

import itertools
import pathlib
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from fractions import Fraction
from types import TracebackType
from typing import IO, Any

import numpy as np

from enhance_jax import errors
from enhance_jax.video import probe

# Chroma is interpolated and rounded as exactly as swscale can.
_EXACT = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"


class _Process:
  """An ffmpeg that ends with its block, and whose complaints are kept."""

  def __init__(self, command: Sequence[str], **pipes: Any):
    # A file, because a full pipe of complaints would stop it for good.
    self._log = tempfile.TemporaryFile()
    # A session of its own: Ctrl-C is for this program, which then ends it.
    self.running = subprocess.Popen(
      command, stderr=self._log, start_new_session=True, **pipes
    )

  def __enter__(self) -> "_Process":
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
  ) -> None:
    self.running.kill()
    self.running.wait()
    for pipe in (self.running.stdin, self.running.stdout):
      if pipe is not None:
        try:
          pipe.close()
        except BrokenPipeError:
          # What was still buffered has no reader any more.
          pass
    self._log.close()

  def complaints(self) -> str:
    """The last lines it wrote."""
    self._log.seek(0)
    lines = self._log.read().decode(errors="replace").strip().splitlines()
    return "; ".join(lines[-3:])


def run(command: Sequence[str], doing: str) -> str:
  """Runs one ffmpeg to its end.

  Args:
    command: of strings; no shell sees it.
    doing: what for, in words.

  Returns:
    what it wrote to its error output although it succeeded.

  Raises:
    EnhanceError: it failed; its last words are told.
  """
  with _Process(command, stdin=subprocess.DEVNULL) as process:
    status = process.running.wait()
    words = process.complaints()
    if status:
      raise errors.EnhanceError(f"ffmpeg failed {doing}: {words}")
    return words


def base(tools: probe.Tools) -> list[str]:
  """How every ffmpeg command begins: quiet, local, asking nothing."""
  return [
    tools.ffmpeg,
    "-nostdin",
    "-hide_banner",
    "-v",
    "error",
    "-y",
    "-protocol_whitelist",
    "file,pipe",
  ]


def wide(clip: probe.Clip) -> bool:
  """Whether frames travel with 16 bits a channel instead of 8."""
  return clip.depth > 8


def decode(
  clip: probe.Clip,
  tools: probe.Tools,
  first: int,
  counts: Sequence[int],
  total: int,
) -> Generator[np.ndarray]:
  """Frames from the first on, upright, RGB.

  Args:
    clip: of `probe.header`.
    tools: ffmpeg.
    first: counted from 0. Earlier ones are decoded and dropped: seeking would
      be quicker and is not exact.
    last: behind the last one.
    total: frames that were counted in the whole clip.

  Yields:
    uint8 or uint16 [n, H, W, 3] for n in `counts`.

  Raises:
    EnhanceError: fewer or more frames came than were counted.
  """
  command = _decoding(clip, tools, first)
  dtype = np.uint16 if wide(clip) else np.uint8
  shape = (clip.height, clip.width, 3)
  pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
  with _Process(command, **pipes) as process:
    out = process.running.stdout
    assert out is not None
    done = first
    for count in counts:
      frames = np.empty((count, *shape), dtype)
      done += count
      if _fill(out, frames) != frames.nbytes:
        process.running.wait()
        raise errors.EnhanceError(
          f"{clip.path}: decoding ended before frame {done} of {total} "
          f"({process.complaints() or 'no reason given'}); no frame is left "
          "out in silence, so nothing was written"
        )
      yield frames
    if done == total and out.read(1):
      raise errors.EnhanceError(
        f"{clip.path}: decoding gave more frames than the {total} that were "
        "counted; nothing was written"
      )


class Encoder:
  """Writes one piece of a video; a file that is whole only after `finish`."""

  def __init__(
    self,
    clip: probe.Clip,
    tools: probe.Tools,
    target: pathlib.Path,
    size: tuple[int, int],
    times: Sequence[int],
    codec: Sequence[str],
  ):
    """Starts ffmpeg.

    Args:
      clip: the source, for its colours, depth and shape of pixels.
      tools: ffmpeg.
      target: a .nut file; this container keeps any codec and any time base.
      size: (height, width) of the frames.
      times: when each is shown, in ticks of the source's time base.
      codec: of `codecs.arguments`.
    """
    self._target = target
    command = _encoding(clip, tools, target, size, times, codec)
    self._process = _Process(command, stdin=subprocess.PIPE)

  def __enter__(self) -> "Encoder":
    """Nothing more to do."""
    return self

  def __exit__(self, *error: Any) -> None:
    """Ends ffmpeg."""
    self._process.__exit__(*error)

  def write(self, frames: np.ndarray) -> None:
    """Takes uint8 or uint16 [n, H, W, 3].

    Raises:
      EnhanceError: ffmpeg has ended early.
    """
    pipe = self._process.running.stdin
    assert pipe is not None
    try:
      pipe.write(np.ascontiguousarray(frames).data)
    except BrokenPipeError as error:
      self._process.running.wait()
      raise self._failed() from error

  def finish(self) -> None:
    """Waits until the file is whole.

    Raises:
      EnhanceError: ffmpeg failed.
    """
    pipe = self._process.running.stdin
    assert pipe is not None
    try:
      pipe.close()
    except BrokenPipeError as error:
      self._process.running.wait()
      raise self._failed() from error
    if self._process.running.wait():
      raise self._failed()

  def _failed(self) -> errors.EnhanceError:
    return errors.EnhanceError(
      f"ffmpeg failed encoding {self._target}: {self._process.complaints()}"
    )


def pixel_format(clip: probe.Clip, size: tuple[int, int]) -> str:
  """How the result is coded: chroma and depth of the source.

  Args:
    clip: the source.
    size: (height, width) of the result; an odd side cannot have half the
      chroma, it gets all.
  """
  height, width = size
  chroma = clip.subsampling
  if (chroma == "420" and height % 2) or (chroma != "444" and width % 2):
    chroma = "444"
  return f"yuv{chroma}p10le" if wide(clip) else f"yuv{chroma}p"


def when(times: Sequence[int]) -> str:
  """ffmpeg's expression for the time of frame N, ticks from the first.

  Frames at one distance are one term, so a constant rate is `clip(N-0,0,n)*d`.
  """
  gaps = [b - a for a, b in itertools.pairwise(times)]
  terms, start = [], 0
  for gap, run in itertools.groupby(gaps):
    length = len(list(run))
    terms.append(f"clip(N-{start},0,{length})*{gap}")
    start += length
  return "+".join(terms) or "0"


def _decoding(clip: probe.Clip, tools: probe.Tools, first: int) -> list[str]:
  colour = clip.colour
  matrix = probe.MATRICES[colour.matrix]
  filters = [
    f"trim=start_frame={first}",
    f"scale=in_color_matrix={matrix}:in_range={colour.range}:out_range=pc:"
    + _EXACT,
  ]
  return [
    *base(tools),
    "-i",
    probe.url(clip.path),
    "-map",
    f"0:{clip.index}",
    "-vf",
    ",".join(filters),
    *_raw(clip),
    "pipe:1",
  ]


def _encoding(
  clip: probe.Clip,
  tools: probe.Tools,
  target: pathlib.Path,
  size: tuple[int, int],
  times: Sequence[int],
  codec: Sequence[str],
) -> list[str]:
  height, width = size
  colour, ticks = clip.colour, _ratio(clip.time_base)
  matrix = probe.MATRICES[colour.matrix]
  filters = [
    f"settb={ticks}",
    f"setpts='{when(times)}'",
    f"scale=in_range=pc:out_range={colour.range}:out_color_matrix={matrix}:"
    + _EXACT,
    f"format={pixel_format(clip, size)}",
    f"setsar={_ratio(clip.aspect)}",
  ]
  tags = ["-color_range", colour.range, "-colorspace", colour.matrix]
  for flag, value in (
    ("-color_primaries", colour.primaries),
    ("-color_trc", colour.transfer),
    ("-chroma_sample_location", colour.chroma_location),
  ):
    tags += [flag, value] if value is not None else []
  return [
    *base(tools),
    *_raw_input(clip, size),
    "-i",
    "pipe:0",
    "-vf",
    ",".join(filters),
    "-fps_mode",
    "passthrough",
    "-enc_time_base",
    ticks,
    *codec,
    *tags,
    "-f",
    "nut",
    probe.url(target),
  ]


def _raw(clip: probe.Clip) -> list[str]:
  pixels = "rgb48le" if wide(clip) else "rgb24"
  passing = ["-fps_mode", "passthrough"]
  return [*passing, "-f", "rawvideo", "-pix_fmt", pixels]


def _raw_input(clip: probe.Clip, size: tuple[int, int]) -> list[str]:
  pixels = "rgb48le" if wide(clip) else "rgb24"
  shape = ["-s", f"{size[1]}x{size[0]}", "-framerate", _ratio(clip.rate)]
  return ["-f", "rawvideo", "-pix_fmt", pixels, *shape]


def _ratio(value: Fraction) -> str:
  return f"{value.numerator}/{value.denominator}"


def _fill(pipe: IO[bytes], frames: np.ndarray) -> int:
  """Reads until the array is full or the pipe ends; how many bytes came."""
  view = frames.reshape(-1).view(np.uint8).data
  done = 0
  while done < len(view):
    # Buffered readers are typed without it, and have it.
    got = pipe.readinto(view[done:])  # pyright: ignore
    if not got:
      break
    done += got
  return done
