"""SqueezeNet's features against PyTorch, with random and with real weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import backbones, errors, images
from enhance_jax.models import frozen, squeezenet

PART = 8
REAL = "squeezenet_v1.1_notop.npz"


@functools.lru_cache
def keras(part=PART):
  """Random narrow weights in Keras' layout."""
  rng, arrays = np.random.default_rng(0), {}

  def layer(name, size, channels, out):
    shape = (size, size, channels, out)
    kernel = rng.standard_normal(shape) / size / channels**0.5
    arrays[f"{name}/kernel"] = kernel.astype(np.float32)
    arrays[f"{name}/bias"] = rng.standard_normal(out).astype(np.float32)

  layer("conv1", 3, 3, 64 // part)
  channels = 64 // part
  widths = (64, 64, 128, 128, 192, 192, 256, 256)
  for number, width in enumerate(widths, start=2):
    inner, out = width // 4 // part, width // part
    layer(f"fire{number}/squeeze1x1", 1, channels, inner)
    layer(f"fire{number}/expand1x1", 1, inner, out)
    layer(f"fire{number}/expand3x3", 3, inner, out)
    channels = 2 * out
  return arrays


@functools.lru_cache
def small():
  return squeezenet.from_public(keras())


def pictures(n=2, h=56, w=43):
  return np.random.default_rng(1).random((n, h, w, 3), np.float32)


def torch_from_keras(arrays, part):
  """The PyTorch network with Keras' weights, for BGR in 0..255 less means."""
  import torch

  from tests import torch_features

  theirs = torch_features.squeezenet(part)
  state = {}
  for name in theirs.state_dict():
    index, *inner, kind = name.split(".")
    fires = {str(i): fire for fire, i in squeezenet.FIRES.items()}
    key = "conv1" if index == "0" else fires[index]
    if inner:
      key += f"/{inner[0].replace('squeeze', 'squeeze1x1')}"
    key += "/kernel" if kind == "weight" else "/bias"
    array = arrays[key]
    if kind == "weight":
      array = array.transpose(3, 2, 0, 1)
    state[name] = torch.from_numpy(np.array(array, order="C"))
  theirs.load_state_dict(state)
  return theirs


def caffe_input(x):
  """[N, H, W, 3] RGB in [0, 1] as Caffe's SqueezeNet was trained on."""
  import torch

  bgr = 255 * x[..., ::-1] - np.asarray([104, 117, 123], np.float32)
  return torch.from_numpy(np.array(bgr.transpose(0, 3, 1, 2), order="C"))


def compare(params, x, expected):
  found = jax.jit(lambda x: squeezenet.features(params, x, squeezenet.TAPS))(x)
  assert set(found) == set(squeezenet.TAPS)
  for tap, value in zip(squeezenet.TAPS, expected, strict=True):
    error = np.abs(found[tap] - value).max()
    assert error <= 1e-4 * np.abs(value).max(), tap
  return found


def test_torchvision_layout_and_the_gradient_equal_pytorch():
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_features

  torch.manual_seed(0)
  theirs = torch_features.squeezenet(PART)
  params = squeezenet.from_public(torch_features.tensors(theirs))
  x = torch_features.normalized(pictures())
  compare(params, pictures(), torch_features.run(theirs, x))
  x.requires_grad_(True)
  theirs(x).square().sum().backward()
  assert x.grad is not None
  # Of the pictures before they are normalised.
  expected = x.grad.numpy().transpose(0, 2, 3, 1) / np.float32(frozen.STD)

  @jax.jit
  def loss(x):
    found = squeezenet.features(params, x, ["fire9"])["fire9"]
    return jnp.square(found).sum()

  grad = jax.grad(loss)(pictures())
  assert np.abs(expected).max() > 0
  assert np.abs(grad - expected).max() <= 1e-4 * np.abs(expected).max()


def test_keras_layout_equals_pytorch():
  pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_features

  theirs = torch_from_keras(keras(), PART)
  expected = torch_features.run(theirs, caffe_input(pictures()))
  compare(small(), pictures(), expected)


def test_real_weights_on_a_photograph(data_dir):
  pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_features

  path = data_dir / "weights" / REAL
  params = backbones.find("squeezenet", path)
  # As many as torchvision counts in `features`.
  leaves = jax.tree.leaves({k: v for k, v in params.items() if k != "input"})
  assert sum(leaf.size for leaf in leaves) == 722_496
  hr = images.read_hr(data_dir / "set5" / "HR" / "butterfly.png")
  x = hr[None, :96, :130].astype(np.float32) / 255
  with np.load(path) as arrays:
    theirs = torch_from_keras(dict(arrays), 1)
  expected = torch_features.run(theirs, caffe_input(x))
  found = compare(params, x, expected)
  # After a ReLU a trained network is sparse, the more so the deeper, and uses
  # many different channels.
  active = {tap: float((found[tap] > 0).mean()) for tap in found}
  assert 0.4 < active["relu1"] < 0.6
  assert 0.02 < active["fire9"] < 0.15 < active["fire5"] < 0.4
  used = (np.asarray(found["fire5"]) > 0).any(axis=(0, 1, 2))
  assert used.mean() > 0.8


def test_sizes():
  # 227 pixels give 113, 56, 28 and 14 in Caffe, which rounds up.
  taps = ["relu1", "fire2", "fire4", "fire6"]
  found = jax.eval_shape(
    lambda x: squeezenet.features(small(), x, taps), pictures(1, 227, 25)
  )
  sides = [found[tap].shape[1:3] for tap in taps]
  assert sides == [(113, 12), (56, 6), (28, 3), (14, 1)]


def test_bfloat16_gives_float32_near_the_exact_features():
  @functools.partial(jax.jit, static_argnames="dtype")
  def fire3(x, dtype):
    return squeezenet.features(small(), x, ["fire3"], dtype=dtype)["fire3"]

  x = pictures(1, 32, 32)
  wide, narrow = fire3(x, jnp.float32), fire3(x, jnp.bfloat16)
  assert narrow.dtype == jnp.float32
  assert 0 < np.abs(narrow - wide).max() < 0.03 * np.abs(wide).max()


def test_what_is_refused():
  with pytest.raises(errors.EnhanceError, match='no tap "fire10"'):
    squeezenet.features(small(), pictures(), ["fire10"])
  with pytest.raises(errors.EnhanceError, match="gray"):
    squeezenet.features(small(), pictures()[..., :1], ["relu1"])
  with pytest.raises(errors.EnhanceError, match="too small .* 2x2 are left"):
    jax.eval_shape(
      lambda x: squeezenet.features(small(), x, ["fire9"]), pictures(1, 24, 24)
    )


def test_other_networks():
  lacking = {k: v for k, v in keras().items() if k != "fire9/expand3x3/bias"}
  with pytest.raises(errors.EnhanceError, match="fire9/expand3x3/kernel or"):
    squeezenet.from_public(lacking)
  wide = {**keras(), "fire2/squeeze1x1/kernel": np.zeros((1, 1, 9, 2))}
  with pytest.raises(errors.EnhanceError, match=r"\(1, 1, 8, C\)"):
    squeezenet.from_public(wide)
  with pytest.raises(errors.EnhanceError, match="not SqueezeNet: it lacks fea"):
    squeezenet.from_public({})
