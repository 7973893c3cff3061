"""Distances in the feature space of a network: LPIPS and the Frechet distance.

The networks come in as functions, so nothing here knows where weights lie.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import linalg

from enhance_jax import images
from enhance_jax.errors import EnhanceError

# float32 [N, H, W, 3] RGB in [0, 1] -> maps [N, h, w, C], fine to coarse.
Features = Callable[[np.ndarray], Sequence[np.ndarray]]

# All of AlexNet's, VGG16's and SqueezeNet's stages have pixels from here on.
SMALLEST = 32
_EPSILON = 1e-10


def heads_from_arrays(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
  """LPIPS' linear heads under their names in the official files.

  Args:
    arrays: `lin0.model.1.weight`, `lin1...` and so on, each [1, C, 1, 1].

  Returns:
    float64 [C] for each tap, fine to coarse.

  Raises:
    EnhanceError: there is none, or one is no row of weights.
  """
  heads = []
  while (name := f"lin{len(heads)}.model.1.weight") in arrays:
    array = arrays[name]
    if array.shape != (1, array.size, 1, 1):
      raise EnhanceError(
        f"LPIPS head {name} has shape {array.shape}; wanted (1, C, 1, 1)"
      )
    heads.append(array.reshape(-1).astype(np.float64))
  if not heads:
    raise EnhanceError(
      "there are no LPIPS heads (lin0.model.1.weight and so on) in it; wanted "
      "a file of lpips/weights/v0.1 of the official release"
    )
  return heads


def lpips(
  sr: np.ndarray,
  hr: np.ndarray,
  features: Features,
  heads: Sequence[np.ndarray],
) -> float:
  """LPIPS v0.1 (Zhang et al., CVPR 2018): 0 for equal pictures, else above.

  Features are scaled to unit length at each pixel; their squared differences,
  weighted by the heads, are averaged over space and added over the taps.

  Args:
    sr: uint8 [H, W, 3 or 1]; gray is repeated in three channels.
    hr: uint8, same shape.
    features: the backbone with its own normalisation. LPIPS maps [-1, 1] with
      shifts and scales that are ImageNet's mean and deviation on [0, 1].
    heads: weights [C] of each tap.

  Raises:
    EnhanceError: the pictures differ in shape or are too small, or the heads
      belong to another backbone.
  """
  if sr.shape != hr.shape or min(sr.shape[:2]) < SMALLEST:
    raise EnhanceError(
      f"LPIPS got pictures of shape {sr.shape} and {hr.shape} after cropping; "
      f"wanted equal shapes of at least {SMALLEST}x{SMALLEST} pixels"
    )
  maps = features(np.stack([_rgb(sr), _rgb(hr)]))
  widths = [x.shape[-1] for x in maps]
  if widths != [len(head) for head in heads]:
    raise EnhanceError(
      f"LPIPS heads have {[len(head) for head in heads]} channels, the network "
      f"has {widths}; take the heads that belong to it"
    )
  total = 0.0
  for x, head in zip(maps, heads, strict=True):
    x = x.astype(np.float64)
    x /= np.sqrt(np.sum(x**2, axis=-1, keepdims=True)) + _EPSILON
    total += float(np.mean(np.square(x[0] - x[1]) @ head))
  return total


class Statistics(NamedTuple):
  """A normal distribution of features; float64.

  Attributes:
    mean: [D].
    covariance: [D, D].
  """

  mean: np.ndarray
  covariance: np.ndarray


def statistics(features: np.ndarray) -> Statistics:
  """Mean and covariance (over n - 1) of features [N, D], N 2 or more."""
  if features.ndim != 2 or len(features) < 2:
    raise EnhanceError(
      f"got features of shape {features.shape}; a Frechet distance wants "
      "[pictures, channels] of at least two pictures"
    )
  features = features.astype(np.float64)
  covariance = np.atleast_2d(np.cov(features, rowvar=False))
  return Statistics(features.mean(axis=0), covariance)


def statistics_from_arrays(arrays: Mapping[str, np.ndarray]) -> Statistics:
  """Statistics from a file's arrays.

  Args:
    arrays: `mu` [D] and `sigma` [D, D], as pytorch-fid saves them, or
      `features` [N, D].

  Raises:
    EnhanceError: neither is there, or the shapes are others.
  """
  if "features" in arrays:
    return statistics(arrays["features"])
  mean, covariance = arrays.get("mu"), arrays.get("sigma")
  if mean is None or covariance is None:
    raise EnhanceError(
      f"got arrays {', '.join(sorted(arrays)) or 'of no name'}; wanted "
      "features [N, D], or mu [D] and sigma [D, D]"
    )
  if mean.ndim != 1 or covariance.shape != (mean.size, mean.size):
    raise EnhanceError(
      f"got mu of shape {mean.shape} and sigma of shape {covariance.shape}; "
      "wanted [D] and [D, D]"
    )
  return Statistics(mean.astype(np.float64), covariance.astype(np.float64))


def frechet_distance(a: Statistics, b: Statistics) -> float:
  """Frechet distance of two normal distributions, 0 where they are equal.

  |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)), Heusel et al. (arXiv 1706.08500)
  equation 6. The trace of the root is that of a symmetric product, which stays
  exact where a covariance is singular.

  Raises:
    EnhanceError: the features have another number of channels.
  """
  if a.mean.shape != b.mean.shape:
    raise EnhanceError(
      f"got features of {a.mean.size} and {b.mean.size} channels; both must "
      "come from the same network"
    )
  values, vectors = linalg.eigh(a.covariance)
  root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
  product = linalg.eigvalsh(root @ b.covariance @ root)
  trace = np.trace(a.covariance) + np.trace(b.covariance)
  shared = 2 * np.sum(np.sqrt(np.maximum(product, 0)))
  return float(np.sum((a.mean - b.mean) ** 2) + trace - shared)


def pooled(x: np.ndarray, features: Features) -> np.ndarray:
  """A picture's features for a Frechet distance: spatial mean of the last map.

  Args:
    x: uint8 [H, W, 3 or 1].
    features: the network; its coarsest map counts.

  Returns:
    float64 [C].
  """
  return features(_rgb(x)[None])[-1][0].astype(np.float64).mean(axis=(0, 1))


def _rgb(x: np.ndarray) -> np.ndarray:
  return images.to_float(images.to_channels(x, 3))
