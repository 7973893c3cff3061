"""TensorFlow Datasets as a source of photographs, without TensorFlow."""

from typing import Any

import numpy as np

from enhance_jax import errors, images
from enhance_jax.data.sources import Needs, Source


class Tfds(Source):
  """A TensorFlow Datasets set in the array_record format, without TensorFlow.

  Args:
    rest: NAME or NAME:SPLIT; the split defaults to "train".
    needs: what the run asks of the pictures.

  Raises:
    EnhanceError: the set is unknown, cannot be prepared or has no pictures.
  """

  def __init__(self, rest: str, needs: Needs):
    super().__init__(needs)
    self._name, _, split = rest.partition(":")
    self._split = split or "train"
    self._data_dir = needs.tfds_dir or None
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
