"""Where photographs come from: random access to uint8 HR pictures by number.

A source skips what it cannot use (a broken file, a picture smaller than the
crop): the place is taken by the next good picture, so that the contents stay a
pure function of the files, and each skipped one is named once and counted.
"""

import dataclasses
import hashlib
import importlib.util
import logging
import os
import pathlib
import re
from collections.abc import Sequence

import numpy as np

from enhance_jax import errors, images, registry, resample

# Photographs in scikit-image's and scikit-learn's wheels; other sample data of
# theirs is downloaded on demand and so left out.
_TRAIN = (
  "skimage/data/astronaut.png",
  "skimage/data/brick.png",
  "skimage/data/camera.png",
  "skimage/data/coins.png",
  "skimage/data/grass.png",
  "skimage/data/gravel.png",
  "skimage/data/hubble_deep_field.jpg",
  "skimage/data/motorcycle_left.png",
  "skimage/data/motorcycle_right.png",
  "skimage/data/rocket.jpg",
  "sklearn/datasets/images/flower.jpg",
)
_HELD_OUT = (
  "skimage/data/chelsea.png",
  "skimage/data/coffee.png",
  "sklearn/datasets/images/china.jpg",
)


@dataclasses.dataclass(frozen=True)
class Needs:
  """What a run asks of every picture.

  Attributes:
    channels: 3 (RGB) or 1 (luma).
    crop: least height and width in pixels.
    resize: height and width that pictures are brought to first, or None.
    box: top, left, height and width that are cut from each then, or None.
    tfds_dir: where prepared TFDS sets are kept; "": the library's default.
  """

  channels: int = 3
  crop: tuple[int, int] = (1, 1)
  resize: tuple[int, int] | None = None
  box: tuple[int, int, int, int] | None = None
  tfds_dir: str = ""


class Source:
  """Random access to pictures; subclasses say how to read number `index`."""

  def __init__(self, needs: Needs):
    self.needs = needs
    self.skipped: dict[int, str] = {}

  def __len__(self) -> int:
    raise NotImplementedError

  def name(self, index: int) -> str:
    """What to call picture `index` in messages and result tables."""
    raise NotImplementedError

  def fingerprint(self) -> str:
    """A digest that changes when the set of pictures does."""
    raise NotImplementedError

  def _read(self, index: int) -> np.ndarray:
    raise NotImplementedError

  def _size(self, index: int) -> tuple[int, int]:
    """Height and width as stored, without decoding where that is possible."""
    return self._read(index).shape[:2]

  def __getitem__(self, index: int) -> np.ndarray:
    """Picture `index`, or the next usable one, as uint8 [H, W, channels].

    Raises:
      EnhanceError: no picture of the source is usable.
    """
    count = len(self)
    for step in range(count):
      candidate = (int(index) + step) % count
      if candidate in self.skipped:
        continue
      try:
        return self._prepare(candidate)
      except errors.EnhanceError as error:
        self._skip(candidate, str(error))
    reasons = list(self.skipped.values())[:3]
    raise errors.EnhanceError(
      f"none of the {count} pictures of {self!r} can be used: "
      f"{'; '.join(reasons)}"
    )

  def _prepare(self, index: int) -> np.ndarray:
    picture = self._read(index)
    if self.needs.resize:
      picture = resample.resize_uint8(picture, size=self.needs.resize)
    if self.needs.box:
      top, left, height, width = self.needs.box
      picture = picture[top : top + height, left : left + width]
    height, width = picture.shape[:2]
    rows, columns = self.needs.crop
    if height < rows or width < columns:
      raise errors.EnhanceError(
        f"{self.name(index)}: {height}x{width} pixels, smaller than the crop "
        f"of {rows}x{columns}; use larger pictures or a smaller "
        "config.data.crop"
      )
    return picture

  def _skip(self, index: int, reason: str) -> None:
    if index not in self.skipped:
      self.skipped[index] = reason
      logging.getLogger(__name__).warning(
        "picture skipped, %d so far: %s", len(self.skipped), reason
      )

  def bytes_up_to(self, limit: int) -> int:
    """Bytes of all pictures as uint8, counted until `limit` is passed."""
    total = 0
    for index in range(len(self)):
      try:
        height, width = self.needs.resize or self._size(index)
        if self.needs.box:
          height, width = self.needs.box[2:]
      except errors.EnhanceError:
        continue
      total += height * width * self.needs.channels
      if total > limit:
        break
    return total


class _Files(Source):
  """Pictures in files."""

  def __init__(self, paths: Sequence[pathlib.Path], needs: Needs, spec: str):
    super().__init__(needs)
    self._paths = list(paths)
    self._spec = spec

  def __repr__(self) -> str:
    return self._spec

  def __len__(self) -> int:
    return len(self._paths)

  def name(self, index: int) -> str:
    """The file's path."""
    return str(self._paths[index])

  def fingerprint(self) -> str:
    """Digest of the files' names and sizes."""
    rows = [f"{path.name} {path.stat().st_size}" for path in self._paths]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]

  def _read(self, index: int) -> np.ndarray:
    return images.read_hr(self._paths[index], self.needs.channels)

  def _size(self, index: int) -> tuple[int, int]:
    return images.picture_size(self._paths[index])


class Samples(_Files):
  """Photographs that scikit-image and scikit-learn bring along.

  Args:
    rest: "" for the training ones, "held_out" for the others.
    needs: what the run asks of them.
  """

  def __init__(self, rest: str, needs: Needs):
    names = {"": _TRAIN, "train": _TRAIN, "held_out": _HELD_OUT}
    if rest not in names:
      raise errors.EnhanceError(
        f'the source "samples:{rest}" does not exist; '
        f"{errors.nearest(rest, ['train', 'held_out'])}"
      )
    paths = [_package_file(name) for name in names[rest]]
    super().__init__(paths, needs, f"samples:{rest or 'train'}")


def _package_file(name: str) -> pathlib.Path:
  package, _, inside = name.partition("/")
  spec = importlib.util.find_spec(package)
  places = (spec and spec.submodule_search_locations) or ()
  for place in places:
    path = pathlib.Path(place) / inside
    if path.is_file():
      return path
  raise errors.EnhanceError(
    f"the sample photograph {name} is not installed; run "
    "`pip install scikit-image scikit-learn`, or train on a folder of your "
    "own: --config.data.train=folder:DIR"
  )


class Folder(_Files):
  """Every picture below a folder, or one side of a fixed split of them.

  Where the pictures lie in several sub-folders (people, scenes), every fifth
  sub-folder is held out whole; else every tenth picture is, by name.

  Args:
    rest: DIR, DIR:train or DIR:held_out.
    needs: what the run asks of them.

  Raises:
    EnhanceError: the folder is missing or holds no picture.
  """

  def __init__(self, rest: str, needs: Needs):
    folder, _, side = rest.rpartition(":")
    if side not in ("train", "held_out"):
      folder, side = rest, ""
    top = pathlib.Path(os.path.expanduser(folder))
    paths = images.list_pictures(top)
    if side:
      held_out = _held_out(paths, top)
      paths = [p for p in paths if (p in held_out) == (side == "held_out")]
    if not paths:
      raise errors.EnhanceError(
        f"there is no picture in the folder {rest} or below it; wanted files "
        f"ending in {', '.join(sorted(images.SUFFIXES))}"
      )
    super().__init__(paths, needs, f"folder:{rest}")


def _held_out(
  paths: Sequence[pathlib.Path], top: pathlib.Path
) -> set[pathlib.Path]:
  groups = sorted({path.relative_to(top).parts[0] for path in paths})
  inside = [g for g in groups if (top / g).is_dir()]
  if len(inside) < 2:
    return set(sorted(paths)[9::10])
  chosen = set(inside[4::5])
  return {path for path in paths if path.relative_to(top).parts[0] in chosen}


class Joined(Source):
  """Several sources one after the other, each picture at several sizes.

  Args:
    parts: the sources.
    sizes: factors, each at most 1; every picture takes part at each.
  """

  def __init__(self, parts: Sequence[Source], sizes: Sequence[float]):
    super().__init__(parts[0].needs)
    self._parts, self._sizes = list(parts), tuple(sizes)

  def __repr__(self) -> str:
    names = "+".join(repr(part) for part in self._parts)
    return names if self._sizes == (1.0,) else f"{names} at {self._sizes}"

  def __len__(self) -> int:
    return sum(map(len, self._parts)) * len(self._sizes)

  def _find(self, index: int) -> tuple[Source, int, float]:
    index, size = divmod(index, len(self._sizes))
    for part in self._parts:
      if index < len(part):
        return part, index, self._sizes[size]
      index -= len(part)
    raise IndexError(index)

  def name(self, index: int) -> str:
    """The picture's own name, and its size where that is not 1."""
    part, inside, size = self._find(index)
    return part.name(inside) + ("" if size == 1 else f" at {size}")

  def fingerprint(self) -> str:
    """The parts' digests and the sizes."""
    prints = [part.fingerprint() for part in self._parts]
    return " ".join([*prints, *map(str, self._sizes)])

  def _read(self, index: int) -> np.ndarray:
    part, inside, size = self._find(index)
    picture = part._read(inside)
    if size == 1:
      return picture
    target = [max(1, round(side * size)) for side in picture.shape[:2]]
    return resample.resize_uint8(picture, size=(target[0], target[1]))

  def _size(self, index: int) -> tuple[int, int]:
    part, inside, size = self._find(index)
    height, width = part._size(inside)
    return max(1, round(height * size)), max(1, round(width * size))


def open_source(
  spec: str,
  needs: Needs,
  sizes: Sequence[float] = (1.0,),
) -> Source:
  """Opens a source by its configuration string.

  Args:
    spec: `samples[:held_out]`, `folder:DIR[:train|:held_out]` or
      `tfds:NAME[:SPLIT]`; several joined by "+".
    needs: what the run asks of the pictures.
    sizes: factors at which each picture takes part.

  Raises:
    EnhanceError: unknown kind of source, or it cannot be opened.
  """
  kinds = "|".join(registry.SOURCES)
  parts = []
  for part in re.split(rf"\+(?=(?:{kinds})(?::|\+|$))", spec):
    kind, _, rest = part.partition(":")
    factory = registry.lookup(registry.SOURCES, kind, "data source")
    parts.append(factory(rest, needs))
  if len(parts) == 1 and tuple(sizes) == (1.0,):
    return parts[0]
  return Joined(parts, sizes)
