"""Network interpolation: one generator between two of the same architecture.

ESRGAN (arXiv 1809.00219, section 3.4) mixes the parameters of a network
trained for PSNR with those of the same network after adversarial training:
theta = (1 - alpha) A + alpha B. Small alpha removes artefacts without the blur
of mixed pictures. It works where B was trained on from A.
"""

import dataclasses
from typing import Any

import numpy as np

from enhance_jax import errors
from enhance_jax.zoo import files

# Of a parent's card, what tells where it comes from.
_ORIGIN = ("config", "phase", "step", "blend")


def blend(
  a: files.Generator, b: files.Generator, alpha: float
) -> files.Generator:
  """(1 - alpha) A + alpha B, for parameters and BatchNorm statistics alike.

  Args:
    a: the generator at alpha 0, as a rule the one trained for PSNR.
    b: the generator at alpha 1, trained on from `a`.
    alpha: 0 to 1; the ends give A and B to the bit.

  Returns:
    a generator in memory; its card names both parents and alpha, and is
    generative if one of them is.

  Raises:
    EnhanceError: alpha is out of range, or the architectures differ (how is
      listed).
  """
  import jax

  if not 0 <= alpha <= 1:
    raise errors.EnhanceError(
      f"got alpha {alpha:g}; wanted 0 (the first file) to 1 (the second)"
    )
  unlike = differences(a, b)
  if unlike:
    raise errors.EnhanceError(
      "two generators of different architecture cannot be blended (first -> "
      f"second): {'; '.join(unlike)}; wanted one network before and after "
      "further training"
    )
  card: dict[str, Any] = {
    "generative": any(x.card.get("generative", False) for x in (a, b)),
    "blend": {
      "alpha": alpha,
      "formula": "(1 - alpha) first + alpha second, statistics too",
      "parents": [_parent(a), _parent(b)],
    },
  }
  if "scales" in a.card and a.card["scales"] == b.card.get("scales"):
    card["scales"] = a.card["scales"]

  def mix(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    # A zero times the other parent would lose the sign of a zero.
    if alpha in (0, 1):
      return y if alpha else x
    mean = (1 - alpha) * x.astype(np.float64) + alpha * y.astype(np.float64)
    return mean.astype(np.float32)

  return files.Generator(
    model=a.model,
    kwargs=a.kwargs,
    module=a.module,
    variables=jax.tree.map(mix, a.variables, b.variables),
    card=card,
    sha256="",
  )


def differences(a: files.Generator, b: files.Generator) -> list[str]:
  """What sets two architectures apart: "width: 64 -> 32"; [] if nothing."""
  if a.model != b.model:
    return [f"model: {a.model} -> {b.model}"]
  return [
    f"{field.name}: {getattr(a.module, field.name)} -> "
    f"{getattr(b.module, field.name)}"
    for field in dataclasses.fields(a.module)
    if field.name not in ("parent", "name")
    and getattr(a.module, field.name) != getattr(b.module, field.name)
  ]


def _parent(generator: files.Generator) -> dict[str, Any]:
  origin = {
    key: generator.card[key] for key in _ORIGIN if key in generator.card
  }
  return {
    "sha256": generator.sha256,
    "generative": bool(generator.card.get("generative", False)),
    **origin,
  }
