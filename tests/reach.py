"""Measures how far an input pixel reaches, against what a network states."""

import jax
import jax.numpy as jnp
import numpy as np


def check(module, variables, places: int = 1) -> None:
  """Input pixels reach as far as `module.radius` says, and no farther.

  Args:
    module: a generator.
    variables: its variables; large enough that nothing vanishes.
    places: how many neighbouring pixels to measure; the farthest counts.
  """
  n = 2 * module.radius + 4 * places
  lr = np.random.default_rng(3).random((1, n, n, module.channels), np.float32)
  scale, start = module.scale, n // 2 - n // 2 % places

  @jax.jit
  def seen(lr, row):
    def block(lr):
      sr = module.apply(variables, lr, train=False)
      shape = (1, scale, scale, module.channels)
      at = (0, row * scale, row * scale, 0)
      return jax.lax.dynamic_slice(sr, at, shape)

    return jax.grad(lambda x: jnp.sum(jnp.square(block(x) + 1.0)))(lr)

  reached = 0
  for row in range(start, start + places):
    grad = np.abs(np.asarray(seen(jnp.asarray(lr), row))[0]).sum(-1)
    for axis in np.nonzero(grad):
      reached = max(reached, row - axis.min(), axis.max() - row)
  assert reached == module.radius
