"""Small weight files of every format, byte by byte, and of known layouts."""

import hashlib
import zipfile

import numpy as np
from safetensors.numpy import save_file

# Where torchvision has VGG's convolutions among `features`.
VGG_INDICES = {
  "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
  "vgg19": (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
}


def text(word):
  return b"X" + len(word).to_bytes(4, "little") + word.encode()


def number(value):
  return b"J" + value.to_bytes(4, "little", signed=True)


def numbers(values):
  return b"(" + b"".join(map(number, values)) + b"t"


def tensor(kind, key, size, shape, strides, offset=0):
  """What PyTorch's pickle says of one tensor, opcode by opcode."""
  return (
    b"ctorch._utils\n_rebuild_tensor_v2\n(("
    + text("storage")
    + f"ctorch\n{kind}\n".encode()
    + text(key)
    + text("cpu")
    + number(size)
    + b"tQ"
    + number(offset)
    + numbers(shape)
    + numbers(strides)
    + b"\x89ccollections\nOrderedDict\n)RtR"
  )


def dictionary(**entries):
  body = b"".join(text(key) + value for key, value in entries.items())
  return b"}(" + body + b"u"


def write_pth(path, body, storages=(), *, compression=zipfile.ZIP_STORED):
  """A file as torch.save lays it out."""
  with zipfile.ZipFile(path, "w", compression) as archive:
    archive.writestr("archive/data.pkl", b"\x80\x02" + body + b".")
    archive.writestr("archive/byteorder", "little")
    for key, data in dict(storages).items():
      archive.writestr(f"archive/data/{key}", data)
  return path


def write_arrays(path, arrays):
  """A weights file in the format that the suffix names."""
  if path.suffix == ".npz":
    np.savez(path, **arrays)
  elif path.suffix == ".safetensors":
    save_file(arrays, path)
  else:
    body = {
      name: tensor(
        "FloatStorage",
        name,
        a.size,
        a.shape,
        [stride // 4 for stride in a.strides],
      )
      for name, a in arrays.items()
    }
    storages = {name: a.tobytes() for name, a in arrays.items()}
    write_pth(path, dictionary(**body), storages)
  return path


def digest(path):
  return hashlib.sha256(path.read_bytes()).hexdigest()


def write_named(folder, stem, suffix, arrays):
  """A file under a name that carries its digest, as torchvision's does."""
  path = write_arrays(folder / f"new{suffix}", arrays)
  return path.rename(folder / f"{stem}-{digest(path)[:8]}{suffix}")


def vgg_arrays(network="vgg19"):
  """A narrow network in torchvision's layout."""
  rng, arrays, channels = np.random.default_rng(0), {}, 3
  for i, index in enumerate(VGG_INDICES[network]):
    shape = (2 + i % 3, channels, 3, 3)
    arrays[f"features.{index}.weight"] = rng.random(shape, np.float32)
    arrays[f"features.{index}.bias"] = rng.random(shape[0], np.float32)
    channels = shape[0]
  arrays["classifier.0.weight"] = np.zeros((2, 2), np.float32)
  return arrays


def write_vgg(folder, suffix=".npz", arrays=None):
  """VGG19's narrow stand-in in a file named like torchvision's."""
  return write_named(folder, "vgg19", suffix, arrays or vgg_arrays())


def write_legacy(path, body, storages=(), *, system=b"", magic=None):
  """As torch.save laid it out before 1.6; storages: key -> (count, bytes)."""
  numbers_ = dict(storages)
  little = text("little_endian") + b"\x88"
  keys = b"](" + b"".join(map(text, numbers_)) + b"e"
  with path.open("wb") as file:
    file.write(magic or b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")
    file.write(b"\x80\x02" + number(1001) + b".")
    file.write(system or b"\x80\x02}" + little + b"s.")
    file.write(b"\x80\x02" + body + b".")
    file.write(b"\x80\x02" + keys + b".")
    for count, data in numbers_.values():
      file.write(count.to_bytes(8, "little") + data)
  return path


def legacy_tensor(kind, key, size, shape, strides, offset=0, view=b"N"):
  """As `tensor`, in the words of PyTorch 0.x and of its storages."""
  return (
    b"ctorch._utils\n_rebuild_tensor\n(("
    + text("storage")
    + f"ctorch\n{kind}\n".encode()
    + text(key)
    + text("cpu")
    + number(size)
    + view
    + b"tQ"
    + number(offset)
    + numbers(shape)
    + numbers(strides)
    + b"tR"
  )
