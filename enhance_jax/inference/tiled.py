"""What all upscalers have in common, and the way of a picture through tiles.

`Engine` is the face that commands and scores see. `Tiled` is an engine whose
pictures go through exact tiles (see `tiling`): memory is bounded by the tile.
"""

import abc
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from enhance_jax import errors, images
from enhance_jax.inference import tiling

OnTile = Callable[[int, int], None]

DEFAULT_TILE = 192
SMALLEST_TILE = 8

_log = logging.getLogger(__name__)


class OutOfMemoryError(Exception):
  """The device cannot hold a window of the present size."""


class Engine(abc.ABC):
  """An upscaler of whole pictures.

  Attributes:
    name: how tables and messages call it.
    scale: enlargement of each side.
    card: model card; {} for interpolations.
    sha256: digest of the weights file; "" where there is none.
  """

  def __init__(
    self, name: str, scale: int, card: dict[str, Any], sha256: str = ""
  ):
    self.name = name
    self.scale = scale
    self.card = card
    self.sha256 = sha256

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
      on_tile: called with (tiles done, tiles in all) after every tile.

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


class Tiled(Engine):
  """An engine that enlarges window by window; no float copy of the whole.

  Attributes:
    radius: LR pixels around a tile that its result depends on.
    tile: LR pixels a side, halved for good when memory runs out.
    multiple: windows begin at multiples of this many LR pixels, and have such
      sides: what a network needs that folds its input into squares.
  """

  def __init__(
    self,
    name: str,
    scale: int,
    radius: int,
    card: dict[str, Any],
    tile: int | None,
    sha256: str = "",
    multiple: int = 1,
  ):
    """Checks the tile; subclasses say the rest."""
    if tile is not None and tile < 1:
      raise errors.EnhanceError(
        f"tile {tile} is out of range; wanted LR pixels, 1 or more"
      )
    super().__init__(name, scale, card, sha256)
    self.radius = -(-radius // multiple) * multiple
    self.tile = tile or DEFAULT_TILE
    self.multiple = multiple

  @abc.abstractmethod
  def enlarge(self, window: np.ndarray) -> np.ndarray:
    """Maps float32 [h, w, C] to float32 [h scale, w scale, C], unchecked.

    Raises:
      OutOfMemoryError: the window is too large for the device.
    """

  def upscale(
    self, x: np.ndarray, *, on_tile: OnTile | None = None
  ) -> np.ndarray:
    """See `Engine.upscale`."""
    return self._run(np.asarray(x, np.float32), self._finite, on_tile)

  def upscale_uint8(
    self, pixels: np.ndarray, *, on_tile: OnTile | None = None
  ) -> np.ndarray:
    """See `Engine.upscale_uint8`."""
    return self._run(pixels, self._enlarge_uint8, on_tile)

  def upscale_uint16(
    self, pixels: np.ndarray, *, on_tile: OnTile | None = None
  ) -> np.ndarray:
    """See `Engine.upscale_uint16`."""
    return self._run(pixels, self._enlarge_uint16, on_tile)

  def _finite(self, window: np.ndarray) -> np.ndarray:
    sr = self.enlarge(window)
    bad = sr.size - int(np.count_nonzero(np.isfinite(sr)))
    if bad:
      raise FloatingPointError(f"{bad} NaN or infinite values")
    return sr

  def _enlarge_uint8(self, window: np.ndarray) -> np.ndarray:
    return images.to_uint8(self._finite(images.to_float(window)))

  def _enlarge_uint16(self, window: np.ndarray) -> np.ndarray:
    return images.to_uint16(self._finite(images.to_float(window)))

  def _run(
    self,
    pixels: np.ndarray,
    enlarge: Callable[[np.ndarray], np.ndarray],
    on_tile: OnTile | None,
  ) -> np.ndarray:
    """Tiles the picture; halves the tile and starts again if memory ends."""
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3) or not pixels.size:
      raise errors.EnhanceError(
        f"got an image of shape {list(pixels.shape)}; wanted [H, W, 3] or "
        "[H, W, 1] with at least one pixel"
      )
    height, width = pixels.shape[:2]
    beyond = [(0, -side % self.multiple) for side in (height, width)]
    if beyond != [(0, 0), (0, 0)]:
      pixels = np.pad(pixels, [*beyond, (0, 0)], mode="reflect")
    while True:
      try:
        result = self._pass(pixels, enlarge, on_tile)
        return result[: height * self.scale, : width * self.scale]
      except OutOfMemoryError as error:
        if self.tile <= SMALLEST_TILE:
          raise errors.EnhanceError(
            f"{self.name} does not fit into memory even with tiles of "
            f"{self.tile} pixels ({error}); close other programs or use a "
            "smaller network"
          ) from error
        smaller = max(SMALLEST_TILE, self.tile // 2)
        _log.warning(
          "tiles of %d do not fit into memory, going on with %d (%s)",
          self.tile,
          smaller,
          error,
        )
        self.tile = smaller

  def _pass(
    self,
    pixels: np.ndarray,
    enlarge: Callable[[np.ndarray], np.ndarray],
    on_tile: OnTile | None,
  ) -> np.ndarray:
    height, width, channels = pixels.shape
    side = -(-self.tile // self.multiple) * self.multiple
    plan = tiling.tiles(height, width, tile=side, radius=self.radius)
    shape = (height * self.scale, width * self.scale, channels)
    result = np.empty(shape, pixels.dtype)
    for i, tile in enumerate(plan):
      try:
        part = enlarge(pixels[tile.window])
      except FloatingPointError as error:
        raise errors.EnhanceError(
          f"{self.name} gave {error} in tile {i + 1} of {len(plan)} ({tile} of "
          "the input); nothing was written. Check the weights, and the "
          "picture for values that are no numbers"
        ) from error
      result[tile.kept(self.scale)] = part[tile.inside(self.scale)]
      if on_tile is not None:
        on_tile(i + 1, len(plan))
    return result
