"""Compiled networks: from windows of pixels to windows of pixels.

What is done to pixels before and after the network is part of the program:
integers travel to the device and back, and nothing is converted on the host.
"""

import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from enhance_jax import images, resample
from enhance_jax.inference import tiled
from enhance_jax.inference.upscalers import GRAY

# Share of the free memory that programs may take.
_SHARE = 0.8
_AXIS = "devices"
# How a batch lies on several devices: all on one, or split by an axis.
LAYOUTS = {
  "one": PartitionSpec(),
  "windows": PartitionSpec(_AXIS),
  "rows": PartitionSpec(None, _AXIS),
}


def sharding(layout: str, *, whole: bool = False) -> NamedSharding:
  """Where a batch [N, h, w, C] lies, or with `whole` what all devices need."""
  devices = jax.local_devices()
  mesh = Mesh(devices[:1] if layout == "one" else devices, (_AXIS,))
  return NamedSharding(mesh, PartitionSpec() if whole else LAYOUTS[layout])


class Programs:
  """The programs of one network, shared by all weights it may have."""

  def __init__(self, module: Any):
    """Takes the Linen module; nothing is compiled yet."""
    self.module = module
    self.compiled: dict[tuple, Any] = {}

  def get(
    self,
    variables: Any,
    shape: tuple[int, ...],
    dtypes: tuple[Any, Any],
    layout: str,
  ) -> Any:
    """The program that enlarges a batch.

    Args:
      variables: weights of the module's shapes; the values do not matter.
      shape: of the batch, [N, h, w, C].
      dtypes: of the pixels that come in and go out: uint8, uint16, float32.
      layout: a name of `LAYOUTS`.

    Returns:
      (variables, batch) -> (batch [N, h scale, w scale, C], int32 [N]: values
      of each that were not finite before rounding).
    """
    source, target = (np.dtype(dtype) for dtype in dtypes)
    key = (shape, source, target, layout)
    if key not in self.compiled:
      batch = sharding(layout)
      whole = sharding(layout, whole=True)
      function = jax.jit(
        functools.partial(_forward, self.module, target),
        in_shardings=(whole, batch),
        out_shardings=(batch, whole),
      )
      pixels = jax.ShapeDtypeStruct(shape, source)
      self.compiled[key] = function.lower(variables, pixels).compile()
    return self.compiled[key]

  def __len__(self) -> int:
    """How many were compiled."""
    return len(self.compiled)


@functools.lru_cache(maxsize=8)
def of(module: Any) -> Programs:
  """The programs of a module; equal modules share them."""
  return Programs(module)


def _forward(
  module: Any, dtype: np.dtype, variables: Any, pixels: jax.Array
) -> tuple[jax.Array, jax.Array]:
  x = pixels.astype(jnp.float32)
  if pixels.dtype != jnp.float32:
    x = x / np.float32(np.iinfo(pixels.dtype).max)
  sr = _in_its_colours(module, variables, x).astype(jnp.float32)
  bad = jnp.sum(~jnp.isfinite(sr), axis=(1, 2, 3), dtype=jnp.int32)
  if dtype != np.float32:
    top = np.float32(np.iinfo(dtype).max)
    sr = jnp.floor(jnp.clip(sr, 0, 1) * top + np.float32(0.5))
  return sr.astype(dtype), bad


def _in_its_colours(module: Any, variables: Any, x: jax.Array) -> jax.Array:
  """Gray through a colour network, colour through a gray one."""
  apply = functools.partial(module.apply, variables, train=False)
  channels, wanted = x.shape[-1], module.channels
  if channels == wanted:
    return apply(x)
  if channels == 1:
    gray = jnp.asarray(GRAY).reshape(1, 1, 1, 3)
    rgb = apply(jnp.repeat(x, 3, axis=-1)).astype(jnp.float32)
    return jnp.sum(rgb * gray, axis=-1, keepdims=True)
  ycbcr = images.rgb_to_ycbcr(x)
  chroma = resample.resize(ycbcr[..., 1:], scale=module.scale)
  luma = apply(ycbcr[..., :1]).astype(jnp.float32)
  return images.ycbcr_to_rgb(jnp.concatenate([luma, chroma], axis=-1))


def check_memory(program: Any, shape: tuple[int, ...], layout: str) -> None:
  """Refuses a program that needs more memory than there is.

  A host would not say so itself: its system would kill the process.

  Args:
    program: of `Programs.get`, for batches of that shape and layout.
    shape: likewise.
    layout: likewise.

  Raises:
    OutOfMemoryError: with the side that windows may have instead.
  """
  analysis = program.memory_analysis()
  device = jax.local_devices()[0]
  free = free_bytes(device)
  if analysis is None or free is None:
    return
  need = analysis.temp_size_in_bytes + 2 * analysis.output_size_in_bytes
  if device.platform == "cpu":
    # One batch waits while another is computed, all in the same memory.
    count = 1 if layout == "one" else len(jax.local_devices())
    need *= 2 * count
  room = _SHARE * free
  if need > room:
    side = (shape[0] * shape[1] * shape[2] * room / need) ** 0.5
    raise tiled.OutOfMemoryError(
      f"{need / 2**20:.0f} MiB needed, {free / 2**20:.0f} MiB free",
      side=int(0.95 * side),
    )


def free_bytes(device: Any) -> int | None:
  """Free memory where a device computes; None if not known."""
  if device.platform != "cpu":
    stats = device.memory_stats() or {}
    if "bytes_limit" not in stats:
      return None
    return stats["bytes_limit"] - stats["bytes_in_use"]
  try:
    with open("/proc/meminfo", encoding="ascii") as file:
      fields = dict(line.split(":", 1) for line in file)
    free = int(fields["MemAvailable"].split()[0]) * 1024
  except (OSError, KeyError, ValueError):
    return None
  return min(free, _container_bytes() or free)


def _container_bytes() -> int | None:
  """What a container's own limit leaves; None where there is none."""
  group = pathlib.Path("/sys/fs/cgroup")
  try:
    limit = int((group / "memory.max").read_text())
    used = int((group / "memory.current").read_text())
    stat = (group / "memory.stat").read_text().splitlines()
    # Copies of files are dropped when the room is needed.
    files = int(dict(line.split() for line in stat)["file"])
  except (OSError, ValueError, KeyError):
    return None
  return max(limit - used + files, 1)
