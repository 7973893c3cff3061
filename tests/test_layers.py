"""Layers against plain convolutions, hand-computed statistics and PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from enhance_jax import errors
from enhance_jax.models import layers

# (N, H, W, I, O, size, stride, padding): one of every kind of gradient.
SHAPES = {
  "ordinary": (2, 9, 8, 5, 6, 3, 1, 1),
  "strided, even": (2, 12, 10, 5, 7, 3, 2, 1),
  "strided, odd": (2, 11, 9, 5, 7, 3, 2, 1),
  "strided, one pixel": (1, 1, 1, 4, 4, 3, 2, 1),
  "strided, 4x4": (2, 8, 6, 3, 4, 4, 2, 1),
  "stride 3, no padding": (2, 11, 13, 3, 4, 5, 3, 0),
  "kernel larger than the pictures": (2, 3, 4, 40, 50, 3, 1, 1),
  "thin output": (2, 13, 12, 6, 3, 9, 1, 4),
  "thin input": (2, 13, 12, 3, 6, 9, 1, 4),
  "same, strided, even and odd": (2, 12, 9, 5, 7, 3, 2, "same"),
  "same, strided, 5x5": (2, 11, 10, 3, 4, 5, 3, "same"),
  "same, larger stride": (2, 7, 6, 3, 4, 1, 2, "same"),
  "same, thin output": (2, 13, 12, 6, 3, 6, 1, "same"),
}


def plain(x, kernel, stride, padding):
  """The convolution as XLA has it."""
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    "SAME" if padding == "same" else ((padding, padding),) * 2,
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )


def example(n, h, w, i, o, size, stride, padding):
  rng = np.random.default_rng(0)
  x = rng.standard_normal((n, h, w, i), np.float32)
  kernel = rng.standard_normal((size, size, i, o), np.float32)
  shape = jax.eval_shape(lambda: plain(x, kernel, stride, padding)).shape
  return x, kernel, rng.standard_normal(shape, np.float32)


@functools.partial(jax.jit, static_argnums=(0, 4, 5))
def both(convolve, x, kernel, g, stride, padding):
  """The output and both gradients."""
  y, pull = jax.vjp(lambda *a: convolve(*a, stride, padding), x, kernel)
  return y, *pull(g)


@pytest.mark.parametrize("kind", SHAPES)
def test_convolution_and_gradients_equal_the_plain_ones(kind):
  *_, stride, padding = SHAPES[kind]
  arrays = example(*SHAPES[kind])
  found = both(layers.convolve, *arrays, stride, padding)
  expected = both(plain, *arrays, stride, padding)
  for ours, theirs in zip(found, expected, strict=True):
    assert ours.shape == theirs.shape
    error = np.abs(ours - theirs).max()
    assert error <= 1e-5 * np.abs(theirs).max()


def test_strided_input_gradient_does_not_convolve_dilated_zeros():
  x, kernel, g = example(*SHAPES["strided, even"])

  def dilated(convolve):
    lowered = both.lower(convolve, x, kernel, g, 2, 1)
    return "lhs_dilate" in lowered.compile().as_text()

  assert dilated(plain)
  assert not dilated(layers.convolve)


@pytest.mark.parametrize("kind", ["strided, odd", "thin output"])
def test_second_derivative_equals_the_plain_one(kind):
  *_, stride, padding = SHAPES[kind]
  x, kernel, _ = example(*SHAPES[kind])

  def penalty(kernel, convolve):
    def score(x):
      return jnp.sum(jnp.tanh(0.1 * convolve(x, kernel, stride, padding)))

    return jnp.sum(jnp.square(jax.grad(score)(x)))

  second = jax.jit(jax.grad(penalty), static_argnums=1)
  expected = second(kernel, plain)
  error = np.abs(second(kernel, layers.convolve) - expected).max()
  assert error <= 1e-5 * np.abs(expected).max()


def test_gradients_of_a_batch_over_devices():
  n = 4
  assert len(jax.devices()) >= n
  mesh = jax.make_mesh(
    (n,), ("batch",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:n]
  )
  spec = jax.sharding.PartitionSpec
  batch = jax.sharding.NamedSharding(mesh, spec("batch"))
  whole = jax.sharding.NamedSharding(mesh, spec())
  x, kernel, g = example(n, 12, 10, 5, 7, 3, 2, 1)
  expected = both(layers.convolve, x, kernel, g, 2, 1)
  spread = jax.device_put((x, kernel, g), (batch, whole, batch))
  compiled = both.lower(layers.convolve, *spread, 2, 1).compile()
  # Only the kernel's gradient is summed; no picture travels.
  assert "all-gather" not in compiled.as_text()
  for ours, theirs in zip(compiled(*spread), expected, strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


def test_conv_parameters_and_types():
  x = jnp.ones((1, 8, 8, 3))
  module = layers.Conv(5, size=3, stride=2, dtype=jnp.bfloat16)
  y, variables = module.init_with_output(jax.random.key(0), x)
  assert y.shape == (1, 4, 4, 5) and y.dtype == jnp.bfloat16
  found = variables["params"]
  assert found["kernel"].shape == (3, 3, 3, 5)
  assert found["bias"].shape == (5,)
  assert {leaf.dtype for leaf in found.values()} == {jnp.dtype("float32")}
  # PyTorch's start: uniform up to 1 / sqrt(fan-in) = 1 / sqrt(27).
  assert 0.17 < np.abs(found["kernel"]).max() <= 27**-0.5
  bare = layers.Conv(5, use_bias=False).init(jax.random.key(0), x)
  assert list(bare["params"]) == ["kernel"]


def test_conv_equals_pytorch():
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  x, kernel, _ = example(2, 11, 8, 5, 7, 3, 2, 1)
  bias = np.arange(7, dtype=np.float32)
  expected = torch.nn.functional.conv2d(
    torch.from_numpy(x.transpose(0, 3, 1, 2)),
    torch.from_numpy(kernel.transpose(3, 2, 0, 1)),
    torch.from_numpy(bias),
    2,
    1,
  )
  variables = {"params": {"kernel": kernel, "bias": bias}}
  found = layers.Conv(7, stride=2).apply(variables, x)
  np.testing.assert_allclose(
    found, expected.numpy().transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-4
  )


def test_same_padding_is_tensorflows():
  # By hand: 4 pixels, kernel 3, stride 2 read pixels 0-2 and 2-4, where number
  # 4 is a zero; 5 pixels read -1-1, 1-3 and 3-5.
  kernel = jnp.ones((3, 3, 1, 1))
  for size, expected in ((4, [3, 2]), (5, [2, 3, 2])):
    found = layers.convolve(jnp.ones((1, size, size, 1)), kernel, 2, "same")
    np.testing.assert_array_equal(
      found[0, ..., 0], np.outer(expected, expected)
    )
  with pytest.raises(errors.EnhanceError, match='padding "valid" is unknown'):
    layers.Conv(1, padding="valid").init(
      jax.random.key(0), jnp.ones((1, 4, 4, 1))
    )


def test_conv_starts_as_told():
  ones = nn.initializers.ones
  module = layers.Conv(2, kernel_init=ones, bias_init=nn.initializers.zeros)
  y, _ = module.init_with_output(jax.random.key(0), jnp.ones((1, 3, 3, 2)))
  assert y[0, 1, 1].tolist() == [18.0, 18.0]


def test_doublings():
  assert [layers.doublings(scale) for scale in (1, 2, 4, 8)] == [0, 1, 2, 3]
  for scale in (0, 3, 6):
    with pytest.raises(errors.EnhanceError, match=f"scale {scale} is no power"):
      layers.doublings(scale)


def test_bias_gradient_of_bfloat16_is_summed_in_float32():
  # 10000 ones: bfloat16 addition would stop at 256.
  x = jnp.zeros((1, 100, 100, 1))
  module = layers.Conv(1, size=1, dtype=jnp.bfloat16)
  variables = module.init(jax.random.key(0), x)
  grads = jax.grad(lambda v: module.apply(v, x).astype("float32").sum())(
    variables
  )
  np.testing.assert_array_equal(grads["params"]["bias"], [10000.0])


def test_batch_norm_running_statistics_after_three_updates():
  rng = np.random.default_rng(0)
  batches = 3 + 2 * rng.standard_normal((3, 4, 5, 6, 2))
  module = layers.BatchNorm()
  variables = module.init(
    jax.random.key(0), jnp.zeros((1, 1, 1, 2)), train=True
  )
  mean, var = np.zeros(2), np.ones(2)
  step = jax.jit(
    functools.partial(module.apply, train=True, mutable=["batch_stats"])
  )
  for batch in batches:
    y, state = step(variables, batch.astype(np.float32))
    variables = {**variables, **state}
    # By the definition: a tenth of the batch's mean and biased variance.
    m, v = batch.mean((0, 1, 2)), batch.var((0, 1, 2))
    mean, var = 0.9 * mean + 0.1 * m, 0.9 * var + 0.1 * v
    np.testing.assert_allclose(
      y, (batch - m) / np.sqrt(v + 1e-5), rtol=1e-4, atol=1e-4
    )
  found = variables["batch_stats"]
  np.testing.assert_allclose(found["mean"], mean, rtol=1e-5)
  np.testing.assert_allclose(found["var"], var, rtol=1e-5)
  y = module.apply(variables, batches[0].astype(np.float32), train=False)
  expected = (batches[0] - mean) / np.sqrt(var + 1e-5)
  np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_batch_norm_init_leaves_the_statistics_at_their_start():
  x = jnp.full((2, 3, 3, 1), 7.0)
  stats = layers.BatchNorm().init(jax.random.key(0), x, train=True)[
    "batch_stats"
  ]
  assert (stats["mean"].item(), stats["var"].item()) == (0.0, 1.0)


def test_batch_norm_of_bfloat16_has_float32_statistics():
  # In bfloat16 the variance around a mean of 100 would be lost.
  x = 100 + np.random.default_rng(0).integers(-2, 3, (4, 8, 8, 1)) / 2
  module = layers.BatchNorm(dtype=jnp.bfloat16)
  narrow = jnp.asarray(x, jnp.bfloat16)
  exact = np.asarray(narrow, np.float64)
  variables = module.init(jax.random.key(0), narrow, train=False)
  y, state = module.apply(
    variables, narrow, train=True, mutable=["batch_stats"]
  )
  assert y.dtype == jnp.bfloat16
  found = state["batch_stats"]["var"]
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found, 0.9 + 0.1 * exact.var(), rtol=2e-3)


def test_batch_norm_without_scale_and_statistics():
  x = np.random.default_rng(0).standard_normal((2, 3, 3, 2)).astype("float32")
  module = layers.BatchNorm(use_scale=False, running=False, epsilon=1e-3)
  variables = module.init(jax.random.key(0), x, train=False)
  assert jax.tree.map(np.shape, variables) == {"params": {"bias": (2,)}}
  bias = np.asarray([0.5, -1.0], np.float32)
  expected = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-3) + bias
  for train in (False, True):
    y = module.apply({"params": {"bias": bias}}, x, train=train)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_prelu_by_hand():
  x = jnp.asarray([[[[-2.0, -4.0]], [[0.0, 3.0]]]])
  module = layers.PReLU()
  y, variables = module.init_with_output(jax.random.key(0), x)
  np.testing.assert_array_equal(y, [[[[-0.5, -1.0]], [[0.0, 3.0]]]])
  assert variables["params"]["slope"].shape == (2,)
  slopes = {"params": {"slope": jnp.asarray([0.5, -1.0])}}
  np.testing.assert_array_equal(
    module.apply(slopes, x), [[[[-1.0, 4.0]], [[0.0, 3.0]]]]
  )
  scalar = layers.PReLU("scalar").init(jax.random.key(0), x)
  assert scalar["params"]["slope"].shape == (1,)


def test_prelu_of_an_unknown_kind():
  with pytest.raises(errors.EnhanceError, match='"shared"'):
    layers.PReLU("shared").init(jax.random.key(0), jnp.zeros((1, 1, 1, 1)))


def test_pixel_shuffle_order():
  # PyTorch's rule: channel c r^2 + dy r + dx goes to (dy, dx) of channel c.
  x = np.arange(2 * 3 * 2 * 18).reshape(2, 3, 2, 18)
  y = layers.pixel_shuffle(jnp.asarray(x), 3)
  assert y.shape == (2, 9, 6, 2)
  for h, w, c in np.ndindex(9, 6, 2):
    source = x[:, h // 3, w // 3, 9 * c + 3 * (h % 3) + w % 3]
    np.testing.assert_array_equal(y[:, h, w, c], source)
  with pytest.raises(errors.EnhanceError, match="5 channels"):
    layers.pixel_shuffle(jnp.zeros((1, 1, 1, 5)), 2)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_repeat_pixels_by_index(factor):
  x = np.random.default_rng(0).random((2, 3, 2, 4), np.float32)
  expected = x.repeat(factor, axis=1).repeat(factor, axis=2)
  found = layers.repeat_pixels(jnp.asarray(x), factor)
  np.testing.assert_array_equal(found, expected)


def test_layers_compose_under_rematerialisation():
  class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
      x = nn.remat(layers.Conv)(4, stride=2, name="conv")(x)
      return layers.PReLU(name="prelu")(x)

  class Same(nn.Module):
    @nn.compact
    def __call__(self, x):
      x = layers.Conv(4, stride=2, name="conv")(x)
      return layers.PReLU(name="prelu")(x)

  x = jnp.asarray(np.random.default_rng(0).random((2, 6, 6, 3), np.float32))
  variables = Same().init(jax.random.key(0), x)
  grads = [
    jax.jit(jax.grad(lambda v, m=m: jnp.sum(m.apply(v, x) ** 2)))(variables)
    for m in (Net(), Same())
  ]
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *grads
  )
