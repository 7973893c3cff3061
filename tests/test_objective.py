"""The objective: weights that move, margins, teachers, held-out losses."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax.losses import adversarial, objective, perceptual
from enhance_jax.losses.perceptual import TERMS
from enhance_jax.registry import PERCEPTUAL_LOSSES
from enhance_jax.train import gradients, steps
from tests import test_steps


def _pictures(seed=0, channels=3):
  rng = np.random.default_rng(seed)
  shape = (2, 2, 12, 12, channels)
  return jnp.asarray(rng.random(shape, np.float32))


def _example(sr, hr, **more):
  return objective.Example(jnp.int32(0), sr, hr, **more)


@pytest.mark.parametrize(
  ("step", "weight"), [(0, 1.0), (10, 1.0), (15, 2.0), (20, 3.0), (99, 3.0)]
)
def test_a_ramp_moves_between_its_ends(step, weight):
  sr, hr = _pictures()
  ramp = objective.Ramp(1.0, 3.0, begin=10, steps=10)
  example = dataclasses.replace(_example(sr, hr), step=jnp.int32(step))
  total, terms = objective.Objective({"l1": ramp}).generator(example, {})
  assert float(terms["weight/l1"]) == pytest.approx(weight)
  assert float(total) == pytest.approx(weight * float(terms["loss/l1"]))


def test_a_margin_leaves_the_border_out():
  sr, hr = _pictures()
  wide = objective.Objective({"mse": 1.0}, margin=3)
  total, _ = wide.generator(_example(sr, hr), {})
  inside = (sr - hr)[:, 3:-3, 3:-3]
  assert float(total) == pytest.approx(float(jnp.mean(inside**2)), rel=1e-6)


def test_the_teacher_is_aimed_at_by_l1():
  sr, hr = _pictures()
  teacher = jnp.full_like(sr, 0.25)
  goal = objective.Objective({"teacher": 2.0})
  assert goal.uses_teacher and not goal.uses_discriminator
  total, _ = goal.generator(_example(sr, hr, teacher=teacher), {})
  assert float(total) == pytest.approx(
    2 * float(jnp.mean(jnp.abs(sr - 0.25))), rel=1e-6
  )


def test_features_are_computed_once_and_gray_is_repeated(monkeypatch):
  calls = []

  def network(params, x, taps, *, dtype):
    calls.append((x.shape, taps))
    return {tap: x * params for tap in taps}

  @dataclasses.dataclass(frozen=True)
  class Term:
    network: str
    taps: tuple[str, ...]

    def __call__(self, sr, hr):
      return sum(jnp.mean((sr[t] - hr[t]) ** 2, (1, 2, 3)) for t in self.taps)

  monkeypatch.setitem(TERMS, "vgg22", Term("vgg19", ("a",)))
  monkeypatch.setitem(TERMS, "vgg54", Term("vgg19", ("a", "b")))
  goal = objective.Objective(
    {"vgg22": 1.0, "vgg54": 10.0}, networks={"vgg19": network}
  )
  sr, hr = _pictures(channels=1)
  total, terms = goal.generator(_example(sr, hr), {"vgg19": 2.0})
  assert calls == [((2, 12, 12, 3), ("a", "b"))] * 2
  distance = 4 * float(jnp.mean((sr - hr) ** 2))
  assert float(terms["loss/vgg22"]) == pytest.approx(distance, rel=1e-5)
  assert float(total) == pytest.approx(21 * distance, rel=1e-5)


def test_every_perceptual_term_is_registered_with_its_network():
  assert {n: t.network for n, t in TERMS.items()} == PERCEPTUAL_LOSSES
  assert perceptual.TERMS is TERMS


def test_penalties_are_those_of_their_names():
  sr, hr = _pictures()
  key = jax.random.key(1)

  def critic(x):
    return jnp.sum(x**2, axis=(1, 2, 3))

  wgan = objective.Objective({"adversarial": 1.0}, penalty="gradient")
  r1 = objective.Objective({"adversarial": 1.0}, penalty="r1")
  assert float(wgan.slope(critic, hr, sr, key)) == pytest.approx(
    float(jnp.mean(adversarial.gradient_penalty(critic, hr, sr, key)))
  )
  assert float(r1.slope(critic, hr, sr, key)) == pytest.approx(
    float(jnp.mean(adversarial.r1(critic, hr)))
  )
  moved = jax.grad(lambda x: wgan.slope(critic, hr, x, key))(sr)
  assert float(jnp.max(jnp.abs(moved))) == 0.0


@pytest.mark.slow
def test_the_penalty_joins_the_discriminators_loss_alone():
  plain = test_steps._recipe()
  goal = dataclasses.replace(
    plain.phase.objective, penalty="r1", penalty_weight=100.0
  )
  fined = dataclasses.replace(
    plain, phase=dataclasses.replace(plain.phase, objective=goal)
  )
  one, before = test_steps._run(plain)
  other, after = test_steps._run(fined)
  expected = float(before["loss/discriminator"]) + 100 * float(
    after["loss/penalty"]
  )
  assert float(after["loss/penalty"]) > 0
  assert float(after["loss/discriminator"]) == pytest.approx(expected, rel=1e-5)
  jax.tree.map(
    np.testing.assert_array_equal, one.generator.params, other.generator.params
  )


@pytest.mark.slow
def test_validation_losses_use_the_average_and_running_statistics():
  recipe = test_steps._recipe()
  state, _ = test_steps._run(recipe)
  pixels = test_steps._batch()["hr"]
  losses = jax.jit(functools.partial(gradients.validation_losses, recipe))(
    state, pixels, {}
  )
  hr = pixels.astype(np.float32) / 255
  sr = test_steps.GENERATOR.apply(
    state.ema, test_steps._degrade(hr, None), train=False
  )
  assert float(losses["loss/l1"]) == pytest.approx(
    float(jnp.mean(jnp.abs(sr - hr))), rel=1e-5
  )
  rival = state.discriminator
  logits, _ = test_steps.DISCRIMINATOR.apply(
    {"params": rival.params, "batch_stats": rival.batch_stats}, hr, train=False
  )
  assert float(losses["d_recall"]) == pytest.approx(float((logits >= 0).mean()))
  total = sum(
    w * float(losses[f"loss/{n}"]) for n, w in test_steps.WEIGHTS.items()
  )
  assert float(losses["loss/generator"]) == pytest.approx(total, rel=1e-5)


@pytest.mark.slow
def test_the_losses_on_pictures_may_aim_at_sharpened_pictures():
  plain = test_steps._recipe({"mse": 1.0})
  recipe = dataclasses.replace(plain, sharpen=lambda hr: hr * 0.5)
  run = jax.jit(functools.partial(steps.train_step, recipe))
  state = test_steps.state_lib.enter(test_steps._start(), recipe.phase)
  _, metrics = run(state, test_steps._batch(), {})
  _, usual = test_steps._run(plain, state)
  assert float(metrics["loss/mse"]) != pytest.approx(float(usual["loss/mse"]))
