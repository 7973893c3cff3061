"""Weight files: what is read, what is refused, and that nothing runs."""

import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from enhance_jax import errors, weights
from tests.weight_files import (
  dictionary,
  number,
  tensor,
  text,
  write_arrays,
  write_pth,
)

ARRAYS = {
  "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
  "b": np.asarray([1, -2], np.int64),
}


def refused(path, words):
  """Checks that reading fails in one clear error that names the file."""
  with pytest.raises(errors.EnhanceError, match=words) as caught:
    weights.read_tensors(path)
  assert str(path) in str(caught.value)


def same(found, expected):
  assert found.keys() == expected.keys()
  for name, array in expected.items():
    assert found[name].dtype == array.dtype
    np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_numpy_and_safetensors(tmp_path, suffix):
  path = write_arrays(tmp_path / f"w{suffix}", ARRAYS)
  same(weights.read_tensors(path), ARRAYS)


def test_the_contents_decide_not_the_name(tmp_path):
  path = tmp_path / "w.pth"
  save_file(ARRAYS, path)
  same(weights.read_tensors(path), ARRAYS)


def test_pth_by_hand(tmp_path):
  data = np.arange(6, dtype=np.float32)
  half = np.asarray([1.5, -2], ml_dtypes.bfloat16)
  body = dictionary(
    plain=tensor("FloatStorage", "0", 6, (2, 3), (3, 1)),
    turned=tensor("FloatStorage", "0", 6, (2, 2), (1, 3), offset=1),
    scalar=tensor("FloatStorage", "0", 6, (), (), offset=5),
    empty=tensor("FloatStorage", "0", 6, (0, 3), (3, 1)),
    half=tensor("BFloat16Storage", "1", 2, (2,), (1,)),
    epoch=number(3),
  )
  storages = {"0": data.tobytes(), "1": half.tobytes()}
  path = write_pth(tmp_path / "w.pth", body, storages)
  same(
    weights.read_tensors(path),
    {
      "plain": data.reshape(2, 3),
      "turned": np.asarray([[1, 4], [2, 5]], np.float32),
      "scalar": np.asarray(5, np.float32),
      "empty": np.zeros((0, 3), np.float32),
      "half": half,
    },
  )


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pth"])
def test_only_the_names_asked_for(tmp_path, suffix):
  arrays = {
    name: np.full((2, 3), value, np.float32)
    for value, name in enumerate(("features.0", "classifier.0", "features.1"))
  }
  path = write_arrays(tmp_path / f"w{suffix}", arrays)
  found = weights.read_tensors(path, prefix="classi")
  same(found, {"classifier.0": np.ones((2, 3), np.float32)})


def test_bfloat16_safetensors(tmp_path):
  array = np.asarray([1.5, -2], ml_dtypes.bfloat16)
  save_file({"w": array}, tmp_path / "w.safetensors")
  same(weights.read_tensors(tmp_path / "w.safetensors"), {"w": array})


def test_pth_of_pytorch(tmp_path):
  torch = pytest.importorskip("torch", reason="writes a PyTorch file")
  module = torch.nn.Sequential(
    torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3)
  )
  whole = torch.arange(12.0).reshape(3, 4)
  path = tmp_path / "w.pth"
  torch.save(
    {
      "params": module.state_dict(),
      "parameter": torch.nn.Parameter(whole.bfloat16()),
      "view": whole.T[1:],
      "mask": whole > 3,
      "epoch": 7,
    },
    path,
  )
  expected = {
    f"params.{name}": value.numpy()
    for name, value in module.state_dict().items()
  }
  expected["parameter"] = whole.numpy().astype(ml_dtypes.bfloat16)
  expected["view"] = whole.T[1:].numpy()
  expected["mask"] = (whole > 3).numpy()
  same(weights.read_tensors(path), expected)


def test_malicious_pickle_is_refused_and_does_not_run(tmp_path):
  victim = tmp_path / "victim"
  victim.write_text("alive")

  class Evil:
    def __reduce__(self):
      import os

      return os.remove, (str(victim),)

  for protocol in range(2, 5):
    body = pickle.dumps({"w": Evil()}, protocol=protocol)
    # The bait works where pickles are executed.
    path = tmp_path / f"{protocol}.pth"
    with zipfile.ZipFile(path, "w") as archive:
      archive.writestr("archive/data.pkl", body)
    refused(path, r"(posix|nt|os)\.remove, which is refused")
    assert victim.exists()
  pickle.loads(body)
  assert not victim.exists()


@pytest.mark.parametrize(
  "words",
  [
    b"cbuiltins\neval\n",
    b"cos\nsystem\n",
    b"ctorch.jit\nload\n",
    b"ctorch\nload\n",
    b"ccollections\nOrderedDict.__init__\n",
    b"cnumpy._core.multiarray\n_reconstruct\n",
    # A reference without the GLOBAL opcode.
    text("builtins") + text("exec") + b"\x93",
  ],
)
def test_every_other_word_is_refused(tmp_path, words):
  refused(write_pth(tmp_path / "w.pth", words), "refused")


def test_numpy_object_arrays_are_refused(tmp_path):
  path = tmp_path / "w.npz"
  np.savez(path, a=np.asarray([{}], dtype=object))
  refused(path, "allow_pickle=False|Object arrays")


FOUR = np.arange(4, dtype=np.float32).tobytes()


@pytest.mark.parametrize(
  ("shape", "strides", "offset"),
  [
    ((5,), (1,), 0),
    ((4,), (1,), 1),
    ((2, 2), (3, 1), 0),
    ((2,), (-1,), 3),
    ((2,), (1,), -1),
    ((-2,), (1,), 0),
    # One value repeated two thousand million times.
    ((2**31 - 1,), (0,), 0),
    ((2, 2), (1,), 0),
  ],
)
def test_geometry_outside_the_storage_is_refused(
  tmp_path, shape, strides, offset
):
  body = dictionary(w=tensor("FloatStorage", "0", 4, shape, strides, offset))
  refused(write_pth(tmp_path / "w.pth", body, {"0": FOUR}), "damaged")


def test_storage_shorter_or_longer_than_declared(tmp_path):
  body = dictionary(w=tensor("FloatStorage", "0", 4, (4,), (1,)))
  for data in (FOUR[:-1], b""):
    refused(write_pth(tmp_path / "w.pth", body, {"0": data}), "cut short")
  refused(write_pth(tmp_path / "w.pth", body, {"0": 2 * FOUR}), "larger than")
  refused(write_pth(tmp_path / "w.pth", body), "damaged")


def test_compressed_parts_are_refused(tmp_path):
  body = dictionary(w=tensor("FloatStorage", "0", 4, (4,), (1,)))
  path = write_pth(
    tmp_path / "w.pth", body, {"0": FOUR}, compression=zipfile.ZIP_DEFLATED
  )
  refused(path, "compressed")


def test_a_few_bytes_cannot_claim_memory(tmp_path):
  # BYTEARRAY8 of 2^40 bytes: Python would reserve them before it reads.
  body = b"\x96" + (2**40).to_bytes(8, "little")
  refused(write_pth(tmp_path / "w.pth", body), "damaged.*KeyError: 150")


def test_cyclic_dictionaries_end(tmp_path):
  # d = {}; d["d"] = d
  refused(
    write_pth(tmp_path / "w.pth", b"}q\x00" + text("d") + b"h\x00s"),
    "nested too deeply",
  )


def test_a_flipped_bit_is_found(tmp_path):
  body = dictionary(w=tensor("FloatStorage", "0", 4, (4,), (1,)))
  path = write_pth(tmp_path / "w.pth", body, {"0": FOUR})
  raw = bytearray(path.read_bytes())
  raw[raw.index(FOUR) + 5] ^= 1
  path.write_bytes(raw)
  refused(path, "damaged.*CRC")


@pytest.mark.parametrize("suffix", [".pth", ".npz", ".safetensors"])
def test_truncated_files(tmp_path, suffix):
  path = tmp_path / f"w{suffix}"
  if suffix == ".pth":
    body = dictionary(w=tensor("FloatStorage", "0", 4, (4,), (1,)))
    write_pth(path, body, {"0": FOUR})
  elif suffix == ".npz":
    np.savez(path, **ARRAYS)
  else:
    save_file(ARRAYS, path)
  whole = path.read_bytes()
  for size in (4, 20, len(whole) // 2, len(whole) - 1):
    path.write_bytes(whole[:size])
    refused(path, "damaged|cut short")


@pytest.mark.parametrize(
  ("contents", "words"),
  [
    (b"", "empty"),
    (b"<!DOCTYPE html><html>404</html>", "web page"),
    (pickle.dumps({"a": 1}, protocol=2), "bare pickle"),
    (b"hello there, this is text", "no weights file"),
  ],
)
def test_other_files(tmp_path, contents, words):
  path = tmp_path / "w.pth"
  path.write_bytes(contents)
  refused(path, words)


def test_missing_file_and_folder(tmp_path):
  refused(tmp_path / "none.pth", "cannot be read")
  refused(tmp_path, "cannot be read")


def test_no_tensors(tmp_path):
  path = write_pth(tmp_path / "w.pth", dictionary(epoch=number(1)))
  refused(path, "no tensors")
