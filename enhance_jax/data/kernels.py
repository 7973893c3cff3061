"""Blur kernels of the Real-ESRGAN degradation (Wang et al., arXiv 2107.10833).

All are drawn and evaluated under jit, one for each picture, on a grid of
`SIDE` x `SIDE` pixels that is zero outside of the kernel's own size.
"""

import dataclasses
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from enhance_jax.data import canvas

Array = jax.Array
Pair = tuple[float, float]

SIDE = 21
REACH = SIDE // 2
# Families of bell-shaped kernels, in the order of their probabilities.
KINDS = (
  "isotropic",
  "anisotropic",
  "generalized isotropic",
  "generalized anisotropic",
  "plateau isotropic",
  "plateau anisotropic",
)
# The largest argument of the Bessel function is pi sqrt(2) REACH = 44.4.
_NODES = 48


@dataclasses.dataclass(frozen=True)
class Drawing:
  """How kernels are drawn.

  Attributes:
    sizes: odd numbers up to `SIDE`, equally likely.
    kinds: probabilities of `KINDS`, given that it is not a sinc.
    sigma: range of the standard deviations in pixels.
    generalized: range of the generalized bell's exponent beta; one half of
      the draws is below 1, the other above.
    plateau: likewise of the plateau's.
    sinc: probability of a sinc.
  """

  sizes: tuple[int, ...]
  kinds: tuple[float, ...]
  sigma: Pair
  generalized: Pair
  plateau: Pair
  sinc: float


def draw(key: Array, count: int, how: Drawing) -> Array:
  """Random kernels [count, SIDE, SIDE], float32, each of sum 1."""
  # One call: every single one costs seconds of compilation.
  u = jax.random.uniform(key, (11, count))
  size = pick(u[0], how.sizes)
  kind = choose(u[1], how.kinds)
  isotropic = kind % 2 == 0
  sigma_x, sigma_y = between(u[2], how.sigma), between(u[3], how.sigma)
  angle = between(u[4], (-math.pi, math.pi))
  gaussian = jnp.ones_like(angle)
  bells = bell(
    sigma_x,
    jnp.where(isotropic, sigma_x, sigma_y),
    jnp.where(isotropic, 0.0, angle),
    jnp.stack(
      [
        gaussian,
        _exponent(u[5], u[6], how.generalized),
        _exponent(u[7], u[8], how.plateau),
      ]
    )[kind // 2, jnp.arange(count)],
    kind >= 4,
    size,
  )
  # Small kernels cannot hold the ripples of a low cut-off.
  lowest = jnp.where(size < 13, math.pi / 3, math.pi / 5)
  cutoff = lowest + u[9] * (math.pi - lowest)
  is_sinc = (u[10] < how.sinc)[:, None, None]
  return jnp.where(is_sinc, sinc(cutoff, size), bells)


def draw_sinc(
  key: Array, count: int, sizes: tuple[int, ...], probability: float
) -> Array:
  """Sinc kernels with cut-offs from pi/3 to pi, or now and then none.

  Args:
    key: of the draw.
    count: how many.
    sizes: odd numbers up to `SIDE`, equally likely.
    probability: of a sinc; else the kernel changes nothing.

  Returns:
    float32 [count, SIDE, SIDE].
  """
  u = jax.random.uniform(key, (3, count))
  cutoff = between(u[0], (math.pi / 3, math.pi))
  used = (u[1] < probability)[:, None, None]
  return jnp.where(used, sinc(cutoff, pick(u[2], sizes)), identity())


def between(u: Array, limits: Pair) -> Array:
  """Uniform numbers of a range from uniform numbers of [0, 1)."""
  return limits[0] + u * (limits[1] - limits[0])


def choose(u: Array, probabilities: Sequence[float]) -> Array:
  """Positions with these probabilities, from uniform numbers of [0, 1)."""
  position = jnp.zeros(u.shape, jnp.int32)
  for bound in np.cumsum(probabilities)[:-1]:
    position += u >= float(bound)
  return position


def pick(u: Array, values: Sequence[int]) -> Array:
  """Members of a list, equally likely, from uniform numbers of [0, 1)."""
  return jnp.asarray(values)[(u * len(values)).astype(jnp.int32)]


def _exponent(side: Array, u: Array, limits: Pair) -> Array:
  below, above = between(u, (limits[0], 1.0)), between(u, (1.0, limits[1]))
  return jnp.where(side < 0.5, below, above)


def _grid() -> tuple[np.ndarray, np.ndarray]:
  """Rows and columns from the middle, each [1, SIDE, SIDE]."""
  steps = np.arange(-REACH, REACH + 1, dtype=np.float32)
  rows, columns = np.meshgrid(steps, steps, indexing="ij")
  return rows[None], columns[None]


def _finish(values: Array, size: Array) -> Array:
  """Zero outside of the size [N], sum 1."""
  rows, columns = _grid()
  reach = np.maximum(np.abs(rows), np.abs(columns))
  values = jnp.where(reach <= (size // 2)[:, None, None], values, 0.0)
  return values / jnp.sum(values, axis=(1, 2), keepdims=True)


def bell(
  sigma_x: Array,
  sigma_y: Array,
  angle: Array,
  beta: Array,
  plateau: Array,
  size: Array,
) -> Array:
  """Bell-shaped kernels of q = p^T S^-1 p, S = R diag(sx^2, sy^2) R^T.

  Args:
    sigma_x: [N] in pixels, along the columns before the turn.
    sigma_y: [N], along the rows.
    angle: [N] in radians, from the columns' axis towards the rows'.
    beta: [N], the exponent of q; 1 is a Gaussian's.
    plateau: bool [N]: 1 / (1 + q^beta) in place of exp(-q^beta / 2).
    size: int [N], odd.

  Returns:
    float32 [N, SIDE, SIDE], each of sum 1.
  """
  sigma_x, sigma_y, angle, beta, plateau = (
    a[:, None, None] for a in (sigma_x, sigma_y, angle, beta, plateau)
  )
  y, x = _grid()
  along = jnp.cos(angle) * x + jnp.sin(angle) * y
  across = -jnp.sin(angle) * x + jnp.cos(angle) * y
  q = jnp.square(along / sigma_x) + jnp.square(across / sigma_y)
  power = q**beta
  values = jnp.where(plateau, 1.0 / (1.0 + power), jnp.exp(-power / 2.0))
  return _finish(values, size)


def sinc(cutoff: Array, size: Array) -> Array:
  """Ideal circular low-pass filters, wc J1(wc r) / (2 pi r), cut to a size.

  Args:
    cutoff: wc [N] in radians for each pixel.
    size: int [N], odd.

  Returns:
    float32 [N, SIDE, SIDE], each of sum 1.
  """
  cutoff = cutoff[:, None, None]
  rows, columns = _grid()
  r = np.hypot(rows, columns)
  middle = r == 0
  safe = np.where(middle, 1.0, r)
  ring = cutoff * bessel_j1(cutoff * safe) / (2 * math.pi * safe)
  return _finish(jnp.where(middle, cutoff**2 / (4 * math.pi), ring), size)


def bessel_j1(x: Array) -> Array:
  """The Bessel function of the first kind and order one, |x| < 60.

  The midpoint rule on Bessel's integral, which converges beyond all powers
  since the integrand is periodic.
  """
  angles = (np.arange(_NODES) + 0.5) * (math.pi / _NODES)
  total = jnp.zeros_like(x)
  for angle in angles:
    total += jnp.cos(angle - x * math.sin(angle))
  return total / _NODES


def identity() -> np.ndarray:
  """The kernel that changes nothing, [1, SIDE, SIDE]."""
  rows, columns = _grid()
  return ((rows == 0) & (columns == 0)).astype(np.float32)


def blur(x: Array, kernels: Array, size: canvas.Size) -> Array:
  """Convolves each picture with its own kernel, mirrored at its borders.

  Args:
    x: float [N, H, W, C], a canvas.
    kernels: [N, SIDE, SIDE].
    size: height and width of the pictures.

  Returns:
    x's shape; meaningless outside of the pictures.
  """
  wide = canvas.reflect(x, size, REACH)
  # Through the frequencies: a grouped convolution of this size takes XLA 30
  # times as long on a CPU. Rounded up, since primes are slow to transform.
  shape = [n + -n % 32 for n in wide.shape[1:3]]
  spectrum = jnp.fft.rfft2(wide, shape, axes=(1, 2))
  response = jnp.fft.rfft2(kernels, shape)
  y = jnp.fft.irfft2(spectrum * response[..., None], shape, axes=(1, 2))
  first = 2 * REACH
  return y[:, first : first + x.shape[1], first : first + x.shape[2]]
