"""Losses between unaligned features: contextual, and contextual bilateral.

Every position of sr is compared with every one of hr: N x M numbers a picture,
about 17 million for 64 x 64 positions. So larger maps are sub-sampled, and the
matrix is made a block of rows at a time, where the backward pass needs it, too.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from enhance_jax.errors import EnhanceError
from enhance_jax.losses.pixel import check

Array = jax.Array

# Entries of the matrix of one picture that exist at once: 4 MB in float32.
_BLOCK = 2**20
_COORDINATES = 255.0
_EXACT = jax.lax.Precision.HIGHEST


def contextual(
  sr: Array,
  hr: Array,
  *,
  bandwidth: float = 0.5,
  epsilon: float = 1e-5,
  points: int = 64,
  key: Array | None = None,
) -> Array:
  """The contextual loss (Mechrez et al., arXiv 1803.02077).

  Both maps less hr's mean over batch and space; d_ij = (1 - cosine) / 2 of the
  i-th vector of sr and the j-th of hr, over the least of its row plus epsilon;
  CX_ij is the softmax over j of -d_ij / bandwidth. The loss is -log of the
  mean over j of the largest CX_ij.

  Args:
    sr: features [N, H, W, C] of the generated pictures.
    hr: those of the truth, the same shape.
    bandwidth: of the softmax.
    epsilon: added to each row's least distance.
    points: of larger maps a regular grid of at most points x points positions
      takes part.
    key: draw that many positions at random instead, the same in sr and hr.

  Returns:
    float32 [N], 0 for equal maps.
  """
  check(sr, hr)
  ours, theirs, _ = _sample(sr, hr, points, key)
  ours, theirs = directions(*_centred(ours, theirs))

  def similarity(rows: Array) -> Array:
    distance = (1 - _products(rows, theirs)) / 2
    return _attention(distance, bandwidth, epsilon)

  return -jnp.log(jnp.mean(_best_of_rows(similarity, (ours,)), axis=1))


def cobi_paper(
  sr: Array,
  hr: Array,
  *,
  spatial: float = 0.1,
  distance: str = "cosine",
  points: int = 64,
  key: Array | None = None,
) -> Array:
  """The contextual bilateral loss as printed (Zhang et al., 1905.05169, eq. 2).

  The mean over i of the least, over j, D(p_i, q_j) + spatial |x_i - x_j|.
  Coordinates are divided by the longer side, and remain the true ones where
  positions are sub-sampled. The paper's weight of the second part is unknown;
  0.1 is that of the authors' program.

  Args:
    sr: features [N, H, W, C] of the generated pictures.
    hr: those of the truth, the same shape.
    spatial: weight of the distance in space.
    distance: D: "cosine" for 1 - cosine; "squared" for the mean over channels
      of the squared difference.
    points: as in `contextual`.
    key: as in `contextual`.

  Returns:
    float32 [N], 0 for equal maps.
  """
  check(sr, hr)
  ours, theirs, places = _sample(sr, hr, points, key)
  places = places / max(sr.shape[1:3])
  if _is_cosine(distance):
    ours, theirs = directions(ours, theirs)

  def nearest(_: None, block: tuple[Array, ...]) -> tuple[None, Array]:
    rows, at = block
    if distance == "cosine":
      far = 1 - _products(rows, theirs)
    else:
      far = _squares(rows, theirs) / rows.shape[-1]
    apart = jnp.sqrt(_squares(at, places[None]))
    return None, jnp.argmin(far + spatial * apart, axis=2)

  # The search needs no gradient, only the pairs it finds do.
  search = jax.lax.stop_gradient((ours, _repeat(places, ours)))
  n, count, channels = ours.shape
  _, index = jax.lax.scan(nearest, None, _blocks(search, count)[0])
  index = jnp.moveaxis(index, 0, 1).reshape(n, -1)[:, :count]
  pairs = jnp.take_along_axis(theirs, index[..., None], axis=1)
  if distance == "cosine":
    far = 1 - jnp.sum(ours * pairs, axis=-1)
  else:
    far = jnp.sum(jnp.square(ours - pairs), axis=-1) / channels
  apart = jnp.linalg.norm(places[None] - places[index], axis=-1)
  return jnp.mean(far + spatial * apart, axis=1)


def cobi_code(
  sr: Array,
  hr: Array,
  *,
  spatial: float = 0.1,
  distance: str = "cosine",
  bandwidth: float = 0.5,
  epsilon: float = 1e-3,
  points: int = 64,
  key: Array | None = None,
) -> Array:
  """The contextual bilateral loss as the authors' program has it.

  A mixture, (1 - spatial) CX + spatial CX', of the CX of `contextual` and of
  the same made of squared distances in space, where a side is 255 long. The
  program shuffles large maps and then compares places of the shuffled grid;
  here the true places are compared.

  Args:
    sr: features [N, H, W, C] of the generated pictures.
    hr: those of the truth, the same shape.
    spatial: weight of the spatial part.
    distance: "cosine" as in `contextual`, or "squared" for the sum over
      channels of the squared difference, uncentred.
    bandwidth: as in `contextual`.
    epsilon: as in `contextual`.
    points: as in `contextual`.
    key: as in `contextual`.

  Returns:
    float32 [N].
  """
  check(sr, hr)
  ours, theirs, places = _sample(sr, hr, points, key)
  sides = jnp.asarray(sr.shape[1:3], jnp.float32)
  places = places * (_COORDINATES / sides).reshape(1, 2)
  if _is_cosine(distance):
    ours, theirs = directions(*_centred(ours, theirs))

  def similarity(rows: Array, at: Array) -> Array:
    if distance == "cosine":
      far = (1 - _products(rows, theirs)) / 2
    else:
      far = _squares(rows, theirs)
    apart = _squares(at, places[None])
    by_feature, by_place = (
      _attention(d, bandwidth, epsilon) for d in (far, apart)
    )
    return (1 - spatial) * by_feature + spatial * by_place

  best = _best_of_rows(similarity, (ours, _repeat(places, ours)))
  return -jnp.log(jnp.mean(best, axis=1))


def patches(pictures: Array, size: int) -> Array:
  """The size x size neighbourhood of every pixel as a vector.

  Args:
    pictures: [N, H, W, C]; zeros are assumed around them.
    size: odd.

  Returns:
    [N, H, W, size * size * C], rows first, channels last.
  """
  if size < 1 or size % 2 == 0:
    raise EnhanceError(f"patches have an odd size, got {size}")
  h, w = pictures.shape[1:3]
  margin = size // 2
  pads = ((0, 0), (margin, margin), (margin, margin), (0, 0))
  padded = jnp.pad(pictures, pads)
  shifted = [
    padded[:, y : y + h, x : x + w] for y in range(size) for x in range(size)
  ]
  return jnp.concatenate(shifted, axis=-1)


def directions(*vectors: Array) -> list[Array]:
  """Vectors along the last axis at length 1, in float32.

  A vector of length 0 stays as it is, and its gradient is 0.
  """

  def direction(x: Array) -> Array:
    x = x.astype(jnp.float32)
    square = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    empty = square == 0
    return x * jnp.where(empty, 0.0, jax.lax.rsqrt(jnp.where(empty, 1, square)))

  return [direction(x) for x in vectors]


def _sample(
  sr: Array, hr: Array, points: int, key: Array | None
) -> tuple[Array, Array, Array]:
  """Vectors [N, P, C] of sr and of hr, and their places (y, x) [P, 2]."""
  if points < 1:
    raise EnhanceError(f"points is {points}; wanted at least 1 a side")
  n, h, w, c = sr.shape
  ours, theirs = (
    jnp.asarray(x, jnp.float32).reshape(n, h * w, c) for x in (sr, hr)
  )
  if key is None or max(h, w) <= points:
    rows, columns = (_regular(side, points) for side in (h, w))
    index = jnp.asarray((rows[:, None] * w + columns[None]).reshape(-1))
  else:
    count = min(h, points) * min(w, points)
    index = jax.random.permutation(key, h * w)[:count]
  places = jnp.stack([index // w, index % w], axis=1).astype(jnp.float32)
  return ours[:, index], theirs[:, index], places


def _regular(side: int, points: int) -> np.ndarray:
  """At most `points` of `side` positions, evenly apart and centred."""
  step = -(-side // points)
  return np.arange((side - 1) % step // 2, side, step)


def _is_cosine(distance: str) -> bool:
  if distance not in ("cosine", "squared"):
    raise EnhanceError(
      f'distance "{distance}" is unknown; use "cosine" or "squared"'
    )
  return distance == "cosine"


def _centred(ours: Array, theirs: Array) -> tuple[Array, Array]:
  mean = jnp.mean(theirs, axis=(0, 1), keepdims=True)
  return ours - mean, theirs - mean


def _products(a: Array, b: Array) -> Array:
  """Inner products, [N, P, C] and [N, Q, C] to [N, P, Q]."""
  return jnp.einsum("npc,nqc->npq", a, b, precision=_EXACT)


def _squares(a: Array, b: Array) -> Array:
  """Squared distances, [N, P, C] and [N, Q, C] to [N, P, Q]."""
  ours, theirs = (jnp.sum(jnp.square(x), axis=-1) for x in (a, b))
  far = ours[:, :, None] + theirs[:, None] - 2 * _products(a, b)
  return jnp.maximum(far, 0.0)


def _attention(distance: Array, bandwidth: float, epsilon: float) -> Array:
  """CX_ij of distances [N, P, Q]; exp(1 / bandwidth) would cancel in it."""
  least = _pick(distance, jnp.argmin(distance, axis=2), 2)[:, :, None]
  return jax.nn.softmax(-distance / (least + epsilon) / bandwidth, axis=2)


def _pick(x: Array, index: Array, axis: int) -> Array:
  """The entries at an index along an axis.

  For the gradient of a maximum. JAX's own shares it among all entries that
  equal the maximum; where XLA computes these a second time, rounded in another
  way, none may, and the share is 0 / 0.
  """
  places = jax.lax.broadcasted_iota(index.dtype, x.shape, axis)
  chosen = places == jnp.expand_dims(index, axis)
  return jnp.sum(jnp.where(chosen, x, 0.0), axis=axis)


def _repeat(places: Array, like: Array) -> Array:
  return jnp.broadcast_to(places[None], (like.shape[0], *places.shape))


def _blocks(
  arrays: tuple[Array, ...], columns: int
) -> tuple[tuple[Array, ...], Array]:
  """Arrays [N, P, C] as blocks of rows [B, N, R, C], and which rows are real.

  The last block is filled up with zeros; the second result is [B, 1, R], 1 for
  rows that were there before.
  """
  count = arrays[0].shape[1]
  rows = min(count, max(1, _BLOCK // columns))
  filled = -(-count // rows) * rows

  def split(x: Array) -> Array:
    x = jnp.pad(x, ((0, 0), (0, filled - count), (0, 0)))
    return jnp.moveaxis(x.reshape(x.shape[0], -1, rows, x.shape[-1]), 1, 0)

  real = jnp.arange(filled).reshape(-1, 1, rows) < count
  return tuple(split(x) for x in arrays), real.astype(jnp.float32)


def _best_of_rows(
  similarity: Callable[..., Array], arrays: tuple[Array, ...]
) -> Array:
  """The largest entry of every column, over all rows of a similarity.

  Args:
    similarity: rows of the arrays, each [N, R, C] -> [N, R, M], not negative.
    arrays: [N, P, C] each.

  Returns:
    [N, M], M = P.
  """
  n, count = arrays[0].shape[:2]
  blocks, real = _blocks(arrays, count)

  @jax.checkpoint
  def body(best: Array, xs: tuple[Array, ...]) -> tuple[Array, None]:
    *rows, real = xs
    each = similarity(*rows) * real[..., None]
    return jnp.maximum(best, _pick(each, jnp.argmax(each, axis=1), 1)), None

  start = jnp.zeros((n, count), jnp.float32)
  return jax.lax.scan(body, start, (*blocks, real))[0]
