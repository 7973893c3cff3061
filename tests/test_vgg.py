"""VGG features against PyTorch and by hand, on narrow networks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.models import frozen, vgg

WIDTHS = (4, 5, 6, 7, 8)
NAMES, TAPS = vgg.CONVOLUTIONS["vgg19"], vgg.TAPS["vgg19"]


@functools.lru_cache
def small():
  """Random parameters of VGG19 with narrow layers."""
  rng, params, channels = np.random.default_rng(0), {}, 3
  for name in NAMES:
    width = WIDTHS[int(name[4]) - 1]
    kernel = rng.standard_normal((3, 3, channels, width)) / channels**0.5 / 2
    params[name] = {
      "kernel": kernel.astype(np.float32),
      "bias": rng.standard_normal(width).astype(np.float32),
    }
    channels = width
  return params


def pictures(n=2, h=48, w=37):
  return np.random.default_rng(1).random((n, h, w, 3), np.float32)


def test_names_of_the_convolutions():
  # VGG19: 2, 2, 4, 4 and 4 convolutions between five pools; VGG16: 3 for 4.
  assert len(NAMES) == 16 and len(vgg.CONVOLUTIONS["vgg16"]) == 13
  assert NAMES[:3] == ("conv1_1", "conv1_2", "conv2_1")
  assert NAMES[-1] == "conv5_4"
  assert "relu5_4" in TAPS and "relu2_3" not in TAPS
  assert "relu5_3" in vgg.TAPS["vgg16"] and "relu5_4" not in vgg.TAPS["vgg16"]


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_all_taps_equal_pytorch(network):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_features

  torch.manual_seed(0)
  theirs = torch_features.vgg(vgg.STAGES[network], WIDTHS)
  params = vgg.from_public(torch_features.tensors(theirs), network)
  expected = torch_features.run(theirs, torch_features.normalized(pictures()))
  taps = vgg.TAPS[network]
  found = jax.jit(lambda x: vgg.features(params, x, taps, network=network))(
    pictures()
  )
  assert set(found) == set(taps)
  for tap, theirs in zip(taps, expected, strict=True):
    error = np.abs(found[tap] - theirs).max()
    assert error <= 1e-4 * np.abs(theirs).max(), tap


def test_first_convolution_by_hand():
  params = small()
  x = pictures(1, 5, 4)
  found = vgg.features(params, x, ["conv1_1", "relu1_1"])
  # The pixel (2, 1) of channel 3, from the definition.
  patch = (x[0, 1:4, 0:3] - frozen.MEAN) / frozen.STD
  layer = params["conv1_1"]
  value = (patch * layer["kernel"][..., 3]).sum() + layer["bias"][3]
  np.testing.assert_allclose(found["conv1_1"][0, 2, 1, 3], value, rtol=1e-5)
  np.testing.assert_array_equal(
    found["relu1_1"], np.maximum(found["conv1_1"], 0)
  )


def test_sizes_are_halved_and_rounded_down():
  taps = [f"relu{stage}_1" for stage in range(1, 6)]
  found = jax.eval_shape(lambda x: vgg.features(small(), x, taps), pictures())
  assert [found[tap].shape[1:] for tap in taps] == [
    (48, 37, 4),
    (24, 18, 5),
    (12, 9, 6),
    (6, 4, 7),
    (3, 2, 8),
  ]


def test_nothing_beyond_the_deepest_tap_is_needed():
  params = small()
  shallow = {name: params[name] for name in NAMES[:4]}
  found = vgg.features(shallow, pictures(1, 8, 8), ["relu2_2"])
  whole = vgg.features(params, pictures(1, 8, 8), ["relu2_2"])
  np.testing.assert_array_equal(found["relu2_2"], whole["relu2_2"])


def test_gradient_reaches_the_pictures():
  with jax.enable_x64(True):
    params = small()
    rng = np.random.default_rng(2)
    x = jnp.asarray(rng.random((1, 16, 16, 3)))

    @jax.jit
    def loss(x):
      found = vgg.features(params, x, ["relu5_4"], dtype=jnp.float64)
      return jnp.sum(found["relu5_4"])

    grad = jax.grad(loss)(x)
    # So small a step that no ReLU and no maximum changes sides.
    step = 1e-7 * jnp.asarray(rng.standard_normal(x.shape))
    slope = np.asarray(loss(x + step) - loss(x - step)) / 2
    found = np.asarray(jnp.vdot(grad, step))
  assert slope != 0
  np.testing.assert_allclose(found, slope, rtol=1e-5)


def test_bfloat16_gives_float32_near_the_exact_features():
  @functools.partial(jax.jit, static_argnames="dtype")
  def relu3_1(x, dtype):
    return vgg.features(small(), x, ["relu3_1"], dtype=dtype)["relu3_1"]

  x = pictures(1, 32, 32)
  wide, narrow = relu3_1(x, jnp.float32), relu3_1(x, jnp.bfloat16)
  assert narrow.dtype == jnp.float32
  assert 0 < np.abs(narrow - wide).max() < 0.03 * np.abs(wide).max()


def test_what_is_refused():
  with pytest.raises(errors.EnhanceError, match='"relu5_5".*did you mean'):
    vgg.features(small(), pictures(), ["relu5_5"])
  with pytest.raises(errors.EnhanceError, match="gray"):
    vgg.features(small(), pictures()[..., :1], ["relu1_1"])
  # 15 pixels are halved to 7, 3 and 1.
  with pytest.raises(errors.EnhanceError, match="too small .* 1x1 are left"):
    jax.eval_shape(
      lambda x: vgg.features(small(), x, ["relu5_1"]), pictures(1, 15, 15)
    )


@pytest.mark.parametrize(
  ("side", "size", "ceil"),
  [(3, 3, True), (6, 2, False), (6, 3, False), (6, 3, True), (7, 2, False)],
)
def test_pool_and_its_gradient_equal_pytorch(side, size, ceil):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  rng = np.random.default_rng(side)
  x = rng.standard_normal((2, side, side + 1, 2)).astype(np.float32)
  theirs = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
  theirs.requires_grad_(True)
  expected = torch.nn.functional.max_pool2d(theirs, size, 2, ceil_mode=ceil)
  expected.square().sum().backward()

  @jax.jit
  def ours(x):
    found, back = jax.vjp(lambda x: frozen.max_pool(x, size, ceil=ceil), x)
    return found, back(2 * found)[0]

  found, grad = ours(x)
  assert theirs.grad is not None
  np.testing.assert_array_equal(
    found, expected.detach().numpy().transpose(0, 2, 3, 1)
  )
  np.testing.assert_allclose(
    grad, theirs.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-6
  )
