"""Read files: depths, alpha, palettes, orientation, damage, bombs."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from enhance_jax import images
from enhance_jax.errors import EnhanceError
from enhance_jax.images import Picture
from tests.picture_samples import (
  ICC,
  encoded,
  exif_block,
  noise,
  png_chunk,
  png_file,
  smooth,
  tags_of,
  tiff_file,
)


@pytest.fixture
def put(tmp_path):
  """Writes bytes or a Pillow image to a file and gives its path."""

  def write(name, content, **options):
    path = tmp_path / name
    if isinstance(content, bytes):
      path.write_bytes(content)
    else:
      content.save(path, **options)
    return path

  return write


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("interlaced", [False, True])
def test_16_bit_png_of_another_writer(put, channels, interlaced):
  pixels = noise(13, 11, channels, np.uint16)
  path = put("a.png", png_file(pixels, interlaced=interlaced))
  got = images.read_picture(path).pixels
  assert got.dtype == np.uint16
  np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_tiff_of_another_writer(put, order, channels):
  pixels = noise(13, 11, channels, np.uint16)
  kinds = 2 if channels == 4 else None
  path = put("a.tif", tiff_file(pixels, order=order, kinds=kinds))
  got = images.read_picture(path).pixels
  assert got.dtype == np.uint16
  np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_8_bit_tiff_of_another_writer(put, compression):
  pixels = noise(13, 11, 3)
  path = put("a.tif", Image.fromarray(pixels), compression=compression)
  np.testing.assert_array_equal(images.read_picture(path).pixels, pixels)


def test_dark_16_bit_stays_dark_and_white_stays_white(put):
  dark = np.full((4, 4, 3), 200, np.uint16)  # below 256: not an 8-bit picture
  got = images.read_picture(put("a.png", png_file(dark))).pixels
  np.testing.assert_array_equal(got, dark)
  white = np.full((4, 4, 1), 65535, np.uint16)
  got = images.read_picture(put("b.png", png_file(white))).pixels
  np.testing.assert_array_equal(got, white)
  assert images.read_hr(put("c.png", png_file(white))).min() == 255


def test_white_is_zero_tiff(put):
  for dtype in (np.uint8, np.uint16):
    pixels = noise(5, 6, 1, dtype)
    path = put("a.tif", tiff_file(pixels, photometric=0))
    expected = np.iinfo(dtype).max - pixels
    np.testing.assert_array_equal(images.read_picture(path).pixels, expected)


def test_palette(put):
  pixels = np.array([[[255, 0, 0], [0, 255, 0]], [[9, 8, 7], [255, 255, 255]]])
  image = Image.fromarray(pixels.astype(np.uint8)).quantize(4)
  got = images.read_picture(put("a.png", image)).pixels
  np.testing.assert_array_equal(got, pixels)
  clear = image.getpixel((1, 0))
  got = images.read_picture(put("b.png", image, transparency=clear)).pixels
  np.testing.assert_array_equal(got[..., :3], pixels)
  assert got[..., 3].tolist() == [[255, 0], [255, 255]]


def test_one_bit_becomes_gray(put):
  bits = np.random.default_rng(0).random((5, 11)) > 0.5
  got = images.read_picture(put("a.png", Image.fromarray(bits))).pixels
  np.testing.assert_array_equal(got[..., 0], np.where(bits, 255, 0))
  assert got.dtype == np.uint8


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_becomes_rgb(put, suffix):
  ink = np.zeros((8, 8, 4), np.uint8)
  ink[:, 4:] = (0, 255, 255, 0)  # magenta and yellow: red
  path = put(f"a.{suffix}", Image.fromarray(ink, "CMYK"))
  got = images.read_picture(path)
  assert got.pixels.shape == (8, 8, 3)
  np.testing.assert_allclose(got.pixels[:, :3], 255, atol=3)
  assert np.abs(got.pixels[:, 5:].astype(int) - (255, 0, 0)).max() <= 3
  # An RGB profile in a CMYK file is wrong: it is neither used nor kept.
  path = put(f"b.{suffix}", Image.fromarray(ink, "CMYK"), icc_profile=ICC)
  again = images.read_picture(path)
  np.testing.assert_array_equal(again.pixels, got.pixels)
  assert again.icc is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_colour_key_becomes_alpha(put, dtype, channels):
  pixels = noise(6, 5, channels, dtype)
  key = png_chunk(b"tRNS", pixels[2, 3].astype(">u2").tobytes())
  got = images.read_picture(put("a.png", png_file(pixels, extra=key))).pixels
  np.testing.assert_array_equal(got[..., :-1], pixels)
  expected = np.where((pixels == pixels[2, 3]).all(-1), 0, np.iinfo(dtype).max)
  np.testing.assert_array_equal(got[..., -1], expected)
  assert got[2, 3, -1] == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_orientation_is_applied_once(put, tmp_path, suffix, orientation):
  options = {"lossless": True} if suffix == ".webp" else {}
  source = Image.fromarray(smooth(24, 40, 3))
  path = put(f"a{suffix}", source, exif=exif_block(orientation), **options)
  with Image.open(path) as image:
    expected = np.asarray(ImageOps.exif_transpose(image))
  got = images.read_picture(path)
  np.testing.assert_array_equal(got.pixels, expected)
  assert images.picture_size(path) == got.pixels.shape[:2]
  assert got.pixels.shape[:2] == ((24, 40) if orientation < 5 else (40, 24))
  assert tags_of(got.exif).get(274, 1) == 1
  assert tags_of(got.exif)[271] == "Camera maker"
  images.write_picture(tmp_path / "again.png", got)
  again = images.read_picture(tmp_path / "again.png")
  np.testing.assert_array_equal(again.pixels, got.pixels)


def test_orientation_of_16_bit_pictures(put):
  pixels = noise(4, 7, 3, np.uint16)
  block = exif_block(6).removeprefix(b"Exif\0\0")
  path = put("a.png", png_file(pixels, extra=png_chunk(b"eXIf", block)))
  got = images.read_picture(path).pixels
  np.testing.assert_array_equal(got, np.rot90(pixels, -1))
  assert images.picture_size(path) == (7, 4)


def test_exif_behind_the_pixels_of_a_png(put):
  pixels = noise(4, 7, 3)
  whole = png_file(pixels)
  block = exif_block(6).removeprefix(b"Exif\0\0")
  # IEND, the last chunk, has 12 bytes.
  late = whole[:-12] + png_chunk(b"eXIf", block) + whole[-12:]
  path = put("a.png", late)
  got = images.read_picture(path).pixels
  np.testing.assert_array_equal(got, np.rot90(pixels, -1))
  assert images.picture_size(path) == (7, 4)


def test_damaged_exif_does_not_cost_the_picture(put):
  pixels = smooth(9, 12, 3)
  path = put("a.png", Image.fromarray(pixels), exif=b"Exif\0\0II*\0\xff\xff")
  got = images.read_picture(path)
  np.testing.assert_array_equal(got.pixels, pixels)
  assert got.exif is None
  assert images.picture_size(path) == (9, 12)


@pytest.mark.filterwarnings("ignore")  # Pillow's, about damaged metadata
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("part", [0.02, 0.4, 0.9])
def test_truncated(put, kind, part):
  whole = encoded(kind)
  path = put("cut.img", whole[: int(len(whole) * part)])
  with pytest.raises(EnhanceError, match=r"cut\.img: damaged, truncated"):
    images.read_picture(path)


def test_truncated_16_bit(put):
  whole = png_file(noise(40, 40, 3, np.uint16))
  path = put("cut.png", whole[:-2000])
  with pytest.raises(EnhanceError, match=r"cut\.png: damaged, truncated"):
    images.read_picture(path)


def test_flipped_bit_in_png(put):
  for position in range(60, 3000, 490):
    whole = bytearray(encoded("PNG"))
    whole[position] ^= 4
    path = put("bad.png", bytes(whole))
    with pytest.raises(EnhanceError, match=r"bad\.png: damaged"):
      images.read_picture(path)


@pytest.mark.filterwarnings("ignore")  # Pillow's, about damaged metadata
@pytest.mark.parametrize(
  ("content", "words"),
  [
    (b"", "is empty"),
    (b"<html>404 not found</html>", "not a picture in a known format"),
    (b"GIF89a" + b"\0" * 40, "not a picture in a known format"),
    (b"RIFF\0\0\0\0WAVEfmt ", "not a picture in a known format"),
    (b"\x89PNG\r\n\x1a\n" + b"\0" * 60, "damaged"),
    (b"II*\0\xff\xff\xff\x7f", "damaged"),
    (b"II*\0" + b"\x08\0\0\0\0\0\0\0\0\0", "damaged"),
  ],
)
def test_not_a_picture(put, content, words):
  path = put("odd.png", content)
  for reader in (images.read_picture, images.picture_size):
    with pytest.raises(EnhanceError, match=rf"odd\.png: .*{words}"):
      reader(path)


@pytest.mark.filterwarnings("ignore")  # Pillow's, about damaged metadata
def test_random_damage_ends_in_one_kind_of_error(put):
  rng = np.random.default_rng(11)
  wholes = [encoded(kind) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP")]
  wholes.append(png_file(noise(20, 20, 4, np.uint16)))
  wholes.append(tiff_file(noise(20, 20, 3, np.uint16)))
  refused = 0
  for _ in range(60):
    for whole in wholes:
      damaged = bytearray(whole)
      # Headers and directories are where decoders stumble.
      for place in rng.integers(0, 90, 2):
        damaged[-place if rng.random() < 0.3 else place] = rng.integers(256)
      path = put("bad.img", bytes(damaged))
      for reader in (images.read_picture, images.picture_size):
        try:
          reader(path)
        except EnhanceError:
          refused += 1
  assert refused > 100


def test_missing_and_folder(tmp_path):
  for reader in (images.read_picture, images.picture_size):
    with pytest.raises(
      EnhanceError, match=r"no\.png: cannot be read \(No such"
    ):
      reader(tmp_path / "no.png")
    with pytest.raises(EnhanceError, match=r"cannot be read \(Is a dir"):
      reader(tmp_path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_decompression_bomb_is_refused_before_decoding(put, dtype):
  # The header claims 900 megapixels; a decoder would stumble over the data.
  data = png_file(noise(4, 4, 3, dtype), size=(30000, 30000))
  path = put("bomb.png", data)
  words = r"bomb\.png: 30000x30000 is 900 megapixels and the limit is 400"
  with pytest.raises(EnhanceError, match=words):
    images.read_picture(path)
  assert images.picture_size(path) == (30000, 30000)


def test_pixel_limit_is_the_callers(put):
  path = put("a.png", Image.fromarray(noise(20, 30, 3)))
  assert images.read_picture(path, max_pixels=600).pixels.shape == (20, 30, 3)
  with pytest.raises(EnhanceError, match="raise max_pixels"):
    images.read_picture(path, max_pixels=599)


def test_pillows_limit_for_tiff_is_an_ordinary_error(put, monkeypatch):
  monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
  path = put("b.tif", tiff_file(noise(20, 30, 3)))
  with pytest.raises(EnhanceError, match=r"b\.tif: .*600 pixels"):
    images.read_picture(path)


def test_more_than_pillows_own_limit(put, monkeypatch):
  # Image.open would refuse what this program's own limit allows.
  monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
  path = put("a.png", png_file(noise(20, 30, 3)))
  assert images.read_picture(path).pixels.shape == (20, 30, 3)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_animated_is_refused(put, name):
  frames = [Image.fromarray(noise(8, 8, 3)), Image.fromarray(smooth(8, 8, 3))]
  path = put(name, frames[0], save_all=True, append_images=frames[1:])
  with pytest.raises(EnhanceError, match=rf"{name}: holds 2 frames"):
    images.read_picture(path)


def test_phone_jpeg_with_a_second_picture_inside(put):
  frames = [Image.fromarray(smooth(8, 8, 3)), Image.fromarray(noise(4, 4, 3))]
  path = put(
    "a.jpg", frames[0], format="MPO", save_all=True, append_images=frames[1:]
  )
  assert images.read_picture(path).pixels.shape == (8, 8, 3)


@pytest.mark.parametrize(
  ("data", "words"),
  [
    (Image.new("F", (4, 4)), "kind F"),
    (Image.new("I", (4, 4)), "kind I"),
    (Image.new("LAB", (4, 4)), "kind LAB"),
    (tiff_file(np.zeros((4, 4, 4), np.uint16), photometric=5), "16-bit"),
    (tiff_file(np.zeros((4, 6, 1), np.uint16), bits=12), "12 bits"),
    (tiff_file(np.zeros((4, 6, 2), np.uint16), kinds=2), "unsupported kind"),
  ],
)
def test_unusual_pixels_are_refused_by_name(put, data, words):
  path = put("odd.tif", data)
  with pytest.raises(EnhanceError, match=rf"odd\.tif: .*{words}"):
    images.read_picture(path)


def test_list_pictures(tmp_path):
  for name in ("b.png", "a.JPG", "sub/c.tiff", ".h.png", ".git/x.png", "n.txt"):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
  (tmp_path / "folder.png").mkdir()
  got = images.list_pictures(tmp_path)
  names = [path.relative_to(tmp_path).as_posix() for path in got]
  assert names == ["a.JPG", "b.png", "sub/c.tiff"]
  with pytest.raises(EnhanceError, match="no such folder"):
    images.list_pictures(tmp_path / "none")


@pytest.mark.parametrize(
  "pixels",
  [
    np.zeros((4, 4), np.uint8),
    np.zeros((4, 4, 5), np.uint8),
    np.zeros((0, 4, 3), np.uint8),
    np.zeros((4, 4, 3), np.float32),
  ],
)
def test_picture_refuses_what_no_file_holds(pixels):
  with pytest.raises(EnhanceError, match="a picture"):
    Picture(pixels)
