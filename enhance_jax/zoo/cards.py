"""Model cards: what a weights file says about itself, checked and in words."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from enhance_jax import errors

FORMAT = "enhance_jax generator 1"
REQUIRED = ("format", "model", "kwargs", "scale", "generative")


def read(path: pathlib.Path) -> dict[str, Any]:
  """The card inside a .safetensors file.

  Raises:
    EnhanceError: a damaged file, or none with a card of this format.
  """
  from safetensors import SafetensorError, safe_open

  try:
    with safe_open(path, framework="numpy") as file:
      text = (file.metadata() or {}).get("card", "")
  except (SafetensorError, OSError) as error:
    raise errors.EnhanceError(
      f"{path} is not a whole safetensors file ({error}); copy it again"
    ) from error
  if not text:
    raise errors.EnhanceError(
      f"{path} holds tensors but no model card, so the network they belong to "
      "is unknown; wanted a file that a training run of this project wrote, or "
      "python -m enhance_jax.zoo import made of it"
    )
  try:
    card = json.loads(text)
  except ValueError as error:
    raise errors.EnhanceError(
      f"{path}: its model card is not JSON ({error}); copy the file again"
    ) from error
  missing = [key for key in REQUIRED if key not in card]
  if missing or card["format"] != FORMAT or type(card["kwargs"]) is not dict:
    got = f"lacks {', '.join(missing)}" if missing else f"is {card['format']!r}"
    raise errors.EnhanceError(
      f'{path}: its model card {got}; wanted format "{FORMAT}"'
    )
  return card


def at_scale(
  card: Mapping[str, Any], scale: int | None, path: pathlib.Path
) -> dict[str, Any]:
  """The arguments that build the card's model at a scale.

  Args:
    card: of `read`.
    scale: the enlargement; None takes the card's own.
    path: the file, for messages.

  Raises:
    EnhanceError: none of the card's scales; they are listed.
  """
  if scale is None:
    return card["kwargs"]
  scales = card.get("scales", [card["scale"]])
  if scale not in scales:
    known = " or ".join(f"x{one}" for one in scales)
    raise errors.EnhanceError(
      f"{path} enlarges {known}, --scale={scale} was wanted; choose one of "
      "its scales or take other weights"
    )
  return {**card["kwargs"], "scale": scale}


def check_digest(
  path: pathlib.Path, card_path: pathlib.Path, digest: str
) -> None:
  """Compares a weights file's SHA-256 with that in the card beside it, if any.

  Raises:
    EnhanceError: they differ, or the card beside it is none.
  """
  if not card_path.is_file():
    return
  try:
    stated = json.loads(card_path.read_text())["sha256"]
  except (ValueError, KeyError, TypeError) as error:
    raise errors.EnhanceError(
      f"{card_path} is no model card with a sha256; delete it to go by the "
      f"card inside {path.name}"
    ) from error
  if stated != digest:
    raise errors.EnhanceError(
      f"{path} has SHA-256 {digest[:12]}..., its card {card_path.name} says "
      f"{str(stated)[:12]}...; the file was damaged or replaced: copy both "
      "again"
    )
