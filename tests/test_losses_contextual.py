"""Contextual losses: golden numbers, plain NumPy, blocks and sub-sampling."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.losses import contextual

# Four points of three channels on a 2x2 grid, from n = 0 ... 11.
N = np.arange(12)
SR = np.sin(1 + N).reshape(1, 2, 2, 3).astype(np.float32)
HR = (np.cos(0.7 * N) + (0.1 * N) % 1).reshape(1, 2, 2, 3).astype(np.float32)

cx, paper, code = (
  contextual.contextual,
  contextual.cobi_paper,
  contextual.cobi_code,
)
LOSSES = {
  "contextual": cx,
  "paper": paper,
  "paper squared": functools.partial(paper, distance="squared"),
  "code": code,
  "code squared": functools.partial(code, distance="squared"),
}


@pytest.mark.parametrize(
  ("loss", "options", "expected"),
  [
    # Computed in NumPy in float64 apart from this code.
    (cx, {}, 0.67125465),
    (cx, {"bandwidth": 0.1}, 0.69314711),
    (code, {}, 0.58527187),
    (code, {"distance": "squared"}, 0.59783700),
    (paper, {}, 0.07625502),
    (paper, {"spatial": 0.0}, 0.05125502),
  ],
)
def test_golden_values(loss, options, expected):
  found = jax.jit(functools.partial(loss, **options))(SR, HR)
  assert found.shape == (1,) and found.dtype == jnp.float32
  np.testing.assert_allclose(found, [expected], rtol=1e-6)


def test_equal_maps():
  for loss in (cx, paper):
    np.testing.assert_allclose(loss(HR, HR), [0.0], atol=1e-6)


def plain(sr, hr, kind, squared, places):
  """The losses from their definitions in float64, one picture at a time."""
  if kind != "paper" and not squared:
    mean = hr.mean(axis=(0, 1))
    sr, hr = sr - mean, hr - mean
  unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (sr, hr)]
  result = []
  for a, b, p, q in zip(sr, hr, *unit, strict=True):
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    far = 1 - p @ q.T
    if squared:
      far = ((a[:, None] - b[None]) ** 2).sum(-1)
    if kind == "paper":
      far = far / a.shape[-1] if squared else far
      result.append((far + 0.1 * apart).min(axis=1).mean())
      continue

    def attention(d, epsilon):
      w = np.exp((1 - d / (d.min(axis=1, keepdims=True) + epsilon)) / 0.5)
      return w / w.sum(axis=1, keepdims=True)

    far = far if squared else far / 2
    if kind == "contextual":
      each = attention(far, 1e-5)
    else:
      each = 0.9 * attention(far, 1e-3) + 0.1 * attention(apart**2, 1e-3)
    result.append(-np.log(each.max(axis=0).mean()))
  return result


def random_maps(h, w, n=2, c=4):
  rng = np.random.default_rng(0)
  return rng.standard_normal((2, n, h, w, c)).astype(np.float32)


def grid(h, w):
  return np.stack(np.divmod(np.arange(h * w), w), axis=1).astype(float)


def expected(name, sr, hr, places, sides):
  kind, _, squared = name.partition(" ")
  scale = 255 / np.asarray(sides) if kind == "code" else 1 / max(sides)
  flat = (x.reshape(*x.shape[:-3], -1, x.shape[-1]) for x in (sr, hr))
  wide = (x.astype(np.float64) for x in flat)
  return plain(*wide, kind, bool(squared), places * scale)


@pytest.mark.parametrize("name", LOSSES)
def test_by_definition_on_an_oblong_grid(name):
  sr, hr = random_maps(3, 5)
  found = jax.jit(LOSSES[name])(sr, hr)
  wanted = expected(name, sr, hr, grid(3, 5), (3, 5))
  np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.parametrize("name", ["contextual", "paper", "code squared"])
def test_blocks_of_rows_change_nothing(name, monkeypatch):
  # 12 rows at once, or in blocks of 5, 5 and 2.
  sr, hr = random_maps(3, 4)

  def both():
    return jax.jit(jax.value_and_grad(lambda x: LOSSES[name](x, hr).sum()))(sr)

  whole = both()
  monkeypatch.setattr(contextual, "_BLOCK", 5 * 12)
  for a, b in zip(whole, both(), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_larger_maps_are_sub_sampled_in_their_true_places(name):
  # At most 3 a side of 5 and 8: every second row, every third column.
  sr, hr = random_maps(5, 8)
  found = jax.jit(functools.partial(LOSSES[name], points=3))(sr, hr)
  rows, columns = [0, 2, 4], [0, 3, 6]
  places = np.asarray([(y, x) for y in rows for x in columns], float)
  part = (x[:, rows][:, :, columns] for x in (sr, hr))
  wanted = expected(name, *part, places, (5, 8))
  np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_regular_positions_cover_the_side():
  assert contextual._regular(10, 64).tolist() == list(range(10))
  assert contextual._regular(10, 4).tolist() == [0, 3, 6, 9]
  # Centred: one is left over at each end.
  assert contextual._regular(9, 3).tolist() == [1, 4, 7]
  for side in range(1, 40):
    for points in range(1, 12):
      assert 1 <= len(contextual._regular(side, points)) <= points


@pytest.mark.parametrize("name", LOSSES)
def test_random_positions_are_the_same_in_both(name):
  sr, hr = random_maps(6, 6)
  loss = jax.jit(functools.partial(LOSSES[name], points=3))
  one, two = (loss(sr, hr, key=jax.random.key(i)) for i in range(2))
  assert np.isfinite(one).all() and not np.array_equal(one, two)
  if not name.startswith("code"):
    same = loss(hr, hr, key=jax.random.key(0))
    np.testing.assert_allclose(same, [0.0, 0.0], atol=1e-5)


def test_small_maps_take_part_as_a_whole_whatever_the_key():
  sr, hr = random_maps(3, 2)
  loss = jax.jit(cx)
  with_key = loss(sr, hr, key=jax.random.key(0))
  np.testing.assert_array_equal(with_key, loss(sr, hr))


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite(name):
  sr, hr = random_maps(3, 4)
  dead = sr.copy()
  dead[0, 1, 1] = 0.0
  grad = jax.jit(jax.grad(lambda a, b: LOSSES[name](a, b).sum()))
  # Also of equal maps, and where all features of a place are 0.
  for a, b in ((sr, hr), (hr, hr), (dead, hr), (hr, dead), (0 * hr, hr)):
    assert np.isfinite(grad(a, b)).all()
  assert np.abs(grad(sr, hr)).max() > 0


@pytest.mark.parametrize("name", LOSSES)
def test_bfloat16_features_are_compared_in_float32(name):
  # Multiples of 1/4, exact in bfloat16.
  sr, hr = np.round(4 * random_maps(3, 4)) / 4
  narrow = (jnp.asarray(x, jnp.bfloat16) for x in (sr, hr))
  found = LOSSES[name](*narrow)
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found, LOSSES[name](sr, hr), rtol=1e-6)


def test_patches():
  # The 3x3 neighbourhood of pixel (0, 1) of a 2x3 picture, zeros around it.
  x = jnp.arange(1.0, 13.0).reshape(1, 2, 3, 2)
  found = contextual.patches(x, 3)
  assert found.shape == (1, 2, 3, 18)
  top, middle, bottom = [0] * 6, [1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]
  np.testing.assert_array_equal(found[0, 0, 1], top + middle + bottom)
  np.testing.assert_array_equal(contextual.patches(x, 1), x)


def test_what_is_refused():
  with pytest.raises(errors.EnhanceError, match="shapes"):
    cx(SR, HR[:, :1])
  with pytest.raises(errors.EnhanceError, match='distance "dot"'):
    paper(SR, HR, distance="dot")
  with pytest.raises(errors.EnhanceError, match='distance "dot"'):
    code(SR, HR, distance="dot")
  with pytest.raises(errors.EnhanceError, match="points is 0"):
    cx(SR, HR, points=0)
  with pytest.raises(errors.EnhanceError, match="odd size, got 4"):
    contextual.patches(SR, 4)
