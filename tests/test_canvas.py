"""Pictures of traced size: resizes, borders and masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax.data import canvas

SIZES = ((12, 9), (7, 14), (5, 3), (12, 14), (1, 20))


def _random(*shape):
  return np.random.default_rng(0).random(shape, np.float32)


@jax.jit
def _resize(x, size, new, mode):
  return canvas.resize(x, size, new, mode, canvas=(16, 20))


def test_area_is_the_mean_of_blocks():
  x = _random(2, 16, 14, 3)
  found = _resize(x, (12, 14), (4, 7), canvas.MODES.index("area"))
  expected = x[:, :12].reshape(2, 4, 3, 7, 2, 3).mean((2, 4))
  np.testing.assert_allclose(found[:, :4, :7], expected, atol=1e-6)


def test_bilinear_enlargement_equals_jax():
  x = _random(2, 16, 14, 3)
  found = _resize(x, (8, 7), (16, 17), canvas.MODES.index("bilinear"))
  expected = jax.image.resize(x[:, :8, :7], (2, 16, 17, 3), "linear")
  np.testing.assert_allclose(found[:, :, :17], expected, atol=1e-6)


def test_bicubic_taps_by_hand():
  # Halfway between two samples a = -0.75 gives -3/32, 19/32, 19/32, -3/32.
  matrix = canvas.weights(6, 3, canvas.MODES.index("bicubic"), shape=(3, 6))
  taps = np.array([-3, 19, 19, -3]) / 32
  np.testing.assert_allclose(matrix[1], [0, *taps, 0], atol=1e-6)
  # Beyond the border the edge sample stands in.
  np.testing.assert_allclose(matrix[0], [16 / 32, 19 / 32, -3 / 32, 0, 0, 0])


@pytest.mark.parametrize("mode", canvas.MODES)
def test_keeping_the_size_keeps_the_picture(mode):
  x = _random(1, 16, 14, 3)
  found = _resize(x, (11, 13), (11, 13), canvas.MODES.index(mode))
  np.testing.assert_allclose(found[:, :11, :13], x[:, :11, :13], atol=1e-6)


@pytest.mark.parametrize("mode", canvas.MODES)
@pytest.mark.parametrize("new", SIZES)
def test_sizes_equal_pytorch(mode, new):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  x = _random(2, 16, 14, 3)
  for height, width in ((12, 9), (16, 14), (6, 5)):
    found = _resize(x, (height, width), new, canvas.MODES.index(mode))
    theirs = torch.nn.functional.interpolate(
      torch.from_numpy(x[:, :height, :width].transpose(0, 3, 1, 2).copy()),
      size=new,
      mode=mode,
    )
    expected = theirs.numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(
      found[:, : new[0], : new[1]], expected, atol=1e-5
    )
    outside = np.asarray(found).copy()
    outside[:, : new[0], : new[1]] = 0
    assert not outside.any()


@pytest.mark.parametrize("mode", canvas.MODES)
@pytest.mark.parametrize("factor", [0.15, 0.37, 0.83, 1.0, 1.21, 1.49])
def test_factors_equal_pytorch(mode, factor):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  x = _random(2, 12, 13, 3)
  theirs = torch.nn.functional.interpolate(
    torch.from_numpy(x.transpose(0, 3, 1, 2).copy()),
    scale_factor=factor,
    mode=mode,
  )
  expected = theirs.numpy().transpose(0, 2, 3, 1)
  height, width = expected.shape[1:3]
  found = canvas.resize(
    jnp.asarray(x),
    (12, 13),
    (height, width),
    canvas.MODES.index(mode),
    canvas=(18, 20),
    step=1 / factor,
  )
  np.testing.assert_allclose(found[:, :height, :width], expected, atol=1e-5)


@pytest.mark.parametrize("size", [(9, 7), (4, 2), (2, 1), (9, 3)])
def test_mirrors_equal_numpy(size):
  x = _random(2, 9, 7, 3)
  found = jax.jit(canvas.reflect, static_argnums=2)(x, size, 5)
  assert found.shape == (2, 19, 17, 3)
  inner = x[:, : size[0], : size[1]]
  pads = ((0, 0), (5, 5), (5, 5), (0, 0))
  expected = np.pad(inner, pads, mode="reflect")
  height, width = expected.shape[1:3]
  np.testing.assert_array_equal(found[:, :height, :width], expected)


def test_inside():
  mask = canvas.inside((2, 3, 4, 1), (jnp.asarray(2), jnp.asarray(3)))
  expected = [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
  np.testing.assert_array_equal(mask[0, ..., 0], expected)
