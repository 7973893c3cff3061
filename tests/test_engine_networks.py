"""Exact tiles for every registered generator, and none is forgotten."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from enhance_jax import registry, zoo
from enhance_jax.inference import engine

# Small ones of each family; tiles must be larger than nothing, not fast.
OPTIONS = {
  "interpolation": {},
  "sparse_coding": {"scale": 2, "atoms": 4, "back_projections": 1},
  "srcnn": {"scale": 2, "width": 4},
  "vdsr": {"scale": 2, "depth": 3, "width": 4},
  "espcn": {"scale": 2, "width": 4},
  "fsrcnn": {"scale": 2, "width": 4, "narrow": 2, "mappings": 1},
  "srez": {"scale": 2, "width": 8},
  "swish_resnet": {"scale": 2, "width": 4, "blocks": 1},
  "dcgan": {"scale": 2, "width": 4, "num_blocks": 2},
  "srresnet": {"scale": 2, "width": 4, "blocks": 1},
  "msrresnet": {"scale": 2, "width": 4, "blocks": 1},
  "edsr": {"scale": 2, "width": 4, "blocks": 1},
  "rrdb": {"scale": 2, "width": 4, "growth": 2, "blocks": 1},
  "compact": {"scale": 2, "width": 4, "convs": 2},
}


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path_factory.getbasetemp()))


def test_every_generator_is_here():
  assert set(OPTIONS) == set(registry.GENERATORS)


def untrained(name):
  """A generator of a family with weights that let everything through."""
  module = registry.build(registry.GENERATORS, name, **OPTIONS[name])
  rng = np.random.default_rng(0)
  flat = {}
  for key, shape in zoo.expected_shapes(module).items():
    start = 1.0 if key.endswith(("scale", "var", "range")) else 0.0
    values = start + 0.3 * rng.uniform(-1, 1, shape)
    flat[key] = values.astype(np.float32)
  variables = traverse_util.unflatten_dict(flat, sep="/")
  return zoo.Generator(name, OPTIONS[name], module, variables, {}, "")


def whole_of(generator, x):
  """What the network makes of the picture at once."""
  apply = jax.jit(functools.partial(generator.module.apply, train=False))
  return np.asarray(apply(generator.variables, jnp.asarray(x)[None]))[0]


@pytest.mark.parametrize("name", OPTIONS)
def test_tiles_equal_the_whole(name):
  generator = untrained(name)
  module = generator.module
  rng = np.random.default_rng(0)
  x = rng.random((37, 61, module.channels), np.float32)
  whole = whole_of(generator, x)
  upscaler = engine.Upscaler(generator, tile=7)
  tiles = []
  parts = upscaler.upscale(x, on_tile=lambda done, count: tiles.append(count))
  assert (
    parts.shape
    == whole.shape
    == (37 * module.scale, 61 * module.scale, module.channels)
  )
  scale = max(1.0, float(np.abs(whole).max()))
  np.testing.assert_allclose(parts, whole, atol=1e-5 * scale)
  assert tiles[0] > 1 or upscaler.radius > 18
