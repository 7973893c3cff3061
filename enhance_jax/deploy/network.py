"""A generator as one function of the picture, its weights inside.

The weights belong in the artefact: one file then cannot be paired with the
wrong weights, its digest covers them, and what depends on weights alone is
computed when the program is compiled. Networks that share a program are the
upscaling engine's business.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from enhance_jax import zoo

LARGEST = 127

Forward = Callable[[Any], Any]


def forward(bundle: zoo.Generator, dtype: str) -> Forward:
  """The function that maps lr to sr as `dtype` has it.

  - "float32": the network as it is.
  - "bfloat16": kernels are kept, and the network computes, in bfloat16.
  - "int8": kernels are kept as integers in +-127 with a step for each output
    channel; the network computes in float32.

  Args:
    bundle: of `zoo.load_generator`.
    dtype: see above.

  Returns:
    a function of JAX float32 [N, h, w, C] in [0, 1] that gives float32
    [N, h s, w s, C].
  """
  import jax
  import jax.numpy as jnp

  module = bundle.module
  if dtype == "bfloat16":
    module = module.clone(dtype=jnp.bfloat16)
  kept = jax.tree_util.tree_map_with_path(
    lambda path, x: _keep(path, np.asarray(x), dtype), dict(bundle.variables)
  )

  def run(lr: Any) -> Any:
    # Inside the program, so that the small types are what is in the file.
    variables = jax.tree.map(_restore, kept, is_leaf=_is_pair)
    return module.apply(variables, lr, train=False).astype(jnp.float32)

  return run


def filled(run: Forward, multiple: int, scale: int) -> Forward:
  """`run` for sides of any length, where it takes multiples of a number.

  What is missing at the bottom and right is mirrored, as `numpy.pad` does by
  mode="reflect", and cut off the result.

  Args:
    run: of `forward`.
    multiple: of the network.
    scale: its enlargement.
  """
  if multiple == 1:
    return run

  def any_size(lr: Any) -> Any:
    height, width = lr.shape[1:3]
    for axis in (1, 2):
      lr = _mirrored(lr, axis, multiple)
    return run(lr)[:, : height * scale, : width * scale]

  return any_size


def _mirrored(x: Any, axis: int, multiple: int) -> Any:
  import jax.numpy as jnp

  length = x.shape[axis]
  whole = (length + multiple - 1) // multiple * multiple
  # A mirror's period; one pixel repeats itself.
  period = jnp.maximum(2 * length - 2, 1)
  place = jnp.arange(whole) % period
  return jnp.take(x, jnp.minimum(place, period - place), axis=axis)


def integers(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """A kernel [k, k, I, O] as int8 and the step of each output channel [O]."""
  largest = np.abs(kernel).max(axis=(0, 1, 2))
  # Any step serves a channel of zeros.
  step = np.where(largest > 0, largest, 1.0) / np.float32(LARGEST)
  return np.rint(kernel / step).astype(np.int8), step.astype(np.float32)


def _keep(path: Any, x: np.ndarray, dtype: str) -> Any:
  import ml_dtypes

  if path[-1].key != "kernel" or x.ndim != 4 or dtype == "float32":
    return x
  return integers(x) if dtype == "int8" else x.astype(ml_dtypes.bfloat16)


def _is_pair(x: Any) -> bool:
  return isinstance(x, tuple)


def _restore(x: Any) -> Any:
  import jax.numpy as jnp

  if not _is_pair(x):
    return jnp.asarray(x).astype(jnp.float32)
  whole, step = x
  return jnp.asarray(whole).astype(jnp.float32) * step.reshape(1, 1, 1, -1)
