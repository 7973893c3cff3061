"""Distances between features: of ImageNet networks, or of a discriminator.

A term of TERMS says which activations ("taps") of which network it compares;
the objective computes a network's taps once for all of its terms.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from enhance_jax.errors import EnhanceError
from enhance_jax.losses import contextual, style
from enhance_jax.losses.pixel import check

Array = jax.Array


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


def unit_distance(a: Array, b: Array) -> Array:
  """Squared distance of the directions of feature vectors, per image.

  Each position's vector is divided by its length; the squared difference is
  summed over channels and averaged over space (LPIPS without its learned
  weights, Zhang et al., arXiv 1801.03924). So it does not depend on how large
  a network's activations are. A vector of length 0 stays, with gradient 0.

  Args:
    a: [N, H, W, C].
    b: the same shape.

  Returns:
    float32 [N].
  """
  check(a, b)
  ours, theirs = contextual.directions(a, b)
  return jnp.mean(jnp.sum(jnp.square(ours - theirs), axis=-1), axis=(1, 2))


def patch_cobi(sr: Array, hr: Array, *, size: int = 5) -> Array:
  """Contextual bilateral loss of pictures (Zhang et al., arXiv 1905.05169).

  `cobi_paper` of the size x size neighbourhoods of RGB values. Their distance
  is the squared one, as in the authors' program: the cosine would not see how
  bright a patch is.

  Args:
    sr: [N, H, W, C] in [0, 1].
    hr: the same shape.
    size: side of a patch; others took 5, 11, 15 for scales 2, 4, 8.

  Returns:
    float32 [N].
  """
  ours, theirs = (contextual.patches(x, size) for x in (sr, hr))
  return contextual.cobi_paper(ours, theirs, distance="squared")


@dataclasses.dataclass(frozen=True)
class FeatureTerm:
  """A perceptual loss: the weighted sum of the distances at its taps.

  Attributes:
    network: "vgg19", "alexnet" or "squeezenet"; "" for terms that look at the
      pictures themselves, whose only tap is "image".
    taps: the activations that are compared, fine to coarse.
    weights: factor of the distance at each of them.
    distance: (features of sr, features of hr) -> float32 [N].
  """

  network: str
  taps: tuple[str, ...]
  weights: tuple[float, ...]
  distance: Callable[[Array, Array], Array]

  def __call__(self, sr: Mapping[str, Array], hr: Mapping[str, Array]) -> Array:
    """The loss [N] of the taps' activations of sr and hr, [N, H, W, C] each."""
    parts = [
      weight * self.distance(sr[tap], hr[tap])
      for tap, weight in zip(self.taps, self.weights, strict=True)
    ]
    return functools.reduce(jnp.add, parts)


_mean_l1 = functools.partial(feature_distance, norm="l1", reduce="mean")
_mean_l2 = functools.partial(feature_distance, norm="l2", reduce="mean")

# LPIPS' layers of SqueezeNet.
_SQUEEZENET = ("relu1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")
# Gatys' five layers; SqueezeNet's at about the same resolutions. With Caffe's
# weights its activations are about 60 times as large as with torchvision's.
_STYLE_VGG = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
_STYLE_SQUEEZENET = ("relu1", "fire3", "fire5", "fire7", "fire9")

TERMS = {
  # SRGAN rescales VGG features by 1/12.75, that is the loss by about 0.006.
  "vgg22": FeatureTerm("vgg19", ("relu2_2",), (0.006,), feature_distance),
  "vgg54": FeatureTerm("vgg19", ("relu5_4",), (0.006,), feature_distance),
  # ESRGAN (arXiv 1809.00219): before the activation.
  "vgg54_pre": FeatureTerm("vgg19", ("conv5_4",), (1.0,), _mean_l1),
  # Real-ESRGAN (arXiv 2107.10833).
  "vgg_multi": FeatureTerm(
    "vgg19",
    ("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4"),
    (0.1, 0.1, 1.0, 1.0, 1.0),
    _mean_l1,
  ),
  # A widespread SRGAN of PyTorch users.
  "vgg34_l1": FeatureTerm("vgg19", ("relu3_4",), (1.0,), _mean_l1),
  "alexnet": FeatureTerm("alexnet", ("relu5",), (1.0,), _mean_l2),
  "squeezenet": FeatureTerm(
    "squeezenet", _SQUEEZENET, (1.0,) * 7, unit_distance
  ),
  "style_vgg": FeatureTerm("vgg19", _STYLE_VGG, (0.2,) * 5, style.style),
  "style_squeezenet": FeatureTerm(
    "squeezenet", _STYLE_SQUEEZENET, (0.2,) * 5, style.style
  ),
  # The authors' layers for the target picture (arXiv 1803.02077).
  "contextual_vgg": FeatureTerm(
    "vgg19", ("relu3_2", "relu4_2"), (1.0, 1.0), contextual.contextual
  ),
  "contextual_squeezenet": FeatureTerm(
    "squeezenet", ("fire3", "fire5"), (1.0, 1.0), contextual.contextual
  ),
  # The layers of arXiv 1905.05169 with the weights of its program.
  "cobi_vgg": FeatureTerm(
    "vgg19",
    ("relu1_2", "relu2_2", "relu3_2"),
    (1.0, 1.0, 0.5),
    contextual.cobi_paper,
  ),
  "cobi_squeezenet": FeatureTerm(
    "squeezenet",
    ("relu1", "fire3", "fire5"),
    (1.0, 1.0, 0.5),
    contextual.cobi_paper,
  ),
  "cobi_rgb": FeatureTerm("", ("image",), (1.0,), patch_cobi),
}


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
