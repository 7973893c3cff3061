"""The enhancement DCGAN: counts by hand, PyTorch, reach, where it enlarges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.models import dcgan
from tests import networks, reach
from tests import reference_weights as reference


def _kernel(*path):
  yield ("params", *path, "kernel"), "conv"


def _pair(*path):
  yield from _kernel(*path)
  yield ("params", *path, "bias"), "bias"


def _norm(*path):
  yield ("params", *path, "scale"), "scale"
  yield ("params", *path, "bias"), "beta"
  yield ("batch_stats", *path, "mean"), "mean"
  yield ("batch_stats", *path, "var"), "var"


def generator_slots(num_blocks, doublings):
  """The generator's arrays in the order of a PyTorch state dict."""
  yield from _pair("conv_in")
  for i in range(num_blocks):
    for k in range(2):
      yield from _kernel(f"block_{i}", f"conv_{k}")
      yield from _norm(f"block_{i}", f"norm_{k}")
    if i < doublings:
      yield from _norm(f"block_{i}", "norm_up")
      yield from _pair(f"block_{i}", "conv_up")
  for name in ("conv_tail_0", "conv_tail_1", "conv_out"):
    yield from _pair(name)


def discriminator_slots():
  """The discriminator's arrays in the order of a PyTorch state dict."""
  yield from _pair("conv_0")
  for i in range(1, 5):
    yield from _pair(f"conv_{i}")
    yield from _norm(f"norm_{i}")
  for i in (5, 6):
    yield from _kernel(f"conv_{i}")
    yield from _norm(f"norm_{i}")
  for i in range(2):
    yield ("params", f"dense_{i}", "kernel"), f"dense_{i}"
    yield ("params", f"dense_{i}", "bias"), "bias"


@pytest.mark.parametrize("scale", [1, 2, 4, 32])
def test_generator_parameter_count(scale):
  # By hand: first and last three convolutions, five blocks of two convolutions
  # and norms, and a norm with a convolution for every doubling.
  ends = (27 * 128 + 128) + (9 * 128**2 + 128) + (9 * 128 * 64 + 64)
  ends += 9 * 64 * 3 + 3
  blocks = 5 * 2 * (9 * 128**2 + 2 * 128)
  stage = 2 * 128 + 9 * 128**2 + 128
  expected = ends + blocks + stage * (scale.bit_length() - 1)
  module = dcgan.Generator(scale=scale)
  assert networks.count(module, (1, 16, 16, 3)) == expected
  if scale == 4:
    assert expected == 1_999_491


def test_discriminator_parameter_count():
  # By hand at 64x64: five convolutions with biases, four norms after them, two
  # convolutions of 512 with norms, 4x4x512 to 1024 to 1.
  convs = (27 + 1) * 64 + (9 * 64 + 1) * 64 + (9 * 64 + 1) * 128
  convs += (9 * 128 + 1) * 256 + (9 * 256 + 1) * 512 + 2 * 9 * 512**2
  norms = 2 * (64 + 128 + 256 + 512 + 512 + 512)
  dense = (16 * 512 + 1) * 1024 + 1025
  assert convs + norms + dense == 14_701_121
  module = dcgan.Discriminator()
  assert networks.count(module, (1, 64, 64, 3)) == 14_701_121


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("doublings", [0, 2])
def test_generator_equals_pytorch(doublings, train):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_faces, torch_reference

  torch.manual_seed(1)
  theirs = torch_faces.shake(torch_faces.dcgan_generator(12, 3, doublings))
  slots = list(generator_slots(3, doublings))
  weights = reference.fill(slots, torch_reference.arrays(theirs))
  # PyTorch updates its statistics in place; ours keep the old ones.
  weights = jax.tree.map(jnp.array, weights)
  lr = np.random.default_rng(0).random((2, 7, 6, 3), np.float32)
  ours = dcgan.Generator(scale=2**doublings, width=12, num_blocks=3)
  found, _ = ours.apply(weights, lr, train=train, mutable=["batch_stats"])
  networks.close(found, torch_faces.run(theirs, lr, train))


@pytest.mark.parametrize("train", [False, True])
def test_discriminator_equals_pytorch(train):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_faces, torch_reference

  torch.manual_seed(2)
  theirs = torch_faces.shake(torch_faces.dcgan_discriminator(32, 32, 4, 10))
  slots = list(discriminator_slots())
  weights = reference.fill(slots, torch_reference.arrays(theirs), 32)
  weights = jax.tree.map(jnp.array, weights)
  x = np.random.default_rng(0).random((3, 32, 32, 3), np.float32)
  ours = dcgan.Discriminator(width=4, dense=10)
  (logits, features), _ = ours.apply(
    weights, x, train=train, mutable=["batch_stats"]
  )
  expected = torch_faces.run(theirs, 2 * x - 1, train)
  networks.close(logits, expected[:, 0])
  assert [f.shape[1:] for f in features] == [
    (32, 32, 4),
    (16, 16, 4),
    (8, 8, 8),
    (4, 4, 16),
    (2, 2, 32),
    (2, 2, 32),
    (2, 2, 32),
  ]


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_radius_is_the_reach_of_an_input_pixel(scale):
  module = dcgan.Generator(scale=scale, width=4, num_blocks=3)
  reach.check(module, networks.opened(module))


def test_radius_by_hand():
  # Three of the tail, two a block, one of the first.
  assert dcgan.Generator(scale=1).radius == 3 + 2 * 5 + 1
  # Three blocks at x4: -9; x2: -5 and -7; x1: -4 and -6; -7.
  assert dcgan.Generator(scale=4).radius == 7


@pytest.mark.parametrize("name", dcgan.VARIANTS)
def test_variants_build(name):
  variant = dcgan.VARIANTS[name]
  module = dcgan.Generator(**variant["generator"], dtype=jnp.bfloat16)
  assert module.scale == int(name[-1])
  lr = jnp.zeros((1, 16, 12, 3))
  sr, variables = jax.eval_shape(
    lambda: module.init_with_output(jax.random.key(0), lr, train=False)
  )
  assert sr.shape == (1, 16 * module.scale, 12 * module.scale, 3)
  assert sr.dtype == jnp.float32
  leaves = jax.tree.leaves(variables)
  assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}
  judge = dcgan.Discriminator(**variant["discriminator"])
  logits, _ = jax.eval_shape(
    lambda: judge.init_with_output(
      jax.random.key(0), jnp.zeros(sr.shape), train=False
    )[0]
  )
  assert logits.shape == (1,) and logits.dtype == jnp.float32


def test_only_the_first_blocks_enlarge():
  params = networks.shapes(dcgan.Generator(scale=4), (1, 4, 4, 3))["params"]
  enlarging = [
    f"block_{i}" for i in range(5) if "conv_up" in params[f"block_{i}"]
  ]
  assert enlarging == ["block_0", "block_1"]


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"scale": 3}, "scale 3 is no power of two"),
    ({"scale": 8, "num_blocks": 2}, "3 doublings and num_blocks is 2"),
  ],
)
def test_scales_it_cannot_reach(options, message):
  with pytest.raises(errors.EnhanceError, match=message):
    networks.shapes(dcgan.Generator(**options), (1, 4, 4, 3))
