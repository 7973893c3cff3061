"""Learns the coupled dictionaries of sparse coding from pictures."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from enhance_jax import errors, resample
from enhance_jax.config import Config
from enhance_jax.data import sources
from enhance_jax.models import sparse_coding

Say = Callable[[str], None]


def fit(
  config: Config, source: sources.Source, say: Say = print
) -> dict[str, Any]:
  """Joint dictionary learning (Yang et al., IEEE TIP 2010, section III-C).

  Deterministic for the seed, the pictures and the library's version.

  Args:
    config: its `dictionary` part, seed, scale and generator options.
    source: gray pictures.
    say: is told the progress, a line at a time.

  Returns:
    Variables of `models.sparse_coding`, float32.

  Raises:
    EnhanceError: the pictures have too few patches with contrast.
  """
  from sklearn.decomposition import MiniBatchDictionaryLearning
  from sklearn.exceptions import ConvergenceWarning

  settings = config.dictionary
  atoms = config.generator.options.atoms
  area = config.generator.options.patch**2
  pairs = sample(config, source, say)
  if len(pairs) < atoms:
    raise errors.EnhanceError(
      f"{source!r} gave {len(pairs)} patches with a variance above "
      f"{settings.variance}, fewer than the {atoms} atoms; use more pictures, "
      "or a larger config.dictionary.patches"
    )
  batches = -(-len(pairs) // settings.batch_size)

  def report(state: dict[str, Any]) -> None:
    sweep, batch = divmod(state["i"] + 1, batches)
    if batch == 0:
      cost = state["batch_cost"]
      say(f"sweep {sweep} of {settings.sweeps}: objective {cost:.4f}")

  rng = np.random.default_rng((config.seed, 1))
  first = pairs[rng.choice(len(pairs), atoms, replace=False)]
  say(f"learning {atoms} atoms from {len(pairs):,} patches")
  learner = MiniBatchDictionaryLearning(
    atoms,
    alpha=settings.sparsity,
    max_iter=settings.sweeps,
    batch_size=settings.batch_size,
    fit_algorithm="cd",
    dict_init=first,
    random_state=config.seed,
    callback=report,
    # As many sweeps as were asked for.
    tol=0.0,
    max_no_improvement=settings.sweeps * batches,
  )
  with warnings.catch_warnings():
    # A duality gap of 1e-8 is missed now and then, and does not matter here.
    warnings.simplefilter("ignore", ConvergenceWarning)
    both = learner.fit(pairs).components_.T.astype(np.float32)
  return {
    "params": {"dictionary_hr": both[:area], "dictionary_lr": both[area:]}
  }


def sample(
  config: Config, source: sources.Source, say: Say = print
) -> np.ndarray:
  """Training vectors: HR patches beside their features, both at unit norm.

  Every picture gives its share of patches at random places, a patch's size
  or more away from the border; those without contrast are dropped.

  Args:
    config: as for `fit`.
    source: gray pictures.
    say: is told what was found.

  Returns:
    float64 [P, 5 patch^2] of unit norm: the HR part with weight patch^2, the
    features with weight 4 patch^2.
  """
  total = config.dictionary.patches
  found = []
  for index in range(len(source)):
    share = total * (index + 1) // len(source) - total * index // len(source)
    if share:
      rng = np.random.default_rng((config.seed, 0, index))
      found.append(_pairs(config, source[index], share, rng))
  pairs = np.concatenate(found)
  say(
    f"{len(pairs):,} of {total:,} patches from {len(source)} pictures have a "
    f"variance above {config.dictionary.variance}"
  )
  return pairs


def _pairs(
  config: Config, picture: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
  """Joint vectors of at most `count` patches of uint8 [H, W, 1]."""
  scale, patch = config.task.scale, config.generator.options.patch
  height, width = (side - side % scale for side in picture.shape[:2])
  hr = picture[:height, :width].astype(np.float64)
  joint = (1 + sparse_coding.MAPS) * patch**2
  if min(height, width) < 3 * patch:
    return np.zeros((0, joint))
  lr = resample.resize(hr, scale=1 / scale)
  maps = sparse_coding.features(resample.resize(lr, scale=scale)[None])[0]
  rows = rng.integers(patch, height - 2 * patch + 1, count)
  columns = rng.integers(patch, width - 2 * patch + 1, count)
  truth = _cut(hr, rows, columns, patch)
  seen = _cut(maps, rows, columns, patch)
  used = truth.var(axis=1, ddof=1) > config.dictionary.variance
  used &= np.any(seen != 0, axis=1)
  truth, seen = truth[used], seen[used]
  truth = truth - truth.mean(axis=1, keepdims=True)
  parts = [
    np.sqrt(x.shape[1]) * x / np.linalg.norm(x, axis=1, keepdims=True)
    for x in (truth, seen)
  ]
  return np.concatenate(parts, axis=1) / np.sqrt(joint)


def _cut(
  x: np.ndarray, rows: np.ndarray, columns: np.ndarray, patch: int
) -> np.ndarray:
  """Patches of [H, W, C] at these corners, flattened as `unfold` does."""
  windows = np.lib.stride_tricks.sliding_window_view(
    x, (patch, patch), axis=(0, 1)
  )
  return windows[rows, columns].reshape(len(rows), -1)
