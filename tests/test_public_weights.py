"""The authors' own weights, through our networks, reach the authors' figures.

Their protocol: luma rounded to 8 bits, as floats shrunk and enlarged by the
bicubic of MATLAB's day (repeated borders) without rounding in between; the
result rounded to 8 bits, `scale` pixels left out on every side.
"""

import functools

import jax
import numpy as np
import pytest

from enhance_jax import images, resample, scoring, weights, zoo
from enhance_jax.inference import engine
from enhance_jax.metrics import image as metrics
from enhance_jax.models import srcnn, subpixel, vdsr

PICTURES = ("baby", "bird", "butterfly", "head", "woman")
SRCNN = {"model": "srcnn", "family": srcnn, "factory": srcnn.Generator}
VDSR = {"model": "vdsr", "family": vdsr, "factory": vdsr.Generator}
FSRCNN = {"model": "fsrcnn", "family": subpixel, "factory": subpixel.Fsrcnn}


def bundle(folder, file, network, scale):
  """The authors' network as if read from one of our files."""
  tensors = weights.read_tensors(folder / "weights" / f"{file}.npz")
  kwargs = {"scale": scale, **network["family"].public_options(tensors)}
  return zoo.Generator(
    model=network["model"],
    kwargs=kwargs,
    module=network["factory"](**kwargs),
    variables={"params": network["family"].from_public(tensors)["params"]},
    card={},
    sha256="",
  )


def luma(folder, name, scale):
  """A picture of Set5: uint8 [H, W, 1], cut to the scale."""
  hr = images.read_hr(folder / "set5" / "HR" / f"{name}.png", 1)
  return images.modcrop(hr, scale)


def authors(generator, hr):
  """The authors' way from uint8 luma to an enlarged one."""
  module = generator.module
  bicubic = functools.partial(resample.resize, border="replicate")
  x = bicubic(hr / 255.0, scale=1 / module.scale)
  if generator.model != "fsrcnn":
    x = bicubic(x, scale=module.scale)
    module = module.clone(scale=1)
  run = jax.jit(functools.partial(module.apply, train=False))
  sr = run(generator.variables, np.float32(x)[None])[0]
  return images.to_uint8(np.asarray(sr))


def psnr(folder, generator):
  """Mean over Set5."""
  scale = generator.module.scale
  protocol = metrics.Protocol(color="y8", crop=scale)
  values = []
  for name in PICTURES:
    hr = luma(folder, name, scale)
    values.append(metrics.psnr(authors(generator, hr), hr, protocol))
  return np.mean(values)


# Published to two digits by the papers, or measured independently for models
# that the papers have no figure for.
@pytest.mark.slow
@pytest.mark.parametrize(
  ("file", "network", "scale", "expected"),
  [
    ("srcnn_915_91_x2", SRCNN, 2, 36.34),
    ("srcnn_915_91_x3", SRCNN, 3, 32.39),
    ("srcnn_915_91_x4", SRCNN, 4, 30.09),
    ("srcnn_915_imagenet_x3", SRCNN, 3, 32.52),
    ("srcnn_935_imagenet_x3", SRCNN, 3, 32.66),
    ("srcnn_955_imagenet_x2", SRCNN, 2, 36.66),
    ("srcnn_955_imagenet_x3", SRCNN, 3, 32.75),
    ("fsrcnn_s_x2", FSRCNN, 2, 36.57),
    ("fsrcnn_s_x3", FSRCNN, 3, 32.60),
    ("fsrcnn_s_x4", FSRCNN, 4, 30.11),
    ("vdsr_official", VDSR, 2, 37.53),
    ("vdsr_official", VDSR, 3, 33.66),
    ("vdsr_official", VDSR, 4, 31.34),
  ],
)
def test_set5_in_the_authors_protocol(data_dir, file, network, scale, expected):
  found = psnr(data_dir, bundle(data_dir, file, network, scale))
  np.testing.assert_allclose(found, expected, atol=0.02)


@pytest.mark.parametrize("scale", [3, 4])
def test_srcnn_gives_the_pictures_that_the_authors_published(data_dir, scale):
  """Their grey results; a handful of values may fall the other way."""
  generator = bundle(data_dir, f"srcnn_915_91_x{scale}", SRCNN, scale)
  found = authors(generator, luma(data_dir, "butterfly", scale))
  folder = data_dir / "reference_results" / "SRCNN_Set5_Y_uint8" / f"x{scale}"
  expected = images.read_hr(folder / "butterfly_SRCNN.png", 1)
  difference = np.abs(np.int32(images.shave(found, scale)) - expected)
  assert difference.max() <= 1
  assert np.mean(difference > 0) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
  ("file", "network", "scale", "published"),
  [
    ("srcnn_915_91_x3", SRCNN, 3, 32.39),
    ("fsrcnn_s_x3", FSRCNN, 3, 32.60),
  ],
)
def test_set5_in_our_protocol_is_near(
  data_dir, file, network, scale, published
):
  """Eight-bit colour LR and results cost no more than 0.05 dB."""
  upscaler = engine.Upscaler(bundle(data_dir, file, network, scale))
  scores = scoring.score_sets(
    upscaler,
    [data_dir / "set5"],
    scale=scale,
    protocol=metrics.Protocol(color="y8", crop=scale),
  )
  found = scores["sets"]["set5"]["mean"]["psnr"]
  np.testing.assert_allclose(found, published, atol=0.05)
