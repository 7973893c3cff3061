"""VGG19 features against PyTorch and by hand, on small files of its layout."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.models import vgg

WIDTHS = (4, 5, 6, 7, 8)


@functools.lru_cache
def small():
  """Random parameters with narrow layers."""
  rng, params, channels = np.random.default_rng(0), {}, 3
  for name in vgg.CONVOLUTIONS:
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


def test_names_of_the_sixteen_convolutions():
  # VGG19: 2, 2, 4, 4 and 4 convolutions between five pools.
  assert len(vgg.CONVOLUTIONS) == 16
  assert vgg.CONVOLUTIONS[:3] == ("conv1_1", "conv1_2", "conv2_1")
  assert vgg.CONVOLUTIONS[-1] == "conv5_4"
  assert "relu5_4" in vgg.TAPS and "relu2_3" not in vgg.TAPS


def test_all_taps_equal_pytorch():
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_reference

  theirs = torch_reference.vgg19_features(WIDTHS)
  convolutions = [m for m in theirs if isinstance(m, torch.nn.Conv2d)]
  params = small()
  with torch.no_grad():
    for name, module in zip(vgg.CONVOLUTIONS, convolutions, strict=True):
      kernel = params[name]["kernel"].transpose(3, 2, 0, 1)
      module.weight.copy_(torch.from_numpy(kernel))
      module.bias.copy_(torch.from_numpy(params[name]["bias"]))
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    x = (torch.from_numpy(pictures().transpose(0, 3, 1, 2)) - mean) / std
    expected = []
    for module in theirs:
      # Not in place: the activation before ReLU is compared as well.
      x = module(x)
      if not isinstance(module, torch.nn.MaxPool2d):
        expected.append(x.numpy().transpose(0, 2, 3, 1))
  found = jax.jit(lambda x: vgg.features(params, x, vgg.TAPS))(pictures())
  assert set(found) == set(vgg.TAPS)
  for tap, theirs in zip(vgg.TAPS, expected, strict=True):
    error = np.abs(found[tap] - theirs).max()
    assert error <= 1e-4 * np.abs(theirs).max(), tap


def test_first_convolution_by_hand():
  params = small()
  x = pictures(1, 5, 4)
  found = vgg.features(params, x, ["conv1_1", "relu1_1"])
  # The pixel (2, 1) of channel 3, from the definition.
  patch = (x[0, 1:4, 0:3] - vgg.MEAN) / vgg.STD
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
  shallow = {name: params[name] for name in vgg.CONVOLUTIONS[:4]}
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
  params, x = small(), pictures(1, 32, 32)
  wide = vgg.features(params, x, ["relu3_1"])["relu3_1"]
  narrow = vgg.features(params, x, ["relu3_1"], dtype=jnp.bfloat16)["relu3_1"]
  assert narrow.dtype == jnp.float32
  assert 0 < np.abs(narrow - wide).max() < 0.03 * np.abs(wide).max()


def test_wrong_tap_and_gray_pictures():
  with pytest.raises(errors.EnhanceError, match='"relu5_5".*did you mean'):
    vgg.features(small(), pictures(), ["relu5_5"])
  with pytest.raises(errors.EnhanceError, match="gray"):
    vgg.features(small(), pictures()[..., :1], ["relu1_1"])
