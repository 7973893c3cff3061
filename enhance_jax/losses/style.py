"""Distance of textures: which features occur together, wherever they are."""

import jax
import jax.numpy as jnp

from enhance_jax.errors import EnhanceError
from enhance_jax.losses.pixel import check

Array = jax.Array


def gram(features: Array) -> Array:
  """Gram matrix of the channels (Gatys et al., arXiv 1508.06576).

  Args:
    features: [N, H, W, C].

  Returns:
    float32 [N, C, C]: sums over H and W of products, divided by C H W.
  """
  _, h, w, c = features.shape
  wide = features.astype(jnp.float32)
  product = jnp.einsum(
    "nhwc,nhwd->ncd", wide, wide, precision=jax.lax.Precision.HIGHEST
  )
  return product / (c * h * w)


def style(sr: Array, hr: Array, *, norm: str = "l1") -> Array:
  """Mean difference of the entries of two Gram matrices, per image.

  Args:
    sr: features [N, H, W, C] of the generated pictures.
    hr: those of the truth, the same shape.
    norm: "l1" for absolute, "l2" for squared differences.

  Returns:
    float32 [N].
  """
  check(sr, hr)
  if norm not in ("l1", "l2"):
    raise EnhanceError(f'norm "{norm}" is unknown; use "l2" or "l1"')
  difference = gram(sr) - gram(hr)
  each = jnp.abs(difference) if norm == "l1" else jnp.square(difference)
  return jnp.mean(each, axis=(1, 2))
