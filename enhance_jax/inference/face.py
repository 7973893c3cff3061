"""The face of upscalers that commands and scores see."""

import abc
from collections.abc import Iterator
from typing import Any

import numpy as np

from enhance_jax.inference.passes import OnTile


class Engine(abc.ABC):
  """An upscaler of whole pictures; for one call at a time.

  Attributes:
    name: how tables and messages call it.
    scale: enlargement of each side.
    card: model card; {} for interpolations.
    sha256: digest of the weights file, of two files "A+B"; "" where there is
      none.
    settings: what else made its pictures what they are: the policy where it
      is not the default one, the blend; values that JSON has.
  """

  def __init__(
    self, name: str, scale: int, card: dict[str, Any], sha256: str = ""
  ):
    self.name = name
    self.scale = scale
    self.card = card
    self.sha256 = sha256
    self.settings: dict[str, Any] = {}

  @property
  def generative(self) -> bool:
    """Whether an adversarial loss shaped it: fine detail is then invented."""
    return bool(self.card.get("generative", False))

  @abc.abstractmethod
  def upscale(
    self, x: np.ndarray, *, on_tile: OnTile | None = None
  ) -> np.ndarray:
    """Enlarges float32 [H, W, C] in [0, 1], C 1 or 3; any H and W.

    Args:
      x: the picture.
      on_tile: called with (tiles done, tiles in all) after every tile; what it
        raises ends the work.

    Returns:
      float32 [H scale, W scale, C], nominally in [0, 1], not clipped.

    Raises:
      EnhanceError: the result is not finite (the tile is named), or memory
        does not suffice for the smallest tile.
    """

  @abc.abstractmethod
  def upscale_uint8(
    self, pixels: np.ndarray, *, on_tile: OnTile | None = None
  ) -> np.ndarray:
    """As `upscale`, from and to uint8 pixels."""

  @abc.abstractmethod
  def upscale_uint16(
    self, pixels: np.ndarray, *, on_tile: OnTile | None = None
  ) -> np.ndarray:
    """As `upscale`, from and to uint16 pixels."""

  def upscale_frames(self, frames: np.ndarray) -> np.ndarray:
    """Enlarges pictures of one size: uint8 [N, H, W, C] to the same type."""
    return np.stack([self.upscale_uint8(frame) for frame in frames])

  def bands(
    self, pixels: np.ndarray, *, on_tile: OnTile | None = None
  ) -> Iterator[np.ndarray]:
    """The rows of the enlarged picture from the top, some at a time.

    Engines that need the whole picture give all rows at once.

    Args:
      pixels: uint8, uint16 or float32 [H, W, C], C 1 or 3.
      on_tile: as of `upscale`.

    Yields:
      the same type, [some rows, W scale, C].
    """
    upscale = {
      "uint8": self.upscale_uint8,
      "uint16": self.upscale_uint16,
      "float32": self.upscale,
    }[pixels.dtype.name]
    yield upscale(pixels, on_tile=on_tile)
