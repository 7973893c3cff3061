"""What the frozen ImageNet networks share: checks, layers, array layout."""

import functools
from collections.abc import Collection, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from enhance_jax.errors import EnhanceError, nearest
from enhance_jax.models.layers import convolve

Array = jax.Array
Layer = Mapping[str, Array]

# ImageNet statistics of RGB in [0, 1] that torchvision's weights are made for.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def check(
  network: str, x: Array, taps: Sequence[str], known: Sequence[str]
) -> None:
  """Refuses unknown taps and pictures without three channels.

  Args:
    network: its name in words.
    x: should be [N, H, W, 3].
    taps: names asked for.
    known: names there are.

  Raises:
    EnhanceError: no such tap, or x has not three channels.
  """
  for tap in taps:
    if tap not in known:
      raise EnhanceError(f'{network} has no tap "{tap}"; {nearest(tap, known)}')
  if x.ndim != 4 or x.shape[-1] != 3:
    raise EnhanceError(
      f"{network} got pictures of shape {x.shape}; wanted RGB [N, H, W, 3]; "
      "gray ones must be repeated in three channels"
    )


class Taps:
  """Gathers named activations and says when all are there.

  Args:
    wanted: the names asked for.
  """

  def __init__(self, wanted: Collection[str]):
    self._wanted = set(wanted)
    self.found: dict[str, Array] = {}

  @property
  def complete(self) -> bool:
    """Whether nothing deeper is needed."""
    return len(self.found) == len(self._wanted)

  def keep(self, tap: str, x: Array) -> None:
    """Takes x, as float32 at least, if it was asked for."""
    if tap in self._wanted:
      self.found[tap] = x.astype(jnp.promote_types(x.dtype, jnp.float32))


def normalize(x: Array, mean: Sequence[float], std: Sequence[float]) -> Array:
  """(x - mean) / std, channel by channel."""
  shape = (1, 1, 1, 3)
  return (x - jnp.asarray(mean).reshape(shape)) / jnp.asarray(std).reshape(
    shape
  )


def conv(x: Array, layer: Layer, *, stride: int = 1, padding: int) -> Array:
  """A convolution with bias in x's type."""
  bias = layer["bias"].astype(x.dtype).reshape(1, 1, 1, -1)
  return convolve(x, layer["kernel"].astype(x.dtype), stride, padding) + bias


def max_pool(x: Array, size: int, *, ceil: bool = False) -> Array:
  """Maximum of size x size windows, 2 pixels apart.

  As maxima of shifted pictures, one axis after the other, because on CPU the
  gradient of XLA's own window is up to 20 times slower. Where values are equal
  they share the gradient.

  Args:
    x: [N, H, W, C].
    size: of the window.
    ceil: let a last window reach over the edge, as Caffe does, where otherwise
      rows or columns would be left over.

  Raises:
    EnhanceError: x is smaller than the window.
  """
  h, w = x.shape[1:3]
  if min(h, w) < size:
    raise EnhanceError(
      f"the pictures are too small for the layers asked for: {h}x{w} are left "
      f"where a pool needs {size}x{size}; use larger crops or earlier layers"
    )
  for axis in (1, 2):
    x = _maximum(x, axis, size, ceil)
  return x


def _maximum(x: Array, axis: int, size: int, ceil: bool) -> Array:
  beyond = x.shape[axis] - size
  last = 2 * (-(-beyond // 2) if ceil else beyond // 2)
  pads = [(0, 0, 0)] * x.ndim
  pads[axis] = (0, max(0, last - beyond), 0)
  x = jax.lax.pad(x, jnp.asarray(-jnp.inf, x.dtype), pads)
  shifted = [
    jax.lax.slice_in_dim(x, i, i + last + 1, stride=2, axis=axis)
    for i in range(size)
  ]
  return functools.reduce(jnp.maximum, shifted)


def torch_layer(
  tensors: Mapping[str, np.ndarray],
  key: str,
  *,
  size: int,
  channels: int,
  what: str,
) -> dict[str, np.ndarray]:
  """A convolution of a PyTorch state dict in this project's order.

  Args:
    tensors: name -> array.
    key: the layer's name there.
    size: its kernel's height and width.
    channels: its input channels.
    what: the network's and the layer's name, for messages.

  Returns:
    float32 kernel [size, size, channels, O] and bias [O].

  Raises:
    EnhanceError: absent or of another shape.
  """
  network = what.partition(" ")[0]
  kernel, bias = tensors.get(f"{key}.weight"), tensors.get(f"{key}.bias")
  if kernel is None or bias is None:
    raise EnhanceError(
      f"this is not {network}: it lacks {key}.weight or .bias ({what}) of "
      "torchvision's layout"
    )
  if kernel.shape != (*bias.shape, channels, size, size):
    raise EnhanceError(
      f"this is not {network}: {key} ({what}) has a weight of shape "
      f"{kernel.shape} and a bias of shape {bias.shape}; wanted "
      f"(C, {channels}, {size}, {size}) and (C,)"
    )
  return {
    "kernel": kernel.transpose(2, 3, 1, 0).astype(np.float32),
    "bias": bias.astype(np.float32),
  }
