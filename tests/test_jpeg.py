"""JPEG simulation: against SciPy's DCT and against real files."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import fft

from enhance_jax.data import jpeg


def _photograph():
  from skimage import data

  return data.astronaut()[32:128, 160:272]


def _compress(picture, quality):
  x = jnp.asarray(picture[None] / 255, jnp.float32)
  return np.asarray(jpeg.compress(x, jnp.asarray([float(quality)])))[0] * 255


def _direct(picture, quality):
  """Block by block in float64, with SciPy's DCT."""
  scale = 50 / quality if quality < 50 else (200 - 2 * quality) / 100
  height, width = picture.shape[:2]
  pads = ((0, -height % 16), (0, -width % 16), (0, 0))
  r, g, b = np.moveaxis(np.pad(picture.astype(np.float64), pads), -1, 0)
  planes = [
    (0.299 * r + 0.587 * g + 0.114 * b, jpeg.LUMA),
    (-0.168736 * r - 0.331264 * g + 0.5 * b + 128, jpeg.CHROMA),
    (0.5 * r - 0.418688 * g - 0.081312 * b + 128, jpeg.CHROMA),
  ]
  result = []
  for i, (plane, table) in enumerate(planes):
    if i:
      h, w = plane.shape
      plane = plane.reshape(h // 2, 2, w // 2, 2).mean((1, 3))
    done = np.zeros_like(plane)
    for y in range(0, plane.shape[0], 8):
      for x in range(0, plane.shape[1], 8):
        block = np.s_[y : y + 8, x : x + 8]
        waves = fft.dctn(plane[block] - 128, norm="ortho")
        waves = np.round(waves / (table * scale)) * table * scale
        done[block] = fft.idctn(waves, norm="ortho") + 128
    result.append(done if i == 0 else done.repeat(2, 0).repeat(2, 1))
  y, cb, cr = result[0], result[1] - 128, result[2] - 128
  rgb = [y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb]
  return np.clip(np.stack(rgb, -1), 0, 255)[:height, :width]


def _written(picture, quality):
  """What Pillow writes and reads, 4:2:0."""
  file = io.BytesIO()
  Image.fromarray(picture).save(
    file, "JPEG", quality=quality, subsampling="4:2:0"
  )
  return Image.open(file)


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 95])
@pytest.mark.parametrize("shape", [(32, 48), (41, 35)])
def test_equals_the_direct_form(quality, shape):
  picture = _photograph()[: shape[0], : shape[1]]
  found = _compress(picture, quality)
  error = np.abs(found - _direct(picture, quality))
  # A coefficient halfway between two steps may be rounded to the other one.
  assert np.mean(error > 0.02) < 0.02
  assert np.median(error) < 1e-3


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 95])
def test_tables_are_those_of_files(quality):
  written = _written(_photograph(), quality).quantization
  # libjpeg rounds the factor down to hundredths, then the table.
  percent = 5000 // quality if quality < 50 else 200 - 2 * quality
  factor = jpeg.factor(jnp.asarray(float(quality)))
  assert percent <= 100 * factor + 1e-4 < percent + 1
  for number, table in enumerate((jpeg.LUMA, jpeg.CHROMA)):
    expected = np.clip((table * percent + 50) // 100, 1, 255)
    np.testing.assert_array_equal(written[number], expected.ravel())


# At these qualities libjpeg's tables need no rounding.
@pytest.mark.parametrize("quality", [10, 25, 50])
def test_gray_equals_files(quality):
  gray = _photograph()[..., 1]
  file = np.asarray(_written(gray, quality), np.float64)
  found = _compress(np.repeat(gray[..., None], 3, -1), quality)[..., 1]
  error = np.abs(found - file)
  # Rounding to 8 bits alone makes 0.25. The mean is larger by the coefficients
  # that lie halfway between two steps, which libjpeg rounds away from zero.
  assert np.median(error) < 0.3
  assert error.mean() < 0.5


@pytest.mark.parametrize(
  ("quality", "share"), [(10, 0.3), (25, 0.3), (50, 0.3), (75, 0.6), (90, 0.6)]
)
def test_colour_comes_near_to_files(quality, share):
  picture = _photograph()
  file = np.asarray(_written(picture, quality), np.float64)
  found = _compress(picture, quality)
  loss = np.abs(file - picture).mean()
  # libjpeg smooths the chroma that it enlarges, and rounds its tables.
  assert np.abs(found - file).mean() < share * loss
  assert np.abs(found - picture).mean() == pytest.approx(loss, rel=0.1)


def test_quality_is_of_each_picture():
  picture = _photograph()[:32, :32]
  x = jnp.asarray(np.stack([picture] * 2) / 255, jnp.float32)
  both = jpeg.compress(x, jnp.asarray([20.0, 90.0]))
  np.testing.assert_allclose(both[0] * 255, _compress(picture, 20), atol=1e-3)
  np.testing.assert_allclose(both[1] * 255, _compress(picture, 90), atol=1e-3)


def test_factor_by_hand():
  found = jax.vmap(jpeg.factor)(jnp.asarray([10.0, 25.0, 50.0, 75.0, 95.0]))
  np.testing.assert_allclose(found, [5.0, 2.0, 1.0, 0.5, 0.1], rtol=1e-6)
