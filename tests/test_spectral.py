"""Spectral normalisation against PyTorch's and against singular values."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax.models import spectral
from tests import networks


def test_gradient_equals_pytorch():
  """The norm is differentiated, its singular vectors are not."""
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from torch import nn

  from tests import torch_modern

  torch.manual_seed(2)
  theirs = nn.utils.spectral_norm(nn.Conv2d(3, 5, 4, 2, 1, bias=False))
  state = public_layer(torch_modern.state(theirs))
  x = np.random.default_rng(0).random((2, 8, 6, 3), np.float32)
  torch.sin(theirs(torch_modern.nchw(x))).sum().backward()
  expected = theirs.weight_orig.grad.numpy().transpose(2, 3, 1, 0)
  module = spectral.Conv(5, size=4, stride=2)

  def loss(params):
    y, _ = module.apply(
      {**state, "params": params}, x, train=True, mutable=["batch_stats"]
    )
    return jnp.sum(jnp.sin(y))

  found = jax.jit(jax.grad(loss))(state["params"])
  networks.close(found["kernel"], expected)


def public_layer(tensors):
  """One convolution's variables from PyTorch's."""
  weight = tensors["weight_orig"]
  v = tensors["weight_v"].reshape(weight.shape[1:]).transpose(1, 2, 0)
  return {
    "params": {"kernel": weight.transpose(2, 3, 1, 0)},
    "batch_stats": {"u": tensors["weight_u"], "v": v.reshape(-1)},
  }


def test_training_calls_find_the_largest_singular_value():
  module = spectral.Conv(6)
  x = jnp.zeros((1, 4, 4, 2))
  variables = module.init(jax.random.key(3), x, train=False)
  kernel = variables["params"]["kernel"].reshape(18, 6)
  top = np.linalg.svd(kernel, compute_uv=False)[0]
  run = functools.partial(module.apply, train=True, mutable=["batch_stats"])
  run = jax.jit(run)
  for _ in range(60):
    variables = {**variables, **run(variables, x)[1]}
  stats = variables["batch_stats"]
  found = stats["v"] @ kernel @ stats["u"]
  assert found == pytest.approx(top, rel=1e-4)
  assert np.linalg.norm(stats["u"]) == pytest.approx(1, rel=1e-5)
