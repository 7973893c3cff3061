"""Small sets live in device memory as uint8; crops are cut inside the step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from enhance_jax import errors
from enhance_jax.data import sources


@dataclasses.dataclass(frozen=True)
class Store:
  """All pictures of a source, end to end.

  Attributes:
    pixels: uint8 [P, C], every picture's pixels in row order.
    table: int32 [N, 3], each picture's first pixel, height and width.
  """

  pixels: np.ndarray
  table: np.ndarray

  def rows(self) -> np.ndarray:
    """Number, height and width of every picture, int32 [N, 3]."""
    numbers = np.arange(len(self.table), dtype=np.int32)[:, None]
    return np.concatenate([numbers, self.table[:, 1:]], axis=1)


def load(source: sources.Source) -> Store:
  """Reads every picture of a source into one array.

  Raises:
    EnhanceError: no picture is usable, or there are too many pixels.
  """
  pictures = [source[index] for index in range(len(source))]
  sizes = np.array([picture.shape[:2] for picture in pictures], np.int32)
  total = int(np.prod(sizes, axis=1, dtype=np.int64).sum())
  if total > np.iinfo(np.int32).max:
    raise errors.EnhanceError(
      f"{source!r} has {total:,} pixels, too many for the resident pipeline; "
      "set config.data.pipeline=grain"
    )
  starts = np.cumsum([0, *(sizes[:-1, 0] * sizes[:-1, 1])], dtype=np.int32)
  channels = pictures[0].shape[-1]
  return Store(
    pixels=np.concatenate([p.reshape(-1, channels) for p in pictures]),
    table=np.concatenate([starts[:, None], sizes], axis=1),
  )


def cut(
  pixels: jax.Array,
  table: jax.Array,
  plan: dict[str, jax.Array],
  crop: tuple[int, int],
) -> jax.Array:
  """Cuts, flips and turns a batch of crops; traceable.

  Args:
    pixels: uint8 [P, C], from `Store`.
    table: int32 [N, 3], from `Store`.
    plan: int32 [B] arrays picture, top, left, flip, turn.
    crop: height and width in pixels; where they differ, turns must be 0.

  Returns:
    uint8 [B, *crop, C].
  """
  rows, columns = crop
  row, column = jnp.meshgrid(
    jnp.arange(rows), jnp.arange(columns), indexing="ij"
  )
  turned_row, turned_column = row[None], column[None]
  if rows == columns:
    last = rows - 1
    turned_row = jnp.stack([row, column, last - row, last - column])
    turned_column = jnp.stack([column, last - row, last - column, row])

  def one(plan):
    start, _, width = table[plan["picture"]]
    y = turned_row[plan["turn"]]
    x = turned_column[plan["turn"]]
    x = jnp.where(plan["flip"], columns - 1 - x, x)
    return pixels[start + (plan["top"] + y) * width + plan["left"] + x]

  return jax.vmap(one)(plan)
