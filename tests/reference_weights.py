"""Deterministic weights and their way from PyTorch's layout to ours.

The hash and the tables of expected outputs were made with PyTorch 2.13 in
float64, apart from this project.
"""

from collections.abc import Iterator, Sequence

import numpy as np

# (where it goes in our variables, what it is in PyTorch)
Slot = tuple[tuple[str, ...], str]


def hashed(t: int, count: int) -> np.ndarray:
  """The t-th array's values: an integer hash of their index, in +-0.5."""
  mask = np.uint64(2**32 - 1)
  h = np.arange(count, dtype=np.uint64) * np.uint64(2654435761)
  h = (h + np.uint64(40503 * t + 12345)) & mask
  h ^= h >> np.uint64(16)
  h = (h * np.uint64(2246822519)) & mask
  h ^= h >> np.uint64(13)
  h = (h * np.uint64(3266489917)) & mask
  h ^= h >> np.uint64(16)
  return h.astype(np.float64) / 2**32 - 0.5


def values(t: int, kind: str, shape: Sequence[int]) -> np.ndarray:
  """The t-th array of a net in PyTorch's shape and order of elements."""
  u = hashed(t, int(np.prod(shape))).reshape(shape)
  if len(shape) >= 2:
    return u * np.sqrt(12) * np.sqrt(2 / np.prod(shape[1:]))
  offset = {"slope": 0.25, "scale": 1.0, "var": 1.0}.get(kind, 0.0)
  factor = {"scale": 0.2, "beta": 0.2, "mean": 0.2, "var": 1.0 / 2.0}
  return offset + factor.get(kind, 0.1) * u


def wave(n: int, c: int, h: int, w: int) -> np.ndarray:
  """The reference input, [N, H, W, C] in [0, 1]."""
  b, i, j, k = np.ogrid[:n, :h, :w, :c]
  return 0.5 + 0.5 * np.sin(0.3 * i + 0.5 * j + 1.1 * k + 0.7 * b)


def _conv(name: str, prefix: tuple[str, ...] = ()) -> Iterator[Slot]:
  yield ("params", *prefix, name, "kernel"), "conv"


def _biased(name: str, prefix: tuple[str, ...] = ()) -> Iterator[Slot]:
  yield from _conv(name, prefix)
  yield ("params", *prefix, name, "bias"), "bias"


def _norm(name: str, prefix: tuple[str, ...] = ()) -> Iterator[Slot]:
  yield ("params", *prefix, name, "scale"), "scale"
  yield ("params", *prefix, name, "bias"), "beta"
  yield ("batch_stats", *prefix, name, "mean"), "mean"
  yield ("batch_stats", *prefix, name, "var"), "var"


def _slope(name: str, prefix: tuple[str, ...] = ()) -> Iterator[Slot]:
  yield ("params", *prefix, name, "slope"), "slope"


def generator_slots(blocks: int, stages: int = 2) -> Iterator[Slot]:
  """SRResNet's arrays in the order of a PyTorch state dict."""
  yield from _biased("conv_in")
  yield from _slope("prelu_in")
  for i in range(blocks):
    prefix = (f"block_{i:02d}",)
    yield from _conv("conv_1", prefix)
    yield from _norm("norm_1", prefix)
    yield from _slope("prelu", prefix)
    yield from _conv("conv_2", prefix)
    yield from _norm("norm_2", prefix)
  yield from _conv("conv_mid")
  yield from _norm("norm_mid")
  for i in range(stages):
    yield from _biased(f"conv_up_{i}")
    yield from _slope(f"prelu_up_{i}")
  yield from _biased("conv_out")


def discriminator_slots(batch_norm: bool = True) -> Iterator[Slot]:
  """The discriminator's arrays in the order of a PyTorch state dict."""
  yield from _biased("conv_0")
  for i in range(1, 8):
    if batch_norm:
      yield from _conv(f"conv_{i}")
      yield from _norm(f"norm_{i}")
    else:
      yield from _biased(f"conv_{i}")
  for i in range(2):
    yield ("params", f"dense_{i}", "kernel"), f"dense_{i}"
    yield ("params", f"dense_{i}", "bias"), "bias"


def torch_shape(slot: Slot, ours: Sequence[int]) -> tuple[int, ...]:
  """The shape PyTorch has for an array of ours."""
  if slot[1] == "conv":
    return ours[3], ours[2], ours[0], ours[1]
  return tuple(reversed(ours))


def to_ours(slot: Slot, array: np.ndarray, final_width: int) -> np.ndarray:
  """An array of PyTorch's layout in ours.

  Args:
    slot: what the array is.
    array: its values.
    final_width: channels before the flattening, for the first dense layer.
  """
  kind = slot[1]
  if kind == "conv":
    return array.transpose(2, 3, 1, 0)
  if kind == "dense_0":
    side = round((array.shape[1] / final_width) ** 0.5)
    array = array.reshape(array.shape[0], final_width, side, side)
    return array.transpose(2, 3, 1, 0).reshape(-1, array.shape[0])
  return array.T


def fill(
  slots: Sequence[Slot],
  arrays: Sequence[np.ndarray],
  final_width: int = 512,
) -> dict:
  """Our variables from PyTorch arrays in the slots' order."""
  variables: dict = {}
  for slot, array in zip(slots, arrays, strict=True):
    *path, leaf = slot[0]
    node = variables
    for key in path:
      node = node.setdefault(key, {})
    node[leaf] = to_ours(slot, array, final_width)
  return variables


def golden(slots: Sequence[Slot], shapes: dict) -> dict:
  """Our variables filled with the hashed weights.

  Args:
    slots: the net's arrays in order.
    shapes: our variables, as arrays or shapes.
  """
  arrays = []
  for t, slot in enumerate(slots):
    leaf = shapes
    for key in slot[0]:
      leaf = leaf[key]
    arrays.append(values(t, slot[1], torch_shape(slot, leaf.shape)))
  return fill(slots, arrays)
