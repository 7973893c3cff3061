"""Windows chosen by radius and memory; pairs, frames and settings."""

import copy
import dataclasses
import functools
import logging

import jax
import numpy as np
import pytest

from enhance_jax import errors, images, zoo
from enhance_jax.inference import engine, programs, tiling
from enhance_jax.zoo import bundled
from tests.tiny_networks import bundle, result


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path_factory.getbasetemp()))


def noise(height, width, channels=3):
  return np.random.default_rng(3).random((height, width, channels), np.float32)


def save(path, generator, **card):
  return str(
    zoo.save_generator(
      path,
      model=generator.model,
      kwargs=generator.kwargs,
      variables=generator.variables,
      card={"generative": False, **card},
    )
  )


def changed(generator, **changes):
  variables = copy.deepcopy(generator.variables)
  return dataclasses.replace(generator, variables=variables, **changes)


@pytest.mark.parametrize("reach", [0, 4, 18, 40, 349])
def test_windows_cover_any_axis_and_few_sizes_serve_all(reach):
  limit, shapes = max(256, 12 * reach), set()
  for length in range(1, 1700, 7):
    side = tiling.window(length, reach, limit)
    assert side <= min(length, limit) and (side == length or side > 2 * reach)
    spans = tiling.spans(length, side - 2 * reach, reach)
    assert spans[0].first == 0 and spans[-1].last == length
    # Never twice what a window of the whole would be.
    assert len(spans) * side < 2 * length
    if length > max(400, limit):
      shapes.add(side)
  assert len(shapes) <= 14


def test_a_reach_beyond_the_memory_takes_what_there_is():
  side = tiling.window(5000, 349, 816)
  assert side == 768 and tiling.window(5000, 349, 710) == 704
  assert tiling.window(5000, 349, 100) == 699


@pytest.mark.parametrize("length", range(40, 90, 7))
def test_steps_are_kept_where_the_axis_is_long_enough(length):
  side = tiling.window(length, 5, 256, step=4)
  assert not side % 4 and length * 0.5 < side <= length
  assert tiling.window(7, 5, 256, step=4) == 7


def test_windows_are_fitted_to_the_memory_that_is_measured(monkeypatch, caplog):
  monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
  generator = bundle("edsr", scale=2)
  x = noise(300, 280)
  monkeypatch.setattr(programs, "free_bytes", lambda _: 3 * 2**20)
  upscaler = engine.Upscaler(generator)
  with caplog.at_level(logging.WARNING):
    got = upscaler.upscale(x)
  assert "windows of 160 do not fit into memory, going on with 7" in caplog.text
  assert max(upscaler._plan(300, 280).side) < 80
  np.testing.assert_allclose(
    got, result(generator, x[None])[0], rtol=0, atol=1e-5
  )
  monkeypatch.setattr(programs, "free_bytes", lambda _: 1000)
  with pytest.raises(errors.EnhanceError, match="even with windows of"):
    engine.Upscaler(generator).upscale(x)


def test_what_far_sight_costs_is_said(monkeypatch, caplog):
  monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
  upscaler = engine.Upscaler(bundle("edsr", scale=2))
  upscaler.radius, upscaler._limit = 30, 96
  with caplog.at_level(logging.WARNING):
    upscaler.upscale(noise(200, 200))
  assert "compute 3.7 times the picture; --seams=blend" in caplog.text


def test_a_device_that_is_full_is_told_from_other_failures(monkeypatch):
  generator = bundle("edsr", scale=2)
  messages = ["RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.", "other"]

  def fail(self, *args):
    raise jax.errors.JaxRuntimeError(messages.pop(0))

  get = programs.Programs.get
  monkeypatch.setattr(programs.Programs, "get", fail)
  upscaler = engine.Upscaler(generator, tile=40)
  with pytest.raises(jax.errors.JaxRuntimeError, match="other"):
    upscaler.upscale(noise(30, 30))
  assert upscaler.tile == 20
  monkeypatch.setattr(programs.Programs, "get", get)


def test_frames_are_enlarged_as_pictures_are(monkeypatch):
  generator = bundle("compact")
  frames = images.to_uint8(noise(5 * 30, 41)).reshape(5, 30, 41, 3)
  calls = []
  begin = engine.Upscaler.begin
  monkeypatch.setattr(
    engine.Upscaler,
    "begin",
    lambda self, x, dtype: calls.append(x.shape) or begin(self, x, dtype),
  )
  upscaler = engine.Upscaler(generator)
  got = upscaler.upscale_frames(frames)
  # Four devices take four frames at once.
  assert calls == [(4, 30, 41, 3)] * 2 and got.shape == (5, 60, 82, 3)
  tiled = engine.Upscaler(generator, tile=16).upscale_frames(frames)
  cubic = engine.Interpolation("bicubic", 2)
  faded = engine.Upscaler(generator, tile=16)
  faded.radius, faded.seams = 17, "blend"
  assert faded.upscale_frames(frames).shape == got.shape
  for i, frame in enumerate(frames):
    alone = upscaler.upscale_uint8(frame).astype(int)
    for other in (got[i], tiled[i]):
      assert np.abs(alone - other).max() <= 1
      assert np.mean(alone != other) < 1e-3
    np.testing.assert_array_equal(
      cubic.upscale_frames(frames)[i], cubic.upscale_uint8(frame)
    )


def test_a_pair_is_blended_without_compiling_again():
  a, b = bundle("edsr", scale=2), bundle("edsr", scale=2)
  b = changed(b, card={"generative": True}, sha256="bb")
  a = changed(a, card={"generative": False}, sha256="aa")
  b.variables["params"]["conv_out"]["bias"] = np.float32([0.1, 0.2, 0.3])
  x = noise(12, 13)
  pair = engine.Pair(a, b, engine.Policy(tile=20), name="pair")
  programs.of.cache_clear()
  results = {}
  for alpha in (0, 0.25, 0.5, 1):
    one = pair.at(alpha)
    assert one.settings == {"tile": 20, "blend": alpha}
    assert one.generative == (alpha > 0)
    results[alpha] = one.upscale(x)
  assert len(programs.of(a.module)) == 1
  assert (pair.at(0).sha256, pair.at(1).sha256) == ("aa", "bb")
  assert pair.at(0.5).sha256 == "aa+bb" and pair.at(0.5).name == (
    "pair, blend 0.5"
  )
  blended = zoo.blend(a, b, 0.25)
  expected = result(blended, x[None])[0]
  np.testing.assert_allclose(results[0.25], expected, rtol=0, atol=1e-5)
  assert np.abs(results[0] - results[1]).max() > 0.3 / 255
  with pytest.raises(errors.EnhanceError, match="alpha 2"):
    pair.at(2)


def test_a_blend_is_opened_from_files_runs_and_the_bundle(
  tmp_path, monkeypatch
):
  generator = bundle("edsr", scale=2)
  run, folder = tmp_path / "run", tmp_path / "bundle"
  second = save(run / "generator.gan", generator, generative=True, step=9)
  first = save(run / "generator.pixel", generator, step=5)
  save(run / "generator.gan.raw", generator, step=9)
  monkeypatch.setattr(bundled, "FOLDER", folder)
  monkeypatch.setattr(bundled, "DEFAULTS", {2: "net_x2"})
  save(folder / "net_x2", generator)
  save(folder / "net_x2_gan", generator, generative=True)
  open_ = functools.partial(engine.open_model, blend=0)
  # Blend 0 is the faithful end, whichever is named first.
  for opened, name in (
    (open_(first, partner=second), "run.pixel"),
    (open_(second, partner=first), "run.pixel"),
    (open_(workdir=run), "run.pixel"),
    (open_("net_x2"), "net_x2"),
    (open_("net_x2_gan"), "net_x2"),
    (open_(scale=2), "net_x2"),
  ):
    assert opened.name == f"{name}, blend 0" and not opened.generative
  assert engine.open_model(scale=2).name == "net_x2"
  assert engine.open_model("net_x2_gan").generative
  with pytest.raises(errors.EnhanceError, match="no second network"):
    open_(first)
  with pytest.raises(errors.EnhanceError, match="only for x2"):
    engine.open_model()
  with pytest.raises(errors.EnhanceError, match='did you mean "net_x2"'):
    engine.open_model("net_x3")
  with pytest.raises(errors.EnhanceError, match="0 finished phases"):
    open_(workdir=folder)


def test_what_a_policy_changed_is_on_record():
  policy = engine.Policy(consistent=True, ensemble=True, color_fix=True)
  upscaler = engine.open_model("bicubic", scale=2, policy=policy)
  assert upscaler.settings == {
    "consistent": True,
    "ensemble": True,
    "color_fix": True,
  }
  assert engine.open_model("bicubic", scale=2).settings == {}
  with pytest.raises(errors.EnhanceError, match="tile 0 is out of range"):
    engine.Policy(tile=0)
