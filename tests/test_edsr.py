"""EDSR: counts, reference outputs, both public layouts, reach, types."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.models import edsr
from tests import networks, reach
from tests import public_weights as public
from tests import reference_weights as reference

LARGE = edsr.VARIANTS["edsr_large"]["generator"]


def upscale(module, variables, lr):
  return jax.jit(functools.partial(module.apply, train=False))(variables, lr)


def tiny(factors=(2, 2), **options):
  tensors = public.state(public.edsr(1, 6, factors))
  module = edsr.Generator(**{**edsr.public_options(tensors), **options})
  variables = edsr.from_public(tensors)
  return module, jax.tree.map(lambda a: a.astype(np.float32), variables)


# Counted from the authors' PyTorch network.
@pytest.mark.parametrize(
  ("options", "expected"),
  [
    ({"scale": 2}, 1_369_859),
    ({"scale": 3}, 1_554_499),
    ({"scale": 4}, 1_517_571),
    ({"scale": 2, **LARGE}, 40_729_603),
    ({"scale": 3, **LARGE}, 43_680_003),
    ({"scale": 4, **LARGE}, 43_089_923),
  ],
)
def test_parameter_count(options, expected):
  assert networks.count(edsr.Generator(**options), (1, 8, 8, 3)) == expected


def test_golden():
  """Sum, mean absolute value, first and last in float64, by PyTorch."""
  tensors = public.state(public.edsr(2))
  with jax.enable_x64(True):
    options = edsr.public_options(tensors)
    assert options["residual_scale"] == 1 and options["scale"] == 4
    module = edsr.Generator(**options, dtype=jnp.float64)
    lr = jnp.asarray(reference.wave(1, 3, 12, 10))
    sr = upscale(module, edsr.from_public(tensors), lr)
  expected = (1387.2937, 3.5497704, 0.48348236, 3.9740084)
  np.testing.assert_allclose(public.summary(sr), expected, rtol=2e-7)


@pytest.mark.parametrize(
  ("factors", "residual_scale"), [((2,), 1.0), ((3,), 0.1), ((2, 2), 0.1)]
)
def test_equals_pytorch(factors, residual_scale):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_modern

  torch.manual_seed(1)
  theirs = torch_modern.EDSR(3, 8, factors, residual_scale)
  tensors = torch_modern.state(theirs)
  options = edsr.public_options(tensors)
  assert options["scale"] == np.prod(factors) and options["blocks"] == 3
  options["residual_scale"] = residual_scale
  lr = np.random.default_rng(0).random((2, 6, 5, 3), np.float32)
  with torch.no_grad():
    expected = theirs(torch_modern.nchw(lr)).numpy().transpose(0, 2, 3, 1)
  found = upscale(edsr.Generator(**options), edsr.from_public(tensors), lr)
  networks.close(found, expected)


def authors(name):
  """EDSR-PyTorch's name for an array of BasicSR's, two blocks."""
  layer, leaf = name.rsplit(".", 1)
  fixed = {
    "conv_first": "head.0",
    "conv_after_body": "body.2",
    "upsample.0": "tail.0.0",
    "upsample.2": "tail.0.2",
    "conv_last": "tail.1",
  }
  layer = fixed.get(layer, layer)
  layer = layer.replace("conv1", "body.0").replace("conv2", "body.2")
  return f"{layer}.{leaf}"


def shifts(mean=edsr.MEAN):
  """The fixed 1x1 convolutions at both ends of EDSR-PyTorch."""
  eye = np.eye(3).reshape(3, 3, 1, 1)
  return {
    "sub_mean.weight": eye,
    "sub_mean.bias": -255 * np.array(mean),
    "add_mean.weight": eye,
    "add_mean.bias": 255 * np.array(mean),
  }


@pytest.mark.parametrize("factors", [(2,), (2, 2)])
def test_the_authors_names_are_the_same_network(factors):
  tensors = public.state(public.edsr(2, 4, factors))
  renamed = {authors(name): a for name, a in tensors.items()} | shifts()
  assert edsr.public_options(renamed) == edsr.public_options(tensors)
  jax.tree.map(
    np.testing.assert_array_equal,
    edsr.from_public(renamed),
    edsr.from_public(tensors),
  )
  foreign = renamed | shifts((0.5, 0.5, 0.5))
  with pytest.raises(errors.EnhanceError, match="sub_mean"):
    edsr.from_public(foreign)


def test_options_of_the_large_network():
  shapes = dict(public.edsr(1, 256, (2,)))
  tensors = {name: np.empty(shape, bool) for name, shape in shapes.items()}
  assert edsr.public_options(tensors)["residual_scale"] == 0.1


def test_missing_arrays_are_named():
  with pytest.raises(errors.EnhanceError, match="lacks conv_first.weight"):
    edsr.public_options({"conv_in.weight": np.zeros((4, 3, 3, 3))})


@pytest.mark.parametrize("factors", [(2,), (3,), (2, 2)])
def test_radius_is_the_reach_of_an_input_pixel(factors):
  # Measured on the authors' networks: 36 and 68 LR pixels at x4.
  assert edsr.Generator().radius == 36
  assert edsr.Generator(**LARGE).radius == 68
  reach.check(*tiny(factors))


def test_mean_and_range_at_the_door():
  """A network of zeros gives the mean; without biases the range cancels."""
  module, variables = tiny()
  lr = np.float32(reference.wave(1, 3, 5, 4))
  zeros = jax.tree.map(np.zeros_like, variables)
  found = upscale(module, zeros, lr)
  expected = np.broadcast_to(np.float32(edsr.MEAN), found.shape)
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  plain = jax.tree.map(lambda a: a if a.ndim > 1 else 0 * a, variables)
  one, _ = tiny(img_range=1.0)
  networks.close(upscale(one, plain, lr), upscale(module, plain, lr))


def test_gray_uses_the_mean_of_the_colours():
  module = edsr.Generator(channels=1, width=4, blocks=1, scale=2)
  zeros = jax.tree.map(
    lambda leaf: jnp.zeros(leaf.shape), networks.shapes(module, (1, 4, 4, 1))
  )
  found = upscale(module, zeros, jnp.zeros((1, 3, 4, 1)))
  assert found.shape == (1, 6, 8, 1)
  np.testing.assert_allclose(found, (0.4488 + 0.4371 + 0.4040) / 3, rtol=1e-6)


def test_bfloat16_stays_near_float32_and_keeps_float32_outside():
  module, variables = tiny()
  half, _ = tiny(dtype=jnp.bfloat16)
  lr = jnp.asarray(reference.wave(1, 3, 8, 8), jnp.float32)
  wide, narrow = (upscale(net, variables, lr) for net in (module, half))
  assert narrow.dtype == jnp.float32
  error = np.abs(narrow - wide).max() / np.abs(wide).max()
  assert 0 < error < 0.03


def test_unknown_scale_is_named():
  with pytest.raises(errors.EnhanceError, match="scale 5"):
    _ = edsr.Generator(scale=5).radius
