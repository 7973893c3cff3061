"""Reads arrays from weight files of any origin without executing anything.

What a `.pth` file holds is a program; `torch_files` runs it on a machine that
can do nothing but describe arrays.
"""

import os
import pathlib
import zipfile

import numpy as np

from enhance_jax import torch_files
from enhance_jax.errors import EnhanceError

SUFFIXES = (".safetensors", ".npz", ".pth", ".pt")


def read_tensors(
  path: str | os.PathLike, *, prefix: str = ""
) -> dict[str, np.ndarray]:
  """Reads the arrays of a weights file; the contents decide the format.

  Args:
    path: a `.safetensors`, `.npz` or PyTorch file, of any version since 0.2.
    prefix: only arrays whose names begin so; the others take no memory.

  Returns:
    name -> array as stored, perhaps read-only; nested containers in a PyTorch
    file give names joined by dots ("params.conv_first.weight").

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
          return torch_files.read_zip(archive, prefix)
      with np.load(path, allow_pickle=False) as arrays:
        wanted = [name for name in arrays.files if name.startswith(prefix)]
        return {name: arrays[name] for name in wanted}
    if head.startswith(torch_files.LEGACY):
      with path.open("rb") as file:
        return torch_files.read_legacy(file, prefix)
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


def read_metadata(path: str | os.PathLike) -> dict[str, str]:
  """The texts beside the arrays of a .safetensors file; {} for other files.

  Args:
    path: a file that `read_tensors` reads.
  """
  with open(path, "rb") as file:
    if file.read(16)[8:9] != b"{":
      return {}
  from safetensors import safe_open

  with safe_open(path, framework="numpy") as arrays:
    return arrays.metadata() or {}


def _describe(head: bytes) -> str:
  if not head:
    return "is empty; get it again"
  if head.lstrip()[:1] == b"<":
    return "is a web page, not weights; the download failed, get it again"
  if head[:1] == b"\x80":
    return (
      "is a bare pickle, not written by torch.save, which can run code and is "
      "refused; save the arrays as .safetensors"
    )
  return (
    f"is no weights file or is cut short; wanted {', '.join(SUFFIXES)} contents"
  )
