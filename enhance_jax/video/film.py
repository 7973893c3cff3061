"""Enlarges videos frame by frame: no frame lost, and a killed run goes on.

ffmpeg decodes and encodes. Every frame keeps its time, so variable frame rates
come out as they went in; audio, subtitles, chapters and metadata are copied;
pixels stay in the source's colour coding, depth, chroma and shape. Rotation is
applied to the frames, once.
"""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from enhance_jax import errors, images, zoo
from enhance_jax.inference import provenance, sizes, tiled
from enhance_jax.video import codecs, making, pipes, probe, work

# Frames that are lost at most when a run is killed: half a minute on a quick
# accelerator, minutes on a processor; each piece begins with a whole picture.
PIECE = 96


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of a video.

  Attributes:
    frames: how many.
    size: (height, width) of the result.
    notes: what its owner should know.
  """

  frames: int
  size: tuple[int, int]
  notes: tuple[str, ...]


def upscale_video(
  upscaler: tiled.Engine,
  source: pathlib.Path,
  target: pathlib.Path,
  *,
  size: sizes.Size | None = None,
  codec: str = codecs.DEFAULT,
  crf: int | None = None,
  anew: bool = False,
  on_frame: making.OnFrame | None = None,
  tools: probe.Tools | None = None,
  piece: int = PIECE,
) -> Outcome:
  """Enlarges a video into a file, whole or not at all.

  Finished pieces are kept in the folder `TARGET.parts` until the result is
  there; the same call goes on with them.

  Args:
    upscaler: of `engine.open_model`.
    source: any file that ffmpeg reads.
    target: .mp4, .mov, .m4v, .mkv or .webm; replaced if there.
    size: of the result; None is the upscaler's own enlargement.
    codec: a name of `codecs.CODECS`.
    crf: constant rate factor; None takes the codec's default.
    anew: forget what was begun with other settings, instead of refusing.
    on_frame: called with (frames done, frames in all), first with what an
      earlier run has done; ends the work by raising.
    tools: ffmpeg; None looks for it on the PATH.
    piece: frames that are encoded together.

  Raises:
    EnhanceError: ffmpeg is absent or fails, a kind of video that would not
      come out right, a container that cannot hold the streams, or frames that
      are missing.
  """
  tools = tools or probe.find_tools()
  clip = probe.header(source, tools)
  container = codecs.container(target, codec)
  wish = size or sizes.Size(scale=upscaler.scale)
  wanted = sizes.target(wish, clip.height, clip.width)
  record = _record(upscaler, clip, size)
  coding = codecs.arguments(codec, crf)
  plan = {"record": record, "size": wanted, "codec": coding, "piece": piece}
  target.parent.mkdir(parents=True, exist_ok=True)
  with work.opened(target, plan, anew=anew) as folder:
    maker = making.Maker(clip, tools, folder, wanted, coding, container)
    maker.rehearse(target)
    times = maker.times()
    pieces = work.pieces(folder, len(times), piece)
    maker.make(upscaler, pieces, times, on_frame)
    comment = {provenance.KEY: record, "comment": _own_words(clip)}
    maker.join(target, pieces, times, _json(comment))
  work.remove(target)
  return Outcome(len(times), wanted, _notes(clip, times, wanted))


def inspect(path: pathlib.Path) -> dict[str, Any]:
  """The record of how an enlarged video was made.

  Raises:
    EnhanceError: it carries none, or is no video.
  """
  clip = probe.header(path, probe.find_tools())
  found = _found(clip)
  if found is None:
    raise errors.EnhanceError(
      f"{path} carries no provenance: it was not made here, or another program "
      "has written it anew"
    )
  return found[provenance.KEY]


def _found(clip: probe.Clip) -> dict[str, Any] | None:
  """What an earlier enlargement left in the metadata's comment."""
  try:
    content = json.loads(clip.comment)
  except ValueError:
    return None
  is_ours = isinstance(content, dict) and provenance.KEY in content
  return content if is_ours else None


def _own_words(clip: probe.Clip) -> str:
  """The comment that the video had before it was ever enlarged."""
  found = _found(clip)
  return clip.comment if found is None else str(found.get("comment", ""))


def _record(
  upscaler: tiled.Engine,
  clip: probe.Clip,
  size: sizes.Size | None,
) -> dict[str, Any]:
  """The record of a video is that of each of its frames."""
  found = _found(clip)
  text = {} if found is None else {provenance.KEY: _json(found[provenance.KEY])}
  frame = images.Picture(np.zeros((1, 1, 3), np.uint8), text=text)
  settings = {} if size is None else {"size": str(size)}
  sha256 = zoo.file_sha256(clip.path)
  stamped = provenance.stamp(frame, upscaler, settings, sha256)
  return json.loads(stamped.text[provenance.KEY])


def _json(content: Any) -> str:
  return json.dumps(content, sort_keys=True)


def _notes(
  clip: probe.Clip, times: list[int], size: tuple[int, int]
) -> tuple[str, ...]:
  """What a user would not expect."""
  gaps = {b - a for a, b in zip(times, times[1:], strict=False)}
  notes = []
  if gaps and max(gaps) - min(gaps) > 1:
    notes.append("variable frame rate: every frame keeps its time")
  if clip.depth > 8:
    notes.append(f"{clip.depth} bits a channel: written with 10")
  if clip.guessed:
    notes.append(
      f"no colour tag: taken for {clip.colour.matrix}, and tagged so"
    )
  if clip.others:
    notes.append(f"not kept: streams of {', '.join(clip.others)}")
  if not pipes.pixel_format(clip, size).startswith(f"yuv{clip.subsampling}"):
    notes.append("an odd side: full chroma (4:4:4), which old players refuse")
  return tuple(notes)
