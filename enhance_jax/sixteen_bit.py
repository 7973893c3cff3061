"""16-bit RGB and alpha pictures, which Pillow has no pixel type for.

Pillow keeps only the high byte of such files. Its decoders can be told the
byte order, though: read once as it is and once as the other order, they give
the high and then the low bytes, so nothing is lost and every compression,
interlacing and predictor that Pillow reads is read here.
"""

import sys
from collections.abc import Callable

import numpy as np
from PIL import ImageFile

from enhance_jax.errors import EnhanceError

_OTHER_ORDER = {
  "B": "L",
  "L": "B",
  "N": "B" if sys.byteorder == "little" else "L",
}
_SPLIT = ("RGB", "RGBA", "RGBX")


def _raw_mode(tile: ImageFile._Tile) -> str:
  args = tile.args or ("",)
  return args if isinstance(args, str) else args[0]


def _with_raw_mode(tile: ImageFile._Tile, mode: str) -> ImageFile._Tile:
  args = tile.args or ()
  changed = mode if isinstance(args, str) else (mode, *args[1:])
  return tile._replace(args=changed)


def is_wide(image: ImageFile.ImageFile) -> bool:
  """Whether an opened, not yet decoded picture has 16-bit colour or alpha."""
  return any(
    ";16" in _raw_mode(tile) and not image.mode.startswith("I")
    for tile in image.tile
  )


def decode(
  reopen: Callable[[], ImageFile.ImageFile],
) -> tuple[np.ndarray, ImageFile.ImageFile]:
  """Decodes a picture for which `is_wide` holds.

  Args:
    reopen: gives a freshly opened, not yet decoded image at each call.

  Returns:
    uint16 [H, W, C] with 2, 3 or 4 channels, and a decoded image whose
    metadata may be read.
  """
  image = reopen()
  raw_mode = _raw_mode(image.tile[0])
  kind, _, order = raw_mode.partition(";16")
  if kind == "LA" and order == "B":
    # Four bytes a pixel, as RGBA has: gray high, low, alpha high, low.
    image.tile = [_with_raw_mode(tile, "RGBA") for tile in image.tile]
    image.load()
    four = np.asarray(image).astype(np.uint16)
    return four[..., 0::2] << 8 | four[..., 1::2], image
  if kind not in _SPLIT or order not in _OTHER_ORDER:
    raise EnhanceError(
      f"16-bit pixels of kind {raw_mode} are not supported; save the picture "
      "as 16-bit RGB or RGBA PNG"
    )
  image.load()
  low = reopen()
  other = f"{kind};16{_OTHER_ORDER[order]}"
  low.tile = [_with_raw_mode(tile, other) for tile in low.tile]
  low.load()
  high_bytes = np.asarray(image).astype(np.uint16)
  return high_bytes << 8 | np.asarray(low), image
