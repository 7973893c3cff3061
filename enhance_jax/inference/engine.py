"""Upscalers with one face: a network from its file, or an interpolation.

`open_model` turns what a user typed into an object with `.name`, `.scale`,
`.card`, `.upscale`, `.upscale_uint8` and `.upscale_uint16`. Pictures of any
size go through exact tiles (see `tiling`), so memory is bounded by the tile.
"""

import abc
import functools
import logging
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from enhance_jax import cache, errors, images, registry, resample, zoo
from enhance_jax.inference import tiling
from enhance_jax.models import classical

OnTile = Callable[[int, int], None]

DEFAULT_TILE = 192
SMALLEST_TILE = 8
WEIGHTS = "generator.safetensors"
# Gray of an RGB result whose input was gray: full range, neutral stays put.
GRAY = np.asarray((0.299, 0.587, 0.114), np.float32)

_log = logging.getLogger(__name__)


class _OutOfMemoryError(Exception):
  """The device cannot hold a window of the present size."""


class Engine(abc.ABC):
  """An upscaler of whole pictures.

  Attributes:
    name: how tables and messages call it.
    scale: enlargement of each side.
    card: model card; {} for interpolations.
    sha256: digest of the weights file; "" where there is none.
    tile: LR pixels a side, halved for good when memory runs out.
    radius: LR pixels around a tile that its result depends on.
  """

  def __init__(
    self,
    name: str,
    scale: int,
    radius: int,
    card: dict[str, Any],
    tile: int | None,
  ):
    """Checks the tile; subclasses say the rest."""
    if tile is not None and tile < 1:
      raise errors.EnhanceError(
        f"tile {tile} is out of range; wanted LR pixels, 1 or more"
      )
    self.name = name
    self.scale = scale
    self.radius = radius
    self.card = card
    self.sha256 = ""
    self.tile = tile or DEFAULT_TILE

  @property
  def generative(self) -> bool:
    """Whether an adversarial loss shaped it: fine detail is then invented."""
    return bool(self.card.get("generative", False))

  def upscale(
    self, x: np.ndarray, *, on_tile: OnTile | None = None
  ) -> np.ndarray:
    """Enlarges float32 [H, W, C] in [0, 1], C 1 or 3; any H and W.

    Args:
      x: the picture.
      on_tile: called with (tiles done, tiles in all) after every tile.

    Returns:
      float32 [H scale, W scale, C], nominally in [0, 1], not clipped.

    Raises:
      EnhanceError: the result is not finite (the tile is named), or memory
        does not suffice for the smallest tile.
    """
    return self._run(np.asarray(x, np.float32), self._finite, on_tile)

  def upscale_uint8(
    self, pixels: np.ndarray, *, on_tile: OnTile | None = None
  ) -> np.ndarray:
    """As `upscale`, from and to uint8 pixels; no float copy of the whole."""
    return self._run(pixels, self._enlarge_uint8, on_tile)

  def upscale_uint16(
    self, pixels: np.ndarray, *, on_tile: OnTile | None = None
  ) -> np.ndarray:
    """As `upscale`, from and to uint16 pixels."""
    return self._run(pixels, self._enlarge_uint16, on_tile)

  @abc.abstractmethod
  def _enlarge(self, window: np.ndarray) -> np.ndarray:
    """Maps float32 [h, w, C] to float32 [h scale, w scale, C]."""

  def _finite(self, window: np.ndarray) -> np.ndarray:
    sr = self._enlarge(window)
    bad = sr.size - int(np.count_nonzero(np.isfinite(sr)))
    if bad:
      raise FloatingPointError(f"{bad} NaN or infinite values")
    return sr

  def _enlarge_uint8(self, window: np.ndarray) -> np.ndarray:
    return images.to_uint8(self._finite(images.to_float(window)))

  def _enlarge_uint16(self, window: np.ndarray) -> np.ndarray:
    return images.to_uint16(self._finite(images.to_float(window)))

  def _run(
    self,
    pixels: np.ndarray,
    enlarge: Callable[[np.ndarray], np.ndarray],
    on_tile: OnTile | None,
  ) -> np.ndarray:
    """Tiles the picture; halves the tile and starts again if memory ends."""
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3) or not pixels.size:
      raise errors.EnhanceError(
        f"got an image of shape {list(pixels.shape)}; wanted [H, W, 3] or "
        "[H, W, 1] with at least one pixel"
      )
    while True:
      try:
        return self._pass(pixels, enlarge, on_tile)
      except _OutOfMemoryError as error:
        if self.tile <= SMALLEST_TILE:
          raise errors.EnhanceError(
            f"{self.name} does not fit into memory even with tiles of "
            f"{self.tile} pixels ({error}); close other programs or use a "
            "smaller network"
          ) from error
        smaller = max(SMALLEST_TILE, self.tile // 2)
        _log.warning(
          "tiles of %d do not fit into memory, going on with %d (%s)",
          self.tile,
          smaller,
          error,
        )
        self.tile = smaller

  def _pass(
    self,
    pixels: np.ndarray,
    enlarge: Callable[[np.ndarray], np.ndarray],
    on_tile: OnTile | None,
  ) -> np.ndarray:
    height, width, channels = pixels.shape
    plan = tiling.tiles(height, width, tile=self.tile, radius=self.radius)
    shape = (height * self.scale, width * self.scale, channels)
    result = np.empty(shape, pixels.dtype)
    for i, tile in enumerate(plan):
      try:
        part = enlarge(pixels[tile.window])
      except FloatingPointError as error:
        raise errors.EnhanceError(
          f"{self.name} gave {error} in tile {i + 1} of {len(plan)} ({tile} of "
          "the input); nothing was written. Check the weights, and the "
          "picture for values that are no numbers"
        ) from error
      result[tile.kept(self.scale)] = part[tile.inside(self.scale)]
      if on_tile is not None:
        on_tile(i + 1, len(plan))
    return result


class Upscaler(Engine):
  """A generator network; one compiled program for each window shape.

  A gray picture goes through an RGB network as three equal channels. A colour
  picture goes through a gray network as luma, its chroma is interpolated.
  """

  def __init__(
    self,
    bundle: zoo.Generator,
    *,
    tile: int | None = None,
    name: str | None = None,
  ):
    """Puts the bundle's variables on the device.

    Args:
      bundle: of `zoo.load_generator`, or made in memory.
      tile: LR pixels a side; None takes 192, less where memory is short.
      name: for tables and messages; the model's name by default.
    """
    import jax

    self._module = bundle.module
    # Through the host: the trainer's copy may be spread over a mesh.
    self._variables = jax.device_put(jax.device_get(dict(bundle.variables)))
    super().__init__(
      name or bundle.model,
      bundle.module.scale,
      max(bundle.module.radius, classical.RADIUS),
      bundle.card,
      tile,
    )
    self.sha256 = bundle.sha256

  def _enlarge(self, window: np.ndarray) -> np.ndarray:
    channels, wanted = window.shape[-1], self._module.channels
    if channels == wanted:
      return self._network(window)
    if channels == 1:
      rgb = self._network(np.repeat(window, 3, axis=-1))
      return (rgb @ GRAY)[..., None]
    ycbcr = images.rgb_to_ycbcr(window)
    chroma = resample.resize(ycbcr[..., 1:], scale=self.scale)
    sr = np.concatenate([self._network(ycbcr[..., :1]), chroma], axis=-1)
    return images.ycbcr_to_rgb(sr).astype(np.float32)

  def _network(self, window: np.ndarray) -> np.ndarray:
    import jax

    try:
      program = _compile(self._module, window.shape)
      _check_memory(program, self._variables)
      return np.asarray(program(self._variables, window[None]))[0]
    except jax.errors.JaxRuntimeError as error:
      if "RESOURCE_EXHAUSTED" not in str(error):
        raise
      raise _OutOfMemoryError(str(error).splitlines()[0]) from error


class Interpolation(Engine):
  """Nearest, bilinear, bicubic or Lanczos; uint8 rounds as MATLAB does."""

  def __init__(self, name: str, scale: int, *, tile: int | None = None):
    """Takes a name of `classical.KERNELS` and a scale of 1 to 16."""
    classical.check(name, scale)
    super().__init__(name, scale, classical.RADIUS, {}, tile)
    self._kind = name

  def _enlarge(self, window: np.ndarray) -> np.ndarray:
    return classical.upscale(self._kind, window, self.scale)

  def _enlarge_uint8(self, window: np.ndarray) -> np.ndarray:
    return classical.upscale_uint8(self._kind, window, self.scale)


def open_model(
  model: str | None = None,
  workdir: str | os.PathLike | None = None,
  scale: int | None = None,
  tile: int | None = None,
) -> Engine:
  """Opens what the flags --model, --workdir, --scale and --tile name.

  Args:
    model: an interpolation's name or a .safetensors file.
    workdir: a finished training run's folder, instead of `model`.
    scale: needed for an interpolation; a network has its own.
    tile: LR pixels a side.

  Raises:
    EnhanceError: nothing or both named, unknown name, unfinished run, scale
      missing or other than the network's, bad weights.
  """
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
  bundle = zoo.load_generator(path)
  if scale not in (None, bundle.module.scale):
    raise errors.EnhanceError(
      f"{path} enlarges x{bundle.module.scale}, --scale={scale} was wanted; "
      "leave --scale out or take other weights"
    )
  return Upscaler(bundle, tile=tile, name=_name(path))


def _interpolation(name: str, scale: int | None, tile: int | None) -> Engine:
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


@functools.lru_cache(maxsize=32)
def _compile(module: Any, shape: tuple[int, int, int]) -> Any:
  """The module's program for one window [h, w, C], shared by its weights."""
  import jax

  def forward(variables: Any, lr: jax.Array) -> jax.Array:
    return module.apply(variables, lr, train=False).astype(np.float32)

  lr = jax.ShapeDtypeStruct((1, *shape), np.float32)
  variables = jax.eval_shape(
    lambda key, x: module.init(key, x, train=False), jax.random.key(0), lr
  )
  return jax.jit(forward).lower(variables, lr).compile()


def _check_memory(program: Any, variables: Any) -> None:
  """Refuses a program that needs more memory than the machine has left.

  Accelerators say so themselves; a host would be killed by its system.
  """
  analysis = program.memory_analysis()
  free = _free_host_bytes(variables)
  if analysis is None or free is None:
    return
  need = analysis.temp_size_in_bytes + analysis.output_size_in_bytes
  if need > 0.9 * free:
    raise _OutOfMemoryError(
      f"{need / 2**20:.0f} MiB needed, {free / 2**20:.0f} MiB free"
    )


def _free_host_bytes(variables: Any) -> int | None:
  """Free main memory where the variables live in it; None if not known."""
  import jax

  (device,) = jax.tree.leaves(variables)[0].devices()
  if device.platform != "cpu":
    return None
  try:
    with open("/proc/meminfo", encoding="ascii") as file:
      fields = dict(line.split(":", 1) for line in file)
    return int(fields["MemAvailable"].split()[0]) * 1024
  except (OSError, KeyError, ValueError):
    return None
