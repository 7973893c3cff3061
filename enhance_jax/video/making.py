"""The making of an enlarged video: pieces, then one file from all of them."""

import contextlib
import dataclasses
import json
import pathlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from enhance_jax import errors, zoo
from enhance_jax.inference import overlap, sizes, tiled
from enhance_jax.video import codecs, pipes, probe, work

OnFrame = Callable[[int, int], None]

# Pixels that go through the network at once.
_BATCH_PIXELS = 1 << 21
_LARGEST_BATCH = 16


@dataclasses.dataclass(frozen=True)
class Maker:
  """The steps of one video."""

  clip: probe.Clip
  tools: probe.Tools
  folder: pathlib.Path
  size: tuple[int, int]
  codec: Sequence[str]
  container: Sequence[str]

  def times(self) -> list[int]:
    """When each frame is shown; noted, as a run that goes on needs it too."""
    path = self.folder / "times.json"
    try:
      return json.loads(path.read_text())
    except (OSError, ValueError):
      times = probe.timestamps(self.clip, self.tools)
      zoo.write_atomic(path, json.dumps(times).encode())
      return times

  def rehearse(self, target: pathlib.Path) -> None:
    """Encodes one gray frame and joins it with the other streams.

    What ffmpeg refuses at the end of days of work, it refuses here.
    """
    piece = work.Piece(0, 0, 1, self.folder / "rehearsal")
    piece.folder.mkdir(exist_ok=True)
    dtype = np.uint16 if pipes.wide(self.clip) else np.uint8
    gray = np.full((1, *self.size, 3), np.iinfo(dtype).max // 2, dtype)
    with self.encoder(piece.path, [0]) as encoder:
      encoder.write(gray)
      encoder.finish()
    listed = work.joined(piece.folder, [piece], [0], 1, Fraction(1, 10))
    trial = piece.folder / target.name
    # Both begin at once here, or the frame might lie behind the end.
    together = dataclasses.replace(
      self, clip=dataclasses.replace(self.clip, start=0.0)
    )
    together._mux(listed, trial, "", ["-t", "0.1"])
    streams = probe.ask(self.tools, trial, "-show_streams")["streams"]
    # "yuvj" is an older word for full range.
    got = streams[0].get("pix_fmt", "none").replace("yuvj", "yuv")
    wanted = pipes.pixel_format(self.clip, self.size)
    if got != wanted:
      raise errors.EnhanceError(
        f"{self.codec[1]} cannot hold the source's {wanted}, only {got}; "
        "choose another codec: --codec=libx265 or --codec=ffv1"
      )

  def make(
    self,
    upscaler: tiled.Engine,
    pieces: list[work.Piece],
    times: list[int],
    on_frame: OnFrame | None,
  ) -> None:
    """Fills the gaps among the pieces."""
    missing = [piece for piece in pieces if not piece.finished()]
    done = len(times) - sum(piece.last - piece.first for piece in missing)
    if on_frame is not None:
      on_frame(done, len(times))
    for stretch in _stretches(missing):
      for count in self._stretch(upscaler, stretch, times):
        done += count
        if on_frame is not None:
          on_frame(done, len(times))

  def _stretch(
    self,
    upscaler: tiled.Engine,
    pieces: list[work.Piece],
    times: list[int],
  ) -> Iterator[int]:
    """Pieces that follow each other; yields frames as they are encoded."""
    counts = _counts(pieces, self.clip)
    decoded = pipes.decode(
      self.clip, self.tools, pieces[0].first, counts, len(times)
    )
    with contextlib.ExitStack() as stack:
      stack.enter_context(contextlib.closing(decoded))
      read = overlap.ahead(lambda _: next(decoded), counts)
      stack.enter_context(contextlib.closing(read))
      writer = stack.enter_context(_Writer(self, pieces, times))
      enlarged = (_enlarge(upscaler, frames, self.size) for frames in read)
      written = overlap.ahead(writer.write, enlarged)
      stack.enter_context(contextlib.closing(written))
      yield from written
      # Whether there are more frames than were counted shows only now.
      next(decoded, None)

  def join(
    self,
    target: pathlib.Path,
    pieces: list[work.Piece],
    times: list[int],
    comment: str,
  ) -> None:
    """Writes the result from all pieces, and counts its frames."""
    end = times[-1] + _last_gap(times, self.clip)
    base = self.clip.time_base
    listed = work.joined(self.folder, pieces, times, end, base)
    name = f".{target.stem}.{secrets.token_hex(4)}.tmp{target.suffix}"
    temporary = target.with_name(name)
    try:
      self._mux(listed, temporary, comment, [])
      self._check(temporary, target, times)
      temporary.replace(target)
    except BaseException:
      temporary.unlink(missing_ok=True)
      raise

  def encoder(self, path: pathlib.Path, times: Sequence[int]) -> pipes.Encoder:
    """The encoder of one piece.

    Args:
      path: of its file.
      times: when its frames are shown, in ticks from its first.
    """
    return pipes.Encoder(
      self.clip, self.tools, path, self.size, times, self.codec
    )

  def _mux(
    self,
    listed: pathlib.Path,
    target: pathlib.Path,
    comment: str,
    limit: Sequence[str],
  ) -> None:
    """Joins pieces, and the source's audio, subtitles, chapters, metadata."""
    ticks = self.clip.time_base.denominator
    timescale = ["-video_track_timescale", str(ticks)]
    command = [
      *pipes.base(self.tools),
      *("-f", "concat", "-itsoffset", f"{self.clip.start:.6f}"),
      *("-i", probe.url(listed)),
      *("-i", probe.url(self.clip.path)),
      *("-map", "0:v:0", "-map", "1:a?", "-map", "1:s?", "-c", "copy"),
      *("-map_metadata", "1", "-map_chapters", "1"),
      *("-metadata", f"comment={comment}", *limit),
      *(
        timescale if "mov" in self.container or "mp4" in self.container else []
      ),
      *(*self.container, probe.url(target)),
    ]
    try:
      pipes.run(command, f"writing {target.name}")
    except errors.EnhanceError as error:
      raise errors.EnhanceError(
        f"{error}. A {target.suffix} file may not hold all streams of "
        f"{self.clip.path}; {codecs.ANY_STREAM} holds any"
      ) from error

  def _check(
    self, made: pathlib.Path, target: pathlib.Path, times: list[int]
  ) -> None:
    """Compares number and times of the frames with the source's."""
    answer = probe.ask(
      self.tools,
      made,
      *("-select_streams", "v:0", "-show_entries"),
      "packet=pts:stream=time_base",
    )
    got = sorted(int(packet["pts"]) for packet in answer["packets"])
    if len(got) != len(times):
      raise errors.EnhanceError(
        f"{target} would have {len(got)} frames instead of {len(times)}; "
        "nothing was written. Try another --codec or container"
      )
    tick = Fraction(answer["streams"][0]["time_base"])
    late = max(
      abs((mine - got[0]) * tick - theirs * self.clip.time_base)
      for mine, theirs in zip(got, times, strict=True)
    )
    if late > tick + Fraction(2, 1_000_000):
      raise errors.EnhanceError(
        f"{target} would show frames up to {float(late):.4f} s beside their "
        "time; nothing was written. Try another container, such as .mkv"
      )


class _Writer:
  """Encodes frames into pieces that follow each other."""

  def __init__(self, maker: Maker, pieces: list[work.Piece], times: list[int]):
    self._maker = maker
    self._left = list(pieces)
    self._times = times
    self._encoder: pipes.Encoder | None = None
    self._part = pathlib.Path()
    self._frames = 0

  def __enter__(self) -> "_Writer":
    return self

  def __exit__(self, *error: Any) -> None:
    if self._encoder is not None:
      self._encoder.__exit__(*error)
      self._part.unlink(missing_ok=True)

  def write(self, frames: np.ndarray) -> int:
    """Takes frames of one piece; its file is finished with its last one."""
    piece = self._left[0]
    if self._encoder is None:
      self._part = piece.unfinished()
      begin = self._times[piece.first]
      times = [t - begin for t in self._times[piece.first : piece.last]]
      self._encoder = self._maker.encoder(self._part, times)
      self._frames = piece.last - piece.first
    self._encoder.write(frames)
    self._frames -= len(frames)
    if not self._frames:
      self._encoder.finish()
      self._encoder.__exit__(None, None, None)
      self._encoder = None
      piece.accept(self._part)
      del self._left[0]
    return len(frames)


def _enlarge(
  upscaler: tiled.Engine, frames: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
  if frames.dtype == np.uint8:
    large = upscaler.upscale_frames(frames)
  else:
    large = np.stack([upscaler.upscale_uint16(frame) for frame in frames])
  if large.shape[1:3] == size:
    return large
  return np.stack([sizes.resize_pixels(frame, size) for frame in large])


def _stretches(
  missing: list[work.Piece],
) -> Iterator[list[work.Piece]]:
  """Runs of pieces without a gap; each costs decoding from the beginning."""
  run: list[work.Piece] = []
  for piece in missing:
    if run and piece.first != run[-1].last:
      yield run
      run = []
    run.append(piece)
  if run:
    yield run


def _counts(pieces: list[work.Piece], clip: probe.Clip) -> list[int]:
  """Frames of each batch; none goes over the end of a piece."""
  most = _BATCH_PIXELS // (clip.height * clip.width)
  # A power of two, so that most pieces are whole batches: one program.
  batch = 1 << (min(max(1, most), _LARGEST_BATCH).bit_length() - 1)
  return [
    min(batch, piece.last - first)
    for piece in pieces
    for first in range(piece.first, piece.last, batch)
  ]


def _last_gap(times: list[int], clip: probe.Clip) -> int:
  """How long the last frame is shown, in ticks: as long as the one before."""
  if len(times) > 1:
    return times[-1] - times[-2]
  return max(1, round(1 / (clip.rate * clip.time_base)))
