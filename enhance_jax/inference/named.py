"""Which weights files a user means by a name, a file or a run's folder."""

import os
import pathlib

from enhance_jax import errors, registry, zoo
from enhance_jax.models import classical
from enhance_jax.zoo import bundled, cards

WEIGHTS = "generator.safetensors"
DEFAULT_SCALE = 4


def weights(
  model: str | None, workdir: str | os.PathLike | None, scale: int | None
) -> pathlib.Path:
  """The file of one network; see `engine.open_model`.

  Raises:
    EnhanceError: an unknown name, no such file, an unfinished run.
  """
  if workdir is not None:
    return _finished(pathlib.Path(workdir))
  if model is None:
    return bundled.path(bundled.default(scale or DEFAULT_SCALE))
  return _named(model)


def pair(
  model: str | None,
  workdir: str | os.PathLike | None,
  scale: int | None,
  partner: str | None,
) -> tuple[pathlib.Path, pathlib.Path]:
  """The files of a faithful network and of the one trained on from it.

  Raises:
    EnhanceError: as `weights`, and where there is no second one.
  """
  if workdir is not None and partner is None:
    phases = _phases(pathlib.Path(workdir))
    if len(phases) < 2:
      raise errors.EnhanceError(
        f"the run in {workdir} has {len(phases)} finished phases, and two are "
        "blended; name the second network by --partner=FILE"
      )
    # Copied files may all be of one time.
    phases.sort(key=lambda path: cards.read(path).get("step", 0))
    return phases[0], phases[-1]
  one = weights(model, workdir, scale)
  if partner is not None:
    other = _named(partner)
  else:
    name = one.name.removesuffix(zoo.SUFFIX)
    found = bundled.partner(name) if one.parent == bundled.FOLDER else None
    if found is None:
      raise errors.EnhanceError(
        f"{one} has no second network to be blended with; name one by "
        "--partner=FILE, or leave --blend out"
      )
    other = bundled.path(found)
  if _generative(one) and not _generative(other):
    return other, one
  return one, other


def title(path: pathlib.Path) -> str:
  """`runs/faces/generator.safetensors` is called "faces"."""
  stem = path.name.removesuffix(zoo.SUFFIX)
  if stem.split(".")[0] != "generator":
    return stem
  return path.resolve().parent.name + stem.removeprefix("generator")


def _named(model: str) -> pathlib.Path:
  path = pathlib.Path(model)
  if path.is_dir():
    raise errors.EnhanceError(
      f"--model={model} is a folder; for a training run use --workdir={model}"
    )
  if path.suffix == zoo.SUFFIX:
    return path
  if path.suffix == ".pth":
    raise errors.EnhanceError(
      f"{model} is a PyTorch file; make it one of this project's by "
      f"`python -m enhance_jax.zoo import {model}` and use what that writes"
    )
  if model in bundled.names():
    return bundled.path(model)
  if model in registry.GENERATORS:
    raise errors.EnhanceError(
      f'"{model}" is an architecture without weights; wanted '
      "--workdir=DIR of a finished run or --model=FILE.safetensors"
    )
  known = (*bundled.names(), *classical.KERNELS)
  raise errors.EnhanceError(
    f'there is no model called "{model}"; '
    f"{errors.nearest(model, known)}, or a FILE.safetensors"
  )


def _finished(folder: pathlib.Path) -> pathlib.Path:
  phases = _phases(folder)
  if (folder / WEIGHTS).is_file():
    return folder / WEIGHTS
  if phases:
    names = ", ".join(path.name for path in phases)
    hint = f"finished phases: {names}; use one by --model={phases[-1]}"
  else:
    hint = "no phase is finished either; let the run go on"
  raise errors.EnhanceError(
    f"the run in {folder} has not finished (there is no {WEIGHTS}); {hint}"
  )


def _phases(folder: pathlib.Path) -> list[pathlib.Path]:
  """The averaged weights of a run's phases, the earliest first."""
  if not folder.is_dir():
    raise errors.EnhanceError(
      f"--workdir={folder} is no folder; wanted the folder of a training run"
    )
  phases = [
    path
    for path in folder.glob("generator.*" + zoo.SUFFIX)
    if path.name != WEIGHTS and not path.name.endswith(".raw" + zoo.SUFFIX)
  ]
  return sorted(phases, key=lambda path: path.stat().st_mtime_ns)


def _generative(path: pathlib.Path) -> bool:
  return bool(cards.read(path)["generative"])
