"""The frozen ImageNet networks by name: where their weights are, how they run.

None of their weights comes with the project; a missing file is an error that
says where to get it.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from enhance_jax import weights
from enhance_jax.errors import EnhanceError, nearest
from enhance_jax.models import alexnet, squeezenet, vgg

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Network:
  """A network that losses and metrics look through.

  Attributes:
    title: its name in words.
    file: torchvision's file of its weights.
    size: that file's size in MB.
    pattern: names of its files in the cache folder.
    prefix: what the names of the arrays needed begin with.
    setting: the configuration's key of the file; "" where there is none.
    features: (params, pictures, taps, *, dtype) -> tap -> activations.
    from_public: tensors -> params.
  """

  title: str
  file: str
  size: int
  pattern: str
  prefix: str
  setting: str
  features: Callable[..., dict[str, Array]]
  from_public: Callable[[Mapping[str, np.ndarray]], dict[str, Any]]


NETWORKS = {
  "vgg19": Network(
    title="VGG19",
    file="vgg19-dcbb9e9d.pth",
    size=548,
    pattern="vgg19[-.]*",
    prefix="features.",
    setting="vgg",
    features=functools.partial(vgg.features, network="vgg19"),
    from_public=functools.partial(vgg.from_public, network="vgg19"),
  ),
  "vgg16": Network(
    title="VGG16",
    file="vgg16-397923af.pth",
    size=528,
    pattern="vgg16[-.]*",
    prefix="features.",
    setting="",
    features=functools.partial(vgg.features, network="vgg16"),
    from_public=functools.partial(vgg.from_public, network="vgg16"),
  ),
  "alexnet": Network(
    title="AlexNet",
    file="alexnet-owt-7be5be79.pth",
    size=233,
    pattern="alexnet[-.]*",
    prefix="features.",
    setting="alexnet",
    features=alexnet.features,
    from_public=alexnet.from_public,
  ),
  "squeezenet": Network(
    title="SqueezeNet 1.1",
    file="squeezenet1_1-b8a52dc0.pth",
    size=5,
    pattern="squeezenet*1[_.]1[-_.]*",
    # Two layouts with different names.
    prefix="",
    setting="squeezenet",
    features=squeezenet.features,
    from_public=squeezenet.from_public,
  ),
}


def find(
  network: str,
  path: str | os.PathLike | None = None,
  sha256: str | None = None,
) -> dict[str, Any]:
  """Reads a network's convolutions from a public weights file.

  Args:
    network: "vgg19", "vgg16", "alexnet" or "squeezenet".
    path: the file; without it, the one of the network's name in the cache
      folder: $ENHANCE_CACHE, else ~/.cache/enhance_jax.
    sha256: what the file's digest must be; without it, the digest must begin
      with the 8 hexadecimal digits that end the file's name, if any do.

  Returns:
    parameters for `features`, float32.

  Raises:
    EnhanceError: no such network, no file or several, another digest, or a
      file of another network.
  """
  known = _network(network)
  found = pathlib.Path(path).expanduser() if path else _cached(known)
  if not found.is_file():
    raise EnhanceError(
      f"there is no {known.title} weights file {found}; {_help(known)}"
    )
  _check_digest(found, sha256)
  tensors = weights.read_tensors(found, prefix=known.prefix)
  try:
    return known.from_public(tensors)
  except EnhanceError as error:
    raise EnhanceError(f"{found}: {error}") from error


def features(
  network: str,
  params: Mapping[str, Any],
  x: Array,
  taps: Sequence[str],
  *,
  dtype: Any = jnp.float32,
) -> dict[str, Array]:
  """Named activations of a network.

  Args:
    network: as in `find`.
    params: what `find` gave.
    x: [N, H, W, 3] RGB in [0, 1].
    taps: names in the network's TAPS.
    dtype: type of the convolutions.

  Returns:
    tap -> float32 [N, H', W', C].

  Raises:
    EnhanceError: no such network or tap, or unsuitable pictures.
  """
  return _network(network).features(params, x, taps, dtype=dtype)


def _network(name: str) -> Network:
  if name not in NETWORKS:
    raise EnhanceError(
      f'there is no ImageNet network "{name}"; {nearest(name, NETWORKS)}'
    )
  return NETWORKS[name]


def _help(network: Network) -> str:
  setting = network.setting
  place = f"set config.{setting}.weights to its path" if setting else "name it"
  return (
    f"get torchvision's {network.file} ({network.size} MB, from "
    "download.pytorch.org/models), then put it into $ENHANCE_CACHE or "
    f"~/.cache/enhance_jax, or {place}"
  )


def _cached(network: Network) -> pathlib.Path:
  folder = os.environ.get("ENHANCE_CACHE") or "~/.cache/enhance_jax"
  cache = pathlib.Path(folder).expanduser()
  files = sorted(
    f for f in cache.glob(network.pattern) if f.suffix in weights.SUFFIXES
  )
  if len(files) > 1:
    raise EnhanceError(
      f"{cache} has several {network.title} weights files: "
      f"{', '.join(f.name for f in files)}; keep one of them"
      + (f", or set config.{network.setting}.weights" * bool(network.setting))
    )
  return files[0] if files else cache / network.file


def _check_digest(path: pathlib.Path, sha256: str | None) -> None:
  ending = re.search(r"-([0-9a-f]{8})$", path.stem)
  wanted = (sha256 or (ending[1] if ending else "")).lower()
  if not wanted:
    return
  with path.open("rb") as file:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
  if (digest != wanted) if sha256 else not digest.startswith(wanted):
    raise EnhanceError(
      f"{path} has the SHA-256 {digest}; wanted {wanted}"
      f"{'' if sha256 else '... as its name says'}; the file is damaged or "
      "another one, get it again"
    )
