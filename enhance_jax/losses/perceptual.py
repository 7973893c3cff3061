"""Distances between features: of VGG19, or of a discriminator's layers."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from enhance_jax.errors import EnhanceError
from enhance_jax.losses.pixel import check

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Preset:
  """A published perceptual loss: weight times the distance at one tap.

  Attributes:
    tap: layer of `models.vgg`.
    norm: "l2" or "l1".
    reduce: "paper" or "mean", see `feature_distance`.
    weight: factor of the distance.
  """

  tap: str
  norm: str = "l2"
  reduce: str = "paper"
  weight: float = 1.0

  def __call__(self, sr: Array, hr: Array) -> Array:
    """The loss [N] of the tap's features of sr and hr, each [N, H, W, C]."""
    distance = feature_distance(sr, hr, norm=self.norm, reduce=self.reduce)
    return self.weight * distance


# SRGAN rescales VGG features by 1/12.75, that is the loss by about 0.006.
PRESETS = {
  "vgg22": Preset("relu2_2", weight=0.006),
  "vgg54": Preset("relu5_4", weight=0.006),
}


def feature_distance(
  a: Array, b: Array, *, norm: str = "l2", reduce: str = "paper"
) -> Array:
  """Distance of two feature maps, per image.

  Args:
    a: [N, H, W, C].
    b: the same shape.
    norm: "l2" for squared, "l1" for absolute differences.
    reduce: "paper" sums over channels and takes the mean over space, as SRGAN's
      equation 5 does; "mean" takes the mean over channels too.

  Returns:
    float32 [N].
  """
  check(a, b)
  if norm not in ("l1", "l2"):
    raise EnhanceError(f'norm "{norm}" is unknown; use "l2" or "l1"')
  if reduce not in ("paper", "mean"):
    raise EnhanceError(f'reduce "{reduce}" is unknown; use "paper" or "mean"')
  difference = a.astype(jnp.float32) - b.astype(jnp.float32)
  each = jnp.square(difference) if norm == "l2" else jnp.abs(difference)
  channels = jnp.sum if reduce == "paper" else jnp.mean
  return jnp.mean(channels(each, axis=-1), axis=(1, 2))


def feature_matching(fake: Sequence[Array], real: Sequence[Array]) -> Array:
  """Mean over layers of the mean absolute difference, per image.

  Feature matching of Salimans et al. (arXiv 1606.03498) on paired pictures.

  Args:
    fake: a discriminator's features of sr, each [N, H, W, C].
    real: those of hr, in the same order; no gradient goes into them.

  Returns:
    float32 [N].
  """
  if len(fake) != len(real) or not fake:
    raise EnhanceError(
      f"feature matching got {len(fake)} and {len(real)} layers; wanted the "
      "same number, at least one"
    )
  layers = [
    feature_distance(a, jax.lax.stop_gradient(b), norm="l1", reduce="mean")
    for a, b in zip(fake, real, strict=True)
  ]
  return jnp.mean(jnp.stack(layers), axis=0)
