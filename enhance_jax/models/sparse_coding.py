"""Super-resolution by sparse coding (Yang et al., IEEE TIP 19(11), 2010).

Patches of the bicubic enlargement, seen through four derivative filters, are
written as sparse sums of LR atoms; the same sums of HR atoms are the result.
`train/dictionary.py` learns the two dictionaries together.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from enhance_jax.errors import EnhanceError
from enhance_jax.models import back_projection, enlarged

Array = jax.Array

# First and second derivative, across and down.
MAPS = 4
# Pixels that a derivative filter sees on each side.
FILTER_REACH = 2
# The authors' thresholds are on pixel values of 0..255.
PEAK = 255.0
# HR patches get this much more contrast than those of the enlargement.
CONTRAST = 1.2
# Patches left out at the top and left, and at the bottom and right.
_MARGINS = (2, 3)
# Patches coded at a time, which bounds the memory.
_CHUNK = 2048


class Generator(nn.Module):
  """Sparse coding with two coupled dictionaries, on luma.

  Takes [N, h, w, 1] in [0, 1], any h and w; gives [N, h s, w s, 1]. The
  dictionaries belong to one scale. Its results are those of exact sparse
  codes up to what FISTA leaves after its iterations.

  Attributes:
    scale: 1 or more.
    channels: 1.
    atoms: of each dictionary.
    patch: height and width of a patch in HR pixels.
    sparsity: lambda, the weight of the codes' L1 norm.
    iterations: of FISTA.
    back_projections: iterations that pull the result towards the LR picture.
    dtype: type of the computation; float32 at least, since the codes hang on
      a threshold.
  """

  scale: int = 2
  channels: int = 1
  atoms: int = 1024
  patch: int = 5
  sparsity: float = 0.2
  iterations: int = 100
  back_projections: int = 20
  dtype: Any = jnp.float32

  @property
  def radius(self) -> int:
    """How many LR pixels away an input pixel still reaches an output pixel."""
    hr = back_projection.reach(self.scale, self.back_projections)
    return enlarged.radius(self.scale, hr + self.patch - 1 + FILTER_REACH)

  @nn.compact
  def __call__(self, lr: Array, *, train: bool) -> Array:
    """Enlarges lr; `train` changes nothing."""
    del train
    if self.channels != 1:
      raise EnhanceError(
        f"sparse coding got channels={self.channels}; its dictionaries are of "
        "luma: set config.task.channels=1"
      )
    normal = nn.initializers.normal()
    area = self.patch**2
    hr_atoms = self.param("dictionary_hr", normal, (area, self.atoms))
    lr_atoms = self.param("dictionary_lr", normal, (MAPS * area, self.atoms))
    lr = lr.astype(jnp.promote_types(self.dtype, jnp.float32))
    middle = enlarged.enlarge(lr, self.scale)
    sr = self._restore(middle * PEAK, lr_atoms, hr_atoms) / PEAK
    return back_projection.back_project(
      sr, lr, scale=self.scale, iterations=self.back_projections
    )

  def _restore(self, middle: Array, lr_atoms: Array, hr_atoms: Array) -> Array:
    """Replaces the patches of [N, H, W, 1] in 0..255 where there are any."""
    before, after = _MARGINS
    inside = middle[:, before:-after, before:-after]
    if min(inside.shape[1:3]) < self.patch:
      return middle
    maps = features(middle)[:, before:-after, before:-after]
    seen = unfold(maps, self.patch)
    flat = seen.reshape(-1, seen.shape[-1])
    flat = flat / jnp.maximum(_norm(flat), 1.0)
    size = min(_CHUNK, flat.shape[0])
    chunks = -(-flat.shape[0] // size)
    padded = jnp.pad(flat, ((0, chunks * size - flat.shape[0]), (0, 0)))
    unit = lr_atoms / jnp.maximum(_norm(lr_atoms, axis=0), 1e-12)

    def decode(part: Array) -> Array:
      codes = encode(
        part, unit, sparsity=self.sparsity, iterations=self.iterations
      )
      return jnp.matmul(codes, hr_atoms.T, precision="highest")

    details = jax.lax.map(decode, padded.reshape(chunks, size, -1))
    details = details.reshape(chunks * size, -1)[: flat.shape[0]]
    details = details.reshape(*seen.shape[:3], -1)
    old = unfold(inside, self.patch)
    mean = jnp.mean(old, axis=-1, keepdims=True)
    wanted = CONTRAST * _norm(old - mean)
    contrast = _norm(details)
    # A patch without any atom stays flat.
    details = details * wanted / jnp.where(contrast > 0, contrast, 1.0)
    new = fold(details + mean, self.patch)
    edges = ((0, 0), (before, after), (before, after), (0, 0))
    rim = jnp.pad(jnp.zeros(new.shape, bool), edges, constant_values=True)
    return jnp.where(rim, middle, jnp.pad(new, edges))


def features(x: Any) -> Any:
  """The four derivatives of floats [N, H, W, 1], zeros beyond the border.

  Returns:
    [N, H, W, 4], NumPy or JAX as x is: [-1 0 1] across and down, then
    [1 0 -2 0 1] across and down.
  """
  xp = x.__array_namespace__()
  reach = (FILTER_REACH, FILTER_REACH)
  wide = xp.pad(x, ((0, 0), reach, reach, (0, 0)))
  height, width = x.shape[1:3]

  def at(down: int, across: int) -> Any:
    top, left = down + FILTER_REACH, across + FILTER_REACH
    return wide[:, top : top + height, left : left + width]

  maps = (
    at(0, 1) - at(0, -1),
    at(1, 0) - at(-1, 0),
    at(0, 2) - 2 * x + at(0, -2),
    at(2, 0) - 2 * x + at(-2, 0),
  )
  return xp.concatenate(maps, axis=-1)


def unfold(x: Array, patch: int) -> Array:
  """All patches of [N, H, W, C] as [N, H - patch + 1, W - patch + 1, C p^2].

  A patch is flattened map by map, each row by row.
  """
  height, width = (side - patch + 1 for side in x.shape[1:3])
  parts = [
    x[:, a : a + height, b : b + width]
    for a in range(patch)
    for b in range(patch)
  ]
  return jnp.stack(parts, axis=-1).reshape(x.shape[0], height, width, -1)


def fold(patches: Array, patch: int) -> Array:
  """The mean of overlapping patches: [N, h, w, p^2] to [N, H, W, 1]."""
  total = jnp.zeros((), patches.dtype)
  count = jnp.zeros((), patches.dtype)
  one = jnp.ones((1, *patches.shape[1:3]), patches.dtype)
  for k in range(patch**2):
    a, b = divmod(k, patch)
    edges = ((0, 0), (a, patch - 1 - a), (b, patch - 1 - b))
    total += jnp.pad(patches[..., k], edges)
    count += jnp.pad(one, edges)
  return (total / count)[..., None]


def encode(
  x: Array, atoms: Array, *, sparsity: float, iterations: int
) -> Array:
  """The sparse codes a of rows of x: least |x - atoms a|^2 / 2 + lambda |a|_1.

  FISTA (Beck and Teboulle, SIAM J. Imaging Sciences 2(1), 2009) from zero.

  Args:
    x: floats [P, D].
    atoms: [D, K].
    sparsity: lambda.
    iterations: of FISTA.

  Returns:
    [P, K].
  """
  gram = jnp.matmul(atoms, atoms.T, precision="highest")
  step = 1.0 / jnp.linalg.eigvalsh(gram)[-1]

  def advance(_: int, state: tuple[Array, Array, Array]):
    codes, ahead, momentum = state
    error = jnp.matmul(ahead, atoms.T, precision="highest") - x
    slope = jnp.matmul(error, atoms, precision="highest")
    moved = ahead - step * slope
    new = moved - jnp.clip(moved, -step * sparsity, step * sparsity)
    grown = (1.0 + jnp.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
    return new, new + (momentum - 1.0) / grown * (new - codes), grown

  start = jnp.zeros((x.shape[0], atoms.shape[1]), x.dtype)
  state = (start, start, jnp.ones((), x.dtype))
  return jax.lax.fori_loop(0, iterations, advance, state)[0]


def _norm(x: Array, axis: int = -1) -> Array:
  return jnp.sqrt(jnp.sum(jnp.square(x), axis=axis, keepdims=True))
