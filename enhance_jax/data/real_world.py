"""The second-order degradation of Real-ESRGAN (Wang et al., arXiv 2107.10833).

Blur, resize, noise and JPEG, twice, with a sinc filter among the last steps:
what happens to a photograph between a camera and somebody's screen.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from enhance_jax.data import canvas, jpeg, kernels, noise
from enhance_jax.data.kernels import between, choose
from enhance_jax.data.sharpen import usm_sharpen
from enhance_jax.errors import EnhanceError

Array = jax.Array
Pair = tuple[float, float]
# A value for the first round and one for the second.
Pairs = tuple[Pair, Pair]


@dataclasses.dataclass(frozen=True)
class RealWorld:
  """HR -> LR with everything random from the key; defaults are the authors'.

  As in the authors' code, resize factors and modes, the kind of noise, the
  second blur and the order of the last steps are drawn once for a batch;
  kernels, strengths and qualities are each picture's own. Unlike there, a crop
  is degraded as it is: no 256 of 400 pixels are cut out afterwards, and no
  pool of earlier pairs is mixed in (a larger batch does that service).

  Sizes are random and yet traced, so the array that holds a picture is as
  large as the largest factor asks for.

  Attributes:
    scale: the factor between LR and HR.
    sharpen: start from USM-sharpened HR.
    kernel_sizes: of all kernels, odd, 21 at most, equally likely.
    kernel_kinds: probabilities of `kernels.KINDS`.
    sigma: range of the kernels' standard deviations in pixels, by round.
    generalized: range of the generalized bells' exponent.
    plateau: range of the plateaus' exponent.
    sinc: probability of a sinc in place of a bell.
    second_blur: probability that the second round blurs.
    final_sinc: probability of the sinc filter among the last steps.
    resize: probabilities of enlarging, reducing and keeping, by round.
    factors: smallest and largest resize factor, by round.
    gaussian: probability of Gaussian noise; else it is Poisson's.
    gaussian_sigma: range in 8-bit levels, by round.
    poisson_strength: range, by round.
    gray: probability that the noise is gray, by round.
    quality: range of the JPEG quality, by round.
  """

  scale: int
  sharpen: bool = True
  kernel_sizes: tuple[int, ...] = (7, 9, 11, 13, 15, 17, 19, 21)
  kernel_kinds: tuple[float, ...] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
  sigma: Pairs = ((0.2, 3.0), (0.2, 1.5))
  generalized: Pair = (0.5, 4.0)
  plateau: Pair = (1.0, 2.0)
  sinc: float = 0.1
  second_blur: float = 0.8
  final_sinc: float = 0.8
  resize: tuple[tuple[float, float, float], ...] = (
    (0.2, 0.7, 0.1),
    (0.3, 0.4, 0.3),
  )
  factors: Pairs = ((0.15, 1.5), (0.3, 1.2))
  gaussian: Pair = (0.5, 0.5)
  gaussian_sigma: Pairs = ((1.0, 30.0), (1.0, 25.0))
  poisson_strength: Pairs = ((0.05, 3.0), (0.05, 2.5))
  gray: Pair = (0.4, 0.4)
  quality: Pairs = ((30.0, 95.0), (30.0, 95.0))

  def __post_init__(self) -> None:
    """Refuses what would give an empty or wrong draw."""
    _check(self)

  def __call__(self, hr: Array, key: Array) -> Array:
    """Degrades a batch.

    Args:
      hr: float32 [N, H, W, 3] in [0, 1]; H and W are multiples of the scale.
      key: of the draw.

    Returns:
      float32 [N, H/scale, W/scale, 3] in [0, 1], rounded to 8 bits.
    """
    count, height, width, channels = hr.shape
    if channels != 3 or height % self.scale or width % self.scale:
      raise EnhanceError(
        f"real_world got pictures of {height}x{width} with {channels} channels "
        f"at scale {self.scale}; wanted RGB and sides that are multiples of "
        "the scale"
      )
    lr = height // self.scale, width // self.scale
    keys = jax.random.split(key, 4)
    x = usm_sharpen(hr) if self.sharpen else hr
    x, size = self._round(0, keys[0], x, (height, width), (height, width))
    quality = jax.random.uniform(keys[1], (2, count))
    x = _jpeg(x, size, between(quality[0], self.quality[0]))
    x, size = self._round(1, keys[2], x, size, lr)
    quality = between(quality[1], self.quality[1])
    x = self._finish(keys[3], x, size, lr, quality)
    return jnp.round(x * 255.0) / 255.0

  def _round(
    self,
    which: int,
    key: Array,
    x: Array,
    size: canvas.Size,
    target: tuple[int, int],
  ) -> tuple[Array, canvas.Size]:
    """Blur, resize to about `target` and noise; gives pictures and size."""
    keys = jax.random.split(key, 3)
    u = jax.random.uniform(keys[0], (5,))
    kernel = self._kernels(which, keys[1], x.shape[0])
    if which == 1:
      kernel = jnp.where(u[0] < self.second_blur, kernel, kernels.identity())
    x = kernels.blur(x, kernel, size)
    factor = self._factor(which, u[1], u[2])
    room = tuple(math.floor(side * self.factors[which][1]) for side in target)
    new = tuple(
      jnp.clip((side * factor).astype(jnp.int32), 1, most)
      for side, most in zip(target, room, strict=True)
    )
    # The first resize is by a factor, the second to a size.
    step = 1.0 / factor if which == 0 else None
    x = canvas.resize(x, size, new, _mode(u[3]), canvas=room, step=step)
    return self._noise(which, keys[2], u[4], x, new), new

  def _kernels(self, which: int, key: Array, count: int) -> Array:
    how = kernels.Drawing(
      sizes=self.kernel_sizes,
      kinds=self.kernel_kinds,
      sigma=self.sigma[which],
      generalized=self.generalized,
      plateau=self.plateau,
      sinc=self.sinc,
    )
    return kernels.draw(key, count, how)

  def _factor(self, which: int, kind: Array, share: Array) -> Array:
    low, high = self.factors[which]
    options = [between(share, (1.0, high)), between(share, (low, 1.0)), 1.0]
    options = jnp.stack([jnp.asarray(option) for option in options])
    return options[choose(kind, self.resize[which])]

  def _noise(
    self, which: int, key: Array, kind: Array, x: Array, size: canvas.Size
  ) -> Array:
    keys = jax.random.split(key)
    u = jax.random.uniform(keys[0], (2, x.shape[0]))
    sigma = between(u[0], self.gaussian_sigma[which]) / 255.0
    strength = between(u[0], self.poisson_strength[which])
    gray = u[1] < self.gray[which]
    noisy = jax.lax.cond(
      kind < self.gaussian[which],
      lambda: noise.gaussian(keys[1], x, sigma, gray),
      lambda: noise.poisson(keys[1], x, strength, gray, size),
    )
    return jnp.clip(noisy, 0.0, 1.0)

  def _finish(
    self,
    key: Array,
    x: Array,
    size: canvas.Size,
    lr: tuple[int, int],
    quality: Array,
  ) -> Array:
    """Resize to LR, sinc filter and JPEG, with the JPEG last or first."""
    keys = jax.random.split(key)
    u = jax.random.uniform(keys[0], (2,))
    kernel = kernels.draw_sinc(
      keys[1], x.shape[0], self.kernel_sizes, self.final_sinc
    )
    jpeg_last = u[0] < 0.5
    x = jnp.where(jpeg_last, x, _jpeg(x, size, quality))
    x = canvas.resize(x, size, lr, _mode(u[1]), canvas=lr)
    x = jnp.clip(kernels.blur(x, kernel, lr), 0.0, 1.0)
    return jnp.where(jpeg_last, _jpeg(x, lr, quality), x)


def _mode(u: Array) -> Array:
  return kernels.pick(u, range(len(canvas.MODES)))


def _jpeg(x: Array, size: canvas.Size, quality: Array) -> Array:
  """Compresses the pictures of a canvas; zeros outside of them."""
  black = jnp.where(canvas.inside(x.shape, size), x, 0.0)
  return jpeg.compress(black, quality)


def _check(settings: RealWorld) -> None:
  """Refuses sizes, probabilities and ranges that cannot be drawn from."""
  for size in settings.kernel_sizes:
    if size % 2 == 0 or not 1 <= size <= kernels.SIDE:
      raise EnhanceError(
        f"real_world got a kernel size of {size}; wanted odd numbers up to "
        f"{kernels.SIDE}"
      )
  for name, rows, length in (
    ("kernel_kinds", [settings.kernel_kinds], len(kernels.KINDS)),
    ("resize", settings.resize, 3),
  ):
    for row in rows:
      if len(row) != length or not math.isclose(sum(row), 1, abs_tol=1e-6):
        raise EnhanceError(
          f"real_world got {name}={row}; wanted {length} probabilities whose "
          "sum is 1"
        )
  for low, high in settings.factors:
    if not 0 < low <= 1 <= high:
      raise EnhanceError(
        f"real_world got the resize factors {low} to {high}; wanted a range "
        "above 0 that holds 1"
      )
