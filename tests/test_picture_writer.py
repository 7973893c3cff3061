"""Written files: lossless where promised, atomic, never less than asked for."""

import os

import numpy as np
import pytest
from PIL import Image

from enhance_jax import images
from enhance_jax.errors import EnhanceError
from enhance_jax.images import Picture
from tests.picture_samples import ICC, exif_block, noise, smooth, tags_of

LOSSLESS = [
  (suffix, dtype, channels)
  for suffix, dtypes, counts in (
    (".png", (np.uint8, np.uint16), (1, 2, 3, 4)),
    (".tif", (np.uint8, np.uint16), (1, 2, 3, 4)),
    (".TIFF", (np.uint8,), (3,)),
    (".bmp", (np.uint8,), (1, 3)),
  )
  for dtype in dtypes
  for channels in counts
  if (suffix, dtype, channels) != (".tif", np.uint16, 2)
]


@pytest.mark.parametrize(("suffix", "dtype", "channels"), LOSSLESS)
@pytest.mark.parametrize("size", [(1, 2), (19, 14)])
def test_lossless_round_trip(tmp_path, suffix, dtype, channels, size):
  pixels = noise(*size, channels, dtype)
  path = tmp_path / f"a{suffix}"
  images.write_picture(path, Picture(pixels))
  got = images.read_picture(path).pixels
  assert got.dtype == dtype
  np.testing.assert_array_equal(got, pixels)
  assert images.picture_size(path) == size
  assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
  ("suffix", "channels", "stored"),
  [
    (".jpg", 1, 1),
    (".jpeg", 3, 3),
    (".webp", 1, 3),
    (".webp", 2, 4),
    (".webp", 3, 3),
    (".webp", 4, 4),
  ],
)
def test_lossy_round_trip(tmp_path, suffix, channels, stored):
  pixels = smooth(40, 56, channels)
  path = tmp_path / f"a{suffix}"
  images.write_picture(path, Picture(pixels))
  got = images.read_picture(path).pixels
  assert got.shape == (40, 56, stored)
  if stored != channels:  # WebP has no gray
    shown = np.repeat(pixels[..., :1], 3, axis=-1)
    pixels = np.concatenate([shown, pixels[..., 1:]], axis=-1)
  # WebP leaves the colour of clear pixels open.
  seen = pixels[..., 3:] > 0 if stored == 4 else np.ones((40, 56, 1), bool)
  error = np.abs(got.astype(int) - pixels) * seen
  assert error.mean() < 1.5
  images.write_picture(tmp_path / f"b{suffix}", Picture(pixels), quality=20)
  small = (tmp_path / f"b{suffix}").stat().st_size
  assert small < path.stat().st_size


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_our_16_bit_files_are_read_by_pillow(tmp_path, channels):
  # An independent reader; it keeps the high byte where it has no 16-bit mode.
  pixels = noise(9, 7, channels, np.uint16)
  images.write_picture(tmp_path / "a.png", Picture(pixels))
  with Image.open(tmp_path / "a.png") as image:
    got = np.asarray(image)
  if channels == 1:
    np.testing.assert_array_equal(got, pixels[..., 0])
  else:
    picked = got[..., [0, 3]] if channels == 2 else got
    np.testing.assert_array_equal(picked, pixels >> 8)


METADATA = [
  (suffix, dtype, channels)
  for suffix, dtype, channels in LOSSLESS
  if suffix != ".bmp"
] + [(".jpg", np.uint8, 3), (".webp", np.uint8, 4)]


@pytest.mark.parametrize(("suffix", "dtype", "channels"), METADATA)
def test_metadata_is_kept(tmp_path, suffix, dtype, channels):
  picture = Picture(smooth(9, 12, channels, dtype), ICC, exif_block(1))
  path = tmp_path / f"a{suffix}"
  images.write_picture(path, picture)
  got = images.read_picture(path)
  assert got.icc == ICC
  tags = tags_of(got.exif)
  assert tags[271] == "Camera maker"
  assert float(tags.get_ifd(34665)[33434]) == pytest.approx(0.02)
  # Storage tags of a TIFF must not travel on as EXIF of the next file.
  assert not {256, 273, 279} & set(tags)
  images.write_picture(tmp_path / "b.png", got)
  assert images.read_picture(tmp_path / "b.png").icc == ICC


@pytest.mark.parametrize(
  ("name", "picture", "words"),
  [
    ("a.jpg", Picture(smooth(4, 4, 4)), "JPEG cannot hold alpha"),
    ("a.jpg", Picture(smooth(4, 4, 2)), "JPEG cannot hold alpha"),
    ("a.jpeg", Picture(smooth(4, 4, 3, np.uint16)), "cannot hold 16 bits"),
    ("a.webp", Picture(smooth(4, 4, 3, np.uint16)), "cannot hold 16 bits"),
    ("a.bmp", Picture(smooth(4, 4, 4, np.uint16)), "16 bits or alpha"),
    ("a.tif", Picture(smooth(4, 4, 2, np.uint16)), "16-bit gray with alpha"),
    ("a.bmp", Picture(smooth(4, 4, 3), ICC), "colour profile"),
    ("a.bmp", Picture(smooth(4, 4, 3), None, exif_block()), "EXIF"),
    ("a.gif", Picture(smooth(4, 4, 3)), 'suffix ".gif" names no known'),
    ("a", Picture(smooth(4, 4, 3)), 'suffix "" names no known'),
    ("a.webp", Picture(smooth(1, 17000, 3)), "cannot be encoded"),
  ],
)
def test_no_silent_loss(tmp_path, name, picture, words):
  with pytest.raises(EnhanceError, match=words):
    images.write_picture(tmp_path / name, picture)
  assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / "a.png"
  images.write_picture(path, Picture(smooth(4, 4, 3)))
  before = path.read_bytes()

  def full_disk(source, target):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(os, "replace", full_disk)
  with pytest.raises(EnhanceError, match=r"a\.png: .*No space left"):
    images.write_picture(path, Picture(noise(4, 4, 3)))
  assert path.read_bytes() == before
  assert list(tmp_path.iterdir()) == [path]


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
  def interrupt(source, target):
    raise KeyboardInterrupt

  monkeypatch.setattr(os, "replace", interrupt)
  with pytest.raises(KeyboardInterrupt):
    images.write_picture(tmp_path / "a.png", Picture(noise(4, 4, 3)))
  assert list(tmp_path.iterdir()) == []


def test_write_into_missing_folder(tmp_path):
  with pytest.raises(
    EnhanceError, match=r"a\.png: cannot be written \(No such"
  ):
    images.write_picture(tmp_path / "none" / "a.png", Picture(smooth(4, 4, 3)))


def test_written_files_have_ordinary_permissions(tmp_path):
  path = tmp_path / "a.png"
  images.write_picture(path, Picture(smooth(4, 4, 3)))
  (tmp_path / "plain").touch()
  assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_names_with_spaces_and_other_letters(tmp_path):
  path = tmp_path / "-ein Bild; 'x' ü 絵.png"
  images.write_picture(path, Picture(smooth(4, 4, 3)))
  assert images.list_pictures(tmp_path) == [path]
  assert images.read_picture(path).pixels.shape == (4, 4, 3)
