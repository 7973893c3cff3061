"""Self-ensemble and back-projection around upscalers."""

import itertools

import numpy as np
import pytest
from flax import traverse_util
from skimage import data

from enhance_jax import errors, images, resample, zoo
from enhance_jax.inference import engine, fidelity, picture
from enhance_jax.models import srresnet


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path_factory.getbasetemp()))


def network(scale=2, channels=3, tile=None):
  """An untrained network; it treats no two directions alike."""
  kwargs = {"scale": scale, "channels": channels, "width": 4, "blocks": 1}
  module = srresnet.Generator(**kwargs)
  rng = np.random.default_rng(0)
  flat = {
    name: np.float32(name.endswith("var") + 0.1 * rng.uniform(-1, 1, shape))
    for name, shape in zoo.expected_shapes(module).items()
  }
  variables = traverse_util.unflatten_dict(flat, sep="/")
  card = {"generative": True}
  bundle = zoo.Generator("srresnet", kwargs, module, variables, card, "abc")
  return engine.Upscaler(bundle, tile=tile)


def noise(height, width, channels=3):
  rng = np.random.default_rng(1)
  return rng.random((height, width, channels), np.float32)


def symmetries():
  """The eight symmetries of a square as (there, back)."""
  for turns, mirror in itertools.product(range(4), (False, True)):

    def there(x, turns=turns, mirror=mirror):
      return np.rot90(x[:, ::-1] if mirror else x, turns)

    def back(x, turns=turns, mirror=mirror):
      x = np.rot90(x, -turns)
      return x[:, ::-1] if mirror else x

    yield there, back


@pytest.mark.parametrize("shape", [(9, 12, 3), (11, 11, 1)])
def test_an_ensemble_is_the_mean_of_eight_turned_results(shape):
  x, inner = noise(*shape), network()
  turned = [back(inner.upscale(there(x))) for there, back in symmetries()]
  # Eight different results, or the mean would say nothing.
  assert min(np.abs(a - turned[0]).max() for a in turned[1:]) > 1e-3
  ensemble = fidelity.Ensemble(inner)
  np.testing.assert_allclose(
    ensemble.upscale(x), np.mean(turned, axis=0), rtol=0, atol=1e-6
  )
  assert (ensemble.scale, ensemble.sha256) == (2, "abc")
  assert ensemble.name == "srresnet + ensemble" and ensemble.generative


def test_a_turned_picture_gives_the_turned_ensemble_to_the_bit():
  ensemble, x = fidelity.Ensemble(network()), noise(9, 12)
  expected = ensemble.upscale(x)
  for there, back in symmetries():
    np.testing.assert_array_equal(back(ensemble.upscale(there(x))), expected)


@pytest.mark.parametrize("scale", [2, 3])
def test_an_ensemble_in_tiles_is_that_of_the_whole(scale):
  x = noise(43, 38)
  whole = fidelity.Ensemble(network(scale)).upscale(x)
  tiled = fidelity.Ensemble(network(scale, tile=7))
  np.testing.assert_allclose(tiled.upscale(x), whole, rtol=0, atol=1e-5)
  pixels = images.to_uint8(x)
  one = tiled.upscale_uint8(pixels)
  mean = fidelity.Ensemble(network(scale)).upscale(images.to_float(pixels))
  # The mean is rounded, once: a value next to a half may go either way.
  assert np.mean(one != images.to_uint8(mean)) < 1e-3


def test_an_ensemble_of_an_interpolation_is_that_interpolation():
  x = noise(13, 8)
  bicubic = engine.Interpolation("bicubic", 3)
  np.testing.assert_allclose(
    fidelity.Ensemble(bicubic).upscale(x), bicubic.upscale(x), rtol=0, atol=1e-6
  )


def test_rounds_at_lr_size_are_the_rounds_as_they_are_written():
  for scale, shape in ((2, (9, 14, 3)), (3, (5, 6, 1)), (4, (2, 7, 3))):
    lr = noise(*shape)
    sr = noise(shape[0] * scale, shape[1] * scale, shape[2])[::-1]
    x = sr.astype(np.float64)
    for _ in range(6):
      residual = lr - resample.resize(x, scale=1 / scale)
      x += resample.resize(residual, scale=scale)
    got, agreement = fidelity.back_project(sr, lr, iterations=6, tile=3)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, x, rtol=0, atol=2e-6)
    for value, picture_ in ((agreement.before, sr), (agreement.after, x)):
      error = resample.resize(picture_.astype(float), scale=1 / scale) - lr
      expected = -10 * np.log10(np.mean(error**2))
      assert value == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_photograph_comes_to_agree_with_its_lr_picture(scale):
  hr = images.modcrop(data.astronaut()[150:270, 150:300], scale)
  lr = resample.resize_uint8(hr, scale=1 / scale)
  for kind, least in (("bilinear", 45), ("bicubic", 45)):
    upscaler = fidelity.Consistent(engine.Interpolation(kind, scale))
    sr = upscaler.upscale(images.to_float(lr))
    error = resample.resize(sr, scale=1 / scale) - images.to_float(lr)
    measured = -10 * np.log10(np.mean(np.square(error)))
    assert upscaler.agreement is not None
    assert measured == pytest.approx(upscaler.agreement.after, abs=1e-2)
    assert upscaler.agreement.before < 40 and measured > least
    # It is also nearer to the truth.
    plain = engine.Interpolation(kind, scale).upscale(images.to_float(lr))
    truth = images.to_float(hr)
    assert np.mean((sr - truth) ** 2) < np.mean((plain - truth) ** 2)


def test_a_consistent_picture_is_left_as_it_is():
  sr = images.to_float(data.astronaut()[100:160, 100:172])
  for scale in (1, 2, 3, 4):
    lr = resample.resize(sr, scale=1 / scale)
    for tile in (4, 192):
      got, agreement = fidelity.back_project(sr, lr, tile=tile)
      np.testing.assert_array_equal(got, sr)
      assert agreement.before == agreement.after == np.inf


def test_one_around_the_other_rounds_at_the_end_only():
  x = images.to_uint8(noise(12, 10))
  upscaler = fidelity.Consistent(fidelity.Ensemble(network()))
  assert upscaler.name == "srresnet + ensemble + consistent"
  assert upscaler.generative and upscaler.sha256 == "abc"
  calls = []
  sr = upscaler.upscale(images.to_float(x), on_tile=lambda *n: calls.append(n))
  assert calls == [(1, 1)]
  np.testing.assert_array_equal(upscaler.upscale_uint8(x), images.to_uint8(sr))
  deep = x.astype(np.uint16) * 257
  expected = images.to_uint16(upscaler.upscale(images.to_float(deep)))
  np.testing.assert_array_equal(upscaler.upscale_uint16(deep), expected)
  mean, _ = fidelity.back_project(
    fidelity.Ensemble(network()).upscale(images.to_float(x)), images.to_float(x)
  )
  np.testing.assert_array_equal(sr, mean)


def test_alpha_and_gray_go_through_as_ever():
  pixels = images.to_uint8(noise(9, 8, 4))
  upscaler = fidelity.Consistent(engine.Interpolation("bicubic", 2))
  result = picture.upscale_picture(upscaler, images.Picture(pixels))
  assert result.pixels.shape == (18, 16, 4)
  np.testing.assert_array_equal(
    result.pixels[..., 3:], resample.resize_uint8(pixels[..., 3:], scale=2)
  )
  assert upscaler.upscale_uint8(pixels[..., :1]).shape == (18, 16, 1)


def test_a_model_is_opened_with_both():
  plain = engine.open_model("bicubic", scale=2)
  assert isinstance(plain, engine.Interpolation)
  both = engine.open_model("bicubic", scale=2, ensemble=True, consistent=True)
  assert both.name == "bicubic + ensemble + consistent"
  one = engine.open_model("bicubic", scale=2, consistent=True)
  x = noise(10, 12)
  assert np.abs(one.upscale(x) - plain.upscale(x)).max() > 0.01


def test_pictures_that_do_not_belong_together_are_refused():
  lr = noise(5, 6)
  for shape in ((10, 13, 3), (10, 12, 1), (15, 12, 3), (4, 4, 3)):
    with pytest.raises(errors.EnhanceError, match="one whole multiple"):
      fidelity.back_project(noise(*shape), lr)
  with pytest.raises(errors.EnhanceError, match="NaN"):
    fidelity.Consistent(network()).upscale(lr * np.nan)
