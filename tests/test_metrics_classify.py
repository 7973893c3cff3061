"""A discriminator's rates, against scikit-learn."""

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from enhance_jax.errors import EnhanceError
from enhance_jax.metrics import classify


def expected(real, fake):
  truth = np.r_[np.ones(real.size), np.zeros(fake.size)]
  said = np.r_[real.ravel(), fake.ravel()] >= 0
  return {
    "accuracy": reference.accuracy_score(truth, said),
    "precision": reference.precision_score(truth, said),
    "recall": reference.recall_score(truth, said),
    "specificity": reference.recall_score(truth, said, pos_label=0),
    "f1": reference.f1_score(truth, said),
  }


def test_scores_by_scikit_learn():
  rng = np.random.default_rng(1)
  # Maps, as a patch discriminator gives them, and unequal numbers.
  real, fake = rng.normal(0.5, 1, (5, 4, 4)), rng.normal(-0.2, 1, 33)
  found = classify.scores(real, fake)
  assert tuple(found) == classify.NAMES
  assert found == pytest.approx(expected(real, fake), abs=1e-12)


def test_a_logit_of_zero_says_real():
  # A probability of one half: threshold D >= 0.5.
  found = classify.scores(np.zeros(3), np.asarray([0.0, -1e-6]))
  assert found["recall"] == 1 and found["specificity"] == 0.5
  assert found["accuracy"] == pytest.approx(0.8)


def test_from_rates_of_equal_numbers():
  rng = np.random.default_rng(2)
  real, fake = rng.normal(0.5, 1, 40), rng.normal(-0.2, 1, 40)
  whole = expected(real, fake)
  found = classify.scores_from_rates(whole["recall"], whole["specificity"])
  assert found == pytest.approx(whole, abs=1e-12)


def test_perfect_and_nothing_over_nothing():
  one = np.ones(4)
  assert set(classify.scores(one, -one).values()) == {1.0}
  # Nothing is called real: precision is 0/0, and so is all made of it.
  found = classify.scores(-one, -one)
  assert math.isnan(found["precision"]) and math.isnan(found["f1"])
  assert found["recall"] == 0 and found["specificity"] == 1
  # All wrong: precision and recall are 0, F1 is 0/0.
  found = classify.scores_from_rates(0.0, 0.0)
  assert found["precision"] == 0 and math.isnan(found["f1"])
  empty = classify.scores(np.empty(0), np.empty(0))
  assert all(math.isnan(value) for value in empty.values())


def test_what_is_no_answer_is_refused():
  with pytest.raises(EnhanceError, match="1 of 2 fake logits are NaN"):
    classify.scores(np.ones(2), np.asarray([1.0, np.nan]))
  with pytest.raises(EnhanceError, match="specificity 1.5"):
    classify.scores_from_rates(0.5, 1.5)
