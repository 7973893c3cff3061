"""Public layouts: both ways to the bit, for every network that has one."""

import functools

import jax
import numpy as np
import pytest
from flax import traverse_util

from enhance_jax import errors, registry, zoo
from enhance_jax.models import layouts, public
from tests import networks

# Small networks of every family, at more than one size and scale.
SMALL = {
  "srcnn": [{"width": 4}, {"width": 4, "middle": 5, "channels": 3}],
  "vdsr": [{"depth": 4, "width": 3}],
  "espcn": [{"width": 4, "scale": 2}, {"width": 4, "channels": 3}],
  "fsrcnn": [
    {"width": 4, "narrow": 2, "mappings": 2},
    {"width": 4, "narrow": 2, "mappings": 0, "prelu": "scalar", "channels": 3},
  ],
  "srresnet": [
    {"width": 4, "blocks": 2, "scale": 2},
    {"width": 4, "blocks": 1, "prelu": "scalar", "middle": "prelu"},
    {"width": 4, "blocks": 1, "scale": 3, "norm_bias": True, "output": "tanh"},
  ],
  "msrresnet": [
    {"width": 4, "blocks": 2},
    {"width": 4, "blocks": 1, "scale": 3},
  ],
  "edsr": [
    {"width": 4, "blocks": 2},
    {"width": 4, "blocks": 1, "scale": 3, "channels": 1},
    {"width": 4, "blocks": 1, "scale": 2, "residual_scale": 0.1},
  ],
  "rrdb": [
    {"width": 4, "growth": 2, "blocks": 2},
    {"width": 4, "growth": 2, "blocks": 1, "scale": 2},
    {"width": 4, "growth": 2, "blocks": 1, "scale": 1},
    {"width": 4, "growth": 2, "blocks": 1, "scale": 8, "doublings": 3},
  ],
  "compact": [{"width": 4, "convs": 2}, {"width": 4, "convs": 1, "scale": 2}],
}
CASES = [
  (model, layout, kwargs)
  for model, several in SMALL.items()
  for layout in registry.lookup(registry.PUBLIC, model, "network").layouts
  for kwargs in several
]


@functools.cache
def family(model):
  return registry.lookup(registry.PUBLIC, model, "network")


def make(model, kwargs, seed=0):
  """A module and variables that hold every bit pattern of use."""
  module = registry.build(registry.GENERATORS, model, **kwargs)
  rng = np.random.default_rng(seed)
  flat = {
    name: rng.uniform(-1, 1, shape).astype(np.float32)
    for name, shape in zoo.expected_shapes(module).items()
  }
  return module, traverse_util.unflatten_dict(flat, sep="/")


def bits(arrays):
  return {
    name: (a.shape, a.dtype, a.tobytes()) for name, a in dict(arrays).items()
  }


def without_biases(variables):
  return jax.tree_util.tree_map_with_path(
    lambda path, x: 0 * abs(x) if path[-1].key == "bias" else x, variables
  )


def test_every_public_network_is_here():
  assert SMALL.keys() == registry.PUBLIC.keys()
  assert registry.PUBLIC.keys() < registry.GENERATORS.keys()


@pytest.mark.parametrize(("model", "layout", "kwargs"), CASES, ids=str)
def test_both_ways_to_the_bit(model, layout, kwargs):
  module, variables = make(model, kwargs)
  if layout == "pytorch_vdsr":
    variables = without_biases(variables)
  known = family(model)
  tensors = known.write(module, variables, layout)
  assert {a.dtype for a in tensors.values()} == {np.dtype(np.float32)}
  assert known.layout_of(tensors) == layout
  read = known.read(tensors, layout, module)
  assert bits(zoo.flatten(read)) == bits(zoo.flatten(variables))
  # The other way round, with nothing but the arrays to go by.
  options = known.options(tensors)
  told = known.factory(**{**kwargs, **options})
  again = known.write(told, known.read(tensors), layout)
  assert bits(again) == bits(tensors)
  for name in options.keys() - set(known.untold):
    assert options[name] == getattr(module, name), name


@pytest.mark.parametrize(("model", "layout", "kwargs"), CASES, ids=str)
def test_public_shapes_are_those_that_are_written(model, layout, kwargs):
  module, variables = make(model, kwargs)
  rows = family(model).rows(module, layout)
  shapes = layouts.public_shapes(rows, zoo.expected_shapes(module))
  tensors = family(model).write(module, without_biases(variables), layout)
  assert shapes == {name: a.shape for name, a in tensors.items()}
  assert len(rows) == len({row.theirs or row.ours for row in rows})


def pytorch(model):
  """The same network in PyTorch, small."""
  from tests import torch_modern as modern

  return {
    "rrdb": lambda: modern.RRDBNet(2, 4, 2),
    "compact": lambda: modern.Compact(2, 4, 4),
    "edsr": lambda: modern.EDSR(2, 4, (2, 2), 1.0),
    "msrresnet": lambda: modern.MSRResNet(2, 4, (2, 2)),
  }[model]()


@pytest.mark.parametrize("model", ["rrdb", "compact", "edsr", "msrresnet"])
def test_what_is_written_computes_the_same_in_pytorch(model):
  torch = pytest.importorskip("torch", reason="loads what is written")
  from tests import torch_modern as modern

  module, variables = make(model, SMALL[model][0])
  theirs = pytorch(model)
  tensors = family(model).write(module, variables)
  # Strict: every name and every shape.
  theirs.load_state_dict({k: torch.from_numpy(a) for k, a in tensors.items()})
  lr = np.random.default_rng(1).random((1, 6, 5, 3), np.float32)
  with torch.no_grad():
    expected = theirs(modern.nchw(lr)).numpy().transpose(0, 2, 3, 1)
  found = jax.jit(functools.partial(module.apply, train=False))(variables, lr)
  networks.close(found, expected)


def test_edsr_pytorch_gets_its_fixed_layers():
  module, variables = make("edsr", SMALL["edsr"][0])
  tensors = family("edsr").write(module, variables, "edsr_pytorch")
  # As EDSR-PyTorch makes them: sign * rgb_range * mean / std in float32.
  mean = np.asarray((0.4488, 0.4371, 0.4040), np.float32)
  for name, sign in (("sub_mean", -1), ("add_mean", 1)):
    assert tensors[f"{name}.weight"].shape == (3, 3, 1, 1)
    np.testing.assert_array_equal(
      tensors[f"{name}.bias"], np.float32(sign * 255) * mean
    )
  for name in list(tensors):
    if "mean" in name:
      del tensors[name]
  family("edsr").read(tensors)


def test_biases_before_a_norm():
  # Public files have them; where all are zero the network is the paper's.
  kwargs = {"width": 4, "blocks": 1}
  module, variables = make("srresnet", kwargs)
  tensors = family("srresnet").write(module, variables)
  assert not tensors["block2.conv1.bias"].any()
  assert family("srresnet").options(tensors)["norm_bias"] is False
  tensors["block2.conv2.bias"] = tensors["block2.conv2.bias"] + 1
  assert family("srresnet").options(tensors)["norm_bias"] is True
  with pytest.raises(errors.EnhanceError, match=r"block2.conv2.bias.*constant"):
    family("srresnet").read(tensors, None, module)


@pytest.mark.parametrize(
  ("kwargs", "more"),
  [
    # Two convolutions in the block and the one after it.
    ({"norm_bias": True}, 3 * 4),
    # A bias and slopes for a norm's scale and bias.
    ({"middle": "prelu"}, 0),
  ],
)
def test_srresnets_that_are_not_the_paper_s(kwargs, more):
  base = {"width": 4, "blocks": 1}
  plain, _ = make("srresnet", base)
  other, _ = make("srresnet", base | kwargs)
  shape = (1, 8, 8, 3)
  assert networks.count(other, shape) - networks.count(plain, shape) == more


@pytest.mark.parametrize("middle", ["norm", "prelu"])
def test_public_srresnet_equals_pytorch(middle):
  torch = pytest.importorskip("torch", reason="compares with PyTorch")
  from tests import torch_modern as modern

  torch.manual_seed(1)
  theirs = modern.SRGAN(2, 6, 2, middle == "norm")
  modern.randomize(theirs)
  theirs.eval()
  tensors = modern.state(theirs)
  known = family("srresnet")
  options = known.options(tensors)
  assert options["norm_bias"] and options["middle"] == middle
  lr = np.random.default_rng(0).random((2, 6, 5, 3), np.float32)
  with torch.no_grad():
    expected = theirs(modern.nchw(lr)).numpy().transpose(0, 2, 3, 1)
  module, variables = known.factory(**options), known.read(tensors)
  found = jax.jit(functools.partial(module.apply, train=False))(variables, lr)
  networks.close(found, expected)
  again = known.write(module, variables)
  theirs.load_state_dict({k: torch.from_numpy(a) for k, a in again.items()})


def test_refusals():
  known, (module, variables) = family("vdsr"), make("vdsr", SMALL["vdsr"][0])
  with pytest.raises(errors.EnhanceError, match='did you mean "numbered"'):
    known.write(module, variables, "numbred")
  with pytest.raises(
    errors.EnhanceError, match="no params/conv_00/bias, which"
  ):
    known.write(module, variables, "pytorch_vdsr")
  quantized, variables = make(
    "compact", {"width": 4, "convs": 1, "quantize": "int8"}
  )
  with pytest.raises(errors.EnhanceError, match="no place for batch_stats"):
    family("compact").write(quantized, variables)
  flat = {"conv1.weight": np.zeros((4, 9)), "conv2.weight": np.zeros((4, 4, 1))}
  with pytest.raises(errors.EnhanceError, match=r"shape \(4, 9\)"):
    family("srcnn").read(flat)


def test_wrapped_arrays_are_counted_once():
  state = public.StateDict({"params.a": np.ones(2)}, "a")
  assert state.peek("a").tolist() == [1, 1]
  with pytest.raises(errors.EnhanceError, match="do not belong"):
    state.finish({})
