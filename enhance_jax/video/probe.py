"""What ffprobe tells about a video, and what of it cannot be enlarged."""

import dataclasses
import json
import pathlib
import re
import shutil
import subprocess
from fractions import Fraction
from typing import Any

from enhance_jax import errors

SUFFIXES = frozenset(
  ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .mts .m2ts .wmv .flv .ogv "
  ".3gp".split()
)
# From here up, untagged videos are taken for BT.709 by players.
_HD_HEIGHT = 577
_HD_WIDTH = 1280
# ffprobe's name of a matrix -> the name that conversions know.
MATRICES = {
  "bt709": "bt709",
  "smpte170m": "smpte170m",
  "bt470bg": "bt470",
  "smpte240m": "smpte240m",
  "fcc": "fcc",
  "bt2020nc": "bt2020",
}
_UNKNOWN = (None, "unknown", "unspecified", "reserved")


@dataclasses.dataclass(frozen=True)
class Tools:
  """The two programs, with their folders."""

  ffmpeg: str
  ffprobe: str


@dataclasses.dataclass(frozen=True)
class Colour:
  """How pixels are coded, as ffmpeg's names.

  Attributes:
    matrix: RGB to YCbCr, such as "bt709"; a guess as players make it where the
      source does not say.
    range: "tv" (16..235) or "pc" (0..255).
    primaries: or None where the source does not say.
    transfer: likewise.
    chroma_location: likewise.
  """

  matrix: str
  range: str
  primaries: str | None
  transfer: str | None
  chroma_location: str | None


@dataclasses.dataclass(frozen=True)
class Clip:
  """A video file's first video stream, and what comes with it.

  Attributes:
    path: the file.
    index: of the stream.
    width: upright, pixels.
    height: likewise.
    aspect: width over height of an upright pixel.
    rate: frames a second, nominal.
    time_base: seconds a tick.
    start: seconds from the file's beginning to the first frame.
    estimated_frames: how many there are about.
    depth: bits a channel.
    subsampling: of chroma: "420", "422" or "444".
    colour: how pixels are coded.
    guessed: whether the source leaves its matrix open.
    audio: number of streams.
    subtitles: likewise.
    others: kinds of streams that are none of these.
    comment: of the file's own metadata, or "".
  """

  path: pathlib.Path
  index: int
  width: int
  height: int
  aspect: Fraction
  rate: Fraction
  time_base: Fraction
  start: float
  estimated_frames: int
  depth: int
  subsampling: str
  colour: Colour
  guessed: bool
  audio: int
  subtitles: int
  others: tuple[str, ...]
  comment: str


def find_tools() -> Tools:
  """ffmpeg and ffprobe on the PATH.

  Raises:
    EnhanceError: one is missing.
  """
  paths = [shutil.which(name) for name in ("ffmpeg", "ffprobe")]
  if paths[0] is None or paths[1] is None:
    missing = "ffmpeg" if paths[0] is None else "ffprobe"
    raise errors.EnhanceError(
      f"videos need the program {missing}, and it is not on the PATH; install "
      "ffmpeg 5.1 or newer (Debian, Ubuntu: apt install ffmpeg; macOS: brew "
      "install ffmpeg)"
    )
  return Tools(paths[0], paths[1])


def url(path: pathlib.Path) -> str:
  """A file's name that ffmpeg takes for nothing but a file."""
  return f"file:{path.resolve()}"


def ask(tools: Tools, path: pathlib.Path, *arguments: str) -> dict[str, Any]:
  """What ffprobe answers about a file, from its JSON.

  Raises:
    EnhanceError: ffprobe cannot read the file.
  """
  command = [tools.ffprobe, "-v", "error", "-protocol_whitelist", "file"]
  command += [*arguments, "-of", "json", url(path)]
  done = subprocess.run(
    command, stdin=subprocess.DEVNULL, capture_output=True, check=False
  )
  if done.returncode:
    words = done.stderr.decode(errors="replace").strip().splitlines()
    reason = words[-1].rpartition(": ")[2] if words else "no reason given"
    raise errors.EnhanceError(
      f"{path}: ffprobe cannot read it ({reason}); get a good copy of the file"
    )
  return json.loads(done.stdout)


def header(path: pathlib.Path, tools: Tools) -> Clip:
  """What the file says about itself, without decoding it.

  Raises:
    EnhanceError: unreadable, no video in it, or of a kind that would not come
      out right: interlaced, transparent, turned by no right angle.
  """
  if not path.is_file():
    raise errors.EnhanceError(f"{path} does not exist; wanted a video file")
  answer = ask(tools, path, "-show_streams", "-show_format")
  streams = answer.get("streams", [])
  pictures = [s for s in streams if s.get("codec_type") == "video"]
  moving = [s for s in pictures if not s["disposition"].get("attached_pic")]
  if not moving:
    raise errors.EnhanceError(
      f"{path} holds no video stream; a picture is enlarged under its own name"
    )
  stream = moving[0]
  _refuse(path, stream)
  turned = _rotation(path, stream) % 180 != 0
  width, height = int(stream["width"]), int(stream["height"])
  aspect = _fraction(stream.get("sample_aspect_ratio", "1:1")) or Fraction(1)
  rate = _fraction(stream.get("r_frame_rate", "0/0"))
  rate = rate or _fraction(stream.get("avg_frame_rate", "0/0"))
  if not rate:
    raise errors.EnhanceError(
      f"{path} does not say how many frames a second it has; write it anew, "
      "such as by ffmpeg -i IN -c copy OUT.mkv"
    )
  kinds = [s.get("codec_type", "unknown") for s in streams]
  form = answer.get("format", {})
  begin = [_seconds(part.get("start_time")) for part in (stream, form)]
  seconds = _seconds(stream.get("duration")) or _seconds(form.get("duration"))
  guess = round(seconds * (_fraction(stream["avg_frame_rate"]) or rate))
  return Clip(
    path=path,
    index=int(stream["index"]),
    width=height if turned else width,
    height=width if turned else height,
    aspect=1 / aspect if turned else aspect,
    rate=rate,
    time_base=_fraction(stream["time_base"]) or 1 / rate,
    start=max(0.0, begin[0] - begin[1]),
    estimated_frames=int(stream.get("nb_frames", guess) or 1),
    depth=_depth(stream),
    subsampling=_subsampling(stream["pix_fmt"]),
    colour=_colour(path, stream),
    guessed=_said(stream.get("color_space")) is None,
    audio=kinds.count("audio"),
    subtitles=kinds.count("subtitle"),
    others=tuple(
      kinds[i]
      for i in range(len(streams))
      if kinds[i] not in ("audio", "subtitle") and streams[i] is not stream
    ),
    comment=_comment(form),
  )


def timestamps(clip: Clip, tools: Tools) -> list[int]:
  """When each frame is shown, in ticks of the time base, by decoding them all.

  Counted from the first frame. Where the file has no times, frames follow each
  other at its nominal rate.

  Raises:
    EnhanceError: no frame can be decoded, or times that do not grow.
  """
  answer = ask(
    tools,
    clip.path,
    "-threads",
    "0",
    "-select_streams",
    str(clip.index),
    "-show_entries",
    "frame=best_effort_timestamp",
  )
  found = [f.get("best_effort_timestamp") for f in answer.get("frames", [])]
  if not found:
    raise errors.EnhanceError(
      f"{clip.path}: not one frame can be decoded; get a good copy of the file"
    )
  if all(time is None for time in found):
    step = 1 / (clip.rate * clip.time_base)
    return [round(i * step) for i in range(len(found))]
  times = [-1 if time is None else int(time) - int(found[0]) for time in found]
  for i in range(1, len(times)):
    if times[i] <= times[i - 1]:
      raise errors.EnhanceError(
        f"{clip.path}: frame {i + 1} is shown no later than frame {i}, so the "
        "frames' times cannot be kept; write the file anew at a constant rate, "
        f"such as by ffmpeg -i IN -fps_mode cfr -r {clip.rate} -c:a copy OUT"
      )
  return times


def _refuse(path: pathlib.Path, stream: dict[str, Any]) -> None:
  if stream.get("field_order", "progressive") not in (
    "progressive",
    "unknown",
  ):
    raise errors.EnhanceError(
      f"{path} is interlaced, and its half pictures would be enlarged as if "
      "they were one; make it progressive first, such as by ffmpeg -i IN -vf "
      "bwdif -c:a copy OUT"
    )
  pixels = stream.get("pix_fmt", "")
  if re.match(r"yuva|gbrap|rgba|bgra|argb|abgr|ya|pal8", pixels):
    raise errors.EnhanceError(
      f"{path} has transparency ({pixels}), which no result would keep; lay it "
      "over a background first"
    )
  if not pixels:
    raise errors.EnhanceError(
      f"{path}: ffprobe cannot decode its video; get a good copy of the file"
    )


def _rotation(path: pathlib.Path, stream: dict[str, Any]) -> int:
  """Degrees by which players turn the picture."""
  for data in stream.get("side_data_list", []):
    if "rotation" in data:
      degrees = float(data["rotation"])
      if degrees % 90:
        raise errors.EnhanceError(
          f"{path} is to be shown turned by {degrees:g} degrees; turn it by "
          "ffmpeg first"
        )
      return int(degrees)
  return 0


def _colour(path: pathlib.Path, stream: dict[str, Any]) -> Colour:
  hd = stream["height"] >= _HD_HEIGHT or stream["width"] >= _HD_WIDTH
  matrix = _said(stream.get("color_space"))
  if matrix is None or matrix == "gbr":
    matrix = "bt709" if hd or matrix else "smpte170m"
  if matrix not in MATRICES:
    raise errors.EnhanceError(
      f"{path} codes its colours by {matrix}, which cannot be converted to RGB "
      f"and back here; {errors.nearest(matrix, MATRICES)}"
    )
  full = stream["pix_fmt"].startswith(("yuvj", "gray", "rgb", "bgr", "gbr"))
  location = _said(stream.get("chroma_location"))
  return Colour(
    matrix=matrix,
    range=_said(stream.get("color_range")) or ("pc" if full else "tv"),
    primaries=_said(stream.get("color_primaries")),
    transfer=_said(stream.get("color_transfer")),
    chroma_location=location,
  )


def _said(word: str | None) -> str | None:
  return None if word in _UNKNOWN else word


def _depth(stream: dict[str, Any]) -> int:
  found = re.search(r"p?(9|10|12|14|16)(?:le|be)$", stream["pix_fmt"])
  wide = {"rgb48": 16, "bgr48": 16, "p010": 10, "p016": 16, "p210": 10}
  for name, bits in wide.items():
    if stream["pix_fmt"].startswith(name):
      return bits
  return int(found[1]) if found else 8


def _subsampling(pixels: str) -> str:
  """Chroma of the result: the source's, or the next finer one."""
  if re.search(r"444|440|gbr|rgb|bgr", pixels):
    return "444"
  if re.search(r"422|yuyv|uyvy|p210", pixels):
    return "422"
  return "420"


def _comment(form: dict[str, Any]) -> str:
  tags = {key.lower(): text for key, text in form.get("tags", {}).items()}
  return tags.get("comment", "")


def _fraction(text: str) -> Fraction | None:
  top, _, bottom = text.replace(":", "/").partition("/")
  if not bottom or not int(top) or not int(bottom):
    return None
  return Fraction(int(top), int(bottom))


def _seconds(text: str | None) -> float:
  return 0.0 if text in (None, "N/A") else float(text)
