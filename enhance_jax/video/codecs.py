"""Codecs and containers that enlarged videos are written in."""

import dataclasses
import pathlib

from enhance_jax import errors


@dataclasses.dataclass(frozen=True)
class Codec:
  """How ffmpeg is asked for one.

  Attributes:
    crf: the default constant rate factor; None: lossless, there is none.
    worst: the largest rate factor.
    options: further ones.
  """

  crf: int | None
  worst: int
  options: tuple[str, ...] = ()


DEFAULT = "libx264"
CODECS = {
  "libx264": Codec(16, 51),
  "libx265": Codec(18, 51, ("-x265-params", "log-level=error")),
  "libvpx-vp9": Codec(18, 63, ("-b:v", "0", "-row-mt", "1")),
  "libsvtav1": Codec(20, 63),
  "ffv1": Codec(None, 0, ("-level", "3")),
}
# Suffix -> ffmpeg's name of the container.
FORMATS = {
  ".mp4": "mp4",
  ".m4v": "mp4",
  ".mov": "mov",
  ".mkv": "matroska",
  ".webm": "webm",
}
# This one takes every codec, and all audio and subtitles.
ANY_STREAM = ".mkv"


def check(codec: str, crf: int | None) -> None:
  """Refuses what a codec does not know.

  Raises:
    EnhanceError: unknown codec, or a rate factor out of its range.
  """
  if codec not in CODECS:
    raise errors.EnhanceError(
      f'there is no codec called "{codec}" here; '
      f"{errors.nearest(codec, CODECS)}"
    )
  one = CODECS[codec]
  if crf is None:
    return
  if one.crf is None:
    raise errors.EnhanceError(f"{codec} is lossless; leave --crf out")
  if not 0 <= crf <= one.worst:
    raise errors.EnhanceError(
      f"got --crf={crf}; {codec} takes 0 (best) to {one.worst}"
    )


def arguments(codec: str, crf: int | None) -> list[str]:
  """What tells ffmpeg to encode so.

  Args:
    codec: a name of `CODECS`.
    crf: the rate factor; None takes the codec's default.
  """
  one = CODECS[codec]
  chosen = one.crf if crf is None else crf
  rate = [] if chosen is None else ["-crf", str(chosen)]
  # Without B-frames every packet is shown when it is decoded, so pieces can be
  # joined without touching any time, whatever the frames' distances.
  return ["-c:v", codec, *rate, *one.options, "-bf", "0"]


def container(target: pathlib.Path, codec: str) -> list[str]:
  """What tells ffmpeg to write that kind of file.

  Raises:
    EnhanceError: an unknown suffix.
  """
  suffix = target.suffix.lower()
  if suffix not in FORMATS:
    raise errors.EnhanceError(
      f'{target}: the suffix "{target.suffix}" names no known container; use '
      f"one of {', '.join(FORMATS)}"
    )
  options = ["-f", FORMATS[suffix]]
  if FORMATS[suffix] in ("mp4", "mov"):
    # The index goes to the front, so that playing can begin at once.
    options += ["-movflags", "+faststart"]
    # The only tag that Apple's players open.
    options += ["-tag:v", "hvc1"] if codec == "libx265" else []
  return options
