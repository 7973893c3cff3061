"""The upscalers: a generator network, or an interpolation."""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from enhance_jax import zoo
from enhance_jax.inference import tiled
from enhance_jax.models import classical

# Gray of an RGB result whose input was gray: full range, neutral stays put.
GRAY = np.asarray((0.299, 0.587, 0.114), np.float32)

# LR pixels of all windows that an accelerator is given at once. Processors gain
# nothing by more than one window.
_BATCH_PIXELS = 1 << 18


class Upscaler(tiled.Tiled):
  """A generator network; one compiled program for each window shape.

  A gray picture goes through an RGB network as three equal channels. A colour
  picture goes through a gray network as luma, its chroma is interpolated.
  Several windows are spread over the local devices.
  """

  def __init__(
    self,
    bundle: zoo.Generator,
    *,
    tile: int | None = None,
    name: str | None = None,
    shard_rows: bool = False,
  ):
    """Takes a generator; its variables go to the device when they are needed.

    Args:
      bundle: of `zoo.load_generator`, or made in memory.
      tile: LR pixels a side; None chooses by radius and memory.
      name: for tables and messages; the model's name by default.
      shard_rows: split each window by rows over the local devices, in place of
        giving each device windows of its own.
    """
    self._module = bundle.module
    self._bundle = bundle
    self._placed: dict[bool, Any] = {}
    self._shard_rows = shard_rows
    self._batch_pixels = _BATCH_PIXELS
    super().__init__(
      name or bundle.model,
      bundle.module.scale,
      max(bundle.module.radius, classical.RADIUS),
      bundle.card,
      tile,
      bundle.sha256,
      getattr(bundle.module, "multiple", 1),
    )
    if shard_rows:
      import jax

      self.row_step = math.lcm(self.multiple, len(jax.local_devices()))

  def enlarge(self, window: np.ndarray) -> np.ndarray:
    """See `tiled.Tiled.enlarge`."""
    return self.begin(window[None], np.dtype(np.float32))()[0]

  def batch(self, count: int, pixels: int) -> int:
    """See `tiled.Tiled.batch`."""
    import jax

    devices = jax.local_devices()
    if count == 1 or self._shard_rows:
      return 1
    each = 1
    if devices[0].platform != "cpu":
      each = max(1, self._batch_pixels // pixels)
    return len(devices) * min(each, -(-count // len(devices)))

  def prepare(
    self, shape: tuple[int, ...], source: np.dtype, target: np.dtype
  ) -> None:
    """See `tiled.Tiled.prepare`."""
    from enhance_jax.inference import programs

    with self._memory_errors(shape):
      program, _, layout = self._program(shape, source, target)
    programs.check_memory(program, shape, layout)

  def begin(
    self, windows: np.ndarray, dtype: np.dtype
  ) -> Callable[[], np.ndarray]:
    """See `tiled.Tiled.begin`."""
    with self._memory_errors(windows.shape):
      program, variables, _ = self._program(windows.shape, windows.dtype, dtype)
      result, bad = program(variables, windows)

    def fetch() -> np.ndarray:
      with self._memory_errors(windows.shape):
        counts = np.asarray(bad)
        if counts.any():
          place = int(np.argmax(counts > 0))
          raise tiled.NotFiniteError(place, int(counts[place]))
        return np.asarray(result)

    return fetch

  def _program(
    self, shape: tuple[int, ...], source: np.dtype, target: np.dtype
  ) -> tuple[Any, Any, str]:
    """The program for a batch, the variables where it wants them, its layout.

    A window that cannot be split stays on one device.
    """
    import jax

    from enhance_jax.inference import programs

    count, layout = len(jax.local_devices()), "one"
    if count > 1 and self._shard_rows and not shape[1] % count:
      layout = "rows"
    elif count > 1 and not self._shard_rows and not shape[0] % count:
      layout = "windows"
    alone = layout == "one"
    if alone not in self._placed:
      # Through the host: the trainer's copy may be spread over a mesh.
      variables = jax.device_get(dict(self._bundle.variables))
      place = programs.sharding(layout, whole=True)
      self._placed[alone] = jax.device_put(variables, place)
    variables = self._placed[alone]
    program = programs.of(self._module).get(
      variables, shape, (source, target), layout
    )
    return program, variables, layout

  @contextlib.contextmanager
  def _memory_errors(self, shape: tuple[int, ...]) -> Iterator[None]:
    """Tells a device that is full from all other failures."""
    import jax

    try:
      yield
    except jax.errors.JaxRuntimeError as error:
      if "RESOURCE_EXHAUSTED" not in str(error):
        raise
      self._batch_pixels = math.prod(shape[:3]) // 4
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

  def begin(
    self, windows: np.ndarray, dtype: np.dtype
  ) -> Callable[[], np.ndarray]:
    """See `tiled.Tiled.begin`."""
    if windows.dtype == dtype == np.uint8:
      return lambda: classical.upscale_uint8(
        self._kind, windows[0], self.scale
      )[None]
    return super().begin(windows, dtype)
