"""ESPCN and FSRCNN: counts, reference outputs, the deconvolution, reach."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.models import subpixel
from tests import networks, reach
from tests import public_weights as public
from tests import reference_weights as reference

LR = (1, 6, 6, 1)


def upscale(module, variables, lr):
  return jax.jit(functools.partial(module.apply, train=False))(variables, lr)


def fsrcnn(width, narrow, mappings, slopes=None):
  """The authors' arrays, filled with the hashed weights."""
  widths = [1, width, *[narrow] * (mappings + 1), width]
  sizes = [5, 1, *[3] * mappings, 1]
  rows = []
  for i, size in enumerate(sizes, start=1):
    rows += public.conv(f"conv{i}", widths[i], widths[i - 1], size)
    rows.append((f"prelu{i}", (slopes or widths[i],)))
  rows += [("deconv.weight", (width, 1, 9, 9)), ("deconv.bias", (1,))]
  tensors = {}
  for t, (name, shape) in enumerate(rows):
    kind = "slope" if name.startswith("prelu") else ""
    tensors[name] = reference.values(t, kind, shape)
  # The reference scales a transposed convolution by its inputs too.
  tensors["deconv.weight"] *= np.sqrt(1 / width)
  return tensors


# Counts by arithmetic over the papers' layers: for ESPCN x2, x3, x4; FSRCNN's
# 12,464, 8,832 and 3,937 weights and slopes, with biases.
@pytest.mark.parametrize(
  ("module", "expected"),
  [
    (subpixel.Espcn(scale=2), 21_284),
    (subpixel.Espcn(scale=3), 22_729),
    (subpixel.Espcn(scale=4), 24_752),
    (subpixel.Fsrcnn(), 12_809),
    (subpixel.Fsrcnn(scale=4), 12_809),
    (subpixel.Fsrcnn(prelu="scalar"), 12_637 + 7),
    (subpixel.Fsrcnn(**subpixel.VARIANTS["fsrcnn_48"]), 8832 + 133 + 132),
    (
      subpixel.Fsrcnn(**subpixel.VARIANTS["fsrcnn_s"], prelu="scalar"),
      4016,
    ),
  ],
)
def test_parameter_count(module, expected):
  assert networks.count(module, LR) == expected


def test_golden_fsrcnn():
  """Sum, mean absolute value, first and last in float64, by PyTorch."""
  tensors = fsrcnn(56, 12, 4)
  with jax.enable_x64(True):
    module = subpixel.Fsrcnn(
      padding="zeros",
      deconv_padding=4,
      dtype=jnp.float64,
      **subpixel.public_options(tensors),
    )
    lr = jnp.asarray(reference.wave(1, 1, 12, 10))
    found = upscale(module, subpixel.from_public(tensors), lr)
  assert found.shape == (1, 36, 30, 1)
  expected = (-13.940514, 0.039761896, 0.096517548, -0.018881517)
  np.testing.assert_allclose(public.summary(found), expected, rtol=2e-7)


def test_golden_espcn():
  """Sum, mean absolute value, first and last in float64, by PyTorch."""
  rows = []
  for i, (out, inputs, size) in enumerate(
    [(64, 1, 5), (32, 64, 3), (9, 32, 3)]
  ):
    rows += public.conv(f"conv_{i + 1}", out, inputs, size)
  variables: dict = {"params": {f"conv_{i}": {} for i in (1, 2, 3)}}
  for name, array in public.state(rows).items():
    layer, leaf = name.split(".")
    if leaf == "weight":
      leaf, array = "kernel", array.transpose(2, 3, 1, 0)
    variables["params"][layer][leaf] = array
  with jax.enable_x64(True):
    lr = jnp.asarray(reference.wave(1, 1, 12, 10))
    found = upscale(subpixel.Espcn(dtype=jnp.float64), variables, lr)
  assert found.shape == (1, 36, 30, 1)
  expected = (126.95079, 0.38278242, -0.21932631, -0.067840116)
  np.testing.assert_allclose(public.summary(found), expected, rtol=2e-7)


@pytest.mark.parametrize("scale", [2, 3])
def test_espcn_equals_pytorch(scale):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  torch.manual_seed(1)
  convs = [
    torch.nn.Conv2d(i, o, k, padding=k // 2)
    for i, o, k in ((1, 8, 5), (8, 4, 3), (4, scale**2, 3))
  ]
  tanh = torch.nn.Tanh()
  shuffle = torch.nn.PixelShuffle(scale)
  theirs = torch.nn.Sequential(
    convs[0], tanh, convs[1], tanh, convs[2], shuffle
  )
  params = {
    f"conv_{i}": {
      "kernel": conv.weight.detach().numpy().transpose(2, 3, 1, 0),
      "bias": conv.bias.detach().numpy(),
    }
    for i, conv in enumerate(convs, start=1)
  }
  lr = np.random.default_rng(0).random((2, 1, 7, 6), np.float32)
  with torch.no_grad():
    expected = theirs(torch.from_numpy(lr)).numpy().transpose(0, 2, 3, 1)
  module = subpixel.Espcn(scale=scale, width=8)
  found = upscale(module, {"params": params}, lr.transpose(0, 2, 3, 1))
  networks.close(found, expected)


def deconv(scale, padding, border="zeros", features=2):
  return subpixel.Deconv(features, scale, padding, border)


@pytest.mark.parametrize("padding", [3, 4])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_deconvolution_and_its_gradients_equal_pytorch(scale, padding):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  rng = np.random.default_rng(scale)
  weight = rng.standard_normal((3, 2, 9, 9), np.float32)
  bias = rng.standard_normal(2, np.float32)
  x = rng.standard_normal((2, 5, 4, 3), np.float32)
  g = rng.standard_normal((2, 5 * scale, 4 * scale, 2), np.float32)
  tensors = [torch.from_numpy(a.copy()) for a in (weight, bias)]
  theirs = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
  for tensor in (*tensors, theirs):
    tensor.requires_grad_(True)
  # PyTorch's padding crops the whole result; ours ends after r H pixels.
  whole = torch.nn.functional.conv_transpose2d(theirs, *tensors, stride=scale)
  stop = [padding + scale * n for n in x.shape[1:3]]
  expected = whole[:, :, padding : stop[0], padding : stop[1]]
  expected.backward(torch.from_numpy(g.transpose(0, 3, 1, 2).copy()))
  module = deconv(scale, padding)

  def run(params, x):
    return module.apply({"params": params}, x)

  params = {"kernel": weight.transpose(2, 3, 0, 1), "bias": bias}
  found, pull = jax.vjp(run, params, jnp.asarray(x))
  networks.close(found, expected.detach().numpy().transpose(0, 2, 3, 1))
  grads, dx = pull(jnp.asarray(g))
  networks.close(grads["kernel"], tensors[0].grad.numpy().transpose(2, 3, 0, 1))
  networks.close(grads["bias"], tensors[1].grad.numpy())
  networks.close(dx, theirs.grad.numpy().transpose(0, 2, 3, 1))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_beyond_the_border_features_are_replicated(scale):
  rng = np.random.default_rng(5)
  x = rng.random((1, 4, 5, 3), np.float32)
  wide = np.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="edge")
  padding = 4
  params = {"kernel": rng.random((9, 9, 3, 1), np.float32), "bias": np.ones(1)}
  zeros = deconv(scale, padding, features=1)
  expected = zeros.apply({"params": params}, wide)
  cut = 3 * scale
  module = deconv(scale, padding, "replicate", 1)
  found = module.apply({"params": params}, x)
  networks.close(found, np.asarray(expected)[:, cut:-cut, cut:-cut])


def test_a_tap_lands_where_it_says():
  """By hand: tap (5, 1) of pixel (1, 2) at x3 lands on (3+5-3, 6+1-3)."""
  kernel = np.zeros((9, 9, 1, 1), np.float32)
  kernel[5, 1] = 2.0
  x = np.zeros((1, 4, 4, 1), np.float32)
  x[0, 1, 2] = 3.0
  params = {"kernel": kernel, "bias": np.zeros(1)}
  y = np.asarray(deconv(3, 3, features=1).apply({"params": params}, x))
  assert np.argwhere(y).tolist() == [[0, 5, 4, 0]] and y.max() == 6.0


@pytest.mark.parametrize(("scale", "middle"), [(2, 0), (3, 1), (4, 0)])
def test_alignment_of_the_authors_models(scale, middle):
  """The kernel's middle tap lies on pixel `middle` of each block."""
  variables = networks.opened(subpixel.Fsrcnn(scale=scale, width=2))
  params = jax.tree.map(np.zeros_like, variables["params"]["deconv"])
  params["kernel"][4, 4] = 1.0
  variables["params"]["deconv"] = params
  module = subpixel.Fsrcnn(scale=scale, width=2)
  y = upscale(module, variables, np.ones(LR, np.float32))[0, :scale, :scale, 0]
  assert np.argwhere(y).tolist() == [[middle, middle]]


@pytest.mark.parametrize("prelu", ["channel", "scalar"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_fsrcnn_equals_pytorch(scale, prelu):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  tensors = fsrcnn(8, 4, 2, slopes=None if prelu == "channel" else 1)
  tensors = {k: a.astype(np.float32) for k, a in tensors.items()}
  options = subpixel.public_options(tensors)
  assert options["prelu"] == prelu and options["mappings"] == 2
  lr = np.random.default_rng(0).random((2, 1, 7, 6), np.float32)
  theirs = {k: torch.from_numpy(a) for k, a in tensors.items()}
  f = torch.nn.functional
  y = torch.from_numpy(lr)
  for i in range(1, 6):
    weight = theirs[f"conv{i}.weight"]
    y = f.conv2d(y, weight, theirs[f"conv{i}.bias"], padding="same")
    y = f.prelu(y, theirs[f"prelu{i}"])
  expected = f.conv_transpose2d(
    y,
    theirs["deconv.weight"],
    theirs["deconv.bias"],
    stride=scale,
    padding=4,
    output_padding=scale - 1,
  )
  module = subpixel.Fsrcnn(
    scale=scale, padding="zeros", deconv_padding=4, **options
  )
  variables = subpixel.from_public(tensors)
  found = upscale(module, variables, lr.transpose(0, 2, 3, 1))
  networks.close(found, expected.numpy().transpose(0, 2, 3, 1))


@pytest.mark.parametrize(
  "module",
  [
    subpixel.Espcn(scale=2, width=4),
    subpixel.Espcn(width=4, padding="replicate"),
    subpixel.Fsrcnn(scale=1, width=4, narrow=2, mappings=0),
    subpixel.Fsrcnn(scale=2, width=4, narrow=2, mappings=2),
    subpixel.Fsrcnn(scale=3, width=4, narrow=2, mappings=2),
    subpixel.Fsrcnn(scale=3, width=4, narrow=2, mappings=2, deconv_padding=4),
    subpixel.Fsrcnn(scale=4, width=4, narrow=2, mappings=1, padding="zeros"),
  ],
)
def test_radius_is_the_reach_of_an_input_pixel(module):
  reach.check(module, networks.opened(module))


def test_start():
  """He et al. 2015 for slopes of 0.25, by outputs; a quiet deconvolution."""
  module = subpixel.Fsrcnn()
  init = jax.jit(functools.partial(module.init, train=True))
  params = init(jax.random.key(0), jnp.ones(LR))["params"]
  for name, layer in params.items():
    if name.startswith("prelu"):
      np.testing.assert_array_equal(layer["slope"], 0.25)
      continue
    kernel = np.asarray(layer["kernel"])
    outputs = kernel.size / kernel.shape[2]
    expected = 0.001 if name == "deconv" else np.sqrt(2 / 1.0625 / outputs)
    tolerance = 5 / np.sqrt(2 * kernel.size)
    np.testing.assert_allclose(kernel.std(), expected, rtol=tolerance)
    assert not np.any(layer["bias"])


def test_centre_is_a_matter_of_biases():
  tensors = fsrcnn(4, 2, 1)
  variables = subpixel.from_public(tensors)
  lr = np.float32(reference.wave(1, 1, 7, 6))
  options = subpixel.public_options(tensors)
  centred = subpixel.Fsrcnn(center=0.5, **options)
  found = upscale(centred, variables, lr)
  first = tensors["conv1.weight"].sum(axis=(1, 2, 3))
  tensors["conv1.bias"] = tensors["conv1.bias"] - 0.5 * first
  tensors["deconv.bias"] = tensors["deconv.bias"] + 0.5
  moved = subpixel.from_public(tensors)
  expected = upscale(subpixel.Fsrcnn(**options), moved, lr)
  np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", [subpixel.Espcn, subpixel.Fsrcnn])
def test_colour_and_bfloat16(kind):
  module = kind(scale=2, channels=3, width=8)
  variables = networks.opened(module)
  lr = np.float32(reference.wave(1, 3, 6, 5))
  wide = upscale(module, variables, lr)
  narrow = upscale(module.clone(dtype=jnp.bfloat16), variables, lr)
  assert narrow.shape == (1, 12, 10, 3) and narrow.dtype == jnp.float32
  error = np.abs(narrow - wide).max() / np.abs(wide).max()
  assert 0 < error < 0.05


def test_wrong_options_and_arrays_are_named():
  for module in (
    subpixel.Espcn(padding="same"),
    subpixel.Fsrcnn(padding="same"),
  ):
    with pytest.raises(errors.EnhanceError, match='border called "same"'):
      networks.shapes(module, LR)
  with pytest.raises(errors.EnhanceError, match='PReLU kind "none"'):
    networks.shapes(subpixel.Fsrcnn(prelu="none"), LR)
  tensors = fsrcnn(4, 2, 1)
  with pytest.raises(errors.EnhanceError, match="last.weight"):
    subpixel.from_public({**tensors, "last.weight": np.zeros(1)})
  del tensors["deconv.weight"]
  with pytest.raises(errors.EnhanceError, match="lacks deconv.weight"):
    subpixel.public_options(tensors)
