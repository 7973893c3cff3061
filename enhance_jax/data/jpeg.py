"""JPEG's losses without its bits: baseline, 4:2:0, at any quality, under jit.

The tables are those of ITU-T T.81, Annex K; a quality scales them as libjpeg
does, but without rounding the result (as BasicSR's simulation).
"""

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array

_BLOCK = 8
# Blocks of half-size chroma need twice as many pixels.
_UNIT = 2 * _BLOCK

# Steps of the coefficients; the vertical frequency grows downwards.
LUMA = np.array(
  [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
  ],
  np.float32,
)
CHROMA = np.full((_BLOCK, _BLOCK), 99, np.float32)
CHROMA[:4, :4] = [
  [17, 18, 24, 47],
  [18, 21, 26, 66],
  [24, 26, 56, 99],
  [47, 66, 99, 99],
]

# JFIF's full-range YCbCr; chroma is centred on 0 here.
_TO_YCBCR = np.array(
  [
    [0.299, 0.587, 0.114],
    [-0.168736, -0.331264, 0.5],
    [0.5, -0.418688, -0.081312],
  ]
)
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])


def factor(quality: Array) -> Array:
  """What a quality of 1 to 100 multiplies the tables by."""
  return jnp.where(quality < 50, 50 / quality, (200 - 2 * quality) / 100)


def compress(x: Array, quality: Array) -> Array:
  """Writes pictures as JPEG and reads them back.

  Not to be differentiated: the gradient is zero almost everywhere.

  Args:
    x: float32 [N, H, W, 3] in [0, 1]; black is appended to sides that are no
      multiple of 16, as many encoders do.
    quality: [N], 1 to 100; above about 99 the steps become finer than a file's.

  Returns:
    x's shape, float32 in [0, 1], not rounded to 8 bits.
  """
  height, width = x.shape[1:3]
  padding = [(0, 0), (0, -height % _UNIT), (0, -width % _UNIT), (0, 0)]
  ycbcr = _mix(jnp.pad(x, padding) * 255.0, _TO_YCBCR)
  scaling = factor(quality)[:, None, None, None, None, None]
  luma = _lossy(ycbcr[..., :1] - 128.0, LUMA, scaling) + 128.0
  n, h, w, _ = ycbcr.shape
  small = ycbcr[..., 1:].reshape(n, h // 2, 2, w // 2, 2, 2).mean((2, 4))
  small = _lossy(small, CHROMA, scaling)
  chroma = jnp.repeat(jnp.repeat(small, 2, axis=1), 2, axis=2)
  rgb = _mix(jnp.concatenate([luma, chroma], axis=-1), _TO_RGB)
  return jnp.clip(rgb / 255.0, 0.0, 1.0)[:, :height, :width]


def _mix(x: Array, matrix: np.ndarray) -> Array:
  rows = matrix.astype(np.float32)
  return jnp.einsum("dc,nhwc->nhwd", rows, x, precision="highest")


def _cosines() -> np.ndarray:
  """The orthonormal DCT-II: row u is frequency u."""
  u, x = np.mgrid[:_BLOCK, :_BLOCK]
  rows = np.cos((2 * x + 1) * u * np.pi / (2 * _BLOCK)) / 2
  rows[0] /= np.sqrt(2)
  return rows.astype(np.float32)


def _lossy(x: Array, table: np.ndarray, scaling: Array) -> Array:
  """Rounds the coefficients of the 8x8 blocks of [N, H, W, C]."""
  n, h, w, c = x.shape
  blocks = x.reshape(n, h // _BLOCK, _BLOCK, w // _BLOCK, _BLOCK, c)
  dct = _cosines()
  step = table.reshape(1, 1, _BLOCK, 1, _BLOCK, 1) * scaling
  waves = jnp.einsum(
    "ux,vy,nixjyc->niujvc", dct, dct, blocks, precision="highest"
  )
  waves = jnp.round(waves / step) * step
  blocks = jnp.einsum(
    "ux,vy,niujvc->nixjyc", dct, dct, waves, precision="highest"
  )
  return blocks.reshape(n, h, w, c)
