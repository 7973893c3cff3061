"""The work behind the page's buttons; knows no Gradio.

Pictures come as uploaded files and are read by the project's own reader, after
their header said how large they are. Results are written by its own writer,
with their full depth and metadata, and carry what made them.
"""

import contextlib
import dataclasses
import math
import pathlib
import re
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from enhance_jax import errors, images, zoo
from enhance_jax.app import views
from enhance_jax.app.networks import Networks
from enhance_jax.app.shelf import CancelledError, Session, Shelf
from enhance_jax.inference import picture as pictures
from enhance_jax.inference import provenance, sizes, uncertainty
from enhance_jax.inference.tiled import Engine

FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WebP": ".webp", "TIFF": ".tif"}
# LR pixels a side of the live preview.
PREVIEW = 96
# (share that is done, what is being done)
OnStep = Callable[[float, str], None]


@dataclasses.dataclass(frozen=True)
class Settings:
  """What a visitor chose.

  Attributes:
    network: a name of `Networks`.
    imagination: 0 faithful to 1 imagined.
    scale: enlargement of each side.
    consistent: correct the result until, made small, it is the input.
    uncertain: estimate how far each pixel may be from the truth.
    format: a key of FORMATS.
  """

  network: str
  imagination: float
  scale: float
  consistent: bool
  uncertain: bool
  format: str


@dataclasses.dataclass(frozen=True)
class Result:
  """Files of one enlarged picture and the record of its making.

  Attributes:
    file: the enlarged picture.
    map: gray picture of the uncertainty, where it was asked for.
    record: what was run, JSON values.
    shown: what the comparison shows, None where nobody looks.
  """

  file: pathlib.Path
  map: pathlib.Path | None
  record: dict[str, Any]
  shown: views.Shown | None


class Desk:
  """Does the work, one piece at a time."""

  def __init__(self, networks: Networks, shelf: Shelf):
    """Takes what is shared by all visitors."""
    self.networks = networks
    self.shelf = shelf
    # Engines are for one picture at a time.
    self._turn = threading.Lock()

  def preview(
    self, session: Session, source: str, settings: Settings
  ) -> views.Shown:
    """The middle of a picture enlarged, to be looked at.

    Raises:
      EnhanceError: an unusable file.
    """
    path = self._touch(source)
    with self._turn, self._nameless(path):
      part = self._middle(session, path, settings)
      engine = self._engine(settings)
      size = sizes.Size(scale=settings.scale)
      result = pictures.upscale_picture(engine, part, size=size)
      folder, _ = self.shelf.begin(session, "preview")
      return views.write(self.shelf, folder, part, result)

  def enhance(
    self,
    session: Session,
    source: str,
    settings: Settings,
    on_step: OnStep,
    *,
    show: bool,
  ) -> Result:
    """Enlarges one uploaded picture.

    Args:
      session: of the visitor.
      source: the uploaded file.
      settings: what was chosen.
      on_step: called with the progress.
      show: also write what the comparison needs.

    Raises:
      EnhanceError: an unusable file, or a result beyond the bounds.
      CancelledError: the visitor cancelled.
    """
    path = self._touch(source)
    with self._turn, self._nameless(path):
      folder, cancel = self.shelf.begin(session, "result")
      steps = _Steps(session, cancel, on_step)
      return self._enhance(path, settings, folder, steps, show=show)

  def enhance_all(
    self,
    session: Session,
    sources: Sequence[str],
    settings: Settings,
    on_step: OnStep,
  ) -> tuple[pathlib.Path | None, list[dict[str, Any]]]:
    """Enlarges several pictures into one zip file; broken ones are named.

    Returns:
      the zip file, None if no picture could be enlarged; and a record of each
      picture, with an "error" where it failed.

    Raises:
      EnhanceError: too many files.
      CancelledError: the visitor cancelled.
    """
    bound = self.shelf.limits.files
    if len(sources) > bound:
      raise errors.EnhanceError(
        f"got {len(sources)} files, and {bound} at a time is the limit; the "
        "command `python -m enhance_jax.upscale` has none"
      )
    with self._turn:
      folder, cancel = self.shelf.begin(session, "result")
      target, records, used = folder / "enhanced.zip", [], set()
      with zipfile.ZipFile(target, "x", zipfile.ZIP_STORED) as archive:
        for i, source in enumerate(sources):
          path = self._touch(source)
          steps = _Steps(session, cancel, on_step, i, len(sources))
          try:
            with self._nameless(path):
              made = self._enhance(path, settings, folder, steps, show=False)
          except errors.EnhanceError as error:
            records.append({"picture": path.name, "error": str(error)})
            continue
          for file in (made.file, made.map):
            if file is not None:
              archive.write(file, _unused(file.name, used))
              file.unlink()
          records.append(made.record)
      done = any("error" not in record for record in records)
      return (target if done else None), records

  def _enhance(
    self,
    path: pathlib.Path,
    settings: Settings,
    folder: pathlib.Path,
    steps: "_Steps",
    *,
    show: bool,
  ) -> Result:
    began = time.perf_counter()
    steps.say("reading the picture")
    picture = self._read(path, settings)
    engine = self._engine(settings)
    calibration = self._calibration(settings, engine)
    size = sizes.Size(scale=settings.scale)
    result = pictures.upscale_picture(engine, picture, size=size, on_tile=steps)
    stamped = provenance.stamp(
      result, engine, {"size": str(size)}, zoo.file_sha256(path)
    )
    steps.say("writing the file")
    stem = f"{_stem(path)}-x{settings.scale:g}"
    file = folder / (stem + FORMATS[settings.format])
    images.write_picture(file, stamped)
    record = _record(path, picture, result, provenance.inspect(file))
    overlay = made = None
    if calibration is not None:
      steps.say("estimating the uncertainty")
      found = uncertainty.estimate(
        engine, picture, calibration, result=result, on_tile=steps
      )
      made = folder / f"{stem}-uncertainty.png"
      images.write_picture(made, found.image())
      overlay = found.overlay(result)
      record["uncertainty"] = found.summary()
    shown = None
    if show:
      shown = views.write(self.shelf, folder, picture, result, overlay)
    record["seconds"] = round(time.perf_counter() - began, 1)
    return Result(file, made, record, shown)

  def _engine(self, settings: Settings) -> Engine:
    return self.networks.engine(
      settings.network, settings.imagination, consistent=settings.consistent
    )

  def _calibration(
    self, settings: Settings, engine: Engine
  ) -> uncertainty.Calibration | None:
    if not settings.uncertain:
      return None
    network = self.networks.get(settings.network)
    weights = network.path
    if network.imagined is not None and settings.imagination == 1:
      weights = network.imagined
    return uncertainty.load(
      uncertainty.beside(weights), engine.sha256, engine.settings
    )

  def _touch(self, source: str) -> pathlib.Path:
    """The uploaded file, which is needed and therefore not removed soon."""
    path = pathlib.Path(source)
    if not path.is_file():
      raise errors.EnhanceError(
        "the picture is no longer here, because it was not used for long; "
        "choose it again"
      )
    path.touch()
    return path

  def _read(self, path: pathlib.Path, settings: Settings) -> images.Picture:
    """Reads a picture unless its header promises too large a result."""
    network = self.networks.get(settings.network)
    scale = max(settings.scale, network.scale)
    bound = self.shelf.limits.result_pixels
    height, width = images.picture_size(path)
    if height * width * scale**2 > bound:
      raise errors.EnhanceError(
        f"{path}: {width}x{height} pixels become "
        f"{height * width * scale**2 / 1e6:.0f} megapixels at x{scale:g}, and "
        f"the limit is {bound / 1e6:.0f}; cut the picture in pieces, or choose "
        "a smaller scale"
      )
    return images.read_picture(path, max_pixels=math.floor(bound / scale**2))

  def _middle(
    self, session: Session, path: pathlib.Path, settings: Settings
  ) -> images.Picture:
    """The middle of a picture; kept, because sliders move often."""
    key = (path, settings.network, settings.scale)
    if session.part is None or session.part[0] != key:
      whole = self._read(path, settings)
      rows, columns = (
        slice((n - min(n, PREVIEW)) // 2, (n + min(n, PREVIEW)) // 2)
        for n in whole.pixels.shape[:2]
      )
      pixels = np.ascontiguousarray(whole.pixels[rows, columns])
      session.part = key, dataclasses.replace(whole, pixels=pixels)
    return session.part[1]

  @contextlib.contextmanager
  def _nameless(self, path: pathlib.Path) -> Iterator[None]:
    """Errors tell visitors names of files, and not where they lie here."""
    try:
      yield
    except MemoryError as error:
      raise errors.EnhanceError(
        f"{path.name}: the memory of this computer does not suffice; cut the "
        "picture in pieces"
      ) from error
    except errors.EnhanceError as error:
      known = sorted(map(str, self.networks.folders), key=len, reverse=True)
      # The shelf first: it may lie below one of the others.
      places = [re.escape(str(self.shelf.root)) + "/[^/]*"]
      places += [re.escape(place) for place in known]
      text = re.sub(f"(?:{'|'.join(places)})/", "", str(error))
      raise errors.EnhanceError(text) from error


class _Steps:
  """Progress of a piece of work; every step may be its last."""

  def __init__(
    self,
    session: Session,
    cancel: threading.Event,
    on_step: OnStep,
    index: int = 0,
    count: int = 1,
  ):
    self._session, self._cancel, self._on_step = session, cancel, on_step
    self._index, self._count = index, count
    self._share = index / count
    self._which = f"Picture {index + 1} of {count}, " if count > 1 else ""

  def __call__(self, done: int, total: int) -> None:
    self._share = (self._index + done / total) / self._count
    self.say(f"tile {done} of {total}")

  def say(self, what: str) -> None:
    """Tells the visitor, unless the work is no longer wanted."""
    if self._cancel.is_set():
      raise CancelledError
    self._session.seen = time.monotonic()
    text = self._which + what
    self._on_step(self._share, text[:1].upper() + text[1:])


def lr_psnr(lr: np.ndarray, sr: np.ndarray) -> float:
  """How well a result, made small again, agrees with its input.

  Args:
    lr: uint8 or uint16 [h, w, C]; alpha does not count.
    sr: the same type, [H, W, C].

  Returns:
    PSNR in dB over all pixels and channels, after MATLAB's bicubic and
    rounding; 200, for JSON knows no infinity, where both are equal.
  """
  colours = lr.shape[-1] - (lr.shape[-1] in (2, 4))
  small = sizes.resize_pixels(sr[..., :colours], lr.shape[:2])
  error = np.square(lr[..., :colours].astype(np.float64) - small).mean()
  if not error:
    return 200.0
  return round(10 * math.log10(np.iinfo(lr.dtype).max ** 2 / error), 2)


def _record(
  path: pathlib.Path,
  picture: images.Picture,
  result: images.Picture,
  made: dict[str, Any],
) -> dict[str, Any]:
  (h, w), (rows, columns) = (x.pixels.shape[:2] for x in (picture, result))
  bits = 8 * result.pixels.dtype.itemsize
  return {
    "picture": path.name,
    "pixels": f"{w} x {h} -> {columns} x {rows}, {bits} bits",
    "lr_psnr": lr_psnr(picture.pixels, result.pixels),
    **made,
  }


def _stem(path: pathlib.Path) -> str:
  """The uploaded name without what a name had better not have."""
  return re.sub(r"[^\w.-]+", "_", path.stem).strip("._-")[:80] or "picture"


def _unused(name: str, used: set[str]) -> str:
  stem, dot, suffix = name.rpartition(".")
  number, free = 1, name
  while free in used:
    number += 1
    free = f"{stem}-{number}{dot}{suffix}"
  used.add(free)
  return free
