"""PyTorch's files of both kinds: parity, refusals, bombs, mutations."""

import pickle
import random
import time

import ml_dtypes
import numpy as np
import pytest

from enhance_jax import errors, weights
from tests.weight_files import (
  dictionary,
  legacy_tensor,
  number,
  numbers,
  tensor,
  text,
  write_legacy,
  write_pth,
)

SIX = np.arange(6, dtype=np.float32)
PLAIN = legacy_tensor("FloatStorage", "7", 6, (2, 3), (3, 1))


def same(found, expected):
  assert list(found) == list(expected)
  for name, array in expected.items():
    assert found[name].dtype == array.dtype and found[name].shape == array.shape
    assert found[name].tobytes() == array.tobytes()


def refused(path, words):
  with pytest.raises(errors.EnhanceError, match=words) as caught:
    weights.read_tensors(path)
  assert str(path) in str(caught.value)


def legacy(path, body=None, **more):
  body = dictionary(w=PLAIN) if body is None else body
  return write_legacy(path, body, {"7": (6, SIX.tobytes())}, **more)


def test_legacy_by_hand(tmp_path):
  half = np.asarray([1.5, -2], ml_dtypes.bfloat16)
  part = b"(" + text("part") + number(2) + number(3) + b"t"
  body = dictionary(
    turned=legacy_tensor("FloatStorage", "7", 6, (2, 2), (1, 3), offset=1),
    half=tensor("BFloat16Storage", "8", 2, (2,), (1,)),
    # A storage that is a window onto another: values 2, 3, 4; then 3 and 4.
    view=legacy_tensor("FloatStorage", "7", 6, (2,), (1,), 1, view=part),
    # Text as Python 2 wrote it.
    epoch=b"U\x02ab",
    list=b"](" + PLAIN + number(3) + b"e",
  )
  storages = {"7": (6, SIX.tobytes()), "8": (2, half.tobytes())}
  path = write_legacy(tmp_path / "w.pth", body, storages)
  turned = np.asarray([[1, 4], [2, 5]], np.float32)
  expected = {
    "turned": turned,
    "half": half,
    "view": SIX[3:5],
    "list.0": SIX.reshape(2, 3),
  }
  same(weights.read_tensors(path), expected)
  same(weights.read_tensors(path, prefix="tur"), {"turned": turned})


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_parity_with_pytorch(tmp_path, new):
  torch = pytest.importorskip("torch", reason="writes and reads the same files")
  whole = torch.arange(24.0).reshape(4, 6)
  module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.PReLU())
  content = {
    "net": module.state_dict(),
    "parameter": torch.nn.Parameter(whole),
    "view": whole.T[1:, ::2],
    "row": whole[2],
    "scalar": torch.tensor(3.5),
    "empty": torch.zeros(0, 3),
    "half": whole.half(),
    "bfloat16": whole.bfloat16()[1:],
    "double": whole.double(),
    "mask": whole > 3,
    "long": whole.long(),
    "list": [whole[0], {"deep": whole[1]}, 4, "text", None, True],
    "epoch": 7,
  }
  path = tmp_path / "w.pth"
  torch.save(content, path, _use_new_zipfile_serialization=new)
  expected = {}

  def walk(prefix, value):
    if isinstance(value, torch.Tensor):
      value = value.detach()
      small = value.dtype == torch.bfloat16
      array = (value.float() if small else value).numpy()
      expected[prefix] = array.astype(ml_dtypes.bfloat16) if small else array
    elif isinstance(value, dict):
      for key, entry in value.items():
        walk(f"{prefix}.{key}".strip("."), entry)
    elif isinstance(value, list):
      for key, entry in enumerate(value):
        walk(f"{prefix}.{key}", entry)

  walk("", torch.load(path, weights_only=True))
  assert len(expected) == 15
  same(weights.read_tensors(path), expected)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_a_whole_module_is_refused_by_its_class(tmp_path, new):
  torch = pytest.importorskip("torch", reason="writes a whole module")
  path = tmp_path / "w.pth"
  module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3))
  torch.save(module, path, _use_new_zipfile_serialization=new)
  refused(path, r"whole .* class torch\.nn\.modules\.container\.Sequential")


def test_a_whole_module_inside_a_dictionary_is_told_apart(tmp_path):
  # What PyTorch 0.x wrote: ("module", class, file, source).
  module = (
    b"(" + text("module") + b"cvdsr\nNet\n" + text("a.py") + text("") + b"t"
  )
  refused(
    legacy(tmp_path / "w.pth", dictionary(model=module + b"Q")),
    r"whole pickled object of the class vdsr\.Net, .* its state_dict\(\)",
  )
  refused(
    legacy(tmp_path / "w.pth", dictionary(best=b"cnumpy\nfloat64\n")),
    r"asks for numpy\.float64, which is refused",
  )


def test_a_legacy_program_does_not_run(tmp_path):
  victim = tmp_path / "victim"
  victim.write_text("alive")

  class Evil:
    def __reduce__(self):
      import os

      return os.remove, (str(victim),)

  for place in range(5):
    parts = [pickle.dumps(0, 2)] * 5
    parts[0] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
    parts[1], parts[2] = pickle.dumps(1001, 2), b"\x80\x02}."
    parts[place] = pickle.dumps({"w": Evil()}, 2)
    path = tmp_path / "w.pth"
    path.write_bytes(b"".join(parts))
    with pytest.raises(errors.EnhanceError):
      weights.read_tensors(path)
    assert victim.exists()


@pytest.mark.parametrize(
  ("change", "words"),
  [
    (
      {"system": b"\x80\x02}" + text("little_endian") + b"\x89s."},
      "big-endian",
    ),
    ({"system": b"\x80\x02N."}, "another protocol"),
    ({"body": dictionary(w=number(3))}, "strange|not as described"),
    ({"body": b"N"}, "not as described"),
    ({"magic": b"\x80\x02K\x01."}, "bare pickle"),
  ],
)
def test_other_legacy_files(tmp_path, change, words):
  refused(legacy(tmp_path / "w.pth", **change), words)


@pytest.mark.parametrize(
  ("arguments", "words"),
  [
    ((6, (7,), (1,)), "beyond"),
    ((6, (2**31 - 1,), (0,)), "beyond"),
    ((6, (2,), (-1,)), "strange geometry"),
    ((5, (2,), (1,)), "not as described"),
    (
      (6, (2,), (1,), 0, b"(" + text("v") + number(4) + number(3) + b"t"),
      "strange",
    ),
    (
      (6, (3,), (1,), 0, b"(" + text("v") + number(4) + number(2) + b"t"),
      "beyond",
    ),
  ],
)
def test_legacy_geometry(tmp_path, arguments, words):
  body = dictionary(w=legacy_tensor("FloatStorage", "7", *arguments))
  refused(legacy(tmp_path / "w.pth", body), words)


def test_truncated_legacy_files(tmp_path):
  path = legacy(tmp_path / "w.pth")
  whole = path.read_bytes()
  for size in range(15, len(whole), 9):
    path.write_bytes(whole[:size])
    refused(path, "damaged|refused")


# A nest of tuples, each twice the one before: hashed, shown or walked through
# it takes 2^60 steps.
NEST = b")" + b"q\x01h\x01\x86" * 60


@pytest.mark.parametrize(
  "body",
  [
    b"}" + NEST + number(1) + b"s",
    b"}(" + NEST + number(1) + b"u",
    b"ccollections\nOrderedDict\n((" + NEST + number(1) + b"tltR",
    dictionary(w=NEST),
    b"(" + text("storage") + NEST + NEST + NEST + number(1) + b"tQ",
    b"(" + NEST + NEST + NEST + NEST + number(1) + b"tQ",
    dictionary(w=b"ctorch._utils\n_rebuild_tensor\n(" + 4 * NEST + b"tR"),
    # Ten dictionaries, each with ten of the one before: 10^10 names.
    dictionary(w=PLAIN)
    + b"".join(
      b"q\x01}(" + b"".join(text(str(i)) + b"h\x01" for i in range(10)) + b"u"
      for _ in range(10)
    ),
    # Names that grow with every level.
    b"}" + b"".join(b"q\x01}" + text("n" * 2000) + b"h\x01s" for _ in range(9)),
  ],
  ids=str,
)
@pytest.mark.parametrize("write", [write_pth, write_legacy])
def test_bombs_do_not_go_off(tmp_path, write, body):
  start = time.perf_counter()
  storages = {"7": SIX.tobytes()} if write is write_pth else {}
  refused(write(tmp_path / "w.pth", body, storages), "w.pth")
  assert time.perf_counter() - start < 10


def test_one_storage_is_not_a_thousand_tensors(tmp_path):
  body = dictionary(**{str(i): PLAIN for i in range(100)})
  refused(legacy(tmp_path / "w.pth", body), "far more than is stored")
  # A few that share are as PyTorch saves tied weights.
  body = dictionary(a=PLAIN, b=PLAIN)
  assert list(weights.read_tensors(legacy(tmp_path / "t.pth", body))) == [
    "a",
    "b",
  ]


def test_state_of_strange_things_is_refused(tmp_path):
  # A function's attributes would outlast the reading.
  words = b"ctorch._utils\n_rebuild_parameter\n}" + text("a") + b"Nsb"
  refused(legacy(tmp_path / "w.pth", dictionary(w=words)), "have state")


@pytest.mark.parametrize("write", [write_pth, write_legacy])
def test_mutated_files_end_in_one_clear_error(tmp_path, write):
  storages = {"7": SIX.tobytes()}
  if write is write_legacy:
    storages = {"7": (6, SIX.tobytes())}
  body = dictionary(w=PLAIN, v=tensor("FloatStorage", "7", 6, (3, 2), (1, 3)))
  path = write(tmp_path / "w.pth", body, storages)
  whole, rng = path.read_bytes(), random.Random(0)
  outcomes = {"read": 0, "refused": 0}
  for _ in range(1500):
    data = bytearray(whole)
    for _ in range(rng.choice((1, 1, 2, 5))):
      data[rng.randrange(len(data))] = rng.randrange(256)
    path.write_bytes(data)
    try:
      found = weights.read_tensors(path)
    except errors.EnhanceError:
      outcomes["refused"] += 1
    else:
      outcomes["read"] += 1
      assert sum(array.nbytes for array in found.values()) < 1000
  assert min(outcomes.values()) > 10, outcomes


def test_numbers_of_every_width_are_names_too(tmp_path):
  body = b"}(" + b"K\x01" + PLAIN + b"M\x02\x01" + PLAIN + b"u"
  found = weights.read_tensors(legacy(tmp_path / "w.pth", body))
  assert list(found) == ["1", "258"]
  body = b"}(" + numbers((1, 2)) + PLAIN + b"u"
  refused(legacy(tmp_path / "w.pth", body), "neither text nor number")
