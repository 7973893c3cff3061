"""Blending two generators, and the command that shows and blends."""

import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from flax import traverse_util

from enhance_jax import errors, zoo
from enhance_jax.models import srresnet, vdsr
from enhance_jax.zoo import __main__ as door

KWARGS = {"scale": 2, "width": 4, "blocks": 1}


def save(path, seed, generative=False, model="srresnet", kwargs=KWARGS, **card):
  module = {"srresnet": srresnet, "vdsr": vdsr}[model].Generator(**kwargs)
  rng = np.random.default_rng(seed)
  flat = {
    name: rng.uniform(-1, 1, shape).astype(np.float32)
    for name, shape in zoo.expected_shapes(module).items()
  }
  # A zero's sign is a bit as well.
  next(iter(flat.values())).flat[0] = -0.0
  return zoo.save_generator(
    path,
    model=model,
    kwargs=kwargs,
    variables=traverse_util.unflatten_dict(flat, sep="/"),
    card={"generative": generative, **card},
  )


@pytest.fixture
def pair(tmp_path):
  a = save(tmp_path / "pixel", 0, phase="pixel", step=10)
  return a, save(tmp_path / "gan", 1, generative=True, phase="gan", step=20)


def bits(variables):
  return {name: x.tobytes() for name, x in zoo.flatten(variables).items()}


def test_alpha_0_and_1_are_the_parents_to_the_bit(pair):
  a, b = map(zoo.load_generator, pair)
  for alpha, parent in ((0, a), (0.0, a), (1, b), (1.0, b)):
    blended = zoo.blend(a, b, alpha)
    assert bits(blended.variables) == bits(parent.variables)
  assert bits(a.variables) != bits(b.variables)


def test_between_them_it_is_the_weighted_mean_of_everything(pair):
  a, b = map(zoo.load_generator, pair)
  blended = zoo.blend(a, b, 0.8)
  assert blended.module == a.module and blended.kwargs == a.kwargs
  mixed, x, y = map(zoo.flatten, (blended.variables, a.variables, b.variables))
  assert any(name.startswith("batch_stats/") for name in mixed)
  assert mixed.keys() == x.keys()
  for name, value in mixed.items():
    expected = 0.2 * x[name].astype(float) + 0.8 * y[name].astype(float)
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-8)


def test_a_blend_by_hand(pair):
  a, b = map(zoo.load_generator, pair)
  ones = jax.tree.map(np.ones_like, a.variables)
  a = zoo.Generator(a.model, a.kwargs, a.module, ones, {}, "")
  threes = jax.tree.map(lambda x: np.full_like(x, 3), ones)
  b = zoo.Generator(b.model, b.kwargs, b.module, threes, {}, "")
  for leaf in jax.tree.leaves(zoo.blend(a, b, 0.8).variables):
    np.testing.assert_array_equal(leaf, np.full_like(leaf, 2.6))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_card_names_both_parents(pair, order):
  parents = [zoo.load_generator(pair[i]) for i in order]
  card = zoo.blend(*parents, 0.25).card
  # One adversarial parent suffices, at every alpha.
  assert card["generative"] is True
  assert zoo.blend(parents[0], parents[0], 0.5).card["generative"] == (
    order == (1, 0)
  )
  assert card["blend"]["alpha"] == 0.25
  assert [p["sha256"] for p in card["blend"]["parents"]] == [
    zoo.file_sha256(pair[i]) for i in order
  ]
  assert card["blend"]["parents"][order.index(1)] == {
    "sha256": zoo.file_sha256(pair[1]),
    "generative": True,
    "phase": "gan",
    "step": 20,
  }


def test_scales_that_both_serve_are_kept(tmp_path):
  kwargs = {"scale": 2, "depth": 2, "width": 3}
  several = [
    zoo.load_generator(
      save(tmp_path / str(i), i, model="vdsr", kwargs=kwargs, scales=scales)
    )
    for i, scales in enumerate([[2, 3], [2, 3], [2]])
  ]
  assert zoo.blend(*several[:2], 0.5).card["scales"] == [2, 3]
  assert "scales" not in zoo.blend(*several[1:], 0.5).card


@pytest.mark.parametrize(
  ("other", "message"),
  [
    ({"kwargs": {**KWARGS, "width": 6}}, "width: 4 -> 6;"),
    (
      {"kwargs": {"scale": 4, "width": 4, "blocks": 2}},
      "scale: 2 -> 4; blocks: 1 -> 2;",
    ),
    (
      {"model": "vdsr", "kwargs": {"scale": 2, "depth": 2, "width": 3}},
      "model: srresnet -> vdsr;",
    ),
  ],
)
def test_other_architectures_are_refused_with_the_difference(
  pair, tmp_path, other, message
):
  a = zoo.load_generator(pair[0])
  b = zoo.load_generator(save(tmp_path / "other", 2, **other))
  with pytest.raises(errors.EnhanceError, match=message):
    zoo.blend(a, b, 0.5)


def test_an_argument_left_to_its_default_is_no_difference(pair, tmp_path):
  a = zoo.load_generator(pair[0])
  said = {**KWARGS, "prelu": "channel", "channels": 3}
  b = zoo.load_generator(save(tmp_path / "said", 2, kwargs=said))
  assert zoo.blend(a, b, 0.5).kwargs == KWARGS


@pytest.mark.parametrize("alpha", [-0.1, 1.01, float("nan")])
def test_alpha_outside_is_refused(pair, alpha):
  a, b = map(zoo.load_generator, pair)
  with pytest.raises(errors.EnhanceError, match=r"wanted 0 .* to 1"):
    zoo.blend(a, b, alpha)


# The command


def test_a_blend_is_written_and_shown(pair, tmp_path, capsys):
  out = tmp_path / "new" / "blended.safetensors"
  command = ["blend", *map(str, pair), "--alpha=0.8", "-o", str(out)]
  assert door.main(command) == 0
  assert str(out) in capsys.readouterr().out
  loaded = zoo.load_generator(out)
  expected = zoo.blend(*map(zoo.load_generator, pair), 0.8)
  assert bits(loaded.variables) == bits(expected.variables)
  assert loaded.card["blend"] == expected.card["blend"]
  # The suffix may be left out, here as elsewhere.
  assert door.main(["show", str(out.with_suffix(""))]) == 0
  told = capsys.readouterr().out
  assert f"{out.stat().st_size:,} bytes" in told
  assert zoo.file_sha256(out) in told
  assert "srresnet(blocks=1, scale=2, width=4)" in told
  arrays = zoo.flatten(loaded.variables)
  count = sum(x.size for n, x in arrays.items() if n.startswith("params/"))
  assert f"parameters  {count:,} in " in told
  assert "enlarges    x2\n" in told and "invented" in told
  card = json.loads(told[told.index("{\n") :])
  assert (
    card["blend"]["alpha"] == 0.8 and card["radius"] == loaded.module.radius
  )
  before = out.read_bytes()
  with pytest.raises(errors.EnhanceError, match="already there"):
    door.main(command)
  assert out.read_bytes() == before


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["show", "none.safetensors"], "none.safetensors does not exist"),
    (["blend", "A", "B", "--alpha=2", "-o", "c"], "got alpha 2"),
    (["blend", "A", "none", "--alpha=0", "-o", "c"], "none.* does not exist"),
    (["sweep", "A", "B", "--sets=none", "-o", "c"], "none is no folder"),
    (["sweep", "A", "B", "--sets=,", "-o", "c"], "no test set"),
  ],
)
def test_what_cannot_be_done_is_said(
  pair, tmp_path, monkeypatch, arguments, message
):
  monkeypatch.chdir(tmp_path)
  before = sorted(tmp_path.iterdir())
  names = {"A": str(pair[0]), "B": str(pair[1])}
  with pytest.raises(errors.EnhanceError, match=message):
    door.main([names.get(word, word) for word in arguments])
  assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("words", [["--help"], ["sweep", "--help"]])
def test_help_comes_without_waiting_for_jax(words):
  code = (
    "import runpy, sys\n"
    f"sys.argv = ['zoo', *{words!r}]\n"
    "try:\n"
    "  runpy.run_module('enhance_jax.zoo', run_name='__main__')\n"
    "except SystemExit as stop:\n"
    "  assert not stop.code, stop.code\n"
    "heavy = {'jax', 'flax', 'safetensors', 'scipy', 'matplotlib'}\n"
    "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", code],
    cwd=pathlib.Path(__file__).parent.parent,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  assert "usage: python -m enhance_jax.zoo" in done.stdout
