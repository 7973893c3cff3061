"""Small pictures and networks that the commands are tried with."""

import numpy as np
from flax import traverse_util

from enhance_jax import images, zoo
from enhance_jax.models import srresnet


def scene(height, width, channels=3, dtype=np.uint8):
  """A smooth picture that fills its type's range."""
  i, j, c = np.mgrid[:height, :width, :channels]
  wave = 0.5 + 0.25 * np.sin(i / 3 + c) + 0.25 * np.cos(j / 4 - c)
  return (wave * np.iinfo(dtype).max).astype(dtype)


def write(path, pixels, **fields):
  path.parent.mkdir(parents=True, exist_ok=True)
  images.write_picture(path, images.Picture(pixels, **fields))
  return path


def read(path):
  return images.read_picture(path).pixels


def save_network(path, *, generative, spoil=False, scale=2, seed=0):
  kwargs = {"scale": scale, "width": 4, "blocks": 1}
  rng = np.random.default_rng(seed)
  flat = {
    name: np.float32(name.endswith("var") + 0.05 * rng.uniform(-1, 1, shape))
    for name, shape in zoo.expected_shapes(srresnet.Generator(**kwargs)).items()
  }
  if spoil:
    flat["params/conv_in/kernel"][:] = 3e38
  return zoo.save_generator(
    path,
    model="srresnet",
    kwargs=kwargs,
    variables=traverse_util.unflatten_dict(flat, sep="/"),
    card={"generative": generative},
  )
