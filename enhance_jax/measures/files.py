"""The files behind metrics: networks, heads, NIQE parameters, Ma scores."""

import csv
import functools
import io
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from enhance_jax import cache, errors, images, weights, zoo
from enhance_jax.metrics import natural, perceptual

PathLike = str | pathlib.Path


class Backbone(NamedTuple):
  """A network that LPIPS looks through.

  Attributes:
    network: its name in `backbones`.
    taps: activations, fine to coarse.
  """

  network: str
  taps: tuple[str, ...]


# By the name that LPIPS' release gives the file of the linear heads.
BACKBONES = {
  "alex": Backbone("alexnet", ("relu1", "relu2", "relu3", "relu4", "relu5")),
  "vgg": Backbone(
    "vgg16", ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
  ),
  "squeeze": Backbone(
    "squeezenet",
    ("relu1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9"),
  ),
}


def lpips_heads(
  kind: str, folder: PathLike | None
) -> tuple[list[np.ndarray], str]:
  """LPIPS' linear heads for a name of `BACKBONES`, and their `stamp`."""
  path = find(
    folder,
    (f"lpips*lin_{kind}.*", f"{kind}.pth"),
    f"LPIPS heads ({kind}.pth of lpips/weights/v0.1 in the official release)",
  )
  return read(path, perceptual.heads_from_arrays), stamp(path)


def niqe_model(
  path: PathLike | None, folder: PathLike | None
) -> tuple[natural.Model, str]:
  """NIQE's parameters from a file, else from a folder, and their `stamp`."""
  path = path or find(
    folder,
    ("niqe*",),
    "NIQE parameters (niqe_pris_params.npz, or fit your own by --fit-niqe)",
  )
  return read(path, natural.model_from_arrays), stamp(path)


def features(
  kind: str, folder: PathLike | None
) -> tuple[perceptual.Features, str]:
  """A backbone as a function, and which one it is in words."""
  # Here: it takes the seconds that JAX needs to load.
  import jax

  from enhance_jax import backbones

  network, taps = BACKBONES[kind]
  known = backbones.NETWORKS[network]
  path = find(
    folder,
    (known.pattern,),
    f"{known.title} weights (torchvision's {known.file})",
  )
  name = network
  # The released heads were made for torchvision's weights, not for these.
  if weights.read_tensors(path, prefix="conv1/kernel"):
    name = "squeeze (Keras SqueezeNet 1.1 backbone)"
  cache.enable_compilation_cache()
  params = backbones.find(network, path, None)
  run = jax.jit(functools.partial(backbones.features, network, taps=taps))

  def maps(x: np.ndarray) -> list[np.ndarray]:
    found = run(params, x)
    return [np.asarray(found[tap]) for tap in taps]

  return maps, f"{name} {stamp(path)}"


def ma_scores(given: float | PathLike) -> tuple[Callable[[str], float], str]:
  """Ma scores by "set/file", and where they come from in words.

  Args:
    given: one score for every picture, or a CSV file with the columns `image`
      and `ma`, and `set` where file names alone are not enough.

  Raises:
    EnhanceError: neither; or later, a picture has no score.
  """
  try:
    score = _number(str(given))
    return (lambda name: score), f"{score:g}, given for every picture"
  except ValueError:
    path = pathlib.Path(str(given))
  scores = _read_ma(path)

  def score_of(name: str) -> float:
    for key in (name, name.partition("/")[2]):
      if key in scores:
        return scores[key]
    raise errors.EnhanceError(f"{path} has no Ma score for {name}")

  return score_of, f"from {stamp(path)}"


def _read_ma(path: pathlib.Path) -> dict[str, float]:
  try:
    with path.open(newline="", encoding="utf-8") as file:
      rows = list(csv.DictReader(file))
    scores = {}
    for row in rows:
      folder = row.get("set")
      key = f"{folder}/{row['image']}" if folder else row["image"]
      scores[key] = _number(row["ma"])
    return scores
  except OSError as error:
    raise errors.EnhanceError(
      f"--ma={path} is neither a number nor a file that can be read "
      f"({error.strerror})"
    ) from error
  except (KeyError, TypeError, ValueError, csv.Error) as error:
    raise errors.EnhanceError(
      f"{path} holds no Ma scores ({error}); wanted a CSV file with the "
      "columns image and ma"
    ) from error


def _number(text: Any) -> float:
  value = float(text)
  if not math.isfinite(value):
    raise ValueError(f"{text} is no score")
  return value


def fit_niqe(folder: PathLike, path: PathLike) -> int:
  """Fits NIQE parameters to a folder of photographs and writes them.

  Args:
    folder: undistorted photographs; sub-folders are searched too.
    path: an .npz file, with the names that `natural.model_from_arrays` reads.

  Returns:
    How many photographs there were.

  Raises:
    EnhanceError: the folder or a picture is unusable, or `path` is no .npz.
  """
  folder, path = pathlib.Path(folder), pathlib.Path(path)
  if path.suffix != ".npz":
    raise errors.EnhanceError(
      f"{path} is no name for NIQE parameters; wanted one that ends in .npz"
    )
  if not folder.is_dir():
    raise errors.EnhanceError(
      f"{folder} is no folder; NIQE parameters are fitted to photographs in one"
    )
  photographs = list(images.list_pictures(folder))
  model = natural.fit(
    images.read_hr(photograph, 1)[..., 0] for photograph in photographs
  )
  data = io.BytesIO()
  arrays: dict[str, Any] = natural.model_to_arrays(model)
  np.savez(data, **arrays)
  zoo.write_atomic(path, data.getvalue())
  return len(photographs)


def find(
  folder: PathLike | None, patterns: Sequence[str], what: str
) -> pathlib.Path:
  """The one weights file of a folder that fits one of the patterns.

  Args:
    folder: without it, the user's cache folder.
    patterns: of file names.
    what: the file in words, for messages.

  Raises:
    EnhanceError: there is none, or several.
  """
  place = cache.cache_dir() if folder is None else pathlib.Path(folder)
  if folder is not None and not place.is_dir():
    raise errors.EnhanceError(
      f"--weights={folder} is no folder; wanted one with network, head and "
      "NIQE parameter files"
    )
  found = sorted(
    path
    for pattern in patterns
    for path in place.glob(pattern)
    if path.suffix in weights.SUFFIXES
  )
  if not found:
    raise errors.EnhanceError(
      f"{place} has no {what}; looked for {' and '.join(patterns)}; put the "
      "file there or name its folder by --weights=DIR"
    )
  if len(found) > 1:
    names = ", ".join(path.name for path in found)
    raise errors.EnhanceError(
      f"{place} has several files of {what}: {names}; keep one of them there"
    )
  return found[0]


def read(path: PathLike, build: Callable[[Any], Any]) -> Any:
  """What `build` makes of a file's arrays; its complaints name the file."""
  arrays = weights.read_tensors(path)
  try:
    return build(arrays)
  except errors.EnhanceError as error:
    raise errors.EnhanceError(f"{path}: {error}") from error


def stamp(path: PathLike) -> str:
  """A file's name and the first digits of its digest."""
  return f"{pathlib.Path(path).name} (SHA-256 {zoo.file_sha256(path)[:12]})"
