"""VDSR: count, reference output, residual, reach, start."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors, resample
from enhance_jax.models import vdsr
from tests import networks, reach
from tests import public_weights as public
from tests import reference_weights as reference


def upscale(module, variables, lr):
  return jax.jit(functools.partial(module.apply, train=False))(variables, lr)


def state(depth=20, width=64):
  """The authors' arrays, filled with the hashed weights."""
  widths = [1] + [width] * (depth - 1) + [1]
  rows = []
  for i in range(depth):
    rows += public.conv(f"conv{i + 1:02d}", widths[i + 1], widths[i])
  return public.state(rows)


# 664,704 weights by arithmetic over the paper's layers, and 1,217 biases.
@pytest.mark.parametrize("scale", [1, 4])
def test_parameter_count(scale):
  module = vdsr.Generator(scale=scale)
  assert networks.count(module, (1, 8, 8, 1)) == 665_921


def test_golden():
  """Sum, mean absolute value, first and last in float64, by PyTorch."""
  tensors = state()
  with jax.enable_x64(True):
    options = vdsr.public_options(tensors)
    assert options == {"channels": 1, "depth": 20, "width": 64}
    module = vdsr.Generator(scale=1, dtype=jnp.float64, **options)
    x = jnp.asarray(reference.wave(1, 1, 12, 10))
    found = upscale(module, vdsr.from_public(tensors), x)
  expected = (31.781049, 0.41956835, 0.4208662, 0.96172181)
  np.testing.assert_allclose(public.summary(found), expected, rtol=2e-7)


def test_equals_pytorch():
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  torch.manual_seed(1)
  widths = (1, 8, 8, 8, 1)
  layers, tensors = [], {}
  for i, (inputs, out) in enumerate(zip(widths, widths[1:], strict=False)):
    conv = torch.nn.Conv2d(inputs, out, 3, padding=1)
    tensors[f"conv{i + 1:02d}.weight"] = conv.weight.detach().numpy()
    tensors[f"conv{i + 1:02d}.bias"] = conv.bias.detach().numpy()
    layers += [conv, torch.nn.ReLU()]
  theirs = torch.nn.Sequential(*layers[:-1])
  x = np.random.default_rng(0).random((2, 1, 7, 6), np.float32)
  with torch.no_grad():
    expected = (torch.from_numpy(x) + theirs(torch.from_numpy(x))).numpy()
  module = vdsr.Generator(scale=1, **vdsr.public_options(tensors))
  found = upscale(module, vdsr.from_public(tensors), x.transpose(0, 2, 3, 1))
  networks.close(found, expected.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_without_a_residual_it_is_bicubic(dtype):
  """The sum is float32 whatever the convolutions compute in."""
  module = vdsr.Generator(scale=2, depth=3, width=4, dtype=dtype)
  zeros = jax.tree.map(
    lambda a: jnp.zeros(a.shape), networks.shapes(module, (1, 4, 4, 1))
  )
  lr = np.float32(reference.wave(2, 1, 5, 4))
  found = upscale(module, zeros, lr)
  expected = resample.resize(lr, scale=2)
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_radius_of_the_paper():
  # A receptive field of 41x41.
  assert vdsr.Generator(scale=1).radius == 20


@pytest.mark.parametrize(
  ("scale", "depth"), [(1, 3), (2, 3), (3, 3), (4, 3), (3, 4), (3, 5)]
)
def test_radius_is_the_reach_of_an_input_pixel(scale, depth):
  module = vdsr.Generator(scale=scale, depth=depth, width=2)
  reach.check(module, networks.opened(module))


def test_start():
  """He et al. 2015: standard deviation sqrt(2 / inputs), no bias."""
  module = vdsr.Generator(depth=3)
  init = jax.jit(functools.partial(module.init, train=True))
  variables = init(jax.random.key(0), jnp.ones((1, 4, 4, 1)))
  for layer in variables["params"].values():
    kernel = np.asarray(layer["kernel"])
    tolerance = 5 / np.sqrt(2 * kernel.size)
    expected = np.sqrt(2 / kernel[..., 0].size)
    np.testing.assert_allclose(kernel.std(), expected, rtol=tolerance)
    assert not np.any(layer["bias"])


def test_foreign_arrays_are_named():
  tensors = state(3, 4)
  with pytest.raises(errors.EnhanceError, match="lacks conv01.weight"):
    vdsr.public_options({"input.weight": np.zeros((4, 1, 3, 3))})
  del tensors["conv02.weight"]
  with pytest.raises(errors.EnhanceError, match="lacks conv02.weight"):
    vdsr.from_public(tensors)
