"""How well a discriminator tells real pictures from generated ones.

Real is the positive class; a logit of 0 or more (probability of one half or
more) says "real". A ratio of nothing, 0/0, is NaN.
"""

import math

import numpy as np

from enhance_jax.errors import EnhanceError

NAMES = ("accuracy", "precision", "recall", "specificity", "f1")


def scores(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
  """Accuracy, precision, recall, specificity and F1 of a discriminator.

  Args:
    real: its logits for real pictures, any shape; every entry of a map counts.
    fake: its logits for generated ones.

  Returns:
    `NAMES` -> 0..1, or NaN.

  Raises:
    EnhanceError: a logit is NaN, which is neither answer.
  """
  real, fake = np.asarray(real), np.asarray(fake)
  for name, logits in (("real", real), ("fake", fake)):
    if np.isnan(logits).any():
      raise EnhanceError(
        f"{np.isnan(logits).sum()} of {logits.size} {name} logits are NaN; the "
        "discriminator has diverged"
      )
  hits, false_alarms = int(np.sum(real >= 0)), int(np.sum(fake >= 0))
  return _from_counts(
    hits, false_alarms, real.size - hits, fake.size - false_alarms
  )


def scores_from_rates(recall: float, specificity: float) -> dict[str, float]:
  """The same from two rates, for as many real as generated pictures.

  Args:
    recall: share of real pictures called real.
    specificity: share of generated pictures called generated.

  Raises:
    EnhanceError: a rate is not within 0..1.
  """
  for name, rate in (("recall", recall), ("specificity", specificity)):
    if not 0 <= rate <= 1:
      raise EnhanceError(f"got {name} {rate}; a rate is within 0 and 1")
  return _from_counts(recall, 1 - specificity, 1 - recall, specificity)


def _from_counts(
  true_positives: float,
  false_positives: float,
  false_negatives: float,
  true_negatives: float,
) -> dict[str, float]:
  right = true_positives + true_negatives
  wrong = false_positives + false_negatives
  precision = _ratio(true_positives, true_positives + false_positives)
  recall = _ratio(true_positives, true_positives + false_negatives)
  values = (
    _ratio(right, right + wrong),
    precision,
    recall,
    _ratio(true_negatives, true_negatives + false_positives),
    _ratio(2 * precision * recall, precision + recall),
  )
  return dict(zip(NAMES, values, strict=True))


def _ratio(part: float, whole: float) -> float:
  return part / whole if whole else math.nan
