"""The whole second-order degradation: shapes, draws, order, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors, resample
from enhance_jax.data import real_world

# Nothing happens but the last resize.
QUIET = {
  "scale": 4,
  "sharpen": False,
  "kernel_sizes": (7,),
  "kernel_kinds": (1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
  "sigma": ((1e-3, 1e-3), (1e-3, 1e-3)),
  "sinc": 0.0,
  "final_sinc": 0.0,
  "resize": ((0.0, 0.0, 1.0), (0.0, 0.0, 1.0)),
  "gaussian": (1.0, 1.0),
  "gaussian_sigma": ((0.0, 0.0), (0.0, 0.0)),
  "quality": ((99.9, 99.9), (99.9, 99.9)),
}


def _photographs(side):
  from skimage import data

  picture = data.astronaut()[40 : 40 + side, 170 : 170 + side]
  return jnp.asarray(np.stack([picture] * 3) / 255, jnp.float32)


def test_draws_share_one_compilation():
  hr = _photographs(48)
  traces = []

  def run(hr, key):
    traces.append(None)
    return real_world.RealWorld(scale=4)(hr, key)

  program = jax.jit(run)
  found = np.stack([program(hr, jax.random.key(i)) for i in range(12)])
  assert len(traces) == 1
  assert found.shape == (12, 3, 12, 12, 3) and found.dtype == np.float32
  assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1
  np.testing.assert_allclose(found * 255, np.round(found * 255), atol=1e-4)
  np.testing.assert_array_equal(found[3], program(hr, jax.random.key(3)))
  # Pictures of a batch, and batches, are all drawn apart.
  flat = found.reshape(36, -1)
  apart = np.abs(flat[:, None] - flat[None]).mean(-1)
  assert apart[~np.eye(36, dtype=bool)].min() > 1 / 255
  # Yet each is that picture, where it was.
  plain = np.asarray(resample.resize(hr, scale=1 / 4))[0].ravel()
  likeness = [np.corrcoef(plain, x)[0, 1] for x in flat]
  assert np.median(likeness) > 0.8 and min(likeness) > 0.3


@pytest.mark.slow
def test_without_its_draws_it_is_a_resize():
  hr = _photographs(32)
  quiet = jax.jit(real_world.RealWorld(**QUIET))
  found = np.stack([quiet(hr, jax.random.key(i))[0] for i in range(12)])
  # By 4, each mode weighs the four pixels of a block and no others.
  taps = np.array([[8, 8, 8, 8], [0, 16, 16, 0], [-3, 19, 19, -3]]) / 32
  blocks = np.asarray(hr)[0].reshape(8, 4, 8, 4, 3)
  expected = np.einsum("ka,kb,yaxbc->kyxc", taps, taps, blocks)
  # JPEG has halved the chroma: compare luma.
  error = (found[:, None] - expected) @ np.array([0.299, 0.587, 0.114])
  error = np.abs(error).mean((2, 3))
  assert set(error.argmin(1)) == {0, 1, 2}
  assert error.min(1).max() < 1.5 / 255


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"kernel_sizes": (7, 8)}, "kernel size of 8"),
    ({"kernel_sizes": (23,)}, "kernel size of 23"),
    ({"kernel_kinds": (0.5, 0.5)}, "6 probabilities"),
    ({"resize": ((0.2, 0.7, 0.2), (0.3, 0.4, 0.3))}, "3 probabilities"),
    ({"factors": ((0.15, 0.9), (0.3, 1.2))}, "holds 1"),
  ],
)
def test_wrong_options_are_named(options, message):
  with pytest.raises(errors.EnhanceError, match=message):
    real_world.RealWorld(scale=4, **options)


@pytest.mark.parametrize("shape", [(1, 30, 32, 3), (1, 32, 32, 1)])
def test_wrong_pictures_are_named(shape):
  with pytest.raises(errors.EnhanceError, match="wanted RGB and sides"):
    real_world.RealWorld(scale=4)(jnp.zeros(shape), jax.random.key(0))
