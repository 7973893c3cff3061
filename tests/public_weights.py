"""State dicts of public PyTorch layouts, filled with the hashed weights.

Names, shapes and order are those of BasicSR's networks.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tests import reference_weights as reference

Row = tuple[str, tuple[int, ...]]


def conv(
  name: str, out: int, inputs: int, size: int = 3, bias: bool = True
) -> Iterator[Row]:
  yield f"{name}.weight", (out, inputs, size, size)
  if bias:
    yield f"{name}.bias", (out,)


def norm(name: str, width: int) -> Iterator[Row]:
  for leaf in ("weight", "bias", "running_mean", "running_var"):
    yield f"{name}.{leaf}", (width,)


def dense(name: str, out: int, inputs: int) -> Iterator[Row]:
  yield f"{name}.weight", (out, inputs)
  yield f"{name}.bias", (out,)


def rrdb(
  blocks: int, width: int = 64, growth: int = 32, fold: int = 1
) -> Iterator[Row]:
  yield from conv("conv_first", width, 3 * fold**2)
  for i in range(blocks):
    for j in (1, 2, 3):
      for k in range(5):
        out = width if k == 4 else growth
        name = f"body.{i}.rdb{j}.conv{k + 1}"
        yield from conv(name, out, width + k * growth)
  for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
    yield from conv(name, width, width)
  yield from conv("conv_last", 3, width)


def compact(convs: int, width: int = 64, scale: int = 4) -> Iterator[Row]:
  for i in range(convs + 1):
    yield from conv(f"body.{2 * i}", width, width if i else 3)
    yield f"body.{2 * i + 1}.weight", (width,)
  yield from conv(f"body.{2 * convs + 2}", 3 * scale**2, width)


def edsr(
  blocks: int, width: int = 64, factors: Sequence[int] = (2, 2)
) -> Iterator[Row]:
  yield from conv("conv_first", width, 3)
  for i in range(blocks):
    for j in (1, 2):
      yield from conv(f"body.{i}.conv{j}", width, width)
  yield from conv("conv_after_body", width, width)
  for i, factor in enumerate(factors):
    yield from conv(f"upsample.{2 * i}", width * factor**2, width)
  yield from conv("conv_last", 3, width)


def msrresnet(
  blocks: int, width: int = 64, factors: Sequence[int] = (2, 2)
) -> Iterator[Row]:
  yield from conv("conv_first", width, 3)
  for i in range(blocks):
    for j in (1, 2):
      yield from conv(f"body.{i}.conv{j}", width, width)
  for i, factor in enumerate(factors):
    yield from conv(f"upconv{i + 1}", width * factor**2, width)
  yield from conv("conv_hr", width, width)
  yield from conv("conv_last", 3, width)


def vgg_style(width: int, halvings: int = 5, units: int = 100) -> Iterator[Row]:
  yield from conv("conv0_0", width, 3)
  inputs = width
  for i in range(1, 2 * halvings):
    stage, halves = divmod(i, 2)
    out = width * min(2**stage, 8)
    name = f"{stage}_{halves}"
    yield from conv(f"conv{name}", out, inputs, 3 + halves, bias=False)
    yield from norm(f"bn{name}", out)
    inputs = out
  yield from dense("linear1", units, inputs * 16)
  yield from dense("linear2", 1, units)


def unet(width: int) -> Iterator[Row]:
  """The U-Net discriminator without its singular vectors."""
  yield from conv("conv0", width, 3)
  widths = [width * f for f in (1, 2, 4, 8, 4, 2, 1, 1, 1)]
  for i, (inputs, out) in enumerate(zip(widths, widths[1:], strict=False)):
    yield f"conv{i + 1}.weight_orig", (out, inputs, *(2 * (4 - (i > 2),)))
  yield from conv("conv9", 1, width)


def state(rows: Iterator[Row]) -> dict[str, np.ndarray]:
  """name -> float64 array."""
  return {
    name: reference.values(t, _kind(name, shape), shape)
    for t, (name, shape) in enumerate(rows)
  }


def _kind(name: str, shape: tuple[int, ...]) -> str:
  leaf = name.rsplit(".", 1)[-1]
  if name.startswith("bn"):
    return {
      "weight": "scale",
      "bias": "beta",
      "running_mean": "mean",
      "running_var": "var",
    }[leaf]
  return "slope" if leaf == "weight" and len(shape) == 1 else leaf


def summary(array) -> tuple[float, float, float, float]:
  """Sum, mean absolute value, first and last of [N, H, W, C] or less."""
  array = np.asarray(array)
  if array.ndim == 4:
    array = array.transpose(0, 3, 1, 2)
  flat = array.reshape(-1)
  return flat.sum(), np.abs(flat).mean(), flat[0], flat[-1]
