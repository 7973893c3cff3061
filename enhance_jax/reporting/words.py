"""Numbers and settings as people read them."""

import math
from collections.abc import Mapping
from typing import Any

from enhance_jax import measures

# What papers print without saying of which network.
_LABELS = {"lpips": "LPIPS"}


def label(metric: str) -> str:
  """What people call a metric."""
  if metric in measures.KINDS:
    return measures.KINDS[metric].title
  return _LABELS.get(metric, metric)


def show(metric: str, value: float, sign: str = "") -> str:
  """A value with the decimals that its metric is given with.

  Args:
    metric: its name.
    value: the value.
    sign: "+" shows the sign of a difference.
  """
  kind = measures.KINDS.get(metric)
  return f"{value:{sign}.{kind.decimals if kind else 4}f}"


def best(metric: str, values: list[float]) -> float | None:
  """The best of some values, NaN left out.

  None where there is no choice, or nobody says which way is better.
  """
  kind = measures.KINDS.get(metric)
  values = [value for value in values if not math.isnan(value)]
  if kind is None or len(values) < 2:
    return None
  return max(values) if kind.better == "higher" else min(values)


def duration(seconds: float) -> str:
  """Seconds as "3 h 5 min", "7 min 30 s" or "12 s"."""
  whole = round(seconds)
  hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
  if hours:
    return f"{hours:,} h {minutes} min"
  return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def count(number: int, what: str) -> str:
  """ "1 picture", "2 pictures"."""
  return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def objective(terms: Mapping[str, Any]) -> str:
  """ "1 l1 + 0.005 adversarial"; a ramp is "0 to 1"."""
  return " + ".join(
    f"{_weight(weight)} {name}" for name, weight in terms.items() if weight
  )


def _weight(weight: Any) -> str:
  if isinstance(weight, Mapping):
    return f"({weight['from']:g} to {weight['to']:g})"
  return f"{weight:g}"


def options(settings: Mapping[str, Any]) -> str:
  """ "width 32, blocks 4"."""
  return ", ".join(f"{name} {value}" for name, value in settings.items())
