"""What made a picture, written into it and read back.

Two places: the XMP packet, which every format but BMP has, and a PNG text.
Both hold the same JSON record; XMP also says in the press's own words (IPTC
digital source type) whether a generative network had a part in the picture.
"""

import importlib.metadata
import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from enhance_jax import errors, images, picture_reader
from enhance_jax.inference import fidelity, tiled, xmp

KEY = "enhance_jax:provenance"
FORMAT = "enhance_jax provenance 1"
# https://cv.iptc.org/newscodes/digitalsourcetype/
CODES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
ENHANCED = "algorithmicallyEnhanced"
GENERATIVE = "compositeWithTrainedAlgorithmicMedia"
# From the least to the most synthetic; others come before all of these.
_RANKS = (ENHANCED, GENERATIVE, "trainedAlgorithmicMedia")

_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_OWN = "urn:enhance_jax:xmp#"
_NOTE = "http://ns.adobe.com/xmp/note/"
_SOURCE_TYPE = (_IPTC, "DigitalSourceType")
_RECORD = (_OWN, "Provenance")
# Names a second packet, which is not carried over.
_EXTENDED = (_NOTE, "HasExtendedXMP")
_PREFIXES = {_IPTC: "Iptc4xmpExt", _OWN: "enhance"}
_EARLIER = 10

_log = logging.getLogger(__name__)


def stamp(
  picture: images.Picture,
  upscaler: tiled.Engine,
  settings: Mapping[str, Any],
  source_sha256: str | None = None,
) -> images.Picture:
  """The picture with the record of how it was made in its XMP and text.

  What its XMP says otherwise stays, with two exceptions: the digital source
  type, unless it names something more synthetic already, and an earlier record
  of this program, which the new one takes in.

  Args:
    picture: the enlarged picture with the metadata of its input.
    upscaler: what enlarged it.
    settings: beside those the upscaler itself has; values that JSON has.
    source_sha256: digest of the input file.
  """
  found, damage = _found(picture.xmp)
  record = _record(upscaler, settings, source_sha256)
  kind = GENERATIVE if upscaler.generative else ENHANCED
  before = found.get(_SOURCE_TYPE, "")
  if before:
    record["source_type_before"] = before
  if before.startswith(CODES):
    kind = max(kind, before.removeprefix(CODES), key=_rank)
  earlier = _read(picture.text.get(KEY) or found.get(_RECORD))
  if earlier is not None:
    older = earlier.pop("earlier", [])
    record["earlier"] = [earlier, *older][:_EARLIER]
  if damage is not None:
    record["xmp_left_out"] = damage
    _log.warning("the picture's XMP packet is left out: %s", damage)
  # ASCII, so that PNG's Latin-1 and XML hold it as it is.
  text = json.dumps(record, sort_keys=True, allow_nan=False)
  packet = xmp.with_properties(
    picture.xmp if damage is None else None,
    {_SOURCE_TYPE: CODES + kind, _RECORD: text},
    _PREFIXES,
    without=[_EXTENDED],
  )
  return images.Picture(
    picture.pixels,
    picture.icc,
    picture.exif,
    packet,
    {**picture.text, KEY: text},
  )


def inspect(path: str | os.PathLike) -> dict[str, Any]:
  """The record that `stamp` left in a picture file; pixels are not decoded.

  Returns:
    model, weights_sha256, scale, settings, version, generative,
    digital_source_type (its IPTC code), and where they apply lr_psnr (dB, of
    the pixels as written), source_sha256, source_type_before, xmp_left_out and
    `earlier`, a list of the records of what the input had gone through.

  Raises:
    EnhanceError: no picture, or it carries no record, or a damaged one.
  """
  packet, text = picture_reader.read_remarks(path)
  found, damage = _found(packet)
  source_type = found.get(_SOURCE_TYPE)
  written = text.get(KEY) or found.get(_RECORD)
  record = _read(written)
  if record is None:
    reason = "carries no provenance"
    if written:
      reason = "carries a provenance that is damaged or of another version"
    elif damage is not None:
      reason = f"carries no provenance that can be read: in its XMP, {damage}"
    told = f"; digital source type: {source_type}" if source_type else ""
    raise errors.EnhanceError(
      f"{os.fspath(path)}: {reason}; wanted a picture that this program "
      f"wrote, unchanged by others{told}"
    )
  record["digital_source_type"] = source_type
  return record


def _record(
  upscaler: tiled.Engine, settings: Mapping[str, Any], source: str | None
) -> dict[str, Any]:
  try:
    version = importlib.metadata.version("enhance_jax")
  except importlib.metadata.PackageNotFoundError:
    version = "not installed"
  record = {
    "format": FORMAT,
    "model": upscaler.name,
    "weights_sha256": upscaler.sha256,
    "scale": upscaler.scale,
    "settings": {**upscaler.settings, **settings},
    "version": version,
    "generative": upscaler.generative,
  }
  if isinstance(upscaler, fidelity.Consistent) and upscaler.agreement:
    # JSON knows no infinity; no file agrees better than this.
    record["lr_psnr"] = round(min(upscaler.agreement.written, 200.0), 2)
  if source is not None:
    record["source_sha256"] = source
  return record


def _found(packet: bytes | None) -> tuple[dict[xmp.Name, str], str | None]:
  """What is known of a packet, and what is wrong with it."""
  if packet is None:
    return {}, None
  try:
    # Its editing is tried as well: what can be read can be added to.
    found = xmp.simple_properties(packet, (_SOURCE_TYPE, _RECORD))
    xmp.with_properties(packet, {}, {})
  except xmp.PacketError as error:
    return {}, str(error)
  return found, None


def _read(text: str | None) -> dict[str, Any] | None:
  """A record from its JSON; None if it is none."""
  try:
    record = json.loads(text or "")
  except (ValueError, RecursionError):
    return None
  if not isinstance(record, dict) or record.get("format") != FORMAT:
    return None
  if not isinstance(record.get("earlier", []), list):
    return None
  return record


def _rank(code: str) -> int:
  return _RANKS.index(code) if code in _RANKS else -1
