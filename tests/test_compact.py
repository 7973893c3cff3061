"""The compact generator, in floats and in simulated eight-bit integers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.models import compact
from tests import networks, reach
from tests import public_weights as public
from tests import reference_weights as reference

LR = (1, 8, 8, 3)


def upscale(module, variables, lr):
  return jax.jit(functools.partial(module.apply, train=False))(variables, lr)


def picture(n=1, h=9, w=7):
  """Eight-bit levels as floats in [0, 1]."""
  wave = reference.wave(n, 3, h, w)
  return np.float32(np.round(wave * 255) / 255)


def quantized():
  """An int8 generator with large float weights, and those."""
  tensors = public.state(public.compact(2, 6))
  options = compact.public_options(tensors)
  module = compact.Generator(**options, quantize="int8")
  variables = compact.from_public(tensors)
  variables = jax.tree.map(lambda a: a.astype(np.float32), variables)
  shapes = networks.shapes(module, LR)["batch_stats"]
  stats = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
  return module, {**variables, "batch_stats": stats}


@functools.lru_cache
def trained():
  """That generator after its ranges were followed for some batches."""
  module, variables = quantized()
  run = functools.partial(module.apply, train=True, mutable=["batch_stats"])
  run = jax.jit(run)
  for i in range(3):
    lr = np.roll(picture(2), i, axis=1)
    _, changed = run(variables, lr)
    variables = {**variables, **changed}
  return module, variables


# Counted from the authors' PyTorch network.
@pytest.mark.parametrize(
  ("convs", "expected"), [(16, 621_424), (32, 1_213_296)]
)
def test_parameter_count(convs, expected):
  assert networks.count(compact.Generator(convs=convs), LR) == expected
  # The ranges of the inputs are no parameters.
  assert (
    networks.count(compact.Generator(convs=convs, quantize="int8"), LR)
    == expected
  )


def test_golden():
  """Sum, mean absolute value, first and last in float64, by PyTorch."""
  tensors = public.state(public.compact(2))
  with jax.enable_x64(True):
    options = compact.public_options(tensors)
    module = compact.Generator(**options, dtype=jnp.float64)
    lr = jnp.asarray(reference.wave(1, 3, 12, 10))
    sr = upscale(module, compact.from_public(tensors), lr)
  expected = (3160.3902, 0.75758701, 0.2593785, 0.31824419)
  np.testing.assert_allclose(public.summary(sr), expected, rtol=2e-7)


@pytest.mark.parametrize("scale", [2, 3])
def test_equals_pytorch(scale):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_modern

  torch.manual_seed(1)
  theirs = torch_modern.Compact(3, 8, scale)
  torch_modern.randomize(theirs)
  tensors = torch_modern.state(theirs)
  options = compact.public_options(tensors)
  assert (options["scale"], options["convs"]) == (scale, 3)
  lr = np.random.default_rng(0).random((2, 6, 5, 3), np.float32)
  with torch.no_grad():
    expected = theirs(torch_modern.nchw(lr)).numpy().transpose(0, 2, 3, 1)
  variables = compact.from_public(
    {f"params.{k}": a for k, a in tensors.items()}
  )
  networks.close(upscale(compact.Generator(**options), variables, lr), expected)


def test_foreign_arrays_are_named():
  tensors = public.state(public.compact(1, 4))
  with pytest.raises(errors.EnhanceError, match="head.weight"):
    compact.from_public({**tensors, "head.weight": np.zeros(2)})
  with pytest.raises(errors.EnhanceError, match="lacks body.0.weight"):
    compact.from_public({"conv_first.weight": np.zeros((4, 3, 3, 3))})


@pytest.mark.parametrize("quantize", ["", "int8"])
def test_radius_is_the_reach_of_an_input_pixel(quantize):
  assert compact.Generator().radius == 18
  assert compact.Generator(convs=32).radius == 34
  module = compact.Generator(width=6, convs=2, quantize=quantize)
  reach.check(module, trained()[1])


@pytest.mark.parametrize(
  ("activation", "slope"), [("relu", 0.0), ("leaky_relu", 0.1)]
)
def test_activations_are_prelus_with_a_fixed_slope(activation, slope):
  _, variables = quantized()
  params = dict(variables["params"])
  for name in list(params):
    if name.startswith("prelu"):
      params[name] = {"slope": np.full(6, slope, np.float32)}
  options = {"width": 6, "convs": 2}
  lr = picture()
  expected = upscale(compact.Generator(**options), {"params": params}, lr)
  module = compact.Generator(**options, activation=activation)
  assert not any("prelu" in x for x in networks.shapes(module, LR)["params"])
  found = upscale(module, {"params": params}, lr)
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_bfloat16_stays_near_float32_and_keeps_float32_outside():
  _, variables = quantized()
  lr, options = picture(), {"width": 6, "convs": 2}
  wide = upscale(compact.Generator(**options), variables, lr)
  half = compact.Generator(**options, dtype=jnp.bfloat16)
  narrow = upscale(half, variables, lr)
  assert narrow.dtype == jnp.float32
  error = np.abs(narrow - wide).max() / np.abs(wide).max()
  assert 0 < error < 0.02


def test_wrong_options_are_named():
  for options in ({"activation": "prelo"}, {"quantize": "int4"}):
    with pytest.raises(errors.EnhanceError, match="is unknown"):
      networks.count(compact.Generator(**options), LR)


def integers(variables, lr, scale):
  """The network in NumPy's integers, from what `export_int8` gives."""
  layers = compact.export_int8(variables)
  x = lr.astype(np.float64)
  for name, layer in layers.items():
    assert layer["kernel"].dtype == np.int8 and layer["bias"].dtype == np.int32
    zero = layer["input_zero"]
    q = np.round(x / layer["input_step"]) + zero
    q = np.clip(q, -128, 127).astype(np.int8).astype(np.int32)
    q = np.pad(q, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=zero)
    kernel = layer["kernel"].astype(np.int32)
    h, w = x.shape[1:3]
    total = layer["bias"] + sum(
      np.einsum(
        "nhwi,io->nhwo", q[:, a : a + h, b : b + w] - zero, kernel[a, b]
      )
      for a in range(3)
      for b in range(3)
    )
    assert np.issubdtype(total.dtype, np.integer)
    x = total * layer["step"].astype(np.float64)
    if name != "conv_out":
      x = np.where(x >= 0, x, layer["slope"] * x)
  n, h, w, c = x.shape
  x = x.reshape(n, h, w, -1, scale, scale).transpose(0, 1, 4, 2, 5, 3)
  x = x.reshape(n, h * scale, w * scale, c // scale**2)
  return x + lr.repeat(scale, 1).repeat(scale, 2)


def test_integer_arithmetic_gives_the_simulated_output():
  module, variables = trained()
  lr = picture(2)
  simulated = np.asarray(upscale(module, variables, lr))
  found = integers(variables, lr, module.scale)
  # One 8-bit level is 1/255: rounding ties may fall the other way.
  assert np.abs(found - simulated).max() < 1 / 255
  assert np.mean(np.abs(found - simulated) < 1e-5) > 0.9
  # The integers are in truth coarser than floats.
  floats = compact.Generator(width=6, convs=2)
  exact = upscale(floats, {"params": variables["params"]}, lr)
  assert np.abs(simulated - exact).max() > 1 / 255
  assert np.abs(simulated - exact).mean() < 0.03 * np.abs(exact).mean()


def test_exported_integers_fill_their_range():
  _, variables = trained()
  layers = compact.export_int8(variables)
  assert list(layers) == ["conv_in", "conv_00", "conv_01", "conv_out"]
  for layer in layers.values():
    # Each output channel has a step of its own: its largest weight is 127.
    np.testing.assert_array_equal(
      np.abs(layer["kernel"].astype(int)).max(axis=(0, 1, 2)), 127
    )
  # The picture's own eight bits: level 0 is -128.
  assert layers["conv_in"]["input_zero"] == -128
  assert layers["conv_in"]["input_step"] == pytest.approx(1 / 255)


def test_export_needs_known_ranges():
  _, variables = quantized()
  with pytest.raises(errors.EnhanceError, match="conv_00's input"):
    compact.export_int8(variables)
  with pytest.raises(errors.EnhanceError, match="trained with quantize"):
    compact.export_int8({"params": variables["params"]})


def test_integers_are_simulated_in_float32_at_least():
  module, variables = trained()
  half = compact.Generator(
    width=6, convs=2, quantize="int8", dtype=jnp.bfloat16
  )
  lr = picture()
  # The picture's levels survive bfloat16's eight bits no better than that.
  error = upscale(half, variables, lr) - upscale(module, variables, lr)
  assert np.abs(error).max() < 0.1
  sizes = {
    eqn.outvars[0].aval.dtype
    for eqn in jax.make_jaxpr(lambda x: half.apply(variables, x, train=False))(
      lr
    ).eqns
    if eqn.primitive.name == "conv_general_dilated"
  }
  assert sizes == {jnp.dtype(jnp.float32)}


def test_training_learns_with_the_rounding():
  """Weights that are off by more than a step come back."""
  module, variables = trained()
  lr = picture(2)
  target = upscale(module, variables, lr)
  params = jax.tree.map(np.array, variables["params"])
  params["conv_out"]["bias"] += 0.3
  fixed = {"batch_stats": variables["batch_stats"]}

  def loss(params):
    sr = module.apply({"params": params, **fixed}, lr, train=False)
    return jnp.mean(jnp.square(sr - target))

  step = jax.jit(jax.value_and_grad(loss))
  first, grad = step(params)
  for _ in range(20):
    params["conv_out"]["bias"] -= 10 * np.asarray(grad["conv_out"]["bias"])
    last, grad = step(params)
  assert last < 1e-3 * first
