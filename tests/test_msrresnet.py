"""MSRResNet: count, reference output, PyTorch, reach, types."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.models import msrresnet
from tests import networks, reach
from tests import public_weights as public
from tests import reference_weights as reference


def upscale(module, variables, lr):
  return jax.jit(functools.partial(module.apply, train=False))(variables, lr)


def tiny(factors=(2, 2), **options):
  tensors = public.state(public.msrresnet(1, 6, factors))
  options = {**msrresnet.public_options(tensors), **options}
  variables = msrresnet.from_public(tensors)
  variables = jax.tree.map(lambda a: a.astype(np.float32), variables)
  return msrresnet.Generator(**options), variables


def test_parameter_count():
  """Counted from BasicSR's network."""
  module = msrresnet.Generator()
  variables = networks.shapes(module, (1, 8, 8, 3))
  leaves = jax.tree.leaves(variables)
  assert sum(leaf.size for leaf in leaves) == 1_517_571
  # The arrays of the public state dict.
  assert len(leaves) == 74


def test_golden():
  """Sum, mean absolute value, first and last in float64, by PyTorch."""
  tensors = public.state(public.msrresnet(2))
  with jax.enable_x64(True):
    options = msrresnet.public_options(tensors)
    module = msrresnet.Generator(**options, dtype=jnp.float64)
    lr = jnp.asarray(reference.wave(1, 3, 12, 10))
    sr = upscale(module, msrresnet.from_public(tensors), lr)
  expected = (5817.4339, 1.5752294, 1.0545493, -0.0941055)
  np.testing.assert_allclose(public.summary(sr), expected, rtol=2e-7)


@pytest.mark.parametrize("factors", [(2,), (3,), (2, 2)])
def test_equals_pytorch(factors):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_modern

  torch.manual_seed(1)
  theirs = torch_modern.MSRResNet(2, 8, factors)
  tensors = torch_modern.state(theirs)
  options = msrresnet.public_options(tensors)
  assert options["scale"] == np.prod(factors)
  lr = np.random.default_rng(0).random((2, 6, 5, 3), np.float32)
  with torch.no_grad():
    expected = theirs(torch_modern.nchw(lr)).numpy().transpose(0, 2, 3, 1)
  module = msrresnet.Generator(**options)
  networks.close(upscale(module, msrresnet.from_public(tensors), lr), expected)


@pytest.mark.parametrize("factors", [(2,), (3,), (2, 2)])
def test_radius_is_the_reach_of_an_input_pixel(factors):
  # Measured on BasicSR's network: 35 LR pixels.
  assert msrresnet.Generator().radius == 35
  reach.check(*tiny(factors))


def test_bfloat16_stays_near_float32_and_keeps_float32_outside():
  module, variables = tiny()
  half, _ = tiny(dtype=jnp.bfloat16)
  lr = jnp.asarray(reference.wave(1, 3, 8, 8), jnp.float32)
  wide, narrow = (upscale(net, variables, lr) for net in (module, half))
  assert narrow.dtype == jnp.float32
  error = np.abs(narrow - wide).max() / np.abs(wide).max()
  assert 0 < error < 0.03


def test_foreign_arrays_are_named():
  tensors = public.state(public.edsr(1, 4))
  with pytest.raises(errors.EnhanceError, match="lacks conv_hr.weight"):
    msrresnet.from_public(tensors)
  tensors = public.state(public.msrresnet(1, 4))
  with pytest.raises(errors.EnhanceError, match="tail.weight"):
    msrresnet.from_public({**tensors, "tail.weight": np.zeros(2)})
