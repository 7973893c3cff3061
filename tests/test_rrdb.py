"""RRDBNet and the VGG-style discriminator: counts, reference outputs, names."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.models import rrdb
from tests import networks, reach
from tests import public_weights as public
from tests import reference_weights as reference


@functools.lru_cache
def tiny(fold=1, **kwargs):
  """One block of width 4 with large weights."""
  tensors = public.state(public.rrdb(1, 4, 2, fold))
  module = rrdb.Generator(**{**rrdb.public_options(tensors), **kwargs})
  variables = rrdb.from_public(tensors)
  return module, jax.tree.map(lambda a: a.astype(np.float32), variables)


def upscale(module, variables, lr, train=False):
  return jax.jit(functools.partial(module.apply, train=train))(variables, lr)


# Counted from the authors' PyTorch networks.
@pytest.mark.parametrize(
  ("options", "expected"),
  [
    ({}, 16_697_987),
    ({"scale": 2}, 16_703_171),
    ({"scale": 1}, 16_723_907),
    ({"blocks": 6}, 4_467_779),
  ],
)
def test_generator_parameter_count(options, expected):
  assert networks.count(rrdb.Generator(**options), (1, 8, 8, 3)) == expected


@pytest.mark.parametrize(
  ("size", "halvings", "expected"),
  [(128, 5, 14_499_401), (256, 6, 21_055_049)],
)
def test_discriminator_parameter_count(size, halvings, expected):
  module = rrdb.Discriminator(halvings=halvings)
  assert networks.count(module, (1, size, size, 3)) == expected


# Sum, mean absolute value, first and last in float64, by PyTorch.
@pytest.mark.parametrize(
  ("fold", "expected"),
  [
    (1, (1614.2725, 2.2064763, 0.39853132, -0.62947617)),
    (2, (-380.04029, 0.78058497, -0.79309326, 0.026196239)),
  ],
)
def test_generator_golden(fold, expected):
  tensors = public.state(public.rrdb(1, fold=fold))
  with jax.enable_x64(True):
    options = rrdb.public_options(tensors)
    module = rrdb.Generator(**options, dtype=jnp.float64)
    lr = jnp.asarray(reference.wave(1, 3, 12, 10))
    sr = upscale(module, rrdb.from_public(tensors), lr)
    assert module.scale == 4 // fold and sr.dtype == jnp.float64
  np.testing.assert_allclose(public.summary(sr), expected, rtol=2e-7)


def test_discriminator_golden():
  tensors = public.state(public.vgg_style(8))
  with jax.enable_x64(True):
    module = rrdb.Discriminator(width=8, dtype=jnp.float64)
    variables = rrdb.discriminator_from_public(tensors)
    x = jnp.asarray(reference.wave(2, 3, 128, 128))
    logits, _ = upscale(module, variables, x)
  expected = (-4.451739, 2.2258695, -1.9766302, -2.4751088)
  np.testing.assert_allclose(public.summary(logits), expected, rtol=2e-7)


@pytest.mark.parametrize("fold", [1, 2, 4])
def test_generator_equals_pytorch(fold):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_modern

  torch.manual_seed(1)
  theirs = torch_modern.RRDBNet(2, 8, 4, fold)
  tensors = torch_modern.state(theirs)
  ours = rrdb.Generator(**rrdb.public_options(tensors))
  lr = np.random.default_rng(0).random((2, 12, 8, 3), np.float32)
  with torch.no_grad():
    expected = theirs(torch_modern.nchw(lr)).numpy().transpose(0, 2, 3, 1)
  found = upscale(ours, rrdb.from_public(tensors), lr, train=True)
  networks.close(found, expected)


def test_generator_gradient_equals_pytorch():
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_modern

  torch.manual_seed(2)
  theirs = torch_modern.RRDBNet(1, 8, 4)
  tensors = torch_modern.state(theirs)
  ours = rrdb.Generator(**rrdb.public_options(tensors))
  lr = np.random.default_rng(0).random((2, 6, 5, 3), np.float32)
  torch.square(theirs(torch_modern.nchw(lr))).mean().backward()
  expected = rrdb.from_public(
    {name: array.grad.numpy() for name, array in theirs.named_parameters()}
  )
  found = jax.jit(
    jax.grad(lambda v: jnp.mean(jnp.square(ours.apply(v, lr, train=True))))
  )(rrdb.from_public(tensors))
  jax.tree.map(networks.close, found, expected)


@pytest.mark.parametrize(("halvings", "train"), [(3, False), (3, True)])
def test_discriminator_equals_pytorch(halvings, train):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_modern

  torch.manual_seed(3)
  theirs = torch_modern.VGGStyle(4, halvings, 10)
  torch_modern.randomize(theirs)
  variables = rrdb.discriminator_from_public(torch_modern.state(theirs))
  module = rrdb.Discriminator(width=4, halvings=halvings, dense=10)
  x = np.random.default_rng(0).random((3, 32, 32, 3), np.float32)
  theirs.train(train)
  with torch.no_grad():
    expected = theirs(torch_modern.nchw(x))
  run = functools.partial(module.apply, train=train, mutable=["batch_stats"])
  (found, _), changed = jax.jit(run)(variables, x)
  networks.close(found, expected.numpy())
  moved = not np.array_equal(
    changed["batch_stats"]["norm_1"]["mean"],
    variables["batch_stats"]["norm_1"]["mean"],
  )
  assert moved == train


def older(name):
  """ESRGAN's name for an array of BasicSR's."""
  for ours, theirs in (
    ("body.", "RRDB_trunk."),
    ("conv_RRDB_trunk.", "trunk_conv."),
    ("rdb", "RDB"),
    ("conv_up", "upconv"),
    ("conv_hr", "HRconv"),
  ):
    name = name.replace(ours, theirs)
  return name


def oldest(name):
  """The name for it in ESRGAN's first release, two blocks."""
  layer, leaf = older(name).rsplit(".", 1)
  number = {
    "conv_first": "0",
    "trunk_conv": "1.sub.2",
    "upconv1": "3",
    "upconv2": "6",
    "HRconv": "8",
    "conv_last": "10",
  }
  if layer in number:
    return f"model.{number[layer]}.{leaf}"
  return f"model.1.sub.{layer.removeprefix('RRDB_trunk.')}.0.{leaf}"


@pytest.mark.parametrize("rename", [older, oldest])
@pytest.mark.parametrize("wrapper", ["", "params_ema.", "module."])
def test_older_names_are_the_same_network(rename, wrapper):
  tensors = public.state(public.rrdb(2, 6, 3))
  assert rename("body.1.rdb2.conv3.bias") in (
    "RRDB_trunk.1.RDB2.conv3.bias",
    "model.1.sub.1.RDB2.conv3.0.bias",
  )
  renamed = {wrapper + rename(name): a for name, a in tensors.items()}
  if wrapper == "params_ema.":
    renamed.update({f"params.{name}": 0 * a for name, a in tensors.items()})
  assert rrdb.public_options(renamed) == rrdb.public_options(tensors)
  jax.tree.map(
    np.testing.assert_array_equal,
    rrdb.from_public(renamed),
    rrdb.from_public(tensors),
  )


@pytest.mark.parametrize(
  ("doublings", "scale"), [(0, 1), (1, 2), (3, 8), (2, 4)]
)
def test_oldest_names_count_the_doublings(doublings, scale):
  last = 3 * doublings + 4
  ups = {3 * k for k in range(1, doublings + 1)}
  tensors = {}
  for name, array in public.state(public.rrdb(1, 4, 2)).items():
    if not name.startswith("conv_up"):
      renamed = oldest(name).replace(".sub.2.", ".sub.1.")
      renamed = renamed.replace("model.8.", f"model.{last - 2}.")
      tensors[renamed.replace("model.10.", f"model.{last}.")] = array
  for k in ups:
    tensors[f"model.{k}.weight"] = np.zeros((4, 4, 3, 3))
    tensors[f"model.{k}.bias"] = np.zeros(4)
  options = rrdb.public_options(tensors)
  assert (options["doublings"], options["scale"]) == (doublings, scale)
  assert rrdb.Generator(**options).multiple == 1
  found = rrdb.from_public(tensors)["params"]
  assert {name for name in found if name.startswith("conv_up")} == {
    f"conv_up_{i}" for i in range(doublings)
  }


def test_foreign_and_missing_arrays_are_named():
  tensors = public.state(public.rrdb(1, 4, 2))
  extra = {**tensors, "classifier.weight": np.zeros((2, 2))}
  with pytest.raises(errors.EnhanceError, match="classifier.weight"):
    rrdb.from_public(extra)
  del tensors["body.0.rdb2.conv3.weight"]
  with pytest.raises(errors.EnhanceError, match="body.0.rdb2.conv3.weight"):
    rrdb.from_public(tensors)


def test_radius_of_the_paper():
  # 15 LR pixels a block and 4, measured on the authors' network.
  assert rrdb.Generator().radius == 349
  assert rrdb.Generator(blocks=6).radius == 94


@pytest.mark.parametrize("fold", [1, 2, 4])
def test_radius_is_the_reach_of_an_input_pixel(fold):
  module, variables = tiny(fold)
  assert module.multiple == fold and module.radius == 19 * fold
  reach.check(module, variables, places=fold)


@pytest.mark.parametrize("fold", [1, 2, 4])
def test_generator_takes_any_size(fold):
  module, variables = tiny(fold)
  for h, w in ((1, 1), (3, 7)):
    lr = jnp.asarray(reference.wave(1, 3, h, w), jnp.float32)
    sr = upscale(module, variables, lr)
    assert sr.shape == (1, module.scale * h, module.scale * w, 3)
    assert np.isfinite(sr).all()


def test_a_picture_that_does_not_fold_is_mirrored():
  module, variables = tiny(2)
  lr = np.asarray(reference.wave(1, 3, 5, 6), np.float32)
  tall = np.concatenate([lr, lr[:, 3:4]], axis=1)
  np.testing.assert_allclose(
    upscale(module, variables, lr),
    upscale(module, variables, tall)[:, :10],
    atol=1e-6,
  )


def test_residual_scale():
  """Without the way back nothing of a block is left."""
  module, variables = tiny(residual_scale=0.0)
  lr = jnp.asarray(reference.wave(1, 3, 6, 5), jnp.float32)
  other = jax.tree.map(np.copy, variables)
  other["params"]["block_00"] = jax.tree.map(
    lambda a: a + 1, other["params"]["block_00"]
  )
  run = functools.partial(upscale, module)
  np.testing.assert_array_equal(run(variables, lr), run(other, lr))


def test_start_of_the_dense_blocks_is_small():
  """He's normal times 0.1 there, biases 0; PyTorch's default elsewhere."""
  module = rrdb.Generator(blocks=1)
  variables = jax.jit(functools.partial(module.init, train=False))(
    jax.random.key(0), jnp.zeros((1, 4, 4, 3))
  )
  layer = variables["params"]["block_00"]["dense_1"]["conv_3"]
  assert layer["kernel"].std() == pytest.approx(
    0.1 * np.sqrt(2 / (160 * 9)), rel=0.02
  )
  assert not layer["bias"].any()
  outside = variables["params"]["conv_mid"]["kernel"]
  assert np.abs(outside).max() == pytest.approx(1 / 24, rel=0.01)


def test_bfloat16_stays_near_float32_and_keeps_float32_outside():
  module, variables = tiny()
  half = rrdb.Generator(blocks=1, width=4, growth=2, dtype=jnp.bfloat16)
  lr = jnp.asarray(reference.wave(1, 3, 8, 8), jnp.float32)
  wide = upscale(module, variables, lr)
  narrow = upscale(half, variables, lr)
  assert narrow.dtype == jnp.float32
  error = np.abs(narrow - wide).max() / np.abs(wide).max()
  assert 0 < error < 0.03
  judge = rrdb.Discriminator(width=4, halvings=2, dtype=jnp.bfloat16)
  x = jnp.asarray(reference.wave(2, 3, 16, 20), jnp.float32)
  logits, features = jax.eval_shape(
    lambda: judge.init_with_output(jax.random.key(0), x, train=False)[0]
  )
  assert logits.shape == (2,) and logits.dtype == jnp.float32
  assert [f.shape[1:] for f in features] == [
    (16, 20, 4),
    (8, 10, 4),
    (8, 10, 8),
    (4, 5, 8),
  ]


@pytest.mark.parametrize("name", rrdb.VARIANTS)
def test_variants_build(name):
  variant = rrdb.VARIANTS[name]
  networks.count(rrdb.Generator(**variant["generator"]), (1, 8, 8, 3))
  halvings = variant["discriminator"].get("halvings", 5)
  size = 4 * 2**halvings
  networks.count(
    rrdb.Discriminator(**variant["discriminator"]), (1, size, size, 3)
  )


def test_wrong_options_are_named():
  with pytest.raises(errors.EnhanceError, match="scale 3"):
    _ = rrdb.Generator(scale=3).radius
  with pytest.raises(errors.EnhanceError, match="5 halvings want 32"):
    networks.count(rrdb.Discriminator(), (1, 31, 64, 3))
