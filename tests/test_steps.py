"""The fused step against its parts, computed one by one."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from enhance_jax import config as config_lib
from enhance_jax import registry
from enhance_jax.losses import objective
from enhance_jax.models import srresnet
from enhance_jax.train import gradients, optim, steps
from enhance_jax.train import state as state_lib

GENERATOR = srresnet.Generator(width=4, blocks=1)
DISCRIMINATOR = srresnet.Discriminator(width=4, dense=8)
WEIGHTS = {"l1": 1.0, "features": 0.1, "adversarial": 0.05}


def _degrade(hr, key):
  del key
  return hr[:, ::4, ::4]


def _recipe(weights=None, accumulate=1, degrade=_degrade, **settings):
  settings = config_lib.optimizer(1e-2, **settings)
  phase = state_lib.Phase(
    name="test",
    start=0,
    end=10,
    objective=objective.Objective(weights or WEIGHTS),
    generator_optimizer=optim.build(settings),
    discriminator_optimizer=optim.build(settings),
    rate=optim.schedule(settings),
  )
  return gradients.Recipe(
    generator=GENERATOR,
    discriminator=DISCRIMINATOR,
    phase=phase,
    fetch=lambda batch, constants: batch["hr"],
    augment=None,
    degrade=degrade,
    sharpen=None,
    teacher=None,
    seed=0,
    ema_decay=0.5,
    accumulate=accumulate,
  )


@functools.cache
def _start():
  state = state_lib.init(GENERATOR, DISCRIMINATOR, seed=0, hr_shape=(16, 16, 3))
  return state_lib.enter(state, _recipe().phase)


def _batch(count=4):
  rng = np.random.default_rng(0)
  return {"hr": rng.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)}


def _run(recipe, state=None, batch=None):
  step = jax.jit(functools.partial(steps.train_step, recipe))
  return step(state or _start(), batch or _batch(), {})


def _close(one, other, rtol=1e-5, atol=1e-6):
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=atol),
    one,
    other,
  )


def _by_hand(state, hr):
  """Gradients and statistics from separate passes, PyTorch's way."""
  lr = _degrade(hr, None)
  rival = state.discriminator

  def generate(params):
    return GENERATOR.apply(
      {"params": params, "batch_stats": state.generator.batch_stats},
      lr,
      train=True,
      mutable=["batch_stats"],
    )

  def judge(params, stats, image):
    out, changed = DISCRIMINATOR.apply(
      {"params": params, "batch_stats": stats},
      image,
      train=True,
      mutable=["batch_stats"],
    )
    return *out, changed["batch_stats"]

  def generator_loss(params):
    sr, changed = generate(params)
    _, real, stats = judge(rival.params, rival.batch_stats, hr)
    logits, fake, stats = judge(rival.params, stats, sr)
    features = [
      jnp.mean(jnp.abs(a - b)) for a, b in zip(fake, real, strict=True)
    ]
    loss = (
      jnp.mean(jnp.abs(sr - hr))
      + 0.1 * sum(features) / len(features)
      + 0.05 * jnp.mean(jax.nn.softplus(-logits))
    )
    return loss, changed["batch_stats"]

  def discriminator_loss(params):
    sr, _ = generate(state.generator.params)
    real, _, stats = judge(params, rival.batch_stats, hr)
    fake, _, stats = judge(params, stats, jax.lax.stop_gradient(sr))
    loss = jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake))
    return loss, stats

  grad = functools.partial(jax.grad, has_aux=True)
  return (
    grad(generator_loss)(state.generator.params),
    grad(discriminator_loss)(rival.params),
  )


def test_one_forward_and_two_pullbacks_equal_separate_passes():
  """SGD makes the updates the gradients themselves."""
  recipe = _recipe(name="sgd", b1=0.0)
  state = state_lib.enter(_start(), recipe.phase)
  after, metrics = _run(recipe, state)
  hr = _batch()["hr"].astype(np.float32) / 255
  expected = jax.jit(_by_hand)(state, hr)
  networks = (
    (state.generator, after.generator),
    (state.discriminator, after.discriminator),
  )
  for (old, new), (grads, stats) in zip(networks, expected, strict=True):
    moved = jax.tree.map(lambda a, b: (a - b) / 1e-2, old.params, new.params)
    _close(moved, grads, rtol=1e-3, atol=1e-4)
    _close(new.batch_stats, stats)
  norm = optax.tree.norm(expected[0][0])
  assert float(metrics["grad_norm/generator"]) == pytest.approx(
    float(norm), rel=1e-4
  )


def test_the_objective_is_the_weighted_sum_of_its_terms():
  _, metrics = _run(_recipe())
  total = sum(w * float(metrics[f"loss/{n}"]) for n, w in WEIGHTS.items())
  assert float(metrics["loss/generator"]) == pytest.approx(total, rel=1e-6)
  assert 0 < float(metrics["d_real"]) < 1 and 0 < float(metrics["d_fake"]) < 1


def test_a_pixel_phase_leaves_the_discriminator_alone():
  recipe = _recipe({"mse": 1.0})
  state = state_lib.enter(_start(), recipe.phase)
  after, metrics = _run(recipe, state)
  _close(state.discriminator, after.discriminator, 0, 0)
  assert "loss/discriminator" not in metrics
  assert after.discriminator.opt_state == ()


def test_moving_average():
  """Decay min(0.5, (1 + n) / (10 + n)): 0.1 at the first step."""
  state, _ = _run(_recipe())
  expected = jax.tree.map(
    lambda old, new: old + 0.9 * (new - old),
    _start().ema,
    state.generator.variables(),
  )
  _close(state.ema, expected)


def test_accumulation_averages_the_micro_batches():
  recipe = _recipe(name="sgd", b1=0.0, accumulate=2)
  state = state_lib.enter(_start(), recipe.phase)
  after, _ = _run(recipe, state)
  hr = _batch()["hr"].astype(np.float32) / 255
  first = jax.jit(_by_hand)(state, hr[0::2])
  middle = state.replace(
    generator=state.generator.replace(batch_stats=first[0][1]),
    discriminator=state.discriminator.replace(batch_stats=first[1][1]),
  )
  second = jax.jit(_by_hand)(middle, hr[1::2])
  grads = jax.tree.map(lambda a, b: (a + b) / 2, first[0][0], second[0][0])
  moved = jax.tree.map(
    lambda a, b: (a - b) / 1e-2, state.generator.params, after.generator.params
  )
  _close(moved, grads, rtol=1e-3, atol=1e-4)
  _close(after.generator.batch_stats, second[0][1])
  _close(after.discriminator.batch_stats, second[1][1])


def _bad_degrade(hr, key):
  return _degrade(hr, key) * jnp.nan


def test_a_step_that_is_not_finite_changes_only_the_counters():
  state = _start()
  after, metrics = _run(_recipe(degrade=_bad_degrade))
  assert int(after.step) == 1 and int(after.skipped) == 1
  assert int(after.streak) == 1 and int(metrics["streak"]) == 1
  assert not np.isfinite(float(metrics["loss/l1"]))
  untouched = dict(step=state.step, skipped=state.skipped, streak=state.streak)
  _close(after.replace(**untouched), state, 0, 0)
  again, _ = _run(_recipe(degrade=_bad_degrade), after)
  assert int(again.skipped) == 2 and int(again.streak) == 2
  healed, _ = _run(_recipe(), again)
  assert int(healed.skipped) == 2 and int(healed.streak) == 0


def root_of_nothing(sr, hr):
  """A loss that is 0 and whose gradient is not a number."""
  del hr
  return jnp.mean(jnp.sqrt(jnp.abs(sr - sr)), axis=(1, 2, 3))


def test_a_gradient_alone_that_is_not_finite_is_caught(monkeypatch):
  monkeypatch.setitem(
    registry.PIXEL_LOSSES, "root", f"{__name__}:root_of_nothing"
  )
  recipe = _recipe({"root": 1.0})
  state = state_lib.enter(_start(), recipe.phase)
  after, metrics = _run(recipe, state)
  assert float(metrics["loss/generator"]) == 0.0
  assert not np.isfinite(float(metrics["grad_norm/generator"]))
  assert int(after.skipped) == 1
  _close(after.generator, state.generator, 0, 0)


def test_several_updates_in_one_dispatch_equal_single_ones():
  recipe = _recipe()
  batches = [_batch(), {"hr": _batch()["hr"][::-1]}]
  stacked = {"hr": np.stack([batch["hr"] for batch in batches])}
  many, rows = jax.jit(functools.partial(steps.train_steps, recipe))(
    _start(), stacked, {}
  )
  state = _start()
  for index, batch in enumerate(batches):
    state, metrics = _run(recipe, state, batch)
    assert float(rows["loss/generator"][index]) == pytest.approx(
      float(metrics["loss/generator"]), rel=1e-4
    )
  _close(many.generator.params, state.generator.params, 1e-2, 1e-3)
  assert int(many.step) == 2


def test_bfloat16_computes_but_keeps_float32():
  half = dataclasses.replace(
    _recipe(),
    generator=GENERATOR.clone(dtype=jnp.bfloat16),
    discriminator=DISCRIMINATOR.clone(dtype=jnp.bfloat16),
  )
  full, full_metrics = _run(_recipe())
  state, metrics = _run(half)
  assert {x.dtype for x in jax.tree.leaves(state.generator.params)} == {
    jnp.dtype("float32")
  }
  assert float(metrics["loss/generator"]) == pytest.approx(
    float(full_metrics["loss/generator"]), rel=0.05
  )


def test_streams_differ_by_name_seed_and_step():
  keys = [
    state_lib.stream_key(0, "degrade", 1),
    state_lib.stream_key(0, "degrade", 2),
    state_lib.stream_key(0, "generator", 1),
    state_lib.stream_key(1, "degrade", 1),
  ]
  assert len({jax.random.key_data(k).tobytes() for k in keys}) == 4
