"""Ranges, rounding, BT.601 colour and crops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import images
from enhance_jax.errors import EnhanceError
from enhance_jax.images import Picture

# RGB in 0..255 -> Y: specification sheet 1.3 (MATLAB's rgb2ycbcr), and white.
LUMA = [
  ((255, 0, 0), 81.48100),
  ((0, 255, 0), 144.55300),
  ((0, 0, 255), 40.96600),
  ((12, 200, 77), 127.44609),
  ((128, 128, 128), 125.92941),
  ((255, 255, 255), 235.0),
  ((0, 0, 0), 16.0),
]


@pytest.mark.parametrize(("rgb", "expected"), LUMA)
def test_luma_check_values(rgb, expected):
  x = np.array(rgb, np.float64).reshape(1, 1, 3) / 255
  y = images.luma(x)
  assert y.shape == (1, 1, 1)
  assert y.item() * 255 == pytest.approx(expected, abs=5.1e-6)
  got = jax.jit(images.luma)(jnp.asarray(x, jnp.float32))
  assert got.dtype == jnp.float32
  assert got.item() * 255 == pytest.approx(expected, abs=1e-4)


def test_ycbcr_check_value():
  # Specification sheet 1.3: (12, 200, 77) is 127, 102, 54 in uint8.
  x = np.array([12, 200, 77]) / 255
  assert np.round(images.rgb_to_ycbcr(x) * 255).tolist() == [127, 102, 54]


def test_luma_uint8_rounds():
  x = np.array([[[12, 200, 77], [128, 128, 128]]], np.uint8)
  assert images.luma_uint8(x).tolist() == [[[127], [126]]]
  gray = x[..., :1]
  np.testing.assert_array_equal(images.luma_uint8(gray), gray)


@pytest.mark.parametrize("shape", [(3,), (4, 5, 3), (2, 4, 5, 3)])
def test_ycbcr_there_and_back(shape):
  x = np.random.default_rng(0).random(shape)
  there = images.rgb_to_ycbcr(x)
  np.testing.assert_allclose(images.ycbcr_to_rgb(there), x, atol=1e-12)
  np.testing.assert_allclose(there[..., :1], images.luma(x), atol=0)


def test_inverse_has_the_published_constants():
  # Specification sheet 1.3: R = 1.16438355 Y + 1.59602715 Cr - 222.921, ...
  ycbcr = np.array([100.0, 90.0, 150.0])
  expected = [
    1.16438355 * 100 + 1.59602715 * 150 - 222.921,
    1.16438355 * 100 - 0.39176160 * 90 - 0.81296805 * 150 + 135.576,
    1.16438355 * 100 + 2.01723105 * 90 - 276.836,
  ]
  got = images.ycbcr_to_rgb(ycbcr / 255) * 255
  np.testing.assert_allclose(got, expected, atol=1e-3)


def test_colour_under_jit_equals_numpy():
  x = np.random.default_rng(1).random((2, 4, 5, 3))
  for function in (images.rgb_to_ycbcr, images.ycbcr_to_rgb):
    got = jax.jit(function)(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(got, function(x), atol=2e-6)


def test_gray_is_its_own_luma():
  x = np.full((2, 2, 1), 0.5)
  assert images.luma(x) is x


@pytest.mark.parametrize("channels", [2, 4])
def test_colour_wants_rgb(channels):
  x = np.zeros((2, 2, channels))
  for function in (images.luma, images.rgb_to_ycbcr, images.ycbcr_to_rgb):
    with pytest.raises(EnhanceError, match=f"got {channels} channels"):
      function(x)


@pytest.mark.parametrize(
  ("dtype", "back"), [(np.uint8, "to_uint8"), (np.uint16, "to_uint16")]
)
def test_every_level_survives_the_round_trip(dtype, back):
  levels = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
  x = images.to_float(levels)
  assert x.dtype == np.float32
  assert (x[0], x[-1]) == (0.0, 1.0)
  np.testing.assert_array_equal(getattr(images, back)(x), levels)


def test_rounding_clips_and_goes_half_up():
  x = np.array([-0.5, 0.0, 0.5 / 255, 1.5 / 255, 2.5 / 255, 1.0, 1.7])
  assert images.to_uint8(x).tolist() == [0, 0, 1, 2, 3, 255, 255]
  assert images.to_uint16(np.array([0.5, 2.0])).tolist() == [32768, 65535]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_rounding_takes_jax_arrays_of_any_float(dtype):
  x = jnp.array([0.0, 0.25, 1.0], dtype)
  assert images.to_uint8(x).tolist() == [0, 64, 255]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_a_number_is_not_black(value):
  x = np.array([0.5, value], np.float32)
  with pytest.raises(EnhanceError, match="1 of 2 values are NaN or infinite"):
    images.to_uint8(x)
  with pytest.raises(EnhanceError, match="NaN or infinite"):
    images.to_uint16(jnp.asarray(x, jnp.bfloat16))


def test_wrong_dtypes():
  with pytest.raises(EnhanceError, match="float32"):
    images.to_float(np.zeros(3, np.float32))
  with pytest.raises(EnhanceError, match="uint8"):
    images.to_uint8(np.zeros(3, np.uint8))
  with pytest.raises(EnhanceError, match="float64"):
    images.luma_uint8(np.zeros((2, 2, 3)))


def test_modcrop_cuts_bottom_and_right():
  x = np.arange(7 * 8 * 3).reshape(7, 8, 3)
  np.testing.assert_array_equal(images.modcrop(x, 3), x[:6, :6])
  np.testing.assert_array_equal(images.modcrop(x[..., 0], 3), x[:6, :6, 0])
  np.testing.assert_array_equal(images.modcrop(x[None], 3), x[None, :6, :6])
  np.testing.assert_array_equal(images.modcrop(x, 1), x)


def test_shave_cuts_all_sides():
  x = np.arange(7 * 8 * 3).reshape(7, 8, 3)
  np.testing.assert_array_equal(images.shave(x, 2), x[2:5, 2:6])
  np.testing.assert_array_equal(images.shave(x[None], 2), x[None, 2:5, 2:6])
  np.testing.assert_array_equal(images.shave(x[..., 0], 3), x[3:4, 3:5, 0])
  np.testing.assert_array_equal(images.shave(x, 0), x)


def test_crops_that_leave_nothing():
  x = np.zeros((3, 9, 1))
  with pytest.raises(EnhanceError, match="3x9 pixels; scale 4"):
    images.modcrop(x, 4)
  with pytest.raises(EnhanceError, match="3x9 pixels and a border of 2"):
    images.shave(x, 2)
  with pytest.raises(EnhanceError, match="border of -1"):
    images.shave(x, -1)


def test_read_hr(tmp_path):
  rng = np.random.default_rng(2)
  wide = rng.integers(0, 65536, (5, 6, 4), np.uint16)
  wide[0, 0] = 65535
  images.write_picture(tmp_path / "a.png", Picture(wide))
  got = images.read_hr(tmp_path / "a.png")
  # 65535 / 255 = 257, so rounding to 8 bits is (v + 128) // 257.
  expected = (wide[..., :3].astype(int) + 128) // 257
  assert got.dtype == np.uint8
  np.testing.assert_array_equal(got, expected)
  np.testing.assert_array_equal(
    images.read_hr(tmp_path / "a.png", channels=1), images.luma_uint8(got)
  )

  gray = rng.integers(0, 256, (5, 6, 2), np.uint8)
  images.write_picture(tmp_path / "b.png", Picture(gray))
  got = images.read_hr(tmp_path / "b.png")
  np.testing.assert_array_equal(got, np.repeat(gray[..., :1], 3, axis=-1))
  got = images.read_hr(tmp_path / "b.png", channels=1)
  np.testing.assert_array_equal(got, gray[..., :1])
  with pytest.raises(EnhanceError, match="channels=2"):
    images.read_hr(tmp_path / "b.png", channels=2)
