"""The upscalers: a generator network, or an interpolation."""

import functools
from typing import Any

import numpy as np

from enhance_jax import images, resample, zoo
from enhance_jax.inference import tiled
from enhance_jax.models import classical

# Gray of an RGB result whose input was gray: full range, neutral stays put.
GRAY = np.asarray((0.299, 0.587, 0.114), np.float32)


class Upscaler(tiled.Tiled):
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
      bundle.sha256,
      getattr(bundle.module, "multiple", 1),
    )

  def enlarge(self, window: np.ndarray) -> np.ndarray:
    """See `tiled.Tiled.enlarge`."""
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
      raise tiled.OutOfMemoryError(str(error).splitlines()[0]) from error


class Interpolation(tiled.Tiled):
  """Nearest, bilinear, bicubic or Lanczos; uint8 rounds as MATLAB does."""

  def __init__(self, name: str, scale: int, *, tile: int | None = None):
    """Takes a name of `classical.KERNELS` and a scale of 1 to 16."""
    classical.check(name, scale)
    super().__init__(name, scale, classical.RADIUS, {}, tile)
    self._kind = name

  def enlarge(self, window: np.ndarray) -> np.ndarray:
    """See `tiled.Tiled.enlarge`."""
    return classical.upscale(self._kind, window, self.scale)

  def _enlarge_uint8(self, window: np.ndarray) -> np.ndarray:
    return classical.upscale_uint8(self._kind, window, self.scale)


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
    raise tiled.OutOfMemoryError(
      f"{need / 2**20:.0f} MiB needed, {free / 2**20:.0f} MiB free"
    )


def _free_host_bytes(variables: Any) -> int | None:
  """Free main memory where the variables live in it; None if not known."""
  import jax

  leaves = jax.tree.leaves(variables)
  # Interpolation as a network has no variables to ask.
  device = next(iter(leaves[0].devices())) if leaves else jax.devices()[0]
  if device.platform != "cpu":
    return None
  try:
    with open("/proc/meminfo", encoding="ascii") as file:
      fields = dict(line.split(":", 1) for line in file)
    return int(fields["MemAvailable"].split()[0]) * 1024
  except (OSError, KeyError, ValueError):
    return None
