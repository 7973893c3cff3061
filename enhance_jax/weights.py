"""Reads arrays from weight files of any origin without executing anything.

A `.pth` file holds a pickle, which is a program. Here it is run by a machine
that knows five harmless words and refuses every other; what it describes is
checked against the file before an array is made.
"""

import collections
import io
import math
import os
import pathlib
import pickle
import zipfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from enhance_jax.errors import EnhanceError

SUFFIXES = (".safetensors", ".npz", ".pth", ".pt")

_STORAGES = {
  "DoubleStorage": np.dtype(np.float64),
  "FloatStorage": np.dtype(np.float32),
  "HalfStorage": np.dtype(np.float16),
  "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
  "LongStorage": np.dtype(np.int64),
  "IntStorage": np.dtype(np.int32),
  "ShortStorage": np.dtype(np.int16),
  "CharStorage": np.dtype(np.int8),
  "ByteStorage": np.dtype(np.uint8),
  "BoolStorage": np.dtype(np.bool_),
}
# Names and geometry only: a thousandth of what these files weigh.
_PICKLE_LIMIT = 16 * 2**20
_DEPTH_LIMIT = 16


class _Storage(NamedTuple):
  key: str
  kind: str
  size: int


# A tuple, not an array, while the pickle runs: nothing in it can be altered.
class _Tensor(NamedTuple):
  storage: Any
  offset: Any
  shape: Any
  strides: Any


def read_tensors(
  path: str | os.PathLike, *, prefix: str = ""
) -> dict[str, np.ndarray]:
  """Reads the arrays of a weights file; the contents decide the format.

  Args:
    path: a `.safetensors`, `.npz` or PyTorch (1.6 or later) file.
    prefix: only arrays whose names begin so; the others take no memory.

  Returns:
    name -> array as stored, perhaps read-only; nested dictionaries in a
    PyTorch file give names joined by dots ("params.conv_first.weight").

  Raises:
    EnhanceError: not readable, damaged, or holding anything but arrays.
  """
  path = pathlib.Path(path)
  try:
    with path.open("rb") as file:
      head = file.read(16)
    if zipfile.is_zipfile(path):
      with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if any(name.endswith("data.pkl") for name in names):
          return _read_torch(archive, prefix)
      with np.load(path, allow_pickle=False) as arrays:
        wanted = [name for name in arrays.files if name.startswith(prefix)]
        return {name: arrays[name] for name in wanted}
    if head[8:9] == b"{":
      # Only here: the other formats do without the package.
      from safetensors import safe_open

      with safe_open(path, framework="numpy") as arrays:
        wanted = [name for name in arrays.keys() if name.startswith(prefix)]
        return {name: arrays.get_tensor(name) for name in wanted}
  except EnhanceError as error:
    raise EnhanceError(f"{path}: {error}") from error
  except OSError as error:
    raise EnhanceError(
      f"{path} cannot be read ({error.strerror or error}); check the path and "
      "its permissions"
    ) from error
  except Exception as error:  # A damaged file can fail in any place.
    raise EnhanceError(
      f"{path} is damaged ({type(error).__name__}: {error}); get it again"
    ) from error
  raise EnhanceError(f"{path} {_describe(head)}")


# What PyTorch's writer uses, protocols 2 to 4. Not among them is BYTEARRAY8,
# by which a few bytes can claim any amount of memory.
_OPCODES = (
  "PROTO FRAME STOP MARK MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET "
  "NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT "
  "BINUNICODE SHORT_BINUNICODE EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 "
  "EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS "
  "GLOBAL STACK_GLOBAL BINPERSID REDUCE NEWOBJ BUILD"
).split()


class _Reader(pickle._Unpickler):
  """Python's own slow machine: its memory grows only with the input's size."""

  dispatch = {
    code: pickle._Unpickler.dispatch[code]
    for code in (getattr(pickle, name)[0] for name in _OPCODES)
  }

  def find_class(self, module: str, name: str) -> Any:
    """The five words; a storage type is a mere string, which nothing calls."""
    if module == "torch" and name in _STORAGES:
      return name
    if (module, name) == ("collections", "OrderedDict"):
      return collections.OrderedDict
    if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
      return self._tensor
    if (module, name) == ("torch._utils", "_rebuild_parameter"):
      return self._parameter
    raise EnhanceError(
      f"its pickle asks for {module}.{name}, which is refused; save it anew as "
      "a plain state_dict, or as .safetensors"
    )

  def persistent_load(self, pid: Any) -> _Storage:
    """A reference to one raw array of the archive."""
    kind, storage, key, _, size = pid
    if kind != "storage" or storage not in _STORAGES or not _count(size):
      raise pickle.UnpicklingError(f"strange storage {pid!r}")
    return _Storage(str(key), storage, size)

  def _tensor(self, storage, offset, shape, strides, *_) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)

  def _parameter(self, data, *_) -> Any:
    return data


def _read_torch(archive: zipfile.ZipFile, prefix: str) -> dict[str, np.ndarray]:
  (index,) = [n for n in archive.namelist() if n.endswith("data.pkl")]
  root = index.removesuffix("data.pkl")
  if root + "byteorder" in archive.namelist():
    order = _member(archive, root + "byteorder", 16)
    if order != b"little":
      raise EnhanceError(
        "it was saved on a big-endian machine; save it on another"
      )
  stream = io.BytesIO(_member(archive, index, _PICKLE_LIMIT))
  tree = _Reader(stream, encoding="utf-8").load()
  raw: dict[_Storage, np.ndarray] = {}
  described = dict(_flatten(tree, "", 0))
  if not described:
    raise EnhanceError("it holds no tensors; wanted a state_dict")
  tensors = {}
  for name, tensor in described.items():
    if not name.startswith(prefix):
      continue
    storage = tensor.storage
    if not isinstance(storage, _Storage):
      raise pickle.UnpicklingError(f"{name} has no storage")
    if storage not in raw:
      dtype = _STORAGES[storage.kind]
      size = storage.size * dtype.itemsize
      data = _member(archive, f"{root}data/{storage.key}", size)
      if len(data) < size:
        raise pickle.UnpicklingError(f"{name} is cut short")
      raw[storage] = np.frombuffer(data, dtype)
    tensors[name] = _view(name, raw[storage], tensor)
  return tensors


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
  info = archive.getinfo(name)
  # PyTorch never compresses; a small file must not unfold into a huge one.
  if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit:
    raise EnhanceError(
      f"its part {name} is compressed or larger than declared; PyTorch does "
      "not write such files"
    )
  return archive.read(info)


def _flatten(
  tree: Any, prefix: str, depth: int
) -> Iterator[tuple[str, _Tensor]]:
  if isinstance(tree, _Tensor):
    yield prefix or "tensor", tree
  elif isinstance(tree, dict):
    if depth == _DEPTH_LIMIT:
      raise pickle.UnpicklingError("dictionaries nested too deeply")
    for key, value in dict.items(tree):
      name = f"{prefix}.{key}" if prefix else str(key)
      yield from _flatten(value, name, depth + 1)


def _count(value: Any) -> bool:
  return type(value) is int and value >= 0


def _view(name: str, data: np.ndarray, tensor: _Tensor) -> np.ndarray:
  """The tensor's window onto its storage, refused where it looks beyond."""
  offset, shape, strides = tensor.offset, tensor.shape, tensor.strides
  if (
    not all(type(part) is tuple for part in (shape, strides))
    or not all(map(_count, (offset, *shape, *strides)))
    or len(shape) != len(strides)
    or len(shape) > 8
  ):
    raise pickle.UnpicklingError(f"{name} has a strange geometry")
  steps = zip(shape, strides, strict=True)
  last = offset + sum((n - 1) * step for n, step in steps)
  size = math.prod(shape)
  # More values than stored would be one value repeated, perhaps endlessly.
  if size > data.size or (size and last >= data.size):
    raise pickle.UnpicklingError(f"{name} reaches beyond its storage")
  if not size:
    return np.zeros(shape, data.dtype)
  bytes_ = [step * data.itemsize for step in strides]
  return np.lib.stride_tricks.as_strided(
    data[offset:], shape, bytes_, writeable=False
  )


def _describe(head: bytes) -> str:
  if not head:
    return "is empty; get it again"
  if head.lstrip()[:1] == b"<":
    return "is a web page, not weights; the download failed, get it again"
  if head[:1] == b"\x80":
    return (
      "is a bare pickle, as PyTorch wrote before 1.6, which can run code and "
      "is refused; save it again with torch.save of a newer PyTorch"
    )
  return (
    f"is no weights file or is cut short; wanted {', '.join(SUFFIXES)} contents"
  )
