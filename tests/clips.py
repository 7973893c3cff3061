"""Small synthetic videos, made and taken apart by ffmpeg itself."""

import hashlib
import json
import shutil
import subprocess

import numpy as np
import pytest

NEEDED = pytest.mark.skipif(
  shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None,
  reason="ffmpeg is not installed",
)
X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
FFV1 = ("-c:v", "ffv1", "-pix_fmt", "yuv420p")
TONE = ("-f", "lavfi", "-i", "sine=duration=10:sample_rate=44100")


def ffmpeg(*arguments):
  """Runs ffmpeg and returns its standard output."""
  command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
  return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def make(path, *options, size="48x32", rate="25", frames=20, video=X264):
  """A clip of moving shapes; further inputs and options come in between."""
  # Half the saturation: YCbCr that no RGB has would be clipped on the way.
  source = f"testsrc2=size={size}:rate={rate},hue=s=0.5"
  head = ("-f", "lavfi", "-i", source)
  ffmpeg(*head, *options, "-frames:v", frames, "-shortest", *video, path)
  return path


def probe(path, *arguments):
  """ffprobe's answer."""
  command = ["ffprobe", "-v", "error", "-of", "json", *arguments, str(path)]
  return json.loads(
    subprocess.run(command, check=True, capture_output=True).stdout
  )


def stream(path, kind="v:0"):
  """What the file says about one of its streams."""
  return probe(path, "-show_streams", "-select_streams", kind)["streams"][0]


def seconds(path, kind="v:0"):
  """When each packet is shown."""
  answer = probe(
    path, "-select_streams", kind, "-show_entries", "packet=pts_time"
  )
  return sorted(float(packet["pts_time"]) for packet in answer["packets"])


def planes(path):
  """The luma of all frames as they are coded, upright, and means of chroma.

  No conversion to RGB takes part.

  Returns:
    float64 [N, H, W] luma levels, and the mean levels of both chroma planes.
  """
  raw = ("-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv444p")
  data = ffmpeg("-i", path, "-map", "0:v:0", *raw, "-")
  form = stream(path)
  sides = form["height"], form["width"]
  turns = [part.get("rotation", 0) for part in form.get("side_data_list", [])]
  height, width = sides[::-1] if any(turn % 180 for turn in turns) else sides
  frames = np.frombuffer(data, np.uint8).reshape(-1, 3, height, width)
  return frames[:, 0].astype(float), frames[:, 1:].mean(axis=(0, 2, 3))


def audio_digest(path):
  """Of the coded audio, packet by packet."""
  return hashlib.sha256(
    ffmpeg("-i", path, "-map", "0:a", "-c", "copy", "-f", "data", "-")
  ).hexdigest()


def halved(luma):
  """Means of 2x2 pixels."""
  n, height, width = luma.shape
  return luma.reshape(n, height // 2, 2, width // 2, 2).mean(axis=(2, 4))


def psnr(a, b):
  """In dB, peak 255."""
  return 10 * np.log10(255**2 / np.mean((a - b) ** 2))
