"""What the page shows of pictures: small enough, 8 bits, and side by side."""

import dataclasses
import html
import pathlib
from collections.abc import Sequence
from typing import Any

from enhance_jax import images
from enhance_jax.app.shelf import Shelf
from enhance_jax.inference import sizes

# What a record tells first, in this order, and how it is called.
_WORDS = {
  "picture": "Picture",
  "pixels": "Pixels",
  "model": "Model",
  "weights_sha256": "Weights, SHA-256",
  "generative": "Imagines detail",
  "settings": "Settings",
  "lr_psnr": "LR-PSNR in dB",
  "uncertainty": "Uncertainty",
  "version": "enhance_jax",
  "seconds": "Seconds",
}
# Pixels a side up to which browsers show a picture without trouble.
_MOST = 4096


@dataclasses.dataclass(frozen=True)
class Shown:
  """Keys of a comparison's pictures on the shelf.

  Attributes:
    before: the input, as it is.
    after: the result.
    overlay: the result under a heat map of its uncertainty, or None.
    size: (height, width) of the result.
    reduced: whether what is shown is smaller than the result.
  """

  before: str
  after: str
  overlay: str | None
  size: tuple[int, int]
  reduced: bool


def write(
  shelf: Shelf,
  folder: pathlib.Path,
  picture: images.Picture,
  result: images.Picture,
  overlay: images.Picture | None = None,
) -> Shown:
  """Writes a comparison's pictures into a folder of the shelf."""
  keys = [
    None if one is None else shelf.publish(_write(folder / name, one))
    for name, one in (
      ("before", picture),
      ("after", result),
      ("overlay", overlay),
    )
  ]
  height, width = result.pixels.shape[:2]
  assert keys[0] is not None and keys[1] is not None
  return Shown(
    keys[0], keys[1], keys[2], (height, width), max(height, width) > _MOST
  )


def comparison(shown: Shown, name: str, what: str) -> str:
  """The HTML of a comparison; `comparison.js` draws it.

  Args:
    shown: its pictures.
    name: of the picture.
    what: a caption.
  """
  height, width = shown.size
  attributes = {
    "before": f"/view/{shown.before}",
    "after": f"/view/{shown.after}",
    "overlay": f"/view/{shown.overlay}" if shown.overlay else "",
    "width": width,
    "height": height,
    "name": name,
    "caption": what
    + (" Shown smaller than it is; the file has all." if shown.reduced else ""),
  }
  words = " ".join(
    f'{key}="{html.escape(str(value))}"' for key, value in attributes.items()
  )
  return f"<enhance-comparison {words}></enhance-comparison>"


def table(record: dict[str, Any]) -> str:
  """A record as an HTML list of terms; what is best known comes first."""
  known = [key for key in _WORDS if key in record]
  rest = [key for key in record if key not in _WORDS]
  rows = "".join(
    f"<dt>{html.escape(_WORDS.get(key, key.replace('_', ' ')))}</dt>"
    f"<dd>{html.escape(_word(record[key]))}</dd>"
    for key in (*known, *rest)
  )
  return f'<dl class="record">{rows}</dl>'


def batch_table(records: Sequence[dict[str, Any]]) -> str:
  """What became of each picture of a batch, as an HTML table."""
  rows = "".join(
    f'<tr><th scope="row">{html.escape(one["picture"])}</th>'
    + (
      f'<td class="bad">failed: {html.escape(one["error"])}</td>'
      if "error" in one
      else f"<td>{html.escape(one['pixels'])} in {one['seconds']} s</td>"
    )
    + "</tr>"
    for one in records
  )
  bad = sum("error" in one for one in records)
  text = f"{len(records) - bad} of {len(records)} pictures enlarged"
  return f'<p role="status">{text}</p><table class="batch">{rows}</table>'


def _word(value: Any) -> str:
  if isinstance(value, dict):
    return ", ".join(f"{key}: {_word(one)}" for key, one in value.items())
  if isinstance(value, list):
    return "; ".join(map(_word, value))
  if isinstance(value, bool):
    return "yes" if value else "no"
  return str(value)


def _write(stem: pathlib.Path, picture: images.Picture) -> pathlib.Path:
  pixels = picture.pixels
  height, width = pixels.shape[:2]
  ratio = _MOST / max(height, width)
  if ratio < 1:
    size = (max(1, round(height * ratio)), max(1, round(width * ratio)))
    pixels = sizes.resize_pixels(pixels, size)
  if pixels.dtype.itemsize > 1:
    pixels = images.to_uint8(images.to_float(pixels))
  has_alpha = pixels.shape[-1] in (2, 4)
  path = stem.with_suffix(".png" if has_alpha else ".jpg")
  images.write_picture(path, images.Picture(pixels, icc=picture.icc))
  return path
