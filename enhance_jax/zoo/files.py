"""Portable weights: one safetensors file with its model card inside.

`NAME.safetensors` alone suffices to rebuild a generator; `NAME.json` beside
it is the same card for people, plus the SHA-256 of the weights file.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import platform
import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np

from enhance_jax import errors, registry, weights
from enhance_jax.zoo import cards

SUFFIX = ".safetensors"
COLLECTIONS = ("params", "batch_stats")
_SHOWN = 8

Variables = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Generator:
  """A generator read back from its file.

  Attributes:
    model: its name in `registry.GENERATORS`.
    kwargs: what it was built with.
    module: the Linen module.
    variables: {"params", "batch_stats"}, nested, float32 numpy leaves.
    card: the model card.
    sha256: digest of the weights file, hexadecimal; "" if made in memory.
  """

  model: str
  kwargs: dict[str, Any]
  module: Any
  variables: dict[str, Any]
  card: dict[str, Any]
  sha256: str


def save_generator(
  path: str | os.PathLike,
  *,
  model: str,
  kwargs: Mapping[str, Any],
  variables: Variables,
  card: Mapping[str, Any],
  half: bool = False,
) -> pathlib.Path:
  """Writes PATH.safetensors and its readable card PATH.json, each atomically.

  Args:
    path: with or without ".safetensors".
    model: name in `registry.GENERATORS`.
    kwargs: what the module is built with; values must be JSON's.
    variables: collections "params" and, if any, "batch_stats"; stored float32.
    card: what is known of the training (config, phase, steps, data, ...) and
      "generative": whether an adversarial loss shaped these weights. Name,
      arguments, scale, channels, radius and versions are filled in here.
      "scales", such as [2, 3, 4], says that one set of weights serves all of
      them.
    half: store float16, in half the bytes, and say so in the card; they are
      read back as float32.

  Returns:
    the path of the weights file.

  Raises:
    ValueError: the card lacks "generative", its "scales" lack the scale of
      `kwargs`, or JSON cannot hold it.
    EnhanceError: the variables are not the module's, at one of its scales, or
      too large for float16.
  """
  from safetensors.numpy import save

  if not isinstance(card.get("generative"), bool):
    raise ValueError('a model card needs "generative": True or False')
  module = registry.build(registry.GENERATORS, model, "generator", **kwargs)
  whole = flatten(variables)
  tensors = _halved(whole) if half else whole
  scales = card.get("scales", [module.scale])
  if module.scale not in scales:
    raise ValueError(f'"scales" {scales} lack the scale {module.scale}')
  for scale in scales:
    one = registry.build(
      registry.GENERATORS, model, "generator", **{**kwargs, "scale": scale}
    )
    where = f'model "{model}" at scale {scale}'
    check_shapes(tensors, expected_shapes(one), where)
  full = {
    "format": cards.FORMAT,
    "model": model,
    "kwargs": dict(kwargs),
    "scale": module.scale,
    "channels": module.channels,
    "radius": module.radius,
    **card,
    "storage": "float16" if half else "float32",
    "versions": versions(),
  }
  text = json.dumps(full, sort_keys=True)
  data = save(tensors, metadata={"card": text})
  weights_path, card_path = _paths(path)
  # An old card must not stand beside new weights, not even after a crash.
  card_path.unlink(missing_ok=True)
  write_atomic(weights_path, data)
  full["sha256"] = hashlib.sha256(data).hexdigest()
  write_atomic(card_path, (json.dumps(full, indent=2) + "\n").encode())
  return weights_path


def load_generator(
  path: str | os.PathLike, *, scale: int | None = None
) -> Generator:
  """Reads and verifies a file that `save_generator` wrote.

  The card inside the file is the one that counts. A card beside the file is
  read for its digest only.

  Args:
    path: the .safetensors file.
    scale: enlargement wanted, one of the card's "scales"; None takes that of
      the card's arguments.

  Raises:
    EnhanceError: no such file, not safetensors, no card in it, a digest other
      than the card's, a scale it has no weights for, values that are not
      finite, or names and shapes other than the model's (the difference is
      listed).
  """
  weights_path, card_path = _paths(path)
  if not weights_path.is_file():
    raise errors.EnhanceError(
      f"{weights_path} does not exist; wanted a generator's .safetensors file"
    )
  digest = file_sha256(weights_path)
  cards.check_digest(weights_path, card_path, digest)
  tensors = weights.read_tensors(weights_path)
  card = cards.read(weights_path)
  kwargs = cards.at_scale(card, scale, weights_path)
  try:
    module = registry.build(
      registry.GENERATORS, card["model"], "generator", **kwargs
    )
    expected = expected_shapes(module)
  except (errors.EnhanceError, TypeError, ValueError) as error:
    raise errors.EnhanceError(
      f"{weights_path}: its card asks for a generator that cannot be built: "
      f"{error}"
    ) from error
  check_shapes(tensors, expected, str(weights_path))
  return Generator(
    model=card["model"],
    kwargs=kwargs,
    module=module,
    variables=_unflatten(tensors, weights_path),
    card=card,
    sha256=digest,
  )


def flatten(variables: Variables) -> dict[str, np.ndarray]:
  """{"params/conv_in/kernel": float32 array, ...} of nested collections."""
  from flax import traverse_util

  chosen = {
    name: variables[name] for name in COLLECTIONS if variables.get(name)
  }
  flat = traverse_util.flatten_dict(chosen, sep="/")
  return {
    name: np.asarray(flat[name], np.float32, order="C") for name in sorted(flat)
  }


def expected_shapes(module: Any) -> dict[str, tuple[int, ...]]:
  """Name -> shape of every array the module keeps; nothing is computed."""
  return dict(_traced_shapes(module))


# Seconds for a deep network, and asked for more than once on its way to a file.
@functools.lru_cache(maxsize=8)
def _traced_shapes(module: Any) -> dict[str, tuple[int, ...]]:
  import jax
  from flax import traverse_util

  lr = jax.ShapeDtypeStruct((1, 8, 8, module.channels), np.float32)
  tree = jax.eval_shape(
    lambda key, x: module.init(key, x, train=False), jax.random.key(0), lr
  )
  flat: dict[str, Any] = traverse_util.flatten_dict(dict(tree), sep="/")
  return {name: tuple(leaf.shape) for name, leaf in flat.items()}


def versions() -> dict[str, str]:
  """The versions that weights depend on, for the card."""
  import flax
  import jax

  return {
    "python": platform.python_version(),
    "jax": jax.__version__,
    "flax": flax.__version__,
    "numpy": np.__version__,
  }


def file_sha256(path: str | os.PathLike) -> str:
  """Hexadecimal SHA-256 of a file."""
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: pathlib.Path, data: bytes) -> None:
  """Replaces the file at `path` by `data`, wholly or not at all."""
  temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
      with temporary.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
      os.replace(temporary, path)
    except BaseException:
      temporary.unlink(missing_ok=True)
      raise
  except OSError as error:
    raise errors.EnhanceError(
      f"{path}: cannot be written ({error.strerror or error}); check that the "
      "folder may be written to and has room"
    ) from error


def _halved(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  limit = np.finfo(np.float16).max
  for name, array in tensors.items():
    if np.abs(array).max(initial=0) > limit:
      raise errors.EnhanceError(
        f"{name} has values beyond float16's {limit:g}; store float32"
      )
  return {name: array.astype(np.float16) for name, array in tensors.items()}


def _paths(path: str | os.PathLike) -> tuple[pathlib.Path, pathlib.Path]:
  # Not with_suffix: "generator.pixel" has a dot of its own.
  text = os.fspath(path).removesuffix(SUFFIX)
  return pathlib.Path(text + SUFFIX), pathlib.Path(text + ".json")


def check_shapes(
  tensors: Mapping[str, np.ndarray],
  expected: Mapping[str, tuple[int, ...]],
  where: str,
) -> None:
  """Compares names and shapes.

  Args:
    tensors: what is there.
    expected: name -> shape, all that should be there.
    where: what was read, for messages.

  Raises:
    EnhanceError: they differ; what is missing, unexpected or of another shape
      is listed.
  """
  missing = sorted(set(expected) - set(tensors))
  unexpected = sorted(set(tensors) - set(expected))
  shapes = [
    f"{name} is {list(tensors[name].shape)}, wanted {list(expected[name])}"
    for name in sorted(set(expected) & set(tensors))
    if tuple(tensors[name].shape) != expected[name]
  ]
  parts = []
  for title, names in (
    ("missing", missing),
    ("unexpected", unexpected),
    ("other shape", shapes),
  ):
    if names:
      more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
      parts.append(f"{title}: {', '.join(names[:_SHOWN])}{more}")
  if parts:
    raise errors.EnhanceError(
      f"{where}: the arrays are not those of the generator; " + "; ".join(parts)
    )


def _unflatten(
  tensors: Mapping[str, np.ndarray], where: pathlib.Path
) -> dict[str, Any]:
  from flax import traverse_util

  flat = {}
  for name, value in tensors.items():
    flat[name] = np.asarray(value, np.float32)
    if not np.isfinite(flat[name]).all():
      raise errors.EnhanceError(
        f"{where}: {name} holds NaN or infinity; the training had diverged, "
        "take an earlier file"
      )
  return traverse_util.unflatten_dict(flat, sep="/")
