"""PyTorch's files, old and new, without PyTorch and without running anything.

Both hold a pickle, which is a program, and raw arrays. The pickle is run by a
machine that knows a few harmless words and refuses every other; what it
describes is checked against the file before an array is made. Since 1.6 the
file is a zip archive; before, pickles and arrays stood one behind the other.
"""

import collections
import io
import math
import os
import pickle
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from enhance_jax.errors import EnhanceError

# How a file of the old kind begins: a pickle of PyTorch's magic number.
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."

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
_LEGACY_PROTOCOL = 1001
# Names and geometry only: a thousandth of what these files weigh. A byte of
# pickle can make some hundred bytes of objects.
_PICKLE_LIMIT = 4 * 2**20
_DEPTH_LIMIT = 16
# Containers may share their parts, and so unfold into any number of names.
_NODES_LIMIT = 200_000
_NAME_LIMIT = 1000
# Tensors may share storages, but not to become this many times the file.
_SHARING_LIMIT = 16


class _Storage(NamedTuple):
  key: str
  kind: str
  size: int
  # The part of it that is meant, which PyTorch 0.x could say.
  start: int
  count: int


# A tuple, not an array, while the pickle runs: nothing in it can be altered.
class _Tensor(NamedTuple):
  storage: Any
  offset: Any
  shape: Any
  strides: Any


# What PyTorch's writers use, protocols 2 to 4 and strings of Python 2. Not
# among them is BYTEARRAY8, by which a few bytes can claim any amount of memory.
_OPCODES = (
  "PROTO FRAME STOP MARK MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET "
  "NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT "
  "BINUNICODE SHORT_BINUNICODE BINSTRING SHORT_BINSTRING "
  "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 "
  "EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS "
  "GLOBAL STACK_GLOBAL BINPERSID REDUCE NEWOBJ BUILD"
).split()


class _Parameter:
  """Stands for torch.nn.Parameter: what it was made of."""

  def __new__(cls, data: Any, requires_grad: Any = True) -> Any:
    del requires_grad
    return data


class _Reader(pickle._Unpickler):
  """Python's own slow machine: its memory grows only with the input's size."""

  def __init__(self, stream: io.BytesIO):
    super().__init__(stream, encoding="utf-8")
    self.storages: dict[str, _Storage] = {}

  # Of the machine, not of its published face.
  stack: list[Any]
  metastack: list[list[Any]]
  pop_mark: Callable[[], list[Any]]
  dispatch: dict[int, Any] = {
    code: pickle._Unpickler.dispatch[code]
    for code in (getattr(pickle, name)[0] for name in _OPCODES)
  }

  def load_setitem(self) -> None:
    """One entry of a dictionary."""
    value, key = self.stack.pop(), self.stack.pop()
    _fill(self.stack[-1], [(key, value)])

  dispatch[pickle.SETITEM[0]] = load_setitem

  def load_setitems(self) -> None:
    """Several entries of a dictionary."""
    items = self.pop_mark()
    _fill(self.stack[-1], zip(items[::2], items[1::2], strict=True))

  dispatch[pickle.SETITEMS[0]] = load_setitems

  def load_build(self) -> None:
    """What an object is told besides its contents says nothing of arrays."""
    self.stack.pop()
    if type(self.stack[-1]) not in (collections.OrderedDict, _Tensor):
      raise pickle.UnpicklingError("only dictionaries and tensors have state")

  dispatch[pickle.BUILD[0]] = load_build

  def find_class(self, module: str, name: str) -> Any:
    """The known words; a storage type is a mere string, which nothing calls."""
    if module == "torch" and name in _STORAGES:
      return name
    words = {
      ("collections", "OrderedDict"): self._ordered,
      ("torch._utils", "_rebuild_tensor"): _Tensor,
      ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
      ("torch._utils", "_rebuild_parameter"): self._parameter,
      ("torch.nn.parameter", "Parameter"): _Parameter,
    }
    if (module, name) in words:
      return words[module, name]
    # PyTorch 0.x and 1.x announce a class of theirs; else it is the root.
    asked = f"{module}.{name}"[:_NAME_LIMIT]
    if self.stack[-1:] == ["module"] or not (self.stack or self.metastack):
      raise EnhanceError(
        f"it holds a whole pickled object of the class {asked}, whose code "
        "would have to run, which is refused; where that code is at hand, load "
        "it there and save its state_dict()"
      )
    raise EnhanceError(
      f"its pickle asks for {asked}, which is refused; save it anew as a "
      "plain state_dict, or as .safetensors"
    )

  def persistent_load(self, pid: Any) -> _Storage:
    """A reference to one raw array of the file."""
    word, kind, key, _, size = pid[:5]
    start, count = 0, size
    if len(pid) == 6 and pid[5] is not None:
      _, start, count = pid[5]
    # Types first: to hash or to show a nest of tuples can take for ever.
    if (
      not (type(word) is type(kind) is type(key) is str)
      or word != "storage"
      or kind not in _STORAGES
      or not all(map(_count, (size, start, count)))
      or start + count > size
    ):
      raise pickle.UnpicklingError("a strange storage")
    whole = _Storage(key, kind, size, 0, size)
    if self.storages.setdefault(key, whole) != whole:
      raise pickle.UnpicklingError(f"two accounts of storage {key}")
    return _Storage(key, kind, size, start, count)

  def _ordered(self, pairs=()) -> collections.OrderedDict:
    made = collections.OrderedDict()
    _fill(made, pairs)
    return made

  def _tensor(self, storage, offset, shape, strides, *_) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)

  def _parameter(self, data, *_) -> Any:
    return data


def read_zip(archive: zipfile.ZipFile, prefix: str) -> dict[str, np.ndarray]:
  """The tensors of a file that PyTorch 1.6 or later saved.

  Args:
    archive: the open file.
    prefix: only tensors whose names begin so.

  Raises:
    EnhanceError: it asks for anything but tensors in plain containers.
    Exception: the file is damaged.
  """
  (index,) = [n for n in archive.namelist() if n.endswith("data.pkl")]
  root = index.removesuffix("data.pkl")
  if root + "byteorder" in archive.namelist():
    _check_order(_member(archive, root + "byteorder", 16) == b"little")
  stream = io.BytesIO(_member(archive, index, _PICKLE_LIMIT))
  tree = _Reader(stream).load()

  def load(storage: _Storage) -> np.ndarray:
    dtype = _STORAGES[storage.kind]
    size = storage.size * dtype.itemsize
    data = _member(archive, f"{root}data/{storage.key}", size)
    if len(data) < size:
      raise pickle.UnpicklingError(f"storage {storage.key} is cut short")
    return np.frombuffer(data, dtype)

  return _tensors(tree, prefix, load)


def read_legacy(file: BinaryIO, prefix: str) -> dict[str, np.ndarray]:
  """The tensors of a file that a PyTorch before 1.6 saved, or a later one.

  Args:
    file: open at its beginning.
    prefix: only tensors whose names begin so.

  Raises:
    EnhanceError: it asks for anything but tensors in plain containers.
    Exception: the file is damaged.
  """
  end = file.seek(0, os.SEEK_END)
  file.seek(0)
  stream = io.BytesIO(file.read(_PICKLE_LIMIT))
  readers = [_Reader(stream) for _ in range(5)]
  _, protocol, system, tree, keys = [reader.load() for reader in readers]
  if protocol != _LEGACY_PROTOCOL or type(system) is not dict:
    raise pickle.UnpicklingError("another protocol than PyTorch's")
  _check_order(system.get("little_endian") is True)
  if type(keys) is not list or not all(type(key) is str for key in keys):
    raise pickle.UnpicklingError("its storages have strange names")
  described = readers[3].storages
  places, place = {}, stream.tell()
  for key in keys:
    file.seek(place)
    count = int.from_bytes(file.read(8), "little", signed=True)
    if key not in described or described[key].size != count:
      raise pickle.UnpicklingError(f"storage {key} is not as described")
    places[key] = place + 8
    place = places[key] + count * _STORAGES[described[key].kind].itemsize
  if place > end:
    raise pickle.UnpicklingError(f"it is cut short by {place - end} bytes")

  def load(storage: _Storage) -> np.ndarray:
    file.seek(places[storage.key])
    dtype = _STORAGES[storage.kind]
    return np.frombuffer(file.read(storage.size * dtype.itemsize), dtype)

  return _tensors(tree, prefix, load)


def _fill(target: Any, entries: Iterable[tuple[Any, Any]]) -> None:
  if type(target) not in (dict, collections.OrderedDict):
    raise pickle.UnpicklingError("entries of something else than a dictionary")
  for key, value in entries:
    if type(key) not in (str, int) or len(str(key)) > _NAME_LIMIT:
      raise pickle.UnpicklingError("a name that is neither text nor number")
    target[key] = value


def _check_order(little: bool) -> None:
  if not little:
    raise EnhanceError(
      "it was saved on a big-endian machine; save it on another"
    )


def _tensors(
  tree: Any, prefix: str, load: Callable[[_Storage], np.ndarray]
) -> dict[str, np.ndarray]:
  """The arrays that the pickle describes, each storage loaded once."""
  described = dict(_flatten(tree))
  if not described:
    raise EnhanceError("it holds no tensors; wanted a state_dict")
  raw: dict[_Storage, np.ndarray] = {}
  tensors, stored, seen = {}, 0, 0
  for name, tensor in described.items():
    if not name.startswith(prefix):
      continue
    storage = tensor.storage
    if not isinstance(storage, _Storage):
      raise pickle.UnpicklingError(f"{name} has no storage")
    if storage not in raw:
      raw[storage] = load(storage)
      stored += raw[storage].nbytes
    data = raw[storage][storage.start : storage.start + storage.count]
    tensors[name] = _view(name, data, tensor)
    seen += tensors[name].nbytes
    if seen > _SHARING_LIMIT * stored:
      raise pickle.UnpicklingError("its tensors are far more than is stored")
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


def _flatten(tree: Any) -> Iterator[tuple[str, _Tensor]]:
  """Every tensor with its path, joined by dots."""
  waiting, nodes = [("", tree, 0)], 0
  while waiting:
    prefix, value, depth = waiting.pop()
    if isinstance(value, _Tensor):
      yield prefix or "tensor", value
      continue
    if isinstance(value, dict):
      entries = list(value.items())
    elif isinstance(value, (list, tuple)) and not isinstance(value, _Storage):
      entries = list(enumerate(value))
    else:
      continue
    if depth == _DEPTH_LIMIT:
      raise pickle.UnpicklingError("containers nested too deeply")
    nodes += len(entries)
    if nodes > _NODES_LIMIT:
      raise pickle.UnpicklingError("far more entries than a network has")
    for key, entry in reversed(entries):
      name = f"{prefix}.{key}" if prefix else str(key)
      waiting.append((name, entry, depth + 1))


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
