"""XMP, text and profiles of files, byte by byte; orientation applied once."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from enhance_jax import images, picture_reader
from enhance_jax.errors import EnhanceError
from tests.picture_samples import (
  exif_block,
  noise,
  png_chunk,
  png_file,
  smooth,
)

PACKET = (
  '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
  '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
  '"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
  ' xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="Zürich"/></rdf:RDF>'
  '</x:xmpmeta><?xpacket end="w"?>'
).encode()


def turned(value, *, as_element=False):
  """A packet that says how to turn the picture, as phones write it."""
  how = f'tiff:Orientation="{value}"'
  if as_element:
    how = f"><tiff:Orientation>{value}</tiff:Orientation><a"
  return PACKET.replace(b"dc:source", how.encode() + b" dc:source")


def put(folder, name, packet, **options):
  """A file with an XMP packet where its format has it."""
  path = folder / name
  image = Image.fromarray(smooth(12, 20, 3))
  if path.suffix == ".png":
    chunk = itxt("XML:com.adobe.xmp", packet)
    path.write_bytes(png_file(smooth(12, 20, 3), extra=chunk))
  elif path.suffix == ".tif":
    image.save(path, tiffinfo={700: packet}, **options)
  else:
    image.save(path, xmp=packet, **options)
  return path


def itxt(keyword, value, *, compressed=False):
  data = zlib.compress(value) if compressed else value
  flags = bytes([compressed, 0])
  return png_chunk(b"iTXt", keyword.encode() + b"\0" + flags + b"\0\0" + data)


def behind_pixels(whole, chunk):
  return whole[:-12] + chunk + whole[-12:]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_xmp_is_read_as_it_is(tmp_path, name):
  path = put(tmp_path, name, PACKET)
  assert images.read_picture(path).xmp == PACKET
  assert picture_reader.read_remarks(path) == (PACKET, {})


def test_no_xmp_is_none(tmp_path):
  for name in ("a.png", "a.jpg", "a.webp", "a.tif", "a.bmp"):
    Image.fromarray(smooth(8, 8, 3)).save(tmp_path / name)
    got = images.read_picture(tmp_path / name)
    assert (got.xmp, dict(got.text)) == (None, {})
    assert picture_reader.read_remarks(tmp_path / name) == (None, {})


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_text_of_every_kind_is_read(tmp_path, late, dtype):
  chunks = png_chunk(b"tEXt", b"Author\0Ren\xe9e")
  chunks += png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"long " * 99))
  chunks += itxt("Title", "Zürich, 東京".encode(), compressed=True)
  chunks += itxt("XML:com.adobe.xmp", PACKET, compressed=True)
  pixels = noise(6, 5, 3, dtype)
  whole = png_file(pixels, extra=b"" if late else chunks)
  path = tmp_path / "a.png"
  path.write_bytes(behind_pixels(whole, chunks) if late else whole)
  text = {
    "Author": "Renée",
    "Comment": "long " * 99,
    "Title": "Zürich, 東京",
  }
  got = images.read_picture(path)
  assert (dict(got.text), got.xmp) == (text, PACKET)
  np.testing.assert_array_equal(got.pixels, pixels)
  assert picture_reader.read_remarks(path) == (PACKET, text)


def test_remarks_are_read_without_decoding(tmp_path):
  chunks = png_chunk(b"tEXt", b"Author\0me")
  path = tmp_path / "a.png"
  whole = png_file(noise(4, 4, 3), size=(30000, 30000))
  path.write_bytes(behind_pixels(whole, chunks))
  assert picture_reader.read_remarks(path) == (None, {"Author": "me"})
  path.write_bytes(whole[:50])  # cut within the pixels
  assert picture_reader.read_remarks(path) == (None, {})


def test_blocks_in_imagemagicks_hexadecimal(tmp_path):
  def raw(kind, block):
    lines = f"\n{kind}\n{len(block):8}\n{block.hex()}\n"
    keyword = f"Raw profile type {kind}".encode()
    return png_chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(lines.encode()))

  chunks = raw("xmp", PACKET) + raw("exif", exif_block(6))
  path = tmp_path / "a.png"
  path.write_bytes(png_file(noise(4, 7, 3), extra=chunks))
  got = images.read_picture(path)
  assert got.pixels.shape == (7, 4, 3) == (*images.picture_size(path), 3)
  # Kept as text, the block would turn the result once more.
  assert (got.xmp, dict(got.text)) == (PACKET, {})


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
@pytest.mark.parametrize("as_element", [False, True])
def test_orientation_in_xmp_is_applied_once(tmp_path, name, as_element):
  options = {"lossless": True} if name == "a.webp" else {}
  packet = turned(6, as_element=as_element)
  path = put(tmp_path, name, packet, **options)
  got = images.read_picture(path)
  upright = np.rot90(smooth(12, 20, 3), -1)
  difference = got.pixels.astype(int) - upright
  assert np.abs(difference).max() <= (40 if name == "a.jpg" else 0)
  assert images.picture_size(path) == (20, 12)
  # Read again from a file with what was kept, it is not turned once more.
  assert got.xmp is not None and got.xmp != packet
  if name != "a.tif":  # where Pillow takes it out by itself
    assert got.xmp == turned(1, as_element=as_element)
  again = put(tmp_path, name, got.xmp)
  assert images.picture_size(again) == (12, 20)


def test_exif_goes_before_xmp(tmp_path):
  path = tmp_path / "a.jpg"
  image = Image.fromarray(smooth(12, 20, 3))
  image.save(path, exif=exif_block(3), xmp=turned(6))
  got = images.read_picture(path)
  assert got.pixels.shape == (12, 20, 3) and got.xmp == turned(1)


def test_xmp_in_utf_16_becomes_utf_8(tmp_path):
  text = PACKET.decode().replace("\ufeff", "")
  path = put(tmp_path, "a.tif", text.encode("utf-16"))
  got = images.read_picture(path).xmp
  assert got is not None and got.decode().endswith(text)


def test_text_that_inflates_without_end_is_refused(tmp_path):
  bomb = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26), 9))
  path = tmp_path / "a.png"
  path.write_bytes(png_file(noise(4, 4, 3), extra=bomb))
  for reader in (images.read_picture, picture_reader.read_remarks):
    with pytest.raises(EnhanceError, match=r"a\.png: damaged.*too large"):
      reader(path)


def cmyk_profile():
  """A printer for which cyan ink alone is red, by a table of 16 corners."""
  lab = np.zeros((2, 2, 2, 2, 3), np.uint8)  # black, unless said otherwise
  lab[...] = (0, 128, 128)
  lab[0, 0, 0, 0] = (255, 128, 128)  # paper
  lab[1, 0, 0, 0] = (136, 208, 195)  # L 53, a 80, b 67: pure red
  line = bytes(range(256))
  one, zero = 65536, 0
  matrix = struct.pack(">9i", one, zero, zero, zero, one, zero, zero, zero, one)
  table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix
  table += line * 4 + lab.tobytes() + line * 3
  table += bytes(-len(table) % 4)
  tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(table))
  white = struct.pack(">3i", 63190, 65536, 54061)
  head = struct.pack(
    ">I4sI4s4s4s12s4s", 144 + len(table), bytes(4), 0x02400000, b"prtr",
    b"CMYK", b"Lab ", bytes(12), b"acsp",
  )  # fmt: skip
  return (head + bytes(28) + white).ljust(128, b"\0") + tags + table


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_goes_through_its_own_profile(tmp_path, suffix):
  ink = np.zeros((16, 16, 4), np.uint8)
  ink[:, 8:, 0] = 255
  path = tmp_path / f"a.{suffix}"
  image = Image.fromarray(ink, "CMYK")
  image.save(path, icc_profile=cmyk_profile(), quality=100)
  got = images.read_picture(path)
  np.testing.assert_allclose(got.pixels[:, :8], 255, atol=3)
  seen = got.pixels[:, 8:].reshape(-1, 3).mean(axis=0)
  np.testing.assert_allclose(seen, (255, 0, 0), atol=8)
  # It is sRGB now: the printer's profile would be wrong for it.
  assert got.icc is None
