"""Simulated eight-bit convolutions: ranges, rounding, gradients, integers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax.models import quantize
from tests import networks


def test_ranges_are_moving_averages_of_the_batches():
  module = quantize.Conv(2, momentum=0.75)
  x = np.float32([-3.0, 5.0, 1.0]).reshape(1, 1, 3, 1)
  shapes = networks.shapes(module, x.shape)
  variables = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
  run = jax.jit(
    functools.partial(module.apply, train=True, mutable=["batch_stats"])
  )
  for factor, low, high in ((1, -3.0, 5.0), (2, -3.75, 6.25)):
    _, changed = run(variables, factor * x)
    variables = {**variables, **changed}
    stats = variables["batch_stats"]
    assert (stats["low"], stats["high"]) == (low, high)
  # Zero, which pads the border, stays within.
  _, changed = run(variables, np.abs(x) + 1)
  assert changed["batch_stats"]["low"] == -3.75 * 0.75


def test_one_convolution_by_hand():
  """One input channel, centre weights 0.5 and -1, range -1..1.55."""
  kernel = np.zeros((3, 3, 1, 2), np.float32)
  kernel[1, 1, 0] = 0.5, -1.0
  kernel[0, 0, 0] = 0.1, 0.0
  variables = {
    "params": {"kernel": kernel, "bias": np.float32([0.2, 0.0])},
    "batch_stats": {"low": np.float32([-1]), "high": np.float32([1.55])},
  }
  x = np.float32([0.123, 2.0]).reshape(1, 1, 2, 1)
  found = quantize.Conv(2).apply(variables, x, train=False)
  # Steps: input 2.55/255 = 0.01, weights 0.5/127 and 1/127. 0.123 -> 12;
  # 2.0 is cut at 155. The bias is 0.2 / (0.01 * 0.5 / 127) = 5080 steps.
  expected = [
    [0.12 * 0.5 + 0.2, -0.12],
    [1.55 * 0.5 + 0.2, -1.55],
  ]
  np.testing.assert_allclose(found[0, 0], expected, rtol=1e-5)
  exported = quantize.export(variables["params"], variables["batch_stats"])
  assert exported["input_zero"] == -28 and exported["bias"][0] == 5080
  # 0.1 / (0.5 / 127) = 25.4
  assert exported["kernel"][0, 0, 0].tolist() == [25, 0]


def test_gradient_passes_the_rounding_and_stops_outside_the_range():
  module = quantize.Conv(1)
  kernel = np.zeros((3, 3, 1, 1), np.float32)
  kernel[1, 1] = 0.7
  variables = {
    "params": {"kernel": kernel, "bias": np.zeros(1, np.float32)},
    "batch_stats": {"low": np.float32([-1]), "high": np.float32([1])},
  }
  x = np.float32([-2.0, -0.5, 0.3, 1.5]).reshape(1, 1, 4, 1)

  def loss(params, x):
    both = {**variables, "params": params}
    return jnp.sum(module.apply(both, x, train=False))

  grad = jax.jit(jax.grad(loss, argnums=(0, 1)))
  params, dx = grad(variables["params"], x)
  np.testing.assert_allclose(dx.ravel(), [0, 0.7, 0.7, 0], rtol=1e-6)
  assert params["bias"][0] == pytest.approx(4)
  # The sum of the rounded, clipped input.
  assert params["kernel"][1, 1, 0, 0] == pytest.approx(-0.2, abs=0.02)


def test_a_channel_of_zeros_has_integers():
  params = {
    "kernel": np.zeros((3, 3, 2, 1), np.float32),
    "bias": np.float32([0.5]),
  }
  x = np.full((1, 2, 2, 2), 0.4, np.float32)
  module = quantize.Conv(1, picture=True)
  found = module.apply({"params": params}, x, train=False)
  np.testing.assert_allclose(found, 0.5, rtol=1e-4)
  exported = quantize.export(params, {})
  assert not exported["kernel"].any()
  assert exported["bias"] * exported["step"] == pytest.approx(0.5, rel=1e-4)


def test_the_picture_keeps_its_own_levels():
  """With weights that are whole steps every 8-bit level passes unharmed."""
  kernel = np.zeros((3, 3, 1, 1), np.float32)
  kernel[1, 1] = 1.0
  params = {"kernel": kernel, "bias": np.zeros(1, np.float32)}
  x = (np.arange(256, dtype=np.float32) / 255).reshape(1, 16, 16, 1)
  module = quantize.Conv(1, picture=True)
  found = module.apply({"params": params}, x, train=False)
  np.testing.assert_allclose(found, x, atol=1e-6)
  # Finer input is rounded.
  near = module.apply({"params": params}, x + 0.3 / 255, train=False)
  np.testing.assert_allclose(near, x, atol=1e-6)


def test_an_unknown_range_lets_the_input_pass():
  module = quantize.Conv(1)
  kernel = np.zeros((3, 3, 1, 1), np.float32)
  kernel[1, 1] = 1.0
  zero = np.zeros(1, np.float32)
  variables = {
    "params": {"kernel": kernel, "bias": zero},
    "batch_stats": {"low": zero, "high": zero},
  }
  x = np.float32([-40.25, 0.125, 7.5]).reshape(1, 1, 3, 1)
  found = module.apply(variables, x, train=False)
  np.testing.assert_allclose(found, x, rtol=1e-6)
