"""Shapes, counts, closeness and plain weights of networks, for tests."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn


def shapes(module: nn.Module, shape):
  """The variables' shapes, without computing them."""
  init = functools.partial(module.init, train=False)
  key = jax.random.key(0)
  return jax.eval_shape(init, key, jax.ShapeDtypeStruct(shape, jnp.float32))


def count(module: nn.Module, shape) -> int:
  """Parameters of a module for inputs of that shape."""
  leaves = jax.tree.leaves(shapes(module, shape)["params"])
  return sum(leaf.size for leaf in leaves)


def close(found, expected) -> None:
  """Asserts a relative difference below 1e-4."""
  assert found.shape == expected.shape
  error = np.abs(np.asarray(found) - expected).max()
  assert error <= 1e-4 * np.abs(expected).max()


def opened(module) -> dict:
  """A generator's variables with which every input pixel has its say.

  Kernels are means over their window: every ReLU is open, no sum cancels.
  """
  constants = {"bias": 0.1, "scale": 1.0, "mean": 0.0, "var": 1.0}

  def fill(path, leaf):
    mean = 1 / np.prod(leaf.shape[:3])
    return jnp.full(leaf.shape, constants.get(path[-1].key, mean))

  start = shapes(module, (1, 8, 8, module.channels))
  return jax.tree_util.tree_map_with_path(fill, start)
