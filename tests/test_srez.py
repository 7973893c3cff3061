"""srez: counts, reference outputs, PyTorch, reach, its start and statistics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.models import srez
from tests import networks, reach
from tests import reference_weights as reference


def _pair(*path):
  yield ("params", *path, "kernel"), "conv"
  yield ("params", *path, "bias"), "bias"


def _beta(*path):
  # Beta alone is one of the "other vectors" of the reference weights.
  yield ("params", *path, "bias"), "bias"


def generator_slots(stages=2, blocks=2):
  """The generator's arrays in the order of the computation."""
  for i in range(stages):
    stage = f"stage_{i}"
    yield from _pair(stage, "conv_in")
    for j in range(blocks):
      for k in range(2):
        yield from _beta(stage, f"norm_{j}_{k}")
        yield from _pair(stage, f"conv_{j}_{k}")
    yield from _beta(stage, "norm_up")
    yield from _pair(stage, "conv_up")
  for name in ("conv_head_0", "conv_head_1", "conv_out"):
    yield from _pair(name)


def discriminator_slots():
  """The discriminator's arrays in the order of the computation."""
  for i in range(6):
    yield from _pair(f"conv_{i}")
    yield from _beta(f"norm_{i}")
  yield from _pair("conv_out")


# Counts by arithmetic over the layers of the code.
def test_parameter_counts():
  assert networks.count(srez.Generator(), (1, 16, 16, 3)) == 3_844_451
  assert networks.count(srez.Discriminator(), (1, 64, 64, 3)) == 4_175_937


# Sum, mean absolute value, first and last of the float64 output, computed with
# PyTorch 2.13 from the hashed weights, normalised by the batch.
def test_generator_golden():
  with jax.enable_x64(True):
    module = srez.Generator(batch_statistics=True, dtype=jnp.float64)
    slots = list(generator_slots())
    weights = reference.golden(slots, networks.shapes(module, (1, 16, 16, 3)))
    lr = jnp.asarray(reference.wave(2, 3, 16, 16))
    sr = module.apply(weights, lr, train=False)
    sr = np.asarray(sr).transpose(0, 3, 1, 2)
  assert sr.shape == (2, 3, 64, 64)
  found = (sr.sum(), np.abs(sr).mean(), sr.flat[0], sr.flat[-1])
  expected = (17794.681, 0.72406742, 0.73903716, 0.60307509)
  np.testing.assert_allclose(found, expected, rtol=5e-8)


def test_discriminator_golden():
  with jax.enable_x64(True):
    module = srez.Discriminator(batch_statistics=True, dtype=jnp.float64)
    slots = list(discriminator_slots())
    weights = reference.golden(slots, networks.shapes(module, (1, 64, 64, 3)))
    x = jnp.asarray(reference.wave(2, 3, 64, 64))
    logits = np.asarray(module.apply(weights, x, train=False)[0])
  np.testing.assert_allclose(logits, [0.74486028, 0.46708187], rtol=5e-8)
  np.testing.assert_allclose(logits.sum(), 1.2119421, rtol=5e-8)


@pytest.mark.parametrize("scale", [2, 4])
def test_generator_equals_pytorch(scale):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_faces, torch_reference

  torch.manual_seed(1)
  theirs = torch_faces.srez_generator(16, 1, 12, scale)
  slots = list(generator_slots(scale // 2, 1))
  weights = reference.fill(slots, torch_reference.arrays(theirs))
  lr = np.random.default_rng(0).random((3, 7, 6, 3), np.float32)
  sizes = {"scale": scale, "width": 16, "blocks": 1, "head": 12}
  ours = srez.Generator(**sizes, batch_statistics=True)
  found = ours.apply(weights, lr, train=False)
  networks.close(found, torch_faces.run(theirs, lr, train=True))


def test_discriminator_equals_pytorch():
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_faces, torch_reference

  torch.manual_seed(2)
  theirs = torch_faces.srez_discriminator(8)
  slots = list(discriminator_slots())
  weights = reference.fill(slots, torch_reference.arrays(theirs))
  x = np.random.default_rng(0).random((3, 32, 48, 3), np.float32)
  expected = torch_faces.run(theirs, 2 * x - 1, train=True).mean((1, 2, 3))
  ours = srez.Discriminator(width=8, batch_statistics=True)
  logits, features = ours.apply(weights, x, train=True)
  networks.close(logits, expected)
  assert [f.shape[1:] for f in features] == [
    (16, 24, 8),
    (8, 12, 16),
    (4, 6, 32),
    (2, 3, 64),
    (2, 3, 64),
    (2, 3, 64),
  ]


def test_running_statistics_of_one_batch_give_what_the_batch_gave():
  module = srez.Generator(scale=2, width=8, blocks=1, head=8)
  lr = jnp.asarray(reference.wave(2, 3, 8, 8), jnp.float32)
  variables = module.init(jax.random.key(0), lr, train=False)
  run = jax.jit(
    functools.partial(module.apply, train=True, mutable=["batch_stats"])
  )
  sr, _ = run(variables, lr)
  for _ in range(150):
    _, changed = run(variables, lr)
    variables = {**variables, **changed}
  # 0.9^150 of the start is left.
  found = module.apply(variables, lr, train=False)
  np.testing.assert_allclose(found, sr, atol=1e-5)


def test_batch_statistics_keep_none_and_see_the_whole_batch():
  module = srez.Generator(
    scale=2, width=8, blocks=1, head=8, batch_statistics=True
  )
  lr = jnp.asarray(reference.wave(2, 3, 8, 8), jnp.float32)
  variables = module.init(jax.random.key(0), lr, train=False)
  assert "batch_stats" not in variables
  # The start leaves little of an input; a larger one makes it visible.
  variables = jax.tree.map(lambda a: 5 * a, variables)
  together = module.apply(variables, lr, train=False)
  np.testing.assert_array_equal(
    together, module.apply(variables, lr, train=True)
  )
  alone = module.apply(variables, lr[:1], train=False)
  assert np.abs(alone - together[:1]).max() > 1e-3
  assert module.radius > 10**6


def test_start_of_the_kernels():
  variables = jax.jit(
    functools.partial(srez.Generator(width=128).init, train=False)
  )(jax.random.key(0), jnp.zeros((1, 4, 4, 3)))
  stage = variables["params"]["stage_0"]
  # sqrt(gain / (sqrt(in out) k^2)), times 0.8796 for the cut at two sigma.
  for kernel, gain, sigma in (
    (stage["conv_1_0"]["kernel"], 1e-3, (1e-3 / (128 * 9)) ** 0.5),
    (stage["conv_up"]["kernel"], 1.0, (1 / (128 * 9)) ** 0.5),
    (
      variables["params"]["conv_head_0"]["kernel"],
      2.0,
      (2 / ((64 * 96) ** 0.5 * 9)) ** 0.5,
    ),
  ):
    assert np.std(kernel) == pytest.approx(0.8796 * sigma, rel=0.02), gain
    assert np.abs(kernel).max() <= 2.0001 * sigma
  assert not np.any(stage["conv_up"]["bias"])


@pytest.mark.parametrize(("scale", "expected"), [(1, 1), (2, 3), (4, 4)])
def test_radius_is_the_reach_of_an_input_pixel(scale, expected):
  # By hand, x4 with one block: -1 for the head, -2 and halved -1, -3 for the
  # block, -4 and halved -2, -4; to the right 4, 5 and 2, 4, 5 and 2, 4.
  module = srez.Generator(scale=scale, width=8, blocks=1, head=8)
  reach.check(module, networks.opened(module))
  assert module.radius == expected


def test_radius_of_the_paper_by_hand():
  # Two blocks: -1, -2 and halved -1, -5, -6 and halved -3, -7; to the right
  # 4, 5 and 2, 6, 7 and 3, 7.
  assert srez.Generator().radius == 7


def test_bfloat16_keeps_float32_outside():
  module = srez.Generator(width=8, blocks=1, head=8, dtype=jnp.bfloat16)
  judge = srez.Discriminator(width=4, dtype=jnp.bfloat16)
  lr = jnp.asarray(reference.wave(2, 3, 5, 4), jnp.float32)
  sr, variables = jax.eval_shape(
    lambda: module.init_with_output(jax.random.key(0), lr, train=False)
  )
  assert sr.shape == (2, 20, 16, 3) and sr.dtype == jnp.float32
  (logits, _), _ = jax.eval_shape(
    lambda: judge.init_with_output(jax.random.key(0), lr, train=False)
  )
  assert logits.shape == (2,) and logits.dtype == jnp.float32
  leaves = jax.tree.leaves(variables)
  assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("name", srez.VARIANTS)
def test_variants_build(name):
  variant = srez.VARIANTS[name]
  generator = srez.Generator(**variant["generator"])
  assert networks.count(generator, (1, 16, 16, 3)) == 3_844_451
  discriminator = srez.Discriminator(**variant["discriminator"])
  assert networks.count(discriminator, (1, 64, 64, 3)) == 4_175_937


def test_a_scale_that_is_no_power_of_two_is_refused():
  with pytest.raises(errors.EnhanceError, match="scale 3 is no power of two"):
    _ = srez.Generator(scale=3).radius
