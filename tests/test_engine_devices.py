"""Several devices: they share the tiles, or each window by rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.inference import engine, programs
from tests.tiny_networks import OPTIONS, bundle, result


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path_factory.getbasetemp()))


def noise(height, width, channels=3):
  return np.random.default_rng(3).random((height, width, channels), np.float32)


def test_devices_split_the_tiles(monkeypatch):
  generator, x = bundle("edsr"), noise(50, 41)
  assert len(jax.local_devices()) == 4
  calls = []
  get = programs.Programs.get

  def spy(self, variables, shape, dtypes, layout):
    program = get(self, variables, shape, dtypes, layout)

    def call(variables, windows):
      result = program(variables, windows)
      calls.append((shape, layout, result[0].sharding.device_set))
      return result

    call.memory_analysis = program.memory_analysis
    return call

  monkeypatch.setattr(programs.Programs, "get", spy)
  tiles = []
  four = engine.Upscaler(generator, tile=16).upscale(
    x, on_tile=lambda *n: tiles.append(n)
  )
  # 4 + 2: what the second batch lacks is computed twice and dropped.
  assert tiles == [(n + 1, 6) for n in range(6)] and len(calls) == 2
  for shape, layout, devices in calls:
    assert shape[0] == 4 and layout == "windows"
    assert devices == set(jax.local_devices())
  monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
  one = engine.Upscaler(generator, tile=16).upscale(x)
  assert calls[-1][1] == "one"
  np.testing.assert_allclose(four, one, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("height", [44, 47])
@pytest.mark.parametrize("name", OPTIONS)
def test_windows_split_by_rows_give_what_one_device_gives(name, height):
  programs.of.cache_clear()
  generator = bundle(name)
  x = noise(height, 23, generator.module.channels)
  upscaler = engine.Upscaler(generator, shard_rows=True)
  got, expected = upscaler.upscale(x), result(generator, x[None])[0]
  scale = max(1.0, float(np.abs(expected).max()))
  np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * scale)
  layouts = {key[-1] for key in programs.of(generator.module).compiled}
  # 47 rows do not split; two overlapping windows of 44 and less do.
  assert layouts == {"rows"}


def test_the_compiler_exchanges_the_rows_at_the_cuts():
  generator = bundle("edsr")
  variables = jax.tree.map(jnp.asarray, generator.variables)
  texts = {
    layout: programs.Programs(generator.module)
    .get(variables, (4, 64, 20, 3), (np.uint8, np.uint8), layout)
    .as_text()
    for layout in programs.LAYOUTS
  }
  assert "collective-permute" in texts["rows"]
  for layout in ("one", "windows"):
    assert "collective-permute" not in texts[layout]


def test_rows_are_not_split_within_wrappers():
  with pytest.raises(errors.EnhanceError, match="split by rows"):
    engine.Policy(shard_rows=True, ensemble=True)
