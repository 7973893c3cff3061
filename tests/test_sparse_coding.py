"""Sparse coding against scikit-learn, SciPy and a direct form; its reach."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from sklearn.decomposition import sparse_encode

from enhance_jax import errors, resample, zoo
from enhance_jax.inference import engine
from enhance_jax.models import back_projection, sparse_coding


def _random(*shape, seed=0):
  return np.random.default_rng(seed).random(shape, np.float32)


@functools.lru_cache
def _made(**kwargs):
  """A generator with its variables at the start."""
  module = sparse_coding.Generator(**kwargs)
  init = jax.jit(functools.partial(module.init, train=False))
  return module, init(jax.random.key(0), jnp.zeros((1, 1, 1, 1)))


def _run(module, variables, lr, train=False):
  return jax.jit(functools.partial(module.apply, train=train))(variables, lr)


@pytest.mark.parametrize("sparsity", [0.05, 0.2])
def test_fista_equals_the_lasso_of_scikit_learn(sparsity):
  rng = np.random.default_rng(1)
  x = rng.normal(size=(30, 12))
  x /= np.linalg.norm(x, axis=1, keepdims=True)
  atoms = rng.normal(size=(12, 20))
  atoms /= np.linalg.norm(atoms, axis=0)
  expected = sparse_encode(
    x, atoms.T, algorithm="lasso_lars", alpha=sparsity, max_iter=200
  )
  with jax.enable_x64(True):
    found = sparse_coding.encode(
      jnp.asarray(x), jnp.asarray(atoms), sparsity=sparsity, iterations=3000
    )
  assert 0.05 < np.mean(expected != 0) < 0.9
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_hundred_iterations_come_near():
  x = _random(20, 100, seed=2) - 0.5
  x /= np.linalg.norm(x, axis=1, keepdims=True)
  atoms = np.random.default_rng(3).normal(size=(100, 150))
  atoms = (atoms / np.linalg.norm(atoms, axis=0)).astype(np.float32)
  expected = sparse_encode(x, atoms.T, algorithm="lasso_lars", alpha=0.1)
  found = sparse_coding.encode(
    jnp.asarray(x), jnp.asarray(atoms), sparsity=0.1, iterations=100
  )

  def cost(codes):
    fit = np.square(x - codes @ atoms.T).sum() / 2
    return fit + 0.1 * np.abs(codes).sum()

  assert cost(np.asarray(found)) <= 1.0005 * cost(expected)


def test_features_equal_scipy():
  x = _random(2, 9, 7, 1)
  first, second = [-1, 0, 1], [1, 0, -2, 0, 1]
  expected = [
    ndimage.correlate1d(x, taps, axis=axis, mode="constant")
    for taps, axis in ((first, 2), (first, 1), (second, 2), (second, 1))
  ]
  expected = np.concatenate(expected, axis=-1)
  for found in (
    sparse_coding.features(x),
    sparse_coding.features(jnp.asarray(x)),
  ):
    assert type(found) is not type(expected) or found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_patches_overlap_to_the_same_picture():
  x = _random(2, 9, 7, 1)
  patches = sparse_coding.unfold(jnp.asarray(x), 3)
  assert patches.shape == (2, 7, 5, 9)
  np.testing.assert_array_equal(patches[1, 2, 3], x[1, 2:5, 3:6, 0].reshape(9))
  np.testing.assert_allclose(sparse_coding.fold(patches, 3), x, atol=1e-6)
  # By hand: a pixel that two patches cover is their mean.
  two = jnp.asarray([[[[1.0, 2, 3, 4]], [[5.0, 6, 7, 8]]]])
  np.testing.assert_array_equal(
    sparse_coding.fold(two, 2)[0, ..., 0], [[1, 2], [4, 5], [7, 8]]
  )


def _direct(lr, params, scale, sparsity):
  """One patch after the other, with scikit-learn's codes: [h s, w s]."""
  hr_atoms = params["dictionary_hr"].astype(np.float64)
  lr_atoms = params["dictionary_lr"].astype(np.float64)
  lr_atoms = lr_atoms / np.linalg.norm(lr_atoms, axis=0)
  middle = resample.resize(lr.astype(np.float64), scale=scale) * 255
  maps = sparse_coding.features(middle[None])[0]
  middle = middle[..., 0]
  total, count = np.zeros_like(middle), np.zeros_like(middle)
  for i in range(2, middle.shape[0] - 7):
    for j in range(2, middle.shape[1] - 7):
      seen = maps[i : i + 5, j : j + 5].transpose(2, 0, 1).ravel()
      seen = seen / max(np.linalg.norm(seen), 1)
      code = sparse_encode(
        seen[None], lr_atoms.T, algorithm="lasso_lars", alpha=sparsity
      )[0]
      detail = (hr_atoms @ code).reshape(5, 5)
      old = middle[i : i + 5, j : j + 5]
      size = np.linalg.norm(detail)
      if size:
        detail = detail * 1.2 * np.linalg.norm(old - old.mean()) / size
      total[i : i + 5, j : j + 5] += detail + old.mean()
      count[i : i + 5, j : j + 5] += 1
  return np.where(count > 0, total / np.maximum(count, 1), middle) / 255


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_generator_equals_the_direct_form(scale):
  options = {"scale": scale, "atoms": 30, "sparsity": 0.1}
  module, variables = _made(**options, iterations=600, back_projections=0)
  side = -(-13 // scale)
  lr = _random(1, side, side + 1, 1, seed=4)
  # A flat corner: patches without any atom.
  lr[0, : side // 2, : side // 2] = 0.5
  params = jax.tree.map(np.asarray, variables["params"])
  expected = _direct(lr[0], params, scale, 0.1)
  found = _run(module, variables, jnp.asarray(lr))
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found[0, ..., 0], expected, atol=1e-4)
  # And back-projection is what comes after it.
  whole, _ = _made(**options, iterations=600, back_projections=20)
  after = _run(whole, variables, jnp.asarray(lr))
  moved = back_projection.back_project(
    found, jnp.asarray(lr), scale=scale, iterations=20
  )
  np.testing.assert_allclose(after, moved, atol=1e-5)


def test_any_size():
  module, variables = _made(atoms=4, iterations=1, back_projections=1)
  for h, w in ((1, 1), (4, 20), (6, 6)):
    lr = jnp.asarray(_random(2, h, w, 1))
    sr = _run(module, variables, lr, train=True)
    assert sr.shape == (2, 2 * h, 2 * w, 1)
    np.testing.assert_array_equal(sr, _run(module, variables, lr))


def test_parameters():
  module, _ = _made(atoms=4, iterations=1, back_projections=1)
  assert zoo.expected_shapes(module) == {
    "params/dictionary_hr": (25, 4),
    "params/dictionary_lr": (100, 4),
  }


def test_colour_is_refused():
  with pytest.raises(errors.EnhanceError, match="task.channels=1"):
    _made(channels=3)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_radius_is_the_reach_of_an_input_pixel(scale):
  module, variables = _made(
    scale=scale, atoms=6, sparsity=1e-3, iterations=2, back_projections=1
  )
  n = 2 * module.radius + 5
  middle = n // 2
  lr = jnp.asarray(_random(1, n, n, 1, seed=5))

  def block(lr):
    sr = module.apply(variables, lr, train=False)
    start = middle * scale
    return sr[0, start : start + scale, start : start + scale]

  slopes = jax.jit(jax.grad(lambda lr: block(lr).sum()))(lr)
  rows, columns = np.nonzero(slopes[0, ..., 0])
  assert middle - rows.min() == middle - columns.min() == module.radius
  assert rows.max() - middle == columns.max() - middle == module.radius


def test_tiles_do_not_show():
  module, variables = _made(atoms=6, iterations=4, back_projections=1)
  bundle = zoo.Generator(
    "sparse_coding", {}, module, dict(variables), {"generative": False}, ""
  )
  picture = _random(31, 26, 1, seed=6)
  whole = engine.Upscaler(bundle, tile=64).upscale(picture)
  tiled = engine.Upscaler(bundle, tile=8).upscale(picture)
  np.testing.assert_allclose(tiled, whole, atol=1e-5)
