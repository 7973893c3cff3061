"""Exact tiles for every registered generator, and none is forgotten."""

import numpy as np
import pytest

from enhance_jax import registry
from enhance_jax.inference import engine
from tests import tiny_networks


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path_factory.getbasetemp()))


def test_every_generator_is_here():
  assert set(tiny_networks.OPTIONS) == set(registry.GENERATORS)


@pytest.mark.parametrize("name", tiny_networks.OPTIONS)
def test_tiles_equal_the_whole(name):
  generator = tiny_networks.bundle(name)
  module = generator.module
  rng = np.random.default_rng(0)
  x = rng.random((37, 61, module.channels), np.float32)
  whole = tiny_networks.result(generator, x[None])[0]
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
