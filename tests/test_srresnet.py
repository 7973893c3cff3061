"""SRResNet and its discriminator: counts, reference outputs, reach, types."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.models import srresnet
from tests import reference_weights as reference


def shapes(module, shape):
  """The variables' shapes, without computing them."""
  init = functools.partial(module.init, train=False)
  key = jax.random.key(0)
  return jax.eval_shape(init, key, jax.ShapeDtypeStruct(shape, jnp.float32))


@functools.lru_cache
def tiny(**kwargs):
  """A small generator with its variables at the start."""
  module = srresnet.Generator(width=8, blocks=1, **kwargs)
  init = jax.jit(functools.partial(module.init, train=False))
  return module, init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))


def count(variables):
  return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


# Counts by arithmetic over the paper's layers, without biases before norms.
@pytest.mark.parametrize(
  ("prelu", "expected"), [("channel", 1_548_547), ("scalar", 1_547_350)]
)
def test_generator_parameter_count(prelu, expected):
  module = srresnet.Generator(prelu=prelu)
  assert count(shapes(module, (1, 24, 24, 3))) == expected


@pytest.mark.parametrize(
  ("size", "batch_norm", "expected"),
  [
    (96, True, 23_563_649),
    (64, True, 13_077_889),
    (64, False, 13_076_033),
    # 49 to 64 pixels leave the same 4x4 map.
    (50, True, 13_077_889),
  ],
)
def test_discriminator_parameter_count(size, batch_norm, expected):
  module = srresnet.Discriminator(batch_norm=batch_norm)
  assert count(shapes(module, (1, size, size, 3))) == expected


def test_parameters_are_float32_whatever_the_compute_type():
  for module in (
    srresnet.Generator(blocks=1, dtype=jnp.bfloat16),
    srresnet.Discriminator(dtype=jnp.bfloat16),
  ):
    leaves = jax.tree.leaves(shapes(module, (1, 16, 16, 3)))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}


# Sum, mean absolute value, first and last of the raw float64 output.
@pytest.mark.parametrize(
  ("prelu", "expected"),
  [
    ("channel", (-5519.9233, 1.8855523, -0.010774822, 0.49224476)),
    ("scalar", (-5578.0898, 1.8787982, -0.01399899, 0.43517327)),
  ],
)
def test_generator_golden(prelu, expected):
  with jax.enable_x64(True):
    module = srresnet.Generator(blocks=2, prelu=prelu, dtype=jnp.float64)
    slots = list(reference.generator_slots(2))
    weights = reference.golden(slots, shapes(module, (1, 12, 10, 3)))
    lr = jnp.asarray(reference.wave(1, 3, 12, 10))
    sr = module.apply(weights, lr, train=False)
    raw = np.asarray(2 * sr - 1).transpose(0, 3, 1, 2)
  found = (raw.sum(), np.abs(raw).mean(), raw.flat[0], raw.flat[-1])
  np.testing.assert_allclose(found, expected, rtol=2e-7)


def test_discriminator_golden():
  with jax.enable_x64(True):
    module = srresnet.Discriminator(dtype=jnp.float64)
    slots = list(reference.discriminator_slots())
    weights = reference.golden(slots, shapes(module, (1, 32, 32, 3)))
    # The reference took its input as it is; our door maps 2 x - 1.
    x = (jnp.asarray(reference.wave(2, 3, 32, 32)) + 1) / 2
    logits = np.asarray(module.apply(weights, x, train=False)[0])
  np.testing.assert_allclose(logits, [0.39576165, 0.44762191], rtol=2e-7)
  np.testing.assert_allclose(logits.sum(), 0.84338355, rtol=2e-7)


def test_hash_of_the_reference_weights():
  expected = [-0.06187369, -0.47599517, -0.48081688, -0.26636674]
  np.testing.assert_allclose(reference.hashed(0, 4), expected, atol=1e-8)
  expected = [-0.34318214, -0.15562646, -0.19243486]
  np.testing.assert_allclose(reference.hashed(5, 3), expected, atol=1e-8)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("scalar", [False, True])
def test_generator_equals_pytorch(scalar, train):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_reference

  torch.manual_seed(1)
  theirs = torch_reference.Generator(width=16, blocks=3, scalar=scalar)
  for norm in theirs.modules():
    if isinstance(norm, torch.nn.BatchNorm2d):
      norm.running_mean.normal_(0, 0.1)
      norm.running_var.uniform_(0.5, 1.5)
  slots = list(reference.generator_slots(3))
  weights = reference.fill(slots, torch_reference.arrays(theirs))
  # PyTorch updates its statistics in place; ours keep the old ones.
  weights = jax.tree.map(jnp.array, weights)
  ours = srresnet.Generator(
    width=16, blocks=3, prelu="scalar" if scalar else "channel"
  )
  lr = np.random.default_rng(0).random((2, 14, 11, 3), np.float32)
  theirs.train(train)
  with torch.no_grad():
    expected = theirs(torch.from_numpy(lr.transpose(0, 3, 1, 2)).contiguous())
  found, _ = ours.apply(weights, lr, train=train, mutable=["batch_stats"])
  close(found, expected.numpy().transpose(0, 2, 3, 1))


@pytest.mark.parametrize("size", [32, 40])
def test_discriminator_equals_pytorch(size):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_reference

  torch.manual_seed(2)
  theirs = torch_reference.discriminator(size, width=8, dense=32)
  slots = list(reference.discriminator_slots())
  weights = reference.fill(slots, torch_reference.arrays(theirs), 64)
  weights = jax.tree.map(jnp.array, weights)
  x = np.random.default_rng(0).random((3, size, size, 3), np.float32)
  with torch.no_grad():
    inside = torch.from_numpy(2 * x.transpose(0, 3, 1, 2) - 1).contiguous()
    expected = theirs(inside)[:, 0]
  module = srresnet.Discriminator(width=8, dense=32)
  (found, _), _ = module.apply(weights, x, train=True, mutable=["batch_stats"])
  close(found, expected.numpy())


def close(found, expected):
  error = np.abs(np.asarray(found) - expected).max()
  assert error <= 1e-4 * np.abs(expected).max()


def test_radius_of_the_paper():
  # Measured on the paper's network: 40 LR pixels.
  assert srresnet.Generator().radius == 40


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_radius_is_the_reach_of_an_input_pixel(scale):
  module, variables = tiny(scale=scale)
  # Batch normalisation with running statistics does not mix pixels.
  n = 2 * module.radius + 5
  middle = n // 2
  lr = jnp.asarray(np.random.default_rng(3).random((1, n, n, 3), np.float32))

  def block(lr):
    sr = module.apply(variables, lr, train=False)
    start = middle * scale
    return sr[:, start : start + scale, start : start + scale]

  grad = jax.jit(jax.grad(lambda x: jnp.sum(jnp.square(block(x) + 1.0))))(lr)
  rows, columns = np.nonzero(np.abs(grad[0]).sum(-1))
  reach = max(
    middle - rows.min(),
    rows.max() - middle,
    middle - columns.min(),
    columns.max() - middle,
  )
  assert reach == module.radius
  outside = middle + module.radius + 1
  moved = lr.at[0, outside, outside].add(1.0)
  run = jax.jit(block)
  np.testing.assert_array_equal(run(moved), run(lr))


def test_generator_takes_any_size():
  module, variables = tiny()
  for h, w in ((1, 1), (3, 7), (16, 5)):
    lr = jnp.zeros((2, h, w, 3))
    sr = jax.eval_shape(lambda lr=lr: module.apply(variables, lr, train=False))
    assert sr.shape == (2, 4 * h, 4 * w, 3)
    assert sr.dtype == jnp.float32


def test_generator_gray():
  module = srresnet.Generator(channels=1, width=8, blocks=1)
  found = shapes(module, (1, 8, 8, 1))["params"]
  assert found["conv_in"]["kernel"].shape == (9, 9, 1, 8)
  assert found["conv_out"]["kernel"].shape == (9, 9, 8, 1)


def test_tanh_output_is_the_linear_one_squashed_into_range():
  _, variables = tiny()
  # Large enough to leave [0, 1] without the tanh.
  variables = jax.tree.map(lambda a: 3 * a, variables)
  lr = jnp.asarray(reference.wave(1, 3, 8, 8), jnp.float32)
  sr = {
    output: srresnet.Generator(width=8, blocks=1, output=output).apply(
      variables, lr, train=False
    )
    for output in ("linear", "tanh")
  }
  assert sr["linear"].min() < 0 or sr["linear"].max() > 1
  expected = (np.tanh(2 * np.asarray(sr["linear"]) - 1) + 1) / 2
  np.testing.assert_allclose(sr["tanh"], expected, atol=1e-6)


def test_bfloat16_stays_near_float32_and_keeps_float32_outside():
  module, variables = tiny()
  half = srresnet.Generator(width=8, blocks=1, dtype=jnp.bfloat16)
  lr = jnp.asarray(reference.wave(2, 3, 8, 8), jnp.float32)
  wide = module.apply(variables, lr, train=False)
  narrow, state = half.apply(variables, lr, train=True, mutable=["batch_stats"])
  assert narrow.dtype == jnp.float32
  for leaf in jax.tree.leaves(state):
    assert leaf.dtype == jnp.float32
  narrow = half.apply(variables, lr, train=False)
  # Eight bits of mantissa through eight layers.
  error = np.abs(narrow - wide).max()
  assert 0 < error < 0.03
  text = str(
    jax.make_jaxpr(lambda x: half.apply(variables, x, train=False))(lr)
  )
  convolutions = [
    line for line in text.splitlines() if "conv_general_dilated" in line
  ]
  assert convolutions
  assert all("bf16" in line.split("=")[0] for line in convolutions)


def test_discriminator_features_and_logits():
  module = srresnet.Discriminator(width=4, dense=8, dtype=jnp.bfloat16)
  x = jnp.asarray(reference.wave(2, 3, 20, 33), jnp.float32)
  logits, features = jax.eval_shape(
    lambda: module.init_with_output(jax.random.key(0), x, train=False)[0]
  )
  assert logits.shape == (2,) and logits.dtype == jnp.float32
  # Every second convolution halves the size, rounded up.
  assert [f.shape[1:] for f in features] == [
    (20, 33, 4),
    (10, 17, 4),
    (10, 17, 8),
    (5, 9, 8),
    (5, 9, 16),
    (3, 5, 16),
    (3, 5, 32),
    (2, 3, 32),
  ]


def test_training_forward_is_pure():
  module, variables = tiny()
  before = jax.tree.map(np.array, variables)
  lr = jnp.asarray(reference.wave(2, 3, 8, 8), jnp.float32)
  run = functools.partial(module.apply, train=True, mutable=["batch_stats"])
  first, second = run(variables, lr), run(variables, lr)
  jax.tree.map(np.testing.assert_array_equal, first, second)
  jax.tree.map(np.testing.assert_array_equal, variables, before)
  jitted = jax.jit(run)(variables, lr)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), jitted, first
  )


@pytest.mark.parametrize("name", srresnet.VARIANTS)
def test_variants_build(name):
  variant = srresnet.VARIANTS[name]
  generator = srresnet.Generator(**variant["generator"])
  discriminator = srresnet.Discriminator(**variant["discriminator"])
  sr = jax.eval_shape(
    lambda: generator.init_with_output(
      jax.random.key(0), jnp.zeros((1, 16, 16, 3)), train=False
    )[0]
  )
  assert sr.shape == (1, 64, 64, 3)
  expected = 13_076_033 if "no_norm" in name else 13_077_889
  assert count(shapes(discriminator, sr.shape)) == expected


def test_wrong_options_are_named():
  with pytest.raises(errors.EnhanceError, match="scale 5"):
    _ = srresnet.Generator(scale=5).radius
  with pytest.raises(errors.EnhanceError, match='output "relu"'):
    shapes(srresnet.Generator(blocks=1, output="relu"), (1, 4, 4, 3))
