"""Wishes for a size: which network, which pixels, how they are resampled."""

import numpy as np
import pytest

from enhance_jax import errors, images, resample
from enhance_jax.inference import engine, picture, sizes
from enhance_jax.inference.sizes import Size


@pytest.mark.parametrize(
  ("wish", "expected"),
  [
    (Size(scale=2.5), (253, 378)),  # 252.5 and 377.5 go up
    (Size(scale=4), (404, 604)),
    (Size(scale=1), (101, 151)),
    (Size(width=302), (202, 302)),
    (Size(width=300), (201, 300)),  # 200.66
    (Size(height=1000), (1000, 1495)),  # 1495.05
    (Size(width=1000, height=1000), (669, 1000)),  # 668.87: width binds
    (Size(width=5000, height=300), (300, 449)),  # 448.5: height binds
    (Size(width=151), (101, 151)),
  ],
)
def test_the_result_has_exactly_the_wished_size(wish, expected):
  assert sizes.target(wish, 101, 151) == expected


def test_a_thin_picture_keeps_a_pixel():
  assert sizes.target(Size(width=1600), 1, 1000) == (2, 1600)
  assert sizes.target(Size(scale=1.2), 1, 1) == (1, 1)


@pytest.mark.parametrize(
  ("wish", "scale"),
  [
    (Size(scale=1.0), 2),
    (Size(scale=1.5), 2),
    (Size(scale=2), 2),
    (Size(scale=2.001), 2),  # 120x200 all the same
    (Size(scale=2.01), 4),  # 121x201
    (Size(scale=4), 4),
    (Size(scale=7.5), 4),  # none reaches it
    (Size(width=200), 2),
    (Size(width=201), 4),
    (Size(width=400, height=120), 2),  # the height binds: x2
  ],
)
def test_the_smallest_network_that_suffices(wish, scale):
  assert sizes.network_scale(wish, (60, 100), (4, 2)) == scale


@pytest.mark.parametrize(
  ("options", "words"),
  [
    ({}, "got no size; wanted a scale"),
    ({"scale": 2, "width": 100}, "wanted a scale, or a width"),
    ({"scale": 0.5}, "scale 0.5; wanted a scale from 1 to 16"),
    ({"scale": 17}, "from 1 to 16"),
    ({"scale": float("nan")}, "scale nan"),
    ({"width": 0}, "width 0; a side"),
    ({"width": 10, "height": -3}, "height -3; a side"),
  ],
)
def test_wishes_that_make_no_sense_are_refused(options, words):
  with pytest.raises(errors.EnhanceError, match=words):
    Size(**options)


def test_a_picture_is_never_made_smaller_or_blown_up_without_end():
  with pytest.raises(errors.EnhanceError, match="width 100 makes 200x50"):
    sizes.target(Size(width=100), 50, 200)
  with pytest.raises(errors.EnhanceError, match="20 times as large"):
    sizes.target(Size(width=100), 5, 5)


def noise(height, width, channels, kind="uint8"):
  rng = np.random.default_rng(3)
  top = int(np.iinfo(kind).max) + 1
  return rng.integers(0, top, (height, width, channels), np.dtype(kind))


@pytest.mark.parametrize("size", [(20, 31), (70, 50), (20, 50), (41, 37)])
def test_in_strips_it_is_matlabs_resize_to_the_bit(monkeypatch, size):
  pixels = noise(41, 37, 3)
  expected = resample.resize_uint8(pixels, size=size)
  for chunk in (1, 1000, 1 << 22):
    monkeypatch.setattr(sizes, "_CHUNK", chunk)
    got = sizes.resize_pixels(pixels, size)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, expected)


def test_16_bits_are_resampled_in_16_bits():
  pixels = noise(24, 30, 1, "uint16")
  got = sizes.resize_pixels(pixels, (15, 44))
  expected = resample.resize(pixels.astype(np.float64), size=(15, 44))
  assert got.dtype == np.uint16
  inside = (expected > 2000) & (expected < 63000)
  difference = np.abs(got - expected)[inside]
  # Rounded twice; and clipped between the passes where noise overshoots.
  assert np.median(difference) < 0.6 and len(np.unique(got)) > 600


@pytest.mark.parametrize(
  "wish", [Size(scale=2.5), Size(width=61), Size(width=90, height=44)]
)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_picture_of_any_size(wish, channels):
  pixels = noise(18, 24, channels)
  upscaler = engine.Interpolation("lanczos", 4)
  result = picture.upscale_picture(
    upscaler, images.Picture(pixels, icc=b"profile"), size=wish
  )
  height, width = sizes.target(wish, 18, 24)
  assert result.pixels.shape == (height, width, channels)
  assert result.icc == b"profile"
  if channels in (1, 3):
    large = upscaler.upscale_uint8(pixels)
    expected = resample.resize_uint8(large, size=(height, width))
    np.testing.assert_array_equal(result.pixels, expected)


def test_its_own_scale_is_not_resampled():
  pixels = noise(9, 7, 3)
  upscaler = engine.Interpolation("lanczos", 3)
  for wish in (None, Size(scale=3), Size(width=21), Size(height=27)):
    result = picture.upscale_picture(
      upscaler, images.Picture(pixels), size=wish
    )
    expected = upscaler.upscale_uint8(pixels)
    np.testing.assert_array_equal(result.pixels, expected)


@pytest.mark.parametrize("wish", [Size(scale=2.5), Size(scale=5.5)])
def test_alpha_and_colour_stay_on_each_other(wish):
  # A white disc on hidden black: its soft edge must not show any gray.
  i, j = np.indices((32, 32)) - 15.5
  inside = i**2 + j**2 < 100
  pixels = np.where(inside, 255, 0).astype(np.uint8)[..., None].repeat(4, -1)
  result = picture.upscale_picture(
    engine.Interpolation("bicubic", 4), images.Picture(pixels), size=wish
  ).pixels
  seen = result[result[..., 3] > 0]
  assert seen[:, :3].min() == 255
  area = result[..., 3].sum() / 255 / (inside.sum() * wish.scale**2)
  assert area == pytest.approx(1, abs=0.01)
  centre = np.argwhere(result[..., 3] > 127).mean(axis=0)
  np.testing.assert_allclose(centre, (len(result) - 1) / 2, atol=0.01)


def test_a_wish_that_cannot_be_met_costs_no_work():
  class Never(engine.Interpolation):
    def upscale_uint8(self, pixels, *, on_tile=None):
      raise AssertionError("enlarged before the size was checked")

  with pytest.raises(errors.EnhanceError, match="wanted an enlargement"):
    picture.upscale_picture(
      Never("bicubic", 2),
      images.Picture(noise(8, 8, 3)),
      size=Size(width=4),
    )
