"""Pictures of random size inside arrays of fixed size, for one compilation.

A canvas [N, H, W, C] holds pictures of h x w pixels in its top left corner,
where h <= H and w <= W are traced numbers, the same for the whole batch. What
lies outside is zero after `resize` and meaningless otherwise.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

Array = jax.Array
# Height and width, traced or not.
Size = Sequence[Array | int]

# PyTorch's interpolation modes, none of them antialiased but the first.
MODES = ("area", "bilinear", "bicubic")
# PyTorch's (and OpenCV's) cubic; MATLAB's is -0.5.
_CUBIC = -0.75


def resize(
  x: Array,
  size: Size,
  new: Size,
  mode: Array | int,
  *,
  canvas: Sequence[int],
  step: Array | float | None = None,
) -> Array:
  """Resizes as PyTorch's `interpolate` does without aligned corners.

  Args:
    x: float [N, H, W, C], a canvas.
    size: height and width of the pictures.
    new: height and width to give them.
    mode: position in `MODES`.
    canvas: height and width of the resulting canvas, at least `new`.
    step: input pixels for each output pixel; None takes the ratio of sizes.
      PyTorch goes by the factor where it is given one ("area" never does).

  Returns:
    [N, *canvas, C], zero outside of the pictures.
  """
  for axis, path in enumerate(("oh,nhwc->nowc", "ow,nhwc->nhoc")):
    matrix = weights(
      size[axis],
      new[axis],
      mode,
      shape=(canvas[axis], x.shape[1 + axis]),
      step=step,
    )
    x = jnp.einsum(path, matrix, x, precision="highest")
  return x


def weights(
  n_in: Array | int,
  n_out: Array | int,
  mode: Array | int,
  *,
  shape: tuple[int, int],
  step: Array | float | None = None,
) -> Array:
  """The matrix of one axis.

  Args:
    n_in: pixels before, traced or not.
    n_out: pixels after.
    mode: position in `MODES`.
    shape: of the matrix: pixels of the canvas after and before.
    step: as for `resize`.

  Returns:
    float32 of `shape`; rows from n_out on and columns from n_in on are zero.
  """
  out = jnp.arange(shape[0])[:, None]
  source = jnp.arange(shape[1])[None, :]
  last = jnp.asarray(n_in) - 1
  start = out * n_in // n_out
  stop = ((out + 1) * n_in + n_out - 1) // n_out
  area = ((source >= start) & (source < stop)) / (stop - start)
  ratio = jnp.asarray(n_in) / n_out if step is None else step
  centre = (out + 0.5) * ratio - 0.5
  linear = _taps(source, jnp.maximum(centre, 0.0), last, (0, 1), _triangle)
  cubic = _taps(source, centre, last, (-1, 0, 1, 2), _keys)
  chosen = jnp.stack([area, linear, cubic])[mode]
  return jnp.where(out < n_out, chosen, 0.0)


def _taps(source, centre, last, offsets, kernel) -> Array:
  """Taps around each centre; those beyond a border fall on the edge pixel."""
  first = jnp.floor(centre)
  total = jnp.zeros((), jnp.float32)
  for offset in offsets:
    index = jnp.clip(first.astype(jnp.int32) + offset, 0, last)
    value = kernel(centre - first - offset)
    total += jnp.where(source == index, value, 0.0)
  return total


def _triangle(t: Array) -> Array:
  return 1.0 - jnp.abs(t)


def _keys(t: Array) -> Array:
  t, a = jnp.abs(t), _CUBIC
  near = ((a + 2) * t - (a + 3)) * t * t + 1
  far = a * (((t - 5) * t + 8) * t - 4)
  return jnp.where(t <= 1, near, far)


def inside(shape: tuple[int, ...], size: Size) -> Array:
  """Where the pictures of a canvas [N, H, W, C] are: bool [1, H, W, 1]."""
  rows = jnp.arange(shape[1]) < size[0]
  columns = jnp.arange(shape[2]) < size[1]
  return (rows[:, None] & columns[None, :])[None, :, :, None]


def reflect(x: Array, size: Size, margin: int) -> Array:
  """Widens a canvas by `margin` on each side, mirrored without the edge pixel.

  Args:
    x: [N, H, W, C], pictures of `size`.
    size: height and width of the pictures.
    margin: may exceed the size: mirrors mirror each other.

  Returns:
    [N, H + 2 margin, W + 2 margin, C]; the mirrors begin where the pictures
    end, not where the canvas does.
  """
  for axis in (0, 1):
    n = jnp.asarray(size[axis])
    index = jnp.arange(-margin, x.shape[1 + axis] + margin)
    period = jnp.maximum(2 * (n - 1), 1)
    index = index % period
    index = jnp.minimum(index, period - index)
    # A single pixel has no neighbour to mirror.
    x = jnp.take(x, jnp.minimum(index, n - 1), axis=1 + axis, mode="clip")
  return x
