"""What made a picture: stamped, written in every format, read back."""

import hashlib
import json
import logging

import numpy as np
import pytest
from PIL import Image

from enhance_jax import errors, images
from enhance_jax.inference import engine, fidelity, picture, provenance, tiled
from tests.picture_samples import exif_block, png_chunk, png_file, smooth
from tests.test_picture_metadata import PACKET

IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
CODES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


class Made(tiled.Tiled):
  """Nearest neighbours that pass for a network."""

  def __init__(self, *, generative=True):
    super().__init__("net", 2, 0, {"generative": generative}, None, "ab" * 32)
    self.settings = {"blend": 0.5}

  def enlarge(self, window):
    return window.repeat(2, axis=0).repeat(2, axis=1)


def stamped(original=None, *, generative=True, **settings):
  original = original or images.Picture(smooth(8, 12, 3))
  upscaler = Made(generative=generative)
  result = picture.upscale_picture(upscaler, original)
  return provenance.stamp(result, upscaler, settings, "cd" * 32)


FORMATS = [
  ("a.png", np.uint8, 3),
  ("a.png", np.uint8, 4),
  ("a.png", np.uint16, 3),
  ("a.png", np.uint16, 2),
  ("a.jpg", np.uint8, 3),
  ("a.jpg", np.uint8, 1),
  ("a.webp", np.uint8, 4),
  ("a.tif", np.uint8, 3),
  ("a.tif", np.uint16, 4),
  ("a.tif", np.uint16, 1),
]


@pytest.mark.parametrize(("name", "dtype", "channels"), FORMATS)
def test_it_survives_every_format(tmp_path, name, dtype, channels):
  original = images.Picture(
    smooth(8, 12, channels, dtype), exif=exif_block(), xmp=PACKET
  )
  images.write_picture(tmp_path / name, stamped(original, size="width 24"))
  record = provenance.inspect(tmp_path / name)
  assert record == {
    "format": provenance.FORMAT,
    "model": "net",
    "weights_sha256": "ab" * 32,
    "source_sha256": "cd" * 32,
    "scale": 2,
    "settings": {"blend": 0.5, "size": "width 24"},
    "version": record["version"],
    "generative": True,
    "digital_source_type": f"{CODES}compositeWithTrainedAlgorithmicMedia",
  }
  # What the input's own XMP said is still there, its EXIF too.
  again = images.read_picture(tmp_path / name)
  assert again.xmp is not None and 'dc:source="Zürich"'.encode() in again.xmp
  assert again.exif is not None and again.pixels.dtype == dtype
  assert (provenance.KEY in again.text) == name.endswith("png")


def test_other_programs_find_it(tmp_path):
  made = stamped()
  images.write_picture(tmp_path / "a.png", made)
  with Image.open(tmp_path / "a.png") as image:
    image.load()
    record = json.loads(image.info[provenance.KEY])
    packet = image.info["xmp"]
  assert record["model"] == "net"
  assert f'xmlns:Iptc4xmpExt="{IPTC}"'.encode() in packet
  code = f'Iptc4xmpExt:DigitalSourceType="{CODES}{provenance.GENERATIVE}"'
  assert code.encode() in packet


def test_a_network_that_invents_nothing_is_an_algorithm(tmp_path):
  images.write_picture(tmp_path / "a.png", stamped(generative=False))
  record = provenance.inspect(tmp_path / "a.png")
  assert record["generative"] is False
  assert record["digital_source_type"] == f"{CODES}algorithmicallyEnhanced"


def typed(code):
  described = (
    f'<rdf:Description rdf:about="" xmlns:i="{IPTC}" '
    f'i:DigitalSourceType="{code}"/></rdf:RDF>'
  )
  return PACKET.replace(b"</rdf:RDF>", described.encode())


@pytest.mark.parametrize(
  ("before", "generative", "after"),
  [
    ("digitalCapture", True, provenance.GENERATIVE),
    ("digitalCapture", False, provenance.ENHANCED),
    ("algorithmicallyEnhanced", True, provenance.GENERATIVE),
    (provenance.GENERATIVE, False, provenance.GENERATIVE),
    ("trainedAlgorithmicMedia", True, "trainedAlgorithmicMedia"),
    ("trainedAlgorithmicMedia", False, "trainedAlgorithmicMedia"),
  ],
)
def test_what_was_synthetic_does_not_become_less_so(
  tmp_path, before, generative, after
):
  original = images.Picture(smooth(8, 8, 3), xmp=typed(CODES + before))
  made = stamped(original, generative=generative)
  assert made.xmp is not None
  assert made.xmp.count(b"DigitalSourceType=") == 1
  images.write_picture(tmp_path / "a.png", made)
  record = provenance.inspect(tmp_path / "a.png")
  assert record["digital_source_type"] == CODES + after
  assert record["source_type_before"] == CODES + before


def test_enlarging_a_result_keeps_its_history(tmp_path):
  first = stamped(pass_="one")
  images.write_picture(tmp_path / "one.jpg", first)
  second = stamped(images.read_picture(tmp_path / "one.jpg"), generative=False)
  images.write_picture(tmp_path / "two.png", second)
  third = stamped(images.read_picture(tmp_path / "two.png"), pass_="three")
  images.write_picture(tmp_path / "three.png", third)
  record = provenance.inspect(tmp_path / "three.png")
  assert record["settings"]["pass_"] == "three"
  older = record["earlier"]
  assert [one["generative"] for one in older] == [False, True]
  assert older[1]["settings"]["pass_"] == "one"
  assert not any("earlier" in one for one in older)
  assert record["digital_source_type"] == CODES + provenance.GENERATIVE
  # It does not grow without end.
  for _ in range(15):
    third = provenance.stamp(third, Made(), {})
  assert len(json.loads(third.text[provenance.KEY])["earlier"]) == 10


@pytest.mark.parametrize(
  "packet",
  [
    b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
    b"<y:xmpmeta",
    b"<x>" * 9999,
    b"\0\1\2",
  ],
)
def test_a_hostile_packet_is_left_out_and_said_so(tmp_path, caplog, packet):
  original = images.Picture(smooth(8, 8, 3), xmp=packet)
  with caplog.at_level(logging.WARNING):
    made = stamped(original)
  assert "XMP packet is left out" in caplog.text
  assert made.xmp is not None and packet not in made.xmp
  images.write_picture(tmp_path / "a.png", made)
  assert provenance.inspect(tmp_path / "a.png")["xmp_left_out"]


def test_agreement_with_the_input_is_recorded(tmp_path):
  upscaler = fidelity.Consistent(engine.Interpolation("bicubic", 2))
  original = images.Picture(smooth(16, 16, 3))
  result = picture.upscale_picture(upscaler, original)
  made = provenance.stamp(result, upscaler, {})
  record = json.loads(made.text[provenance.KEY])
  assert upscaler.agreement is not None
  assert record["lr_psnr"] == round(upscaler.agreement.written, 2) > 45
  assert "source_sha256" not in record
  flat = images.Picture(np.full((4, 4, 1), 255, np.uint8))
  made = provenance.stamp(picture.upscale_picture(upscaler, flat), upscaler, {})
  assert json.loads(made.text[provenance.KEY])["lr_psnr"] == 200


def test_pictures_without_a_record_are_told_apart(tmp_path):
  path = tmp_path / "a.png"
  images.write_picture(path, images.Picture(smooth(8, 8, 3)))
  with pytest.raises(errors.EnhanceError, match=r"a\.png: carries no prov"):
    provenance.inspect(path)
  Image.fromarray(smooth(8, 8, 3)).save(
    tmp_path / "b.jpg", xmp=typed(CODES + "digitalCapture")
  )
  with pytest.raises(errors.EnhanceError, match="type: .*/digitalCapture"):
    provenance.inspect(tmp_path / "b.jpg")
  for text in (b"{}", b"[1", b"[" * 100_000, b'{"format": "other 2"}'):
    chunk = png_chunk(b"tEXt", provenance.KEY.encode() + b"\0" + text)
    path.write_bytes(png_file(smooth(8, 8, 3), extra=chunk))
    with pytest.raises(errors.EnhanceError, match="damaged or of another"):
      provenance.inspect(path)
  Image.fromarray(smooth(8, 8, 3)).save(tmp_path / "c.jpg", xmp=b"<x")
  with pytest.raises(errors.EnhanceError, match="that can be read: in its XMP"):
    provenance.inspect(tmp_path / "c.jpg")
  with pytest.raises(errors.EnhanceError, match="not a picture"):
    (tmp_path / "d.png").write_text("text")
    provenance.inspect(tmp_path / "d.png")


def test_pixels_are_not_touched_nor_decoded(tmp_path):
  original = images.Picture(smooth(8, 12, 3), text={"Author": "me"})
  made = stamped(original)
  digest = hashlib.sha256(made.pixels.tobytes()).hexdigest()
  again = provenance.stamp(made, Made(), {})
  assert hashlib.sha256(again.pixels.tobytes()).hexdigest() == digest
  assert again.text["Author"] == "me"
  # A header that claims 900 megapixels: only what is beside them is read.
  value = made.text[provenance.KEY].encode()
  chunk = png_chunk(b"tEXt", provenance.KEY.encode() + b"\0" + value)
  path = tmp_path / "a.png"
  path.write_bytes(png_file(smooth(4, 4, 3), size=(30000, 30000), extra=chunk))
  assert provenance.inspect(path)["model"] == "net"
