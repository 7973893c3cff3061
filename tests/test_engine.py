"""Exact tiles, the face of upscalers, and how models are named."""

import functools
import itertools
import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from enhance_jax import cache, errors, images, resample, zoo
from enhance_jax.inference import engine, picture, programs, tiling
from enhance_jax.models import srresnet, vdsr


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path_factory.getbasetemp()))


def bundle(generative=False, spoil=False, **options):
  """A small generator whose norms have real statistics."""
  kwargs = {"scale": 2, "width": 6, "blocks": 1, **options}
  module = srresnet.Generator(**kwargs)
  rng = np.random.default_rng(0)
  flat = {}
  for name, shape in zoo.expected_shapes(module).items():
    start = 1.0 if name.endswith(("scale", "var")) else 0.0
    spread = 1.0 / np.sqrt(np.prod(shape[:-1]))
    flat[name] = np.float32(start + 0.5 * spread * rng.uniform(-1, 1, shape))
  variables = traverse_util.unflatten_dict(flat, sep="/")
  if spoil:
    variables["params"]["conv_out"]["bias"][0] = np.nan
  return zoo.Generator(
    model="srresnet",
    kwargs=kwargs,
    module=module,
    variables=variables,
    card={"generative": generative},
    sha256="",
  )


def noise(height, width, channels=3, seed=1):
  rng = np.random.default_rng(seed)
  return rng.random((height, width, channels), np.float32)


def whole(generator, x):
  apply = functools.partial(generator.module.apply, train=False)
  return np.asarray(jax.jit(apply)(generator.variables, x[None]))[0]


SIZES = [(1, 1), (1, 61), (47, 1), (3, 40), (29, 52), (41, 41), (64, 38)]


@pytest.mark.parametrize("tile", [5, 16])
def test_tiles_give_what_the_whole_picture_gives(tile):
  generator = bundle()
  upscaler = engine.Upscaler(generator, tile=tile)
  assert upscaler.radius < 12
  for height, width in SIZES:
    x = noise(height, width)
    sr = upscaler.upscale(x)
    assert sr.shape == (2 * height, 2 * width, 3)
    np.testing.assert_allclose(sr, whole(generator, x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [3, 4])
def test_tiles_are_exact_at_other_scales_and_for_picture_pixels(scale):
  generator = bundle(scale=scale, blocks=2)
  upscaler = engine.Upscaler(generator, tile=9)
  x = images.to_uint8(noise(43, 50))
  expected = whole(generator, images.to_float(x))
  sr = upscaler.upscale(images.to_float(x))
  np.testing.assert_allclose(sr, expected, atol=1e-5, rtol=0)
  got = upscaler.upscale_uint8(x).astype(int)
  # A value next to a half may round the other way.
  assert np.abs(got - images.to_uint8(expected)).max() <= 1
  assert np.mean(got != images.to_uint8(expected)) < 1e-3


def test_a_window_short_of_the_radius_would_show():
  generator = bundle()
  upscaler = engine.Upscaler(generator, tile=8)
  upscaler.radius -= 2
  x = noise(60, 40)
  assert np.abs(upscaler.upscale(x) - whole(generator, x)).max() > 1e-5


@pytest.mark.parametrize("length", range(1, 80))
def test_kept_parts_cover_an_axis_once_with_the_radius_around_them(length):
  radius, tile = 6, 7
  spans = tiling.spans(length, tile, radius)
  kept = [i for span in spans for i in range(span.first, span.last)]
  assert kept == list(range(length))
  for span in spans:
    assert 0 <= span.start and span.stop <= length
    assert span.stop - span.start == min(length, tile + 2 * radius)
    assert span.start == 0 or span.first - span.start >= radius
    assert span.stop == length or span.stop - span.last >= radius


def test_one_compilation_serves_every_large_picture_and_all_weights():
  programs.of.cache_clear()
  for seed, (height, width) in enumerate([(50, 60), (48, 49), (70, 41)]):
    engine.Upscaler(bundle(), tile=5).upscale(noise(height, width, seed=seed))
  assert len(programs.of(bundle().module)) == 1


def test_gray_through_a_colour_network_stays_gray():
  generator = bundle()
  x = noise(20, 30, 1)
  rgb = whole(generator, np.repeat(x, 3, axis=-1))
  # Full-range BT.601 weights, so that a neutral result keeps its level.
  expected = rgb @ np.asarray([0.299, 0.587, 0.114], np.float32)
  got = engine.Upscaler(generator, tile=4).upscale(x)
  np.testing.assert_allclose(got[..., 0], expected, atol=1e-5, rtol=0)


def test_colour_through_a_gray_network_is_luma_and_interpolated_chroma():
  generator = bundle(channels=1)
  x = noise(40, 45)
  ycbcr = images.rgb_to_ycbcr(x)
  expected = np.concatenate(
    [
      whole(generator, ycbcr[..., :1]),
      resample.resize(ycbcr, scale=2)[..., 1:],
    ],
    axis=-1,
  )
  got = engine.Upscaler(generator, tile=5).upscale(x)
  np.testing.assert_allclose(
    got, images.ycbcr_to_rgb(expected), atol=1e-5, rtol=0
  )


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_interpolation_in_tiles_is_bit_for_bit_the_whole(name):
  x = images.to_uint8(noise(37, 52))
  kernel = "lanczos3" if name == "lanczos" else name
  for scale, tile in itertools.product([2, 3], [1, 10]):
    got = engine.Interpolation(name, scale, tile=tile).upscale_uint8(x)
    expected = resample.resize_uint8(x, scale=scale, kernel=kernel)
    np.testing.assert_array_equal(got, expected)


def test_sixteen_bits_keep_more_than_eight():
  ramp = np.linspace(1000, 1100, 64).astype(np.uint16)
  pixels = np.broadcast_to(ramp[None, :, None], (8, 64, 1))
  sr = engine.Interpolation("bilinear", 2).upscale_uint16(pixels)
  assert sr.dtype == np.uint16 and sr.shape == (16, 128, 1)
  assert len(np.unique(sr)) > 90 and sr.min() >= 1000 and sr.max() <= 1100


def test_not_a_number_is_an_error_that_names_the_tile():
  x = noise(60, 60)
  x[58, 3] = np.nan
  upscaler = engine.Upscaler(bundle(), tile=20, name="net")
  with pytest.raises(
    errors.EnhanceError, match=r"net gave \d+ NaN .* tile 3 of 4 \(rows 30-59"
  ):
    upscaler.upscale(x)
  spoiled = engine.Upscaler(bundle(spoil=True))
  with pytest.raises(errors.EnhanceError, match="tile 1 of 1"):
    spoiled.upscale_uint8(images.to_uint8(noise(9, 9)))


def needed(generator, side):
  """Bytes that windows of a side need, as the check counts them."""
  variables = jax.tree.map(jnp.asarray, generator.variables)
  program = programs.of(generator.module).get(
    variables, (1, side, side, 3), (np.float32, np.float32), "one"
  )
  analysis = program.memory_analysis()
  return 2 * (analysis.temp_size_in_bytes + 2 * analysis.output_size_in_bytes)


def test_memory_that_runs_out_halves_the_tile_and_gives_the_same(
  monkeypatch, caplog
):
  monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
  generator = bundle()
  x = noise(70, 60)
  small = engine.Upscaler(generator, tile=12)
  need = needed(generator, 12 + 2 * small.radius)
  monkeypatch.setattr(programs, "free_bytes", lambda _: need / 0.79)
  upscaler = engine.Upscaler(generator, tile=48)
  with caplog.at_level(logging.WARNING):
    sr = upscaler.upscale(x)
  assert upscaler.tile == 12
  assert "tiles of 24 do not fit into memory, going on with 12" in caplog.text
  np.testing.assert_allclose(sr, whole(generator, x), atol=1e-5, rtol=0)
  monkeypatch.setattr(programs, "free_bytes", lambda _: 1)
  with pytest.raises(errors.EnhanceError, match="even with tiles of 8"):
    upscaler.upscale(x)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 2), (0, 4, 3), (1, 4, 4, 3)])
def test_shapes_that_are_no_picture_are_refused(shape):
  with pytest.raises(errors.EnhanceError, match="wanted"):
    engine.Interpolation("bicubic", 2).upscale(np.zeros(shape, np.float32))


def test_transparent_pixels_do_not_bleed_into_the_visible_edge():
  # A red square whose hidden surroundings are black, as many programs save it.
  pixels = np.zeros((24, 24, 4), np.uint8)
  pixels[8:16, 8:16] = (250, 20, 10, 255)
  result = picture.upscale_picture(
    engine.Interpolation("bicubic", 4), images.Picture(pixels)
  )
  sr = result.pixels
  assert sr.shape == (96, 96, 4)
  seen = sr[sr[..., 3] > 0].astype(int)
  assert np.abs(seen[:, :3] - [250, 20, 10]).max() <= 1
  alpha = resample.resize_uint8(pixels[..., 3:], scale=4)
  np.testing.assert_array_equal(sr[..., 3:], alpha)


def test_hidden_colours_come_from_the_nearest_visible_ones():
  colour = np.zeros((6, 9, 1), np.uint8)
  alpha = np.zeros((6, 9, 1), np.uint8)
  colour[:, 0], alpha[:, 0] = 40, 255
  colour[:, 8], alpha[:, 8] = 200, 1
  filled = picture.fill_hidden(colour, alpha)[..., 0]
  assert (filled[:, 1] == 40).all() and (filled[:, 8] == 200).all()
  unseen = np.zeros_like(alpha)
  np.testing.assert_array_equal(picture.fill_hidden(colour, unseen), colour)


def test_depth_gray_and_metadata_of_a_picture_are_kept():
  pixels = np.full((5, 6, 2), 3000, np.uint16)
  original = images.Picture(pixels, icc=b"profile", exif=b"Exif\0\0")
  result = picture.upscale_picture(engine.Interpolation("lanczos", 3), original)
  assert result.pixels.dtype == np.uint16
  assert result.pixels.shape == (15, 18, 2)
  assert (result.pixels == 3000).all()
  assert (result.icc, result.exif) == (original.icc, original.exif)


def save(path, generator):
  return zoo.save_generator(
    path,
    model=generator.model,
    kwargs=generator.kwargs,
    variables=generator.variables,
    card=generator.card,
  )


def test_a_file_and_a_finished_run_open_as_the_same_upscaler(tmp_path):
  generator = bundle(generative=True)
  path = save(tmp_path / "generator", generator)
  x = images.to_uint8(noise(12, 10))
  expected = engine.Upscaler(generator).upscale_uint8(x)
  for upscaler in (
    engine.open_model(str(path)),
    engine.open_model(workdir=tmp_path, scale=2),
  ):
    assert upscaler.name == tmp_path.name and upscaler.scale == 2
    assert upscaler.generative and upscaler.card["model"] == "srresnet"
    np.testing.assert_array_equal(upscaler.upscale_uint8(x), expected)
  phase = save(tmp_path / "generator.gan.safetensors", generator)
  assert engine.open_model(str(phase)).name == f"{tmp_path.name}.gan"
  with pytest.raises(errors.EnhanceError, match="enlarges x2, --scale=4"):
    engine.open_model(str(path), scale=4)


def test_an_unfinished_run_names_its_finished_phases(tmp_path):
  with pytest.raises(errors.EnhanceError, match="no phase is finished either"):
    engine.open_model(workdir=tmp_path)
  save(tmp_path / "generator.pixel", bundle())
  with pytest.raises(
    errors.EnhanceError, match=r"finished phases: generator\.pixel\.safetensors"
  ):
    engine.open_model(workdir=tmp_path)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"model": "bicubic", "workdir": "."}, "name one of the two"),
    ({"model": "bicubci"}, 'did you mean "bicubic"'),
    ({"model": "bicubic"}, "--scale=4"),
    ({"model": "bicubic", "scale": 99}, "from 1 to 16"),
    ({"model": "bicubic", "scale": 2, "blend": 0.5}, "no weights to blend"),
    ({"model": "net.pth"}, "zoo import net.pth"),
    ({"model": "x.safetensors", "partner": "y"}, "--blend=0"),
    ({"model": "srresnet"}, "architecture without weights"),
    ({"model": "no/such.safetensors"}, "does not exist"),
    ({"model": "."}, "--workdir="),
    ({"workdir": "no/such"}, "is no folder"),
  ],
)
def test_what_cannot_be_opened_says_what_can(options, message):
  with pytest.raises(errors.EnhanceError, match=message):
    engine.open_model(**options)


def test_compiled_programs_are_kept_where_the_user_says(tmp_path, monkeypatch):
  before = jax.config.jax_compilation_cache_dir
  try:
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path / "mine"))
    assert cache.enable_compilation_cache() == tmp_path / "mine" / "xla"
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "mine/xla")
    monkeypatch.setenv("ENHANCE_CACHE", "/elsewhere")
    assert cache.enable_compilation_cache() == tmp_path / "mine" / "xla"
    jax.config.update("jax_compilation_cache_dir", None)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path / "file"))
    assert cache.enable_compilation_cache() is None
  finally:
    jax.config.update("jax_compilation_cache_dir", before)


def test_the_card_beside_the_weights_is_readable(tmp_path):
  save(tmp_path / "generator", bundle())
  card = json.loads((tmp_path / "generator.json").read_text())
  assert card["kwargs"] == {"scale": 2, "width": 6, "blocks": 1}


def test_weights_of_several_scales_open_at_each(tmp_path):
  kwargs = {"scale": 3, "channels": 1, "depth": 3, "width": 4}
  module = vdsr.Generator(**kwargs)
  rng = np.random.default_rng(2)
  flat = {
    name: np.float32(0.2 * rng.uniform(-1, 1, shape))
    for name, shape in zoo.expected_shapes(module).items()
  }
  variables = traverse_util.unflatten_dict(flat, sep="/")
  path = zoo.save_generator(
    tmp_path / "several",
    model="vdsr",
    kwargs=kwargs,
    variables=variables,
    card={"generative": False, "scales": [2, 3, 4]},
  )
  x = noise(7, 6, 1)
  for wanted, scale in ((None, 3), (2, 2), (3, 3), (4, 4)):
    upscaler = engine.open_model(str(path), scale=wanted)
    assert upscaler.scale == scale
    enlarged = resample.resize(x, scale=scale)
    alone = vdsr.Generator(**{**kwargs, "scale": 1})
    expected = alone.apply(variables, enlarged[None], train=False)
    np.testing.assert_allclose(upscaler.upscale(x), expected[0], atol=1e-5)
  with pytest.raises(
    errors.EnhanceError, match="enlarges x2 or x3 or x4, --scale=8 was wanted"
  ):
    engine.open_model(str(path), scale=8)
