"""SRCNN: counts, reference outputs, borders, enlargement, reach, start."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors, resample
from enhance_jax.models import srcnn
from tests import networks, reach
from tests import public_weights as public
from tests import reference_weights as reference


def upscale(module, variables, lr):
  return jax.jit(functools.partial(module.apply, train=False))(variables, lr)


def state(middle, width=64, channels=1):
  """The authors' arrays, filled with the hashed weights."""
  widths = (channels, width, width // 2, channels)
  rows = []
  for i, size in enumerate((9, middle, 5)):
    rows += public.conv(f"conv{i + 1}", widths[i + 1], widths[i], size)
  return public.state(rows)


def tiny(**options):
  tensors = state(1, 6)
  options = {**srcnn.public_options(tensors), **options}
  variables = srcnn.from_public(tensors)
  variables = jax.tree.map(lambda a: a.astype(np.float32), variables)
  return srcnn.Generator(**options), variables


# 8,032, 24,416 and 57,184 weights in the papers, and the biases.
@pytest.mark.parametrize(
  ("name", "expected"),
  [("srcnn_915", 8129), ("srcnn_935", 24_513), ("srcnn_955", 57_281)],
)
def test_parameter_count(name, expected):
  options = srcnn.VARIANTS[name]
  for scale in (1, 3):
    module = srcnn.Generator(scale=scale, **options)
    assert networks.count(module, (1, 8, 8, 1)) == expected


# Sum, mean absolute value, first and last in float64, by PyTorch.
@pytest.mark.parametrize(
  ("middle", "expected"),
  [
    (1, (27.150808, 0.37787107, 0.22220098, 0.12514793)),
    (5, (38.671838, 0.33282042, 0.17936655, -0.028414858)),
  ],
)
def test_golden(middle, expected):
  tensors = state(middle)
  with jax.enable_x64(True):
    options = srcnn.public_options(tensors)
    assert options == {"channels": 1, "middle": middle, "width": 64}
    module = srcnn.Generator(
      scale=1, padding="zeros", dtype=jnp.float64, **options
    )
    x = jnp.asarray(reference.wave(1, 1, 12, 10))
    found = upscale(module, srcnn.from_public(tensors), x)
  np.testing.assert_allclose(public.summary(found), expected, rtol=2e-7)


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_equals_pytorch(padding):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  torch.manual_seed(1)
  layers = [
    torch.nn.Conv2d(i, o, k, padding=k // 2, padding_mode=padding)
    for i, o, k in ((1, 8, 9), (8, 4, 3), (4, 1, 5))
  ]
  first, second, third = layers
  relu = torch.nn.functional.relu
  tensors = {}
  for i, layer in enumerate(layers, start=1):
    tensors[f"conv{i}.weight"] = layer.weight.detach().numpy()
    tensors[f"conv{i}.bias"] = layer.bias.detach().numpy()
  x = np.random.default_rng(0).random((2, 1, 7, 11), np.float32)
  with torch.no_grad():
    expected = third(relu(second(relu(first(torch.from_numpy(x))))))
  module = srcnn.Generator(
    scale=1, padding=padding, **srcnn.public_options(tensors)
  )
  found = upscale(module, srcnn.from_public(tensors), x.transpose(0, 2, 3, 1))
  networks.close(found, expected.numpy().transpose(0, 2, 3, 1))


@pytest.mark.parametrize("scale", [2, 3])
def test_it_enlarges_by_bicubic_first(scale):
  module, variables = tiny(scale=scale)
  lr = np.float32(reference.wave(2, 1, 5, 6))
  x = resample.resize(lr, scale=scale)
  expected = upscale(tiny(scale=1)[0], variables, x)
  found = upscale(module, variables, lr)
  assert found.shape == (2, 5 * scale, 6 * scale, 1)
  np.testing.assert_allclose(found, expected, atol=2e-6)


# 9-1-5 sees 13 pixels, 9-3-5 15 and 9-5-5 17.
@pytest.mark.parametrize(("middle", "expected"), [(1, 6), (3, 7), (5, 8)])
def test_radius_of_the_papers(middle, expected):
  assert srcnn.Generator(scale=1, middle=middle).radius == expected


@pytest.mark.parametrize(
  ("scale", "middle"), [(1, 1), (2, 1), (3, 1), (4, 1), (1, 5), (3, 5)]
)
def test_radius_is_the_reach_of_an_input_pixel(scale, middle):
  module = srcnn.Generator(scale=scale, middle=middle, width=4)
  reach.check(module, networks.opened(module))


@pytest.mark.parametrize("start", ["paper", "he"])
def test_start(start):
  module = srcnn.Generator(middle=5, start=start)
  init = jax.jit(functools.partial(module.init, train=True))
  variables = init(jax.random.key(0), jnp.ones((1, 4, 4, 1)))
  for layer in variables["params"].values():
    kernel = np.asarray(layer["kernel"])
    inputs = kernel[..., 0].size
    expected = 0.001 if start == "paper" else np.sqrt(2 / inputs)
    # Five times the sampling error of a deviation.
    tolerance = 5 / np.sqrt(2 * kernel.size)
    np.testing.assert_allclose(kernel.std(), expected, rtol=tolerance)
    assert not np.any(layer["bias"])


def test_colour_and_bfloat16():
  tensors = state(1, 6, 3)
  module, _ = tiny(channels=3, dtype=jnp.bfloat16)
  lr = np.float32(reference.wave(1, 3, 5, 4))
  variables = srcnn.from_public(tensors)
  variables = jax.tree.map(lambda a: a.astype(np.float32), variables)
  narrow = upscale(module, variables, lr)
  wide = upscale(module.clone(dtype=jnp.float32), variables, lr)
  assert narrow.shape == (1, 15, 12, 3) and narrow.dtype == jnp.float32
  error = np.abs(narrow - wide).max() / np.abs(wide).max()
  assert 0 < error < 0.02


def test_wrong_options_and_arrays_are_named():
  lr = (1, 4, 4, 1)
  with pytest.raises(errors.EnhanceError, match='border called "mirror"'):
    networks.shapes(srcnn.Generator(padding="mirror"), lr)
  with pytest.raises(errors.EnhanceError, match='start "zero"'):
    networks.shapes(srcnn.Generator(start="zero"), lr)
  tensors = state(1, 4)
  with pytest.raises(errors.EnhanceError, match="conv4.bias"):
    srcnn.from_public({**tensors, "conv4.bias": np.zeros(1)})
  del tensors["conv2.bias"], tensors["conv2.weight"]
  with pytest.raises(errors.EnhanceError, match=r"lacks conv2.weight"):
    srcnn.public_options(tensors)
