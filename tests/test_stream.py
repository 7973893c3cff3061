"""Pictures enlarged into files row by row: the pixels of the whole picture."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from enhance_jax import errors, images, picture_rows
from enhance_jax.inference import engine, fidelity, picture, stream
from tests import runs
from tests.picture_samples import ICC, exif_block, noise, smooth, tags_of

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>\xc3\xa4</a></x:xmpmeta>'


def bicubic(scale=3, tile=8):
  return engine.Interpolation("bicubic", scale, tile=tile)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp", ".bmp"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_file_is_that_of_the_whole_picture(
  tmp_path, suffix, channels, dtype
):
  original = images.Picture(noise(37, 21, channels, dtype))
  whole = picture.upscale_picture(bicubic(), original)
  try:
    images.write_picture(tmp_path / f"whole{suffix}", whole)
  except errors.EnhanceError as error:
    with pytest.raises(errors.EnhanceError, match=str(error)[-40:]):
      stream.upscale_file(bicubic(), original, tmp_path / f"rows{suffix}")
    assert list(tmp_path.iterdir()) == []
    return
  tiles = []
  target = tmp_path / f"rows{suffix}"
  size = stream.upscale_file(
    bicubic(), original, target, on_tile=lambda *n: tiles.append(n)
  )
  assert size == (111, 63) and tiles[-1] == (8, 8)
  one, other = (
    images.read_picture(tmp_path / f"{name}{suffix}").pixels
    for name in ("rows", "whole")
  )
  np.testing.assert_array_equal(one, other)
  if suffix in (".png", ".tif"):
    np.testing.assert_array_equal(one, whole.pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_hidden_colours_do_not_bleed_in_streamed_files_either(tmp_path, suffix):
  pixels = np.zeros((24, 24, 4), np.uint8)
  pixels[8:16, 8:16] = (250, 20, 10, 255)
  stream.upscale_file(
    bicubic(4), images.Picture(pixels), tmp_path / f"a{suffix}"
  )
  sr = images.read_picture(tmp_path / f"a{suffix}").pixels
  seen = sr[sr[..., 3] > 0].astype(int)
  assert len(seen) > 30**2
  assert np.abs(seen[:, :3] - [250, 20, 10]).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_metadata_is_written_before_or_behind_the_rows(tmp_path, suffix):
  original = images.Picture(
    smooth(20, 31, 3), ICC, exif_block(1), XMP, {"Title": "ä → b", "A": "b"}
  )
  target = tmp_path / f"a{suffix}"
  stream.upscale_file(bicubic(), original, target)
  got = images.read_picture(target)
  assert got.icc == ICC and got.xmp == XMP
  assert tags_of(got.exif)[271] == "Camera maker"
  assert float(tags_of(got.exif).get_ifd(34665)[33434]) == pytest.approx(0.02)
  if suffix == ".png":
    assert got.text == original.text


def test_what_needs_the_whole_picture_goes_the_same_way(tmp_path):
  original = images.Picture(smooth(20, 31, 3))
  upscaler = fidelity.Consistent(bicubic())
  stream.upscale_file(upscaler, original, tmp_path / "a.png")
  np.testing.assert_array_equal(
    images.read_picture(tmp_path / "a.png").pixels,
    upscaler.upscale_uint8(original.pixels),
  )


def test_what_ends_the_work_leaves_nothing_behind(tmp_path):
  target = tmp_path / "a.png"
  target.write_bytes(b"old")

  def cancel(done, count):
    if done == 7:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    stream.upscale_file(
      bicubic(), images.Picture(noise(40, 40, 3)), target, on_tile=cancel
    )
  assert target.read_bytes() == b"old"
  assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("height", [5, 4000])
def test_a_big_tiff_says_so_and_is_read_by_pillow(tmp_path, dtype, height):
  pixels = np.ascontiguousarray(
    np.broadcast_to(noise(5, 301, 1, dtype)[:1], (height, 301, 1))
  )
  sheet = picture_rows.Sheet(
    height, 301, 1, np.dtype(dtype), ICC, exif_block(1), XMP
  )
  with (tmp_path / "a.tif").open("xb") as file:
    rows = picture_rows.TiffRows(file, sheet, big=True)
    for start in range(0, height, 3):
      rows.write(pixels[start : start + 3])
    rows.close()
  assert (tmp_path / "a.tif").read_bytes()[:4] == b"II\x2b\0"
  with Image.open(tmp_path / "a.tif") as image:
    np.testing.assert_array_equal(np.asarray(image), pixels[..., 0])
    assert image.info["icc_profile"] == ICC
    assert image.tag_v2[700] == XMP
    assert image.getexif().get_ifd(34665)[33434] == pytest.approx(0.02)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_result(tmp_path):
  # 256 MB of result pixels by a process that may have far less than that.
  code = (
    "import pathlib, resource, sys, numpy as np\n"
    "from enhance_jax import images\n"
    "from enhance_jax.inference import engine, stream\n"
    "start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    "x = np.tile(np.arange(2300, dtype=np.uint8)[:, None], (1, 2300))\n"
    "upscaler = engine.open_model('bicubic', scale=4)\n"
    "original = images.Picture(x[..., None].repeat(3, 2))\n"
    "print(stream.upscale_file(upscaler, original, sys.argv[1]))\n"
    "end = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    "print((end - start) // 1024)\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", code, str(tmp_path / "a.png")],
    cwd=runs.ROOT,
    env=runs.environment(tmp_path),
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  size, grown = done.stdout.splitlines()
  assert size == "(9200, 9200)"
  assert int(grown) < 180
