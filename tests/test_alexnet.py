"""AlexNet's features against PyTorch and by hand, on narrow networks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.models import alexnet, frozen

WIDTHS = (6, 5, 4, 3, 2)


@functools.lru_cache
def small():
  """Random parameters with narrow layers."""
  rng, params, channels = np.random.default_rng(0), {}, 3
  for width, (name, (size, *_)) in zip(
    WIDTHS, alexnet.CONVOLUTIONS.items(), strict=True
  ):
    kernel = rng.standard_normal((size, size, channels, width)) / size
    params[name] = {
      "kernel": (kernel / channels**0.5).astype(np.float32),
      "bias": rng.standard_normal(width).astype(np.float32),
    }
    channels = width
  return params


def pictures(n=2, h=67, w=50):
  return np.random.default_rng(1).random((n, h, w, 3), np.float32)


def test_number_of_parameters():
  # torchvision's widths: 2 469 696 numbers in `features`.
  count, channels = 0, 3
  widths = (64, 192, 384, 256, 256)
  for out, (size, *_) in zip(
    widths, alexnet.CONVOLUTIONS.values(), strict=True
  ):
    count += out * (channels * size**2 + 1)
    channels = out
  assert count == 2_469_696


def test_all_taps_and_the_gradient_equal_pytorch():
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_features

  torch.manual_seed(0)
  # Without the last pool, which nothing looks at.
  theirs = torch_features.alexnet(WIDTHS)[:12]
  params = alexnet.from_public(torch_features.tensors(theirs))
  x = torch_features.normalized(pictures())
  expected = torch_features.run(theirs, x)
  found = jax.jit(lambda x: alexnet.features(params, x, alexnet.TAPS))(
    pictures()
  )
  assert set(found) == set(alexnet.TAPS)
  for tap, value in zip(alexnet.TAPS, expected, strict=True):
    error = np.abs(found[tap] - value).max()
    assert error <= 1e-4 * np.abs(value).max(), tap
  x.requires_grad_(True)
  theirs(x).square().sum().backward()
  assert x.grad is not None
  # Of the pictures before they are normalised.
  expected = x.grad.numpy().transpose(0, 2, 3, 1) / np.float32(frozen.STD)
  grad = jax.jit(
    jax.grad(
      lambda x: jnp.square(
        alexnet.features(params, x, ["relu5"])["relu5"]
      ).sum()
    )
  )(pictures())
  assert np.abs(grad - expected).max() <= 1e-4 * np.abs(expected).max()


def test_first_convolution_by_hand():
  params, x = small(), pictures(1, 31, 31)
  found = jax.jit(alexnet.features, static_argnums=2)(params, x, ("conv1",))[
    "conv1"
  ]
  # Place (1, 2) looks at rows 2 to 12 and columns 6 to 16.
  patch = (x[0, 2:13, 6:17] - frozen.MEAN) / frozen.STD
  layer = params["conv1"]
  value = (patch * layer["kernel"][..., 4]).sum() + layer["bias"][4]
  assert found.shape == (1, 7, 7, 6)
  np.testing.assert_allclose(found[0, 1, 2, 4], value, rtol=1e-4)


def test_sizes():
  # 224 pixels give 55, 27 and 13 in the paper's successors.
  taps = ["relu1", "relu2", "relu3", "relu5"]
  found = jax.eval_shape(
    lambda x: alexnet.features(small(), x, taps), pictures(1, 224, 31)
  )
  shapes = [found[tap].shape[1:] for tap in taps]
  assert shapes == [(55, 7, 6), (27, 3, 5), (13, 1, 4), (13, 1, 2)]


def test_bfloat16_gives_float32_near_the_exact_features():
  @functools.partial(jax.jit, static_argnames="dtype")
  def relu3(x, dtype):
    return alexnet.features(small(), x, ["relu3"], dtype=dtype)["relu3"]

  x = pictures(1, 40, 40)
  wide, narrow = relu3(x, jnp.float32), relu3(x, jnp.bfloat16)
  assert narrow.dtype == jnp.float32
  assert 0 < np.abs(narrow - wide).max() < 0.03 * np.abs(wide).max()


def test_what_is_refused():
  with pytest.raises(errors.EnhanceError, match='AlexNet has no tap "fc6"'):
    alexnet.features(small(), pictures(), ["fc6"])
  with pytest.raises(errors.EnhanceError, match="gray"):
    alexnet.features(small(), pictures()[..., :1], ["relu1"])
  with pytest.raises(errors.EnhanceError, match="too small .* 2x2 are left"):
    jax.eval_shape(
      lambda x: alexnet.features(small(), x, ["relu3"]), pictures(1, 30, 30)
    )
