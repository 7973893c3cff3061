"""Upscalers with one face: a network from its file, or an interpolation.

`open_model` turns what a user typed into an object with `.name`, `.scale`,
`.card`, `.upscale`, `.upscale_uint8` and `.upscale_uint16`. Pictures of any
size go through exact tiles (see `tiling`), so memory is bounded by the tile.
"""

import os
import pathlib

from enhance_jax import cache, errors, registry, zoo
from enhance_jax.inference import fidelity
from enhance_jax.inference.tiled import Engine, OnTile, Tiled
from enhance_jax.inference.upscalers import GRAY, Interpolation, Upscaler
from enhance_jax.models import classical

__all__ = [
  "GRAY",
  "WEIGHTS",
  "Engine",
  "Interpolation",
  "OnTile",
  "Tiled",
  "Upscaler",
  "open_model",
]

WEIGHTS = "generator.safetensors"


def open_model(
  model: str | None = None,
  workdir: str | os.PathLike | None = None,
  scale: int | None = None,
  tile: int | None = None,
  *,
  ensemble: bool = False,
  consistent: bool = False,
) -> Engine:
  """Opens what the flags --model, --workdir, --scale and --tile name.

  Args:
    model: an interpolation's name or a .safetensors file.
    workdir: a finished training run's folder, instead of `model`.
    scale: needed for an interpolation; a network has its own, and some have
      several.
    tile: LR pixels a side.
    ensemble: average over the eight mirrored and turned pictures.
    consistent: correct the result until, made small, it is the input again;
      comes after the ensemble.

  Raises:
    EnhanceError: nothing or both named, unknown name, unfinished run, scale
      missing or none of the network's, bad weights.
  """
  upscaler = _open(model, workdir, scale, tile)
  if ensemble:
    upscaler = fidelity.Ensemble(upscaler)
  return fidelity.Consistent(upscaler) if consistent else upscaler


def _open(
  model: str | None,
  workdir: str | os.PathLike | None,
  scale: int | None,
  tile: int | None,
) -> Tiled:
  if workdir is not None and model is None:
    path = _finished(pathlib.Path(workdir))
  elif model is not None and workdir is None:
    if model in classical.KERNELS:
      return _interpolation(model, scale, tile)
    path = _named(model)
  else:
    raise errors.EnhanceError(
      "name one model: --workdir=DIR of a finished run, "
      "--model=FILE.safetensors, or an interpolation: "
      f"--model={'|'.join(classical.KERNELS)}"
    )
  cache.enable_compilation_cache()
  bundle = zoo.load_generator(path, scale=scale)
  return Upscaler(bundle, tile=tile, name=_name(path))


def _interpolation(name: str, scale: int | None, tile: int | None) -> Tiled:
  if scale is None:
    raise errors.EnhanceError(
      f'interpolation "{name}" works at any scale; say which: --scale=4'
    )
  return Interpolation(name, scale, tile=tile)


def _named(model: str) -> pathlib.Path:
  path = pathlib.Path(model)
  if path.is_dir():
    raise errors.EnhanceError(
      f"--model={model} is a folder; for a training run use --workdir={model}"
    )
  if path.suffix == zoo.SUFFIX:
    return path
  if model in registry.GENERATORS:
    raise errors.EnhanceError(
      f'"{model}" is an architecture without weights; wanted '
      "--workdir=DIR of a finished run or --model=FILE.safetensors"
    )
  raise errors.EnhanceError(
    f'there is no model called "{model}"; '
    f"{errors.nearest(model, classical.KERNELS)}, or a FILE.safetensors"
  )


def _finished(folder: pathlib.Path) -> pathlib.Path:
  if not folder.is_dir():
    raise errors.EnhanceError(
      f"--workdir={folder} is no folder; wanted the folder of a training run"
    )
  if (folder / WEIGHTS).is_file():
    return folder / WEIGHTS
  phases = sorted(
    folder.glob("generator.*" + zoo.SUFFIX), key=lambda p: p.stat().st_mtime
  )
  if phases:
    names = ", ".join(path.name for path in phases)
    hint = f"finished phases: {names}; use one by --model={phases[-1]}"
  else:
    hint = "no phase is finished either; let the run go on"
  raise errors.EnhanceError(
    f"the run in {folder} has not finished (there is no {WEIGHTS}); {hint}"
  )


def _name(path: pathlib.Path) -> str:
  """`runs/faces/generator.safetensors` is called "faces"."""
  stem = path.name.removesuffix(zoo.SUFFIX)
  if stem.split(".")[0] != "generator":
    return stem
  return path.resolve().parent.name + stem.removeprefix("generator")
