"""The swish GAN: counts by hand, PyTorch, reach, shapes of the faces."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.models import swish_resnet
from tests import networks, reach
from tests import reference_weights as reference


def _pair(*path):
  yield ("params", *path, "kernel"), "conv"
  yield ("params", *path, "bias"), "bias"


def _norm(*path):
  yield ("params", *path, "scale"), "scale"
  yield ("params", *path, "bias"), "beta"
  yield ("batch_stats", *path, "mean"), "mean"
  yield ("batch_stats", *path, "var"), "var"


def generator_slots(blocks):
  """The generator's arrays in the order of a PyTorch state dict."""
  yield from _pair("conv_in")
  for i in range(blocks):
    for k in (1, 2):
      yield from _pair(f"block_{i:02d}", f"conv_{k}")
      yield from _norm(f"block_{i:02d}", f"norm_{k}")
  yield from _pair("conv_mid")
  yield from _norm("norm_mid")
  yield from _pair("conv_up_0")
  yield from _pair("conv_out")


def discriminator_slots():
  """The discriminator's arrays in the order of a PyTorch state dict."""
  for i in range(8):
    yield from _pair(f"conv_{i}")
    yield from _norm(f"norm_{i}")
  yield from _pair("conv_out")


def test_generator_parameter_count():
  # By hand: k9 in and out, 33 times k3 with its norm, one k3 to 80 channels.
  by_hand = (
    (81 * 20 + 20)
    + 33 * (9 * 20 * 20 + 20 + 40)
    + (9 * 20 * 80 + 80)
    + (81 * 20 + 1)
  )
  assert by_hand == 138_521
  module = swish_resnet.Generator()
  assert networks.count(module, (1, 56, 46, 1)) == by_hand


@pytest.mark.parametrize(
  ("width", "expected"), [(64, 4_688_577), (20, 459_341)]
)
def test_discriminator_parameter_count(width, expected):
  # By hand, in units of the width; every norm adds two a channel.
  channels = [width * factor for factor in (1, 1, 2, 2, 4, 4, 8, 8)]
  inputs = [1, *channels[:-1]]
  by_hand = sum(
    9 * i * o + 3 * o for i, o in zip(inputs, channels, strict=True)
  )
  by_hand += channels[-1] + 1
  assert by_hand == expected
  module = swish_resnet.Discriminator(width=width)
  assert networks.count(module, (1, 112, 92, 1)) == expected


@pytest.mark.parametrize("train", [False, True])
def test_generator_equals_pytorch(train):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_faces, torch_reference

  torch.manual_seed(1)
  theirs = torch_faces.shake(torch_faces.SwishGenerator(12, 2))
  slots = list(generator_slots(2))
  weights = reference.fill(slots, torch_reference.arrays(theirs))
  # PyTorch updates its statistics in place; ours keep the old ones.
  weights = jax.tree.map(jnp.array, weights)
  lr = np.random.default_rng(0).random((2, 9, 7, 1), np.float32)
  ours = swish_resnet.Generator(width=12, blocks=2)
  found, _ = ours.apply(weights, lr, train=train, mutable=["batch_stats"])
  networks.close(found, torch_faces.run(theirs, lr, train))


@pytest.mark.parametrize("train", [False, True])
def test_discriminator_equals_pytorch(train):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_faces, torch_reference

  torch.manual_seed(2)
  theirs = torch_faces.shake(torch_faces.swish_discriminator(6))
  slots = list(discriminator_slots())
  weights = reference.fill(slots, torch_reference.arrays(theirs))
  weights = jax.tree.map(jnp.array, weights)
  x = np.random.default_rng(0).random((3, 28, 23, 1), np.float32)
  ours = swish_resnet.Discriminator(width=6)
  (logits, _), _ = ours.apply(weights, x, train=train, mutable=["batch_stats"])
  expected = torch_faces.run(theirs, x, train).mean((1, 2, 3))
  networks.close(logits, expected)


def test_faces_on_their_way_through_the_discriminator():
  module = swish_resnet.Discriminator(width=2, dtype=jnp.bfloat16)
  x = jnp.zeros((2, 112, 92, 1))
  logits, features = jax.eval_shape(
    lambda: module.init_with_output(jax.random.key(0), x, train=False)[0]
  )
  assert logits.shape == (2,) and logits.dtype == jnp.float32
  assert [f.shape[1:] for f in features] == [
    (112, 92, 2),
    (56, 46, 2),
    (56, 46, 4),
    (28, 23, 4),
    (28, 23, 8),
    (14, 12, 8),
    (14, 12, 16),
    (7, 6, 16),
  ]


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_radius_is_the_reach_of_an_input_pixel(scale):
  module = swish_resnet.Generator(scale=scale, width=2, blocks=1)
  reach.check(module, networks.opened(module))


def test_radius_of_the_report_by_hand():
  # -4 and halved -2, -3 at the sub-pixel convolution, 33 more, 4 of the first.
  assert swish_resnet.Generator().radius == 40


@pytest.mark.parametrize("name", swish_resnet.VARIANTS)
def test_variants_build(name):
  variant = swish_resnet.VARIANTS[name]
  generator = swish_resnet.Generator(**variant["generator"])
  init = functools.partial(generator.init_with_output, train=False)
  lr = jnp.zeros((1, 56, 46, 1))
  sr, variables = jax.eval_shape(init, jax.random.key(0), lr)
  assert sr.shape == (1, 112, 92, 1) and sr.dtype == jnp.float32
  leaves = jax.tree.leaves(variables)
  assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}
  discriminator = swish_resnet.Discriminator(**variant["discriminator"])
  expected = 459_341 if "narrow" in name else 4_688_577
  assert networks.count(discriminator, sr.shape) == expected


def test_scale_3_is_refused():
  with pytest.raises(errors.EnhanceError, match="scale 3 is no power of two"):
    networks.shapes(swish_resnet.Generator(scale=3), (1, 4, 4, 1))
