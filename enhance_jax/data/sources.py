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
from collections.abc import Sequence
from typing import Any

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
  """

  channels: int = 3
  crop: int = 1
  resize: tuple[int, int] | None = None


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
    height, width = picture.shape[:2]
    if min(height, width) < self.needs.crop:
      raise errors.EnhanceError(
        f"{self.name(index)}: {height}x{width} pixels, smaller than the crop "
        f"of {self.needs.crop}; use larger pictures or a smaller "
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
  """Every picture below a folder.

  Args:
    rest: the folder.
    needs: what the run asks of them.

  Raises:
    EnhanceError: the folder is missing or holds no picture.
  """

  def __init__(self, rest: str, needs: Needs):
    paths = images.list_pictures(os.path.expanduser(rest))
    if not paths:
      raise errors.EnhanceError(
        f"there is no picture in the folder {rest} or below it; wanted files "
        f"ending in {', '.join(sorted(images.SUFFIXES))}"
      )
    super().__init__(paths, needs, f"folder:{rest}")


class Tfds(Source):
  """A TensorFlow Datasets set in the array_record format, without TensorFlow.

  Args:
    rest: NAME or NAME:SPLIT; the split defaults to "train".
    needs: what the run asks of the pictures.
    data_dir: where prepared sets are kept; "": the library's default.

  Raises:
    EnhanceError: the set is unknown, cannot be prepared or has no pictures.
  """

  def __init__(self, rest: str, needs: Needs, data_dir: str = ""):
    super().__init__(needs)
    self._name, _, split = rest.partition(":")
    self._split = split or "train"
    self._data_dir = data_dir or None
    self._records: Any = None
    info = self._builder().info
    self._feature = next(
      (key for key in ("hr", "image") if key in info.features), None
    )
    if self._feature is None:
      raise errors.EnhanceError(
        f"the set tfds:{self._name} has the features "
        f"{', '.join(info.features)}; wanted one called image or hr"
      )
    self._version = str(info.version)
    self._records = self._open()
    if not len(self._records):
      raise errors.EnhanceError(
        f"the split {self._split} of tfds:{self._name} is empty; choose "
        "another split"
      )

  def _builder(self) -> Any:
    import tensorflow_datasets as tfds

    try:
      return tfds.builder(
        self._name, data_dir=self._data_dir, file_format="array_record"
      )
    except Exception as error:
      raise errors.EnhanceError(
        f"the set tfds:{self._name} cannot be opened ({_first_line(error)}); "
        "wanted a name that TensorFlow Datasets knows, or one prepared below "
        "config.data.tfds_dir"
      ) from error

  def _open(self) -> Any:
    try:
      builder = self._builder()
      builder.download_and_prepare(file_format="array_record")
      return builder.as_data_source(split=self._split)
    except errors.EnhanceError:
      raise
    except Exception as error:
      raise errors.EnhanceError(
        f"the set tfds:{self._name} (split {self._split}) cannot be prepared "
        f"({_first_line(error)}); prepare it once where there is a network, "
        "in the array_record format, and point config.data.tfds_dir at it"
      ) from error

  def __getstate__(self) -> dict[str, Any]:
    # Loader processes open the files themselves.
    return {**self.__dict__, "_records": None}

  def __repr__(self) -> str:
    return f"tfds:{self._name}:{self._split}"

  def __len__(self) -> int:
    if self._records is None:
      self._records = self._open()
    return len(self._records)

  def name(self, index: int) -> str:
    """The set's name and the record's number."""
    return f"{self._name}-{index:06d}"

  def fingerprint(self) -> str:
    """The set's version, split and number of records."""
    return f"{self._name}:{self._version}:{self._split}:{len(self)}"

  def _read(self, index: int) -> np.ndarray:
    len(self)
    try:
      picture = np.asarray(self._records[index][self._feature])
    except Exception as error:
      raise errors.EnhanceError(
        f"{self.name(index)} cannot be decoded ({_first_line(error)})"
      ) from error
    return images.to_channels(picture, self.needs.channels)


def _first_line(error: BaseException) -> str:
  return (str(error).strip() or type(error).__name__).splitlines()[0]


def open_source(spec: str, needs: Needs, *, tfds_dir: str = "") -> Source:
  """Opens a source by its configuration string.

  Args:
    spec: `samples[:held_out]`, `folder:DIR` or `tfds:NAME[:SPLIT]`.
    needs: what the run asks of the pictures.
    tfds_dir: where prepared TFDS sets are kept.

  Raises:
    EnhanceError: unknown kind of source, or it cannot be opened.
  """
  kind, _, rest = spec.partition(":")
  factory = registry.lookup(registry.SOURCES, kind, "data source")
  if factory is Tfds:
    return Tfds(rest, needs, tfds_dir)
  return factory(rest, needs)
