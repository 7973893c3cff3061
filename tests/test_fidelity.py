"""Self-ensemble and projection around upscalers."""

import itertools

import numpy as np
import pytest
from flax import traverse_util
from skimage import data

from enhance_jax import errors, images, resample, zoo
from enhance_jax.inference import engine, fidelity, picture
from enhance_jax.models import srresnet
from enhance_jax.zoo import bundled


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


def measured(sr, lr, scale):
  """LR-PSNR, the small picture in float64."""
  small = resample.resize(sr.astype(np.float64), scale=1 / scale)
  return -10 * np.log10(np.mean((small - lr) ** 2))


@pytest.mark.parametrize(
  ("scale", "shape"),
  [
    (1, (4, 5, 3)),
    (2, (9, 14, 3)),
    (3, (5, 6, 1)),
    (4, (2, 7, 3)),
    (4, (1, 1, 3)),
  ],
)
def test_one_projection_reduces_to_the_input_exactly(scale, shape):
  lr = 0.4 + 0.2 * noise(*shape)
  sr = 0.3 + 0.4 * noise(shape[0] * scale, shape[1] * scale, lr.shape[2])[::-1]
  before = measured(sr, lr, scale)
  got, agreement = fidelity.project(sr.copy(), lr, rounds=1, tile=3)
  assert got.dtype == np.float32
  # Nothing is clipped here, so that float32's rounding is all there is.
  np.testing.assert_allclose(
    resample.resize(got.astype(np.float64), scale=1 / scale), lr, atol=1e-6
  )
  assert before < 40 and agreement.before == pytest.approx(before, abs=1e-3)
  assert agreement.after == agreement.written > 120


def test_it_is_where_back_projections_end():
  lr, scale = 0.4 + 0.2 * noise(9, 14), 2
  sr = 0.3 + 0.4 * noise(18, 28)[::-1]
  x = sr.astype(np.float64)
  for _ in range(60):
    residual = lr - resample.resize(x, scale=1 / scale)
    x += resample.resize(residual, scale=scale)
  got, _ = fidelity.project(sr, lr, rounds=1)
  np.testing.assert_allclose(got, x, rtol=0, atol=2e-6)


def test_it_is_the_nearest_consistent_picture_away_from_the_borders():
  # Bahat and Michaeli's x + D' (D D')^-1 (lr - D x), as matrices.
  n, scale = 24, 3
  down = resample.weights(n * scale, n, scale=1 / scale)
  lr, sr = 0.4 + 0.2 * noise(n, n, 1), 0.4 + 0.2 * noise(72, 72, 1)[::-1]
  back = down.T @ np.linalg.inv(down @ down.T)
  missing = lr[..., 0] - down @ sr[..., 0] @ down.T
  expected = sr[..., 0] + back @ missing @ back.T
  got, _ = fidelity.project(sr, lr, rounds=1)
  inside = slice(8 * scale, -8 * scale)
  np.testing.assert_allclose(
    got[inside, inside, 0], expected[inside, inside], rtol=0, atol=1e-4
  )


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kind", ["bilinear", "bicubic", "nearest"])
def test_a_photograph_comes_to_agree_with_its_lr_picture(scale, kind):
  for photograph in (data.astronaut()[150:270, 150:300], data.coffee()[90:200]):
    hr = images.modcrop(photograph, scale)
    lr = resample.resize_uint8(hr, scale=1 / scale)
    inner = engine.Interpolation(kind, scale)
    upscaler = fidelity.Consistent(inner)
    plain = inner.upscale(images.to_float(lr))
    sr = upscaler.upscale(images.to_float(lr))
    assert sr.min() >= 0 and sr.max() <= 1
    assert upscaler.agreement is not None
    got = measured(sr, images.to_float(lr), scale)
    assert got == pytest.approx(upscaler.agreement.after, abs=0.1)
    # 45 dB is where a result counts as consistent (NTIRE 2021).
    assert upscaler.agreement.before < 45 < 50 < got
    # It is also nearer to the truth.
    truth = images.to_float(hr)
    assert np.mean((sr - truth) ** 2) < np.mean((plain - truth) ** 2)


def test_rounds_mend_what_clipping_takes_away():
  # Black on white, as hard as it gets, and a result that is its mirror image.
  hr = np.where(noise(40, 48) > 0.6, 1.0, 0.0).astype(np.float32)
  lr = np.clip(resample.resize(hr, scale=1 / 4), 0, 1)
  values = [
    fidelity.project(hr[:, ::-1].copy(), lr, rounds=rounds)[1].after
    for rounds in range(6)
  ]
  assert all(b > a + 3 for a, b in itertools.pairwise(values))
  assert values[1] < 30 and values[5] > 45


def test_agreement_is_that_of_the_file_as_written():
  hr = data.astronaut()[150:270, 150:300]
  lr = resample.resize_uint8(images.modcrop(hr, 2), scale=1 / 2)
  upscaler = fidelity.Consistent(engine.Interpolation("bicubic", 2))
  for pixels in (lr, lr.astype(np.uint16) * 257):
    kind = pixels.dtype
    sr = getattr(upscaler, f"upscale_{kind}")(pixels)
    assert sr.dtype == kind and upscaler.agreement is not None
    got = measured(images.to_float(sr), images.to_float(pixels), 2)
    assert got == pytest.approx(upscaler.agreement.written, abs=0.1)
    assert upscaler.agreement.written <= upscaler.agreement.after + 0.1
    assert f"-> {got:.0f}" in str(upscaler.agreement)


def test_a_consistent_picture_is_left_as_it_is():
  sr = images.to_float(data.astronaut()[100:160, 100:172])
  for scale in (1, 2, 3, 4):
    lr = resample.resize(sr, scale=1 / scale)
    for tile in (4, 192):
      got, agreement = fidelity.project(sr.copy(), lr, tile=tile)
      np.testing.assert_array_equal(got, sr)
      assert agreement.before == agreement.after > 130


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
  mean, _ = fidelity.project(
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
  policy = engine.Policy(ensemble=True, consistent=True)
  both = engine.open_model("bicubic", scale=2, policy=policy)
  assert both.name == "bicubic + ensemble + consistent"
  policy = engine.Policy(consistent=True)
  one = engine.open_model("bicubic", scale=2, policy=policy)
  x = noise(10, 12)
  assert np.abs(one.upscale(x) - plain.upscale(x)).max() > 0.01


def test_pictures_that_do_not_belong_together_are_refused():
  lr = noise(5, 6)
  for shape in ((10, 13, 3), (10, 12, 1), (15, 12, 3), (4, 4, 3)):
    with pytest.raises(errors.EnhanceError, match="one whole multiple"):
      fidelity.project(noise(*shape), lr)
  with pytest.raises(errors.EnhanceError, match="NaN"):
    fidelity.Consistent(network()).upscale(lr * np.nan)


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled.names() or (None,))
def test_files_written_by_bundled_networks_agree_with_their_input(name):
  if name is None:
    pytest.skip("no weights are bundled yet")
  upscaler = engine.open_model(name, policy=engine.Policy(consistent=True))
  for photograph in (data.astronaut(), data.coffee(), data.chelsea()):
    hr = images.modcrop(photograph[60:252, 120:312], upscaler.scale)
    lr = resample.resize_uint8(hr, scale=1 / upscaler.scale)
    sr = upscaler.upscale_uint8(lr)
    got = measured(images.to_float(sr), images.to_float(lr), upscaler.scale)
    assert got > 45
