"""The U-Net discriminator: count, reference output, PyTorch, doubling."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.models import unet_disc
from tests import networks
from tests import public_weights as public
from tests import reference_weights as reference


def without_norm(tensors):
  """Singular vectors that make the norm of every kernel 1."""
  result = dict(tensors)
  for name, weight in tensors.items():
    if name.endswith("weight_orig"):
      matrix = weight.reshape(len(weight), -1)
      stem = name.removesuffix("orig")
      result[f"{stem}u"] = np.eye(len(weight))[0]
      result[f"{stem}v"] = matrix[0] / np.sum(matrix[0] ** 2)
  return result


def judge(module, variables, x, train=False):
  run = functools.partial(module.apply, train=train, mutable=["batch_stats"])
  (logits, features), changed = jax.jit(run)(variables, x)
  return logits, features, {**variables, **changed}


def test_parameter_count():
  """Counted from the authors' PyTorch network."""
  found = networks.count(unet_disc.Discriminator(), (1, 8, 8, 3))
  assert found == 4_376_897


def test_golden():
  """Sum, mean absolute value, first and last in float64, by PyTorch."""
  tensors = without_norm(public.state(public.unet(8)))
  with jax.enable_x64(True):
    module = unet_disc.Discriminator(width=8, dtype=jnp.float64)
    x = jnp.asarray(reference.wave(2, 3, 32, 32))
    logits, _, _ = judge(module, unet_disc.from_public(tensors), x)
  assert logits.shape == (2, 32, 32)
  expected = (123.4952, 0.84679875, -0.43900763, -0.10052829)
  np.testing.assert_allclose(public.summary(logits), expected, rtol=2e-7)


def test_equals_pytorch_over_training_calls():
  """One power step a training call, none in use; the vectors agree too."""
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_modern

  torch.manual_seed(1)
  theirs = torch_modern.UNet(4)
  variables = unet_disc.from_public(torch_modern.state(theirs))
  module = unet_disc.Discriminator(width=4)
  rng = np.random.default_rng(0)
  for train in (True, True, False):
    x = rng.random((2, 16, 24, 3), np.float32)
    theirs.train(train)
    with torch.no_grad():
      expected = theirs(torch_modern.nchw(x)).numpy()
    logits, _, variables = judge(module, variables, x, train)
    networks.close(logits, expected)
  after = unet_disc.from_public(torch_modern.state(theirs))
  jax.tree.map(networks.close, dict(variables), after)


def test_scaling_the_kernel_changes_nothing():
  module = unet_disc.Discriminator(width=4)
  x = jnp.asarray(reference.wave(1, 3, 8, 16), jnp.float32)
  tensors = without_norm(public.state(public.unet(4)))
  variables = unet_disc.from_public(tensors)
  variables = jax.tree.map(lambda a: a.astype(np.float32), variables)
  other = jax.tree.map(np.array, dict(variables))
  for name, layer in other["params"].items():
    if name not in ("conv_in", "conv_out"):
      layer["kernel"] *= 7
  logits, _, _ = judge(module, variables, x, train=True)
  scaled, _, _ = judge(module, other, x, train=True)
  np.testing.assert_allclose(scaled, logits, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("h", "w"), [(1, 1), (3, 5)])
def test_double_equals_pytorch(h, w):
  pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_modern

  x = np.random.default_rng(0).random((2, h, w, 3), np.float32)
  expected = torch_modern.double(torch_modern.nchw(x), "bilinear").numpy()
  found = unet_disc.double(jnp.asarray(x))
  np.testing.assert_allclose(found, expected.transpose(0, 2, 3, 1), atol=1e-6)


def test_double_by_hand():
  x = jnp.asarray([0.0, 4.0, 8.0]).reshape(1, 1, 3, 1)
  found = unet_disc.double(x)
  expected = [0, 1, 3, 5, 7, 8]
  np.testing.assert_array_equal(found[0, :, :, 0], [expected, expected])


def test_types_and_features():
  module = unet_disc.Discriminator(width=4, dtype=jnp.bfloat16)
  x = jnp.asarray(reference.wave(2, 3, 16, 24), jnp.float32)
  leaves = jax.tree.leaves(networks.shapes(module, x.shape))
  assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}
  (logits, features), state = jax.eval_shape(
    lambda: module.init_with_output(jax.random.key(0), x, train=True)
  )
  assert logits.shape == (2, 16, 24) and logits.dtype == jnp.float32
  assert [f.shape[1:] for f in features] == [
    (16, 24, 4),
    (8, 12, 8),
    (4, 6, 16),
    (2, 3, 32),
  ]
  assert {f.dtype for f in features} == {jnp.dtype(jnp.bfloat16)}


def test_wrong_sizes_and_arrays_are_named():
  with pytest.raises(errors.EnhanceError, match="multiples of 8"):
    networks.shapes(unet_disc.Discriminator(width=4), (1, 16, 20, 3))
  with pytest.raises(errors.EnhanceError, match="conv1.weight_v"):
    unet_disc.from_public(public.state(public.unet(2)))
