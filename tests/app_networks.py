"""Small networks, pictures and desks for the tests of the page."""

import struct
import zlib

import jax
import numpy as np

from enhance_jax import images, zoo
from enhance_jax.app import jobs, networks, shelf
from enhance_jax.models import srresnet
from tests import networks as networks_of_tests
from tests import picture_samples


def save(path, generative, *, scale=2, width=4):
  """A tiny network with weights of its own."""
  kwargs = {"scale": scale, "width": width, "blocks": 1}
  # The two halves of a pair are equal but for their brightness.
  brightness = 0.7 if generative else 0.9
  variables = networks_of_tests.opened(srresnet.Generator(**kwargs))
  variables["params"] = jax.tree.map(
    lambda x: x * brightness, variables["params"]
  )
  return zoo.save_generator(
    path,
    model="srresnet",
    kwargs=kwargs,
    variables=jax.device_get(variables),
    card={"generative": generative},
  )


def pair(folder):
  """Files of a faithful network and of its imagining half, as words."""
  return [
    str(save(folder / "tiny", False)),
    str(save(folder / "tiny_imagined", True)),
  ]


def photo(path, height=20, width=24, dtype=np.uint8, channels=3):
  """A file with a colour profile and EXIF."""
  pixels = picture_samples.smooth(height, width, channels, dtype)
  picture = images.Picture(
    pixels, icc=picture_samples.ICC, exif=picture_samples.exif_block()
  )
  images.write_picture(path, picture)
  return path


def bomb(path, side=40_000):
  """A PNG of a few kB that claims, and would inflate to, a huge picture."""
  head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
  rows = zlib.compress(b"\0" * 5_000_000, 9)
  chunk = picture_samples.png_chunk
  path.write_bytes(
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", head)
    + chunk(b"IDAT", rows)
    + chunk(b"IEND", b"")
  )
  return path


def settings(**changes):
  """What a visitor chose who changed little."""
  chosen = {
    "network": "tiny",
    "imagination": 0.0,
    "scale": 2.0,
    "consistent": False,
    "uncertain": False,
    "format": "PNG",
  }
  return jobs.Settings(**{**chosen, **changes})


def desk(folder, limits):
  """A desk with the pair, and a shelf that the caller closes."""
  return jobs.Desk(networks.Networks(pair(folder)), shelf.Shelf(limits))
