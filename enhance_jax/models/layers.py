"""Layers shared by the networks: convolution, batch norm, PReLU, shuffle."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from enhance_jax.errors import EnhanceError

Array = jax.Array
# Zeros (above, below) and (left, right).
Pads = tuple[tuple[int, int], tuple[int, int]]
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def torch_uniform(fan_in: int) -> nn.initializers.Initializer:
  """PyTorch's default start for kernels and biases: U(+-1/sqrt(fan_in))."""
  bound = 1.0 / math.sqrt(fan_in)

  def init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32):
    return jax.random.uniform(key, shape, dtype, -bound, bound)

  return init


def doublings(scale: int) -> int:
  """How many stages that double the size make up `scale`.

  Raises:
    EnhanceError: the scale is no power of two.
  """
  if scale < 1 or scale & (scale - 1):
    raise EnhanceError(
      f"scale {scale} is no power of two, and every stage of this network "
      "doubles the size; use 1, 2, 4 or 8"
    )
  return scale.bit_length() - 1


def convolve(x: Array, kernel: Array, stride: int, padding: int | str) -> Array:
  """Convolves [N, H, W, I] with [k, k, I, O] after zero padding.

  `padding` is the zeros on every side, or "same": TensorFlow's padding, as
  few as make ceil(H / stride) outputs, the odd one below and on the right.

  On CPUs three kinds of gradients, told apart by their shapes, take another
  but equal way, because XLA's own is slow there. Such a convolution has no
  forward-mode derivative; reverse mode works to any order.
  """
  size = kernel.shape[0]
  rows, columns = (_pads(n, size, stride, padding) for n in x.shape[1:3])
  pads = (rows, columns)
  if _scatters(x, kernel, stride) or _thin(kernel, stride):
    return _convolve(x, kernel, stride, pads)
  return _plain(x, kernel, stride, pads)


def _pads(
  length: int, size: int, stride: int, padding: int | str
) -> tuple[int, int]:
  """Zeros before and after one axis."""
  if isinstance(padding, int):
    return padding, padding
  if padding != "same":
    raise EnhanceError(
      f'padding "{padding}" is unknown; use a number of zeros or "same"'
    )
  total = max(0, (-(-length // stride) - 1) * stride + size - length)
  return total // 2, total - total // 2


def _plain(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
  return jax.lax.conv_general_dilated(
    x, kernel, (stride, stride), pads, dimension_numbers=DIMENSIONS
  )


def _scatters(x: Array, kernel: Array, stride: int) -> bool:
  # XLA convolves dilated zeros for the input gradient of a strided
  # convolution, and first turns the whole kernel around for any other, which
  # dominates where the kernel is larger than the pictures.
  if stride > kernel.shape[0]:  # Some pixels have no tap at all.
    return False
  if stride > 1:
    return True
  pixels = math.prod(x.shape[:3])
  # Sizes are left open for use alone, where no gradient is asked for.
  known = isinstance(pixels, int)
  return known and kernel.size > pixels * max(kernel.shape[2:])


def _thin(kernel: Array, stride: int) -> bool:
  # XLA's kernel gradient is a matrix product only as wide as the outputs.
  return stride == 1 and kernel.shape[0] >= 5 and kernel.shape[3] <= 4


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
  return _plain(x, kernel, stride, pads)


def _forward(x: Array, kernel: Array, stride: int, pads: Pads):
  return _plain(x, kernel, stride, pads), (x, kernel)


def _backward(stride: int, pads: Pads, saved, g: Array):
  x, kernel = saved

  def plain(x, kernel, g):
    def run(x, kernel):
      return _plain(x, kernel, stride, pads)

    return jax.vjp(run, x, kernel)[1](g)

  def on_cpu(x, kernel, g):
    dx, dkernel = plain(x, kernel, g)
    if _scatters(x, kernel, stride):
      dx = _scatter_gradient(x.shape, kernel, g, stride, pads)
    if _thin(kernel, stride):
      rows = functools.partial(_sum_of_rows, x, pads=pads)
      dkernel = jax.vjp(rows, kernel)[1](g)[0]
    return dx, dkernel

  return jax.lax.platform_dependent(x, kernel, g, cpu=on_cpu, default=plain)


_convolve.defvjp(_forward, _backward)


def _scatter_gradient(
  shape: tuple[int, ...], kernel: Array, g: Array, stride: int, pads: Pads
) -> Array:
  """The input gradient as one matrix product and a sum of shifted taps."""
  size, _, features, _ = kernel.shape
  taps = jax.lax.dot_general(
    g,
    kernel.reshape(size * size * features, -1),
    (((3,), (1,)), ((), ())),
    preferred_element_type=jnp.promote_types(g.dtype, jnp.float32),
  )
  taps = taps.reshape(*g.shape[:3], size, size, features)
  (above, _), (left, _) = pads
  rows = []
  for a in range(size):
    row = [taps[..., a, b, :] for b in range(size)]
    rows.append(_interleave(row, stride, left, 2, shape[2]))
  return _interleave(rows, stride, above, 1, shape[1]).astype(g.dtype)


def _interleave(
  taps: list[Array], stride: int, before: int, axis: int, length: int
) -> Array:
  """Adds entry r of tap a at stride r + a - before along an axis."""
  steps = -(-length // stride)
  phases = []
  for phase in range(stride):
    total = jnp.zeros((), taps[0].dtype)
    for a, tap in enumerate(taps):
      offset, rest = divmod(a - before, stride)
      if rest == phase:
        pads = [(0, 0, 0)] * tap.ndim
        pads[axis] = (offset, steps - tap.shape[axis] - offset, 0)
        total += jax.lax.pad(tap, jnp.zeros((), tap.dtype), pads)
    phases.append(total)
  whole = list(taps[0].shape)
  whole[axis] = steps * stride
  stacked = jnp.stack(phases, axis + 1).reshape(whole)
  return jax.lax.slice_in_dim(stacked, 0, length, axis=axis)


def _sum_of_rows(x: Array, kernel: Array, *, pads: Pads) -> Array:
  """The convolution as one along x to k O channels, then a sum along y."""
  size, _, features, out = kernel.shape
  # A separate pad: XLA is slow where a kernel of height 1 pads the height.
  tall = jnp.pad(x, ((0, 0), pads[0], (0, 0), (0, 0)))
  rows = jax.lax.conv_general_dilated(
    tall,
    kernel.transpose(1, 2, 0, 3).reshape(1, size, features, size * out),
    (1, 1),
    ((0, 0), pads[1]),
    dimension_numbers=DIMENSIONS,
  )
  height = rows.shape[1] - size + 1
  parts = rows.reshape(*rows.shape[:3], size, out)
  shifted = [parts[:, a : a + height, :, a] for a in range(size)]
  return functools.reduce(jnp.add, shifted)


class Conv(nn.Module):
  """A square convolution, by default with PyTorch's padding.

  Parameters are float32: `kernel` [k, k, I, O] and, if wanted, `bias` [O].
  The products are computed in `dtype`; the result has that type.

  Attributes:
    features: output channels.
    size: kernel size k.
    stride: step of the output grid in input pixels.
    padding: zeros on every side, None means size // 2; or "same", which is
      TensorFlow's and another than None's where the stride is 2.
    use_bias: off before a batch norm, which would cancel it.
    dtype: type of the computation.
    kernel_init: None means PyTorch's default.
    bias_init: likewise.
  """

  features: int
  size: int = 3
  stride: int = 1
  padding: int | str | None = None
  use_bias: bool = True
  dtype: Any = jnp.float32
  kernel_init: nn.initializers.Initializer | None = None
  bias_init: nn.initializers.Initializer | None = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps [N, H, W, I] to [N, H', W', features]."""
    shape = (self.size, self.size, x.shape[-1], self.features)
    default = torch_uniform(self.size * self.size * x.shape[-1])
    kernel = self.param("kernel", self.kernel_init or default, shape)
    padding = self.size // 2 if self.padding is None else self.padding
    y = convolve(
      x.astype(self.dtype), kernel.astype(self.dtype), self.stride, padding
    )
    if not self.use_bias:
      return y
    bias = self.param("bias", self.bias_init or default, (self.features,))
    # Added in the bias's own type, so that its gradient is summed in it too.
    return (y + _channels(bias, y)).astype(self.dtype)


class BatchNorm(nn.Module):
  """Batch normalisation with float32 statistics over N, H and W.

  With `train` it normalises by the batch and moves the running statistics
  (collection `batch_stats`: mean, biased var) a step of 1 - momentum; else it
  normalises by the running ones. Under jit with a batch sharded over devices
  the batch is the global one.

  Attributes:
    momentum: weight of the old running statistics; PyTorch's 0.1 is 0.9 here.
    epsilon: added to the variance.
    use_scale: off leaves the factor out, as tf.contrib.layers did.
    running: off normalises by the batch always and keeps no statistics, so
      that a picture's result depends on the others beside it.
    dtype: type of the result.
  """

  momentum: float = 0.9
  epsilon: float = 1e-5
  use_scale: bool = True
  running: bool = True
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    """Maps [N, H, W, C] to the same shape."""
    features = (x.shape[-1],)
    bias = self.param("bias", nn.initializers.zeros, features)
    wide = x.astype(bias.dtype)
    mean, var = self._statistics(wide, train)
    factor = jax.lax.rsqrt(var + self.epsilon)
    if self.use_scale:
      factor *= self.param("scale", nn.initializers.ones, features)
    y = (wide - _channels(mean, x)) * _channels(factor, x) + _channels(bias, x)
    return y.astype(self.dtype)

  def _statistics(self, x: Array, train: bool) -> tuple[Array, Array]:
    """Mean and variance to normalise by; moves the running ones."""
    features = (x.shape[-1],)
    running = None
    if self.running:
      running = (
        self.variable("batch_stats", "mean", jnp.zeros, features),
        self.variable("batch_stats", "var", jnp.ones, features),
      )
      if not train:
        return running[0].value, running[1].value
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(x, axes)
    var = jnp.maximum(jnp.mean(jnp.square(x), axes) - mean**2, 0.0)
    if running is not None and not self.is_initializing():
      for old, new in zip(running, (mean, var), strict=True):
        old.value += (1.0 - self.momentum) * (new - old.value)
    return mean, var


class PReLU(nn.Module):
  """x where positive, slope * x elsewhere; the slope is learned.

  Attributes:
    kind: "channel" for one slope a channel (Lasagne), "scalar" for one in all
      (PyTorch's default).
    start: the slope before training.
  """

  kind: str = "channel"
  start: float = 0.25

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps [..., C] to the same shape and type."""
    if self.kind not in ("channel", "scalar"):
      raise EnhanceError(
        f'PReLU kind "{self.kind}" is unknown; use "channel" or "scalar"'
      )
    count = x.shape[-1] if self.kind == "channel" else 1
    start = nn.initializers.constant(self.start)
    slope = self.param("slope", start, (count,))
    negative = (_channels(slope, x) * x).astype(x.dtype)
    return jnp.where(x >= 0, x, negative)


def pixel_shuffle(x: Array, factor: int) -> Array:
  """Moves channels to space: [N, H, W, C r^2] to [N, H r, W r, C].

  Channel order of PyTorch's PixelShuffle: c r^2 + dy r + dx.
  """
  n, h, w, c = x.shape
  if c % factor**2:
    raise EnhanceError(
      f"pixel_shuffle got {c} channels; wanted a multiple of {factor**2}"
    )
  c //= factor**2
  x = x.reshape(n, h, w, c, factor, factor).transpose(0, 1, 4, 2, 5, 3)
  return x.reshape(n, h * factor, w * factor, c)


def repeat_pixels(x: Array, factor: int) -> Array:
  """Enlarges by "nearest": [N, H, W, C] to [N, H r, W r, C]."""
  n, h, w, c = x.shape
  x = x.reshape(n, h, 1, w, 1, c)
  x = jnp.broadcast_to(x, (n, h, factor, w, factor, c))
  return x.reshape(n, h * factor, w * factor, c)


def _channels(vector: Array, x: Array) -> Array:
  """A [C] vector with the rank of x, since silent promotion is off."""
  return vector.reshape((1,) * (x.ndim - 1) + vector.shape)
