"""MATLAB's imresize: golden numbers, MATLAB-made files, other resizers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from enhance_jax import images, resample
from enhance_jax.errors import EnhanceError

# k^2, k = 0..11, resized in double (specification sheet 1.1; computed there
# with an independent NumPy version that agrees with BasicSR to 3e-6).
SQUARES = np.arange(12.0) ** 2
GOLDEN_1D = {
  1 / 2: "0.30078125 6.26171875 20.25 42.25 72.51953125 111.41796875",
  1 / 3: "1.09876543 16.01234568 49.28395062 102.27160494",
  1 / 4: "2.39013672 30.63671875 93.47314453",
}
GOLDEN_1D_ENDS = {
  2: (
    "-0.09375 0.1328125 0.5859375 1.5625",
    "95.0625 105.6015625 117.1796875 122.96875",
  ),
  3: ("-0.11111111 0 0.18518519", "115.48148148 121 123.33333333"),
}
GOLDEN_ROWS = [
  [112, 138, 132, 126, 146, 138, 124, 139, 143, 125],
  [130, 134, 162, 132, 127, 161, 136, 125, 153, 145],
  [120, 124, 132, 110, 130, 139, 109, 124, 141, 106],
]


def numbers(text):
  return np.array(text.split(), float)


def golden_picture(height, width):
  """T of specification sheet 1.1."""
  i, j, c = np.ogrid[:height, :width, :3]
  t = 37 * i + 59 * j + 101 * c + 7 * ((i * j) % 13)
  return (t % 256).astype(np.uint8)


def noise(height, width, channels=3):
  rng = np.random.default_rng(7)
  return rng.random((height, width, channels), np.float32)


@pytest.mark.parametrize("scale", GOLDEN_1D)
def test_golden_vector_shrunk(scale):
  n_out = round(12 * scale)
  got = resample.weights(12, n_out, scale=scale) @ SQUARES
  np.testing.assert_allclose(got, numbers(GOLDEN_1D[scale]), atol=5.1e-9)


@pytest.mark.parametrize("scale", GOLDEN_1D_ENDS)
def test_golden_vector_enlarged(scale):
  first, last = map(numbers, GOLDEN_1D_ENDS[scale])
  got = resample.weights(12, 12 * scale) @ SQUARES
  np.testing.assert_allclose(got[: len(first)], first, atol=5.1e-9)
  np.testing.assert_allclose(got[-len(last) :], last, atol=5.1e-9)


def test_golden_picture():
  low = resample.resize_uint8(golden_picture(48, 40), scale=1 / 4)
  assert low.shape == (12, 10, 3)
  assert low.sum() == 46005
  assert low[:3, :, 0].tolist() == GOLDEN_ROWS
  high = resample.resize_uint8(low, scale=4)
  assert high.sum() == 736170
  assert high[0, :4, 0].tolist() == [107, 108, 112, 120]


MATLAB_FOLDERS = [
  (name, folder, scale)
  for name, folder, scales in (
    ("set5", "LR_bicubic_matlab", (2, 3, 4)),
    ("set5", "LR_bicubic_matlab_oldedge", (2, 3, 4)),
    ("set14", "LR_bicubic_matlab", (2, 3, 4)),
    ("set14", "LR_bicubic_matlab_oldedge", (4,)),
  )
  for scale in scales
]


@pytest.mark.parametrize(("name", "folder", "scale"), MATLAB_FOLDERS)
def test_matlab_files_to_the_last_pixel(data_dir, name, folder, scale):
  border = "replicate" if folder.endswith("oldedge") else "symmetric"
  originals = images.list_pictures(data_dir / name / "HR")
  assert len(originals) == {"set5": 5, "set14": 14}[name]
  for original in originals:
    made = f"{original.stem}x{scale}.png"
    expected = images.read_picture(
      data_dir / name / folder / f"X{scale}" / made
    ).pixels
    hr = images.modcrop(images.read_picture(original).pixels, scale)
    lr = resample.resize_uint8(hr, scale=1 / scale, border=border)
    np.testing.assert_array_equal(lr, expected, err_msg=made)


def test_gray_without_channel_axis_equals_gray_with_it():
  x = golden_picture(24, 20)[..., :1]
  np.testing.assert_array_equal(
    resample.resize_uint8(x[..., 0], scale=1 / 2),
    resample.resize_uint8(x, scale=1 / 2)[..., 0],
  )


@pytest.mark.parametrize("kernel", resample.KERNELS)
@pytest.mark.parametrize("border", resample.BORDERS)
@pytest.mark.parametrize("scale", [1 / 4, 1 / 3, 0.7, 2, 3, (0.5, 1.6)])
def test_jax_under_jit_equals_numpy(kernel, border, scale):
  x = noise(25, 18)

  @jax.jit
  def resized(x):
    return resample.resize(x, scale=scale, kernel=kernel, border=border)

  expected = resample.resize(
    x.astype(np.float64), scale=scale, kernel=kernel, border=border
  )
  assert expected.dtype == np.float64
  got = resized(jnp.asarray(x))
  assert got.dtype == jnp.float32
  np.testing.assert_allclose(got, expected, atol=2e-6)


def test_numpy_keeps_dtype_and_leading_axes():
  x = np.stack([noise(8, 12), noise(8, 12)[::-1]])
  got = resample.resize(x, scale=2)
  assert got.shape == (2, 16, 24, 3)
  assert got.dtype == np.float32
  np.testing.assert_array_equal(got[1], resample.resize(x[1], scale=2))


def test_weights_are_what_resize_does():
  x = noise(13, 9).astype(np.float64)
  rows = resample.weights(13, 7, scale=0.5, border="replicate")
  columns = resample.weights(9, 5, scale=0.5, border="replicate")
  expected = np.einsum("ai,bj,ijc->abc", rows, columns, x)
  got = resample.resize(x, scale=0.5, border="replicate")
  np.testing.assert_allclose(got, expected, atol=1e-14)


@pytest.mark.parametrize("kernel", resample.KERNELS)
@pytest.mark.parametrize("n_out", [1, 3, 10, 31])
def test_weights_keep_a_constant(kernel, n_out):
  matrix = resample.weights(10, n_out, kernel=kernel)
  assert matrix.shape == (n_out, 10)
  np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-14)


@pytest.mark.parametrize(
  ("kernel", "method"),
  [
    ("bilinear", Image.Resampling.BILINEAR),
    ("bicubic", Image.Resampling.BICUBIC),
    ("lanczos3", Image.Resampling.LANCZOS),
  ],
)
@pytest.mark.parametrize("size", [(24, 36), (16, 18), (144, 216), (60, 41)])
def test_interior_equals_pillow(kernel, method, size):
  # Pillow antialiases too; only at the border (renormalised there) it differs.
  x = noise(48, 72, 1)
  got = resample.resize(x, size=size, kernel=kernel)[..., 0]
  float_image = Image.fromarray(x[..., 0])
  expected = np.asarray(float_image.resize(size[::-1], method))
  inside = tuple(slice(4 * n // 16, n - 4 * n // 16) for n in size)
  np.testing.assert_allclose(got[inside], expected[inside], atol=2e-6)


@pytest.mark.parametrize(
  ("kernel", "method"), [("bilinear", "linear"), ("lanczos3", "lanczos3")]
)
@pytest.mark.parametrize("size", [(16, 18, 1), (96, 144, 1)])
def test_interior_equals_jax_image(kernel, method, size):
  x = noise(48, 72, 1)
  got = resample.resize(x, size=size[:2], kernel=kernel)
  expected = jax.image.resize(x, size, method, precision="highest")
  inside = tuple(slice(n // 4, n - n // 4) for n in size[:2])
  np.testing.assert_allclose(got[inside], expected[inside], atol=2e-6)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_box_is_the_block_mean_and_nearest_repeats(factor):
  x = noise(6, 5).astype(np.float64)
  large = resample.resize(x, scale=factor, kernel="nearest")
  np.testing.assert_array_equal(
    large, x.repeat(factor, axis=0).repeat(factor, axis=1)
  )
  y = noise(6 * factor, 5 * factor).astype(np.float64)
  blocks = y.reshape(6, factor, 5, factor, 3).mean(axis=(1, 3))
  small = resample.resize(y, scale=1 / factor, kernel="box")
  np.testing.assert_allclose(small, blocks, atol=1e-14)


def test_antialias_can_be_left_out():
  # At 1/2 the sample falls between two pixels: Keys' weights at 0.5 and 1.5.
  matrix = resample.weights(20, 10, antialias=False)
  np.testing.assert_allclose(
    matrix[5, 8:14], [0, -0.0625, 0.5625, 0.5625, -0.0625, 0], atol=1e-15
  )


def test_lanczos2_kernel_value():
  # sinc(1/2) sinc(1/4) = (2/pi)(4/pi sin(pi/4)), and the same at 3/2, 3/4.
  near = 2 / np.pi * 4 / np.pi * np.sin(np.pi / 4)
  far = -2 / (3 * np.pi) * 4 / (3 * np.pi) * np.sin(3 * np.pi / 4)
  matrix = resample.weights(20, 10, kernel="lanczos2", antialias=False)
  expected = np.array([far, near, near, far]) / (2 * (near + far))
  np.testing.assert_allclose(matrix[5, 9:13], expected, atol=1e-15)


def test_given_scale_sets_size_and_step():
  # MATLAB: ceil(10 / 4) = 3 rows, and the step stays 4 (not 10 / 3).
  assert resample.output_size(10, 49, (1 / 4, 1 / 49)) == (3, 1)
  by_scale = resample.resize(noise(10, 12), scale=1 / 4)
  by_size = resample.resize(noise(10, 12), size=(3, 3))
  assert by_scale.shape == by_size.shape == (3, 3, 3)
  assert np.abs(by_scale - by_size).max() > 0.01


def test_smaller_scale_goes_first():
  # With rounding after each pass the order shows.
  x = golden_picture(40, 40)
  got = resample.resize_uint8(x, scale=(2, 1 / 4))
  columns = resample.resize_uint8(x, scale=(1, 1 / 4))
  rows = resample.resize_uint8(x, scale=(2, 1))
  np.testing.assert_array_equal(
    got, resample.resize_uint8(columns, scale=(2, 1))
  )
  assert np.any(got != resample.resize_uint8(rows, scale=(1, 1 / 4)))


def test_overshoot_stays_in_float_and_is_clipped_in_uint8():
  edge = np.zeros((8, 8, 1))
  edge[:, 4:] = 1
  assert resample.resize(edge, scale=4).max() > 1.05
  eight_bit = resample.resize_uint8((255 * edge).astype(np.uint8), scale=4)
  assert (eight_bit.min(), eight_bit.max()) == (0, 255)


def test_large_picture_is_quick_to_plan():
  # A picture of one pixel in height, and one whose matrix would be 2 GB.
  assert (
    resample.resize_uint8(
      np.full((1, 16000, 1), 9, np.uint8), scale=(4, 1)
    ).tolist()
    == np.full((4, 16000, 1), 9).tolist()
  )


@pytest.mark.parametrize(
  ("arguments", "words"),
  [
    ({"scale": 2, "kernel": "bicubik"}, "did you mean .bicubic"),
    ({"scale": 2, "border": "reflect"}, "unknown border"),
    ({}, "either size"),
    ({"scale": 2, "size": (4, 4)}, "either size"),
    ({"scale": 0}, "above 0"),
    ({"scale": float("nan")}, "above 0"),
    ({"size": (0, 4)}, "no pixels"),
  ],
)
def test_bad_arguments(arguments, words):
  with pytest.raises(EnhanceError, match=words):
    resample.resize(noise(4, 4), **arguments)


def test_empty_picture_is_refused():
  with pytest.raises(EnhanceError, match="0x4 pixels"):
    resample.resize(np.zeros((0, 4, 3)), size=(4, 4))


@pytest.mark.parametrize("shape", [(4,), (1, 4, 4, 3)])
def test_uint8_door_wants_one_picture(shape):
  with pytest.raises(EnhanceError, match="wants uint8"):
    resample.resize_uint8(np.zeros(shape, np.uint8), scale=2)
  with pytest.raises(EnhanceError, match="wants uint8"):
    resample.resize_uint8(np.zeros((4, 4, 3)), scale=2)
