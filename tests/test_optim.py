"""Optimisers and schedules against PyTorch's formulas, written out."""

import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from enhance_jax import config as config_lib
from enhance_jax import errors
from enhance_jax.train import optim


def _updates(settings, grads, params=None, steps=1):
  """The updates of some steps with equal gradients."""
  optimizer = optim.build(settings)
  params = params or grads
  state, seen = optimizer.init(params), []
  for _ in range(steps):
    updates, state = optimizer.update(grads, state, params)
    seen.append(updates)
  return seen


def _sgd(rate=1.0, **settings):
  return config_lib.optimizer(rate, name="sgd", **{"b1": 0.0, **settings})


def test_rate_decays_by_period_and_at_steps():
  rate = optim.schedule(
    config_lib.optimizer(1.0, decay_every=10, decay_rate=0.1)
  )
  assert [float(rate(n)) for n in (0, 9, 10, 25)] == pytest.approx(
    [1.0, 1.0, 0.1, 0.01]
  )
  rate = optim.schedule(config_lib.optimizer(2.0, decay_at=(3, 5)))
  assert [float(rate(n)) for n in (0, 2, 3, 4, 5, 9)] == pytest.approx(
    [2.0, 2.0, 1.0, 1.0, 0.5, 0.5]
  )


def test_the_norm_is_clipped():
  grads = {"w": jnp.array([30.0, 40.0])}
  (updates,) = _updates(_sgd(clip_norm=2.0), grads)
  np.testing.assert_allclose(updates["w"], [-1.2, -1.6], rtol=1e-6)


def test_components_are_clipped_to_theta_over_the_current_rate():
  """VDSR: with rate 0.1 and theta 0.01 the bound is 0.1, then 1."""
  settings = _sgd(0.1, clip_scaled=0.01, decay_at=(1,), decay_rate=0.1)
  first, second = _updates(settings, {"w": jnp.array([0.05, -7.0])}, steps=2)
  np.testing.assert_allclose(first["w"], [-0.005, 0.01], rtol=1e-5)
  np.testing.assert_allclose(second["w"], [-0.0005, 0.01], rtol=1e-5)


def test_weight_decay_joins_the_gradient_before_momentum():
  """PyTorch: v = m v + (g + d w); w -= rate v."""
  grads, params = {"w": jnp.array([1.0])}, {"w": jnp.array([10.0])}
  first, second = _updates(
    _sgd(0.5, b1=0.9, weight_decay=0.01), grads, params, steps=2
  )
  np.testing.assert_allclose(first["w"], [-0.5 * 1.1], rtol=1e-6)
  np.testing.assert_allclose(second["w"], [-0.5 * 1.1 * 1.9], rtol=1e-6)


def test_multipliers_go_by_the_longest_fitting_name():
  grads = {
    "conv_1": {"kernel": jnp.ones(1), "bias": jnp.ones(1)},
    "conv_out": {"kernel": jnp.ones(1), "bias": jnp.ones(1)},
  }
  factors = {"conv_out": 0.1, "conv_out/bias": 0.0}
  (updates,) = _updates(_sgd(multipliers=factors), grads)
  assert float(updates["conv_1"]["kernel"][0]) == -1.0
  assert float(updates["conv_out"]["kernel"][0]) == pytest.approx(-0.1)
  assert float(updates["conv_out"]["bias"][0]) == 0.0
  with pytest.raises(errors.EnhanceError, match="conv_ou7"):
    _updates(_sgd(multipliers={"conv_ou7": 0.1}), grads)


def test_adam_is_the_papers():
  """The first step of Adam is the rate, whatever the gradient's size."""
  (updates,) = _updates(config_lib.optimizer(1e-3), {"w": jnp.array([5.0])})
  np.testing.assert_allclose(updates["w"], [-1e-3], rtol=1e-5)


def test_unknown_optimisers_are_refused():
  settings = ml_collections.ConfigDict(
    {**config_lib.optimizer(1.0), "name": "adm"}
  )
  with pytest.raises(errors.EnhanceError, match='did you mean "adam"'):
    optim.build(settings)
