"""Our networks in a process of their own; started by inference.py."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from benchmarks import train_step as benchmark
from enhance_jax import cache, images, registry, zoo
from enhance_jax.inference import engine, programs

# Part of a device's name -> matrix operations a second in bfloat16 and bytes a
# second from its memory, by its data sheet, dense. In float32 through TF32 it
# is half as many operations.
PEAKS = {
  "H200": (989e12, 4.8e12),
  "H100": (989e12, 3.35e12),
  "A100": (312e12, 2.0e12),
  "L4": (121e12, 0.3e12),
}


def _bundle(settings: dict[str, Any]) -> zoo.Generator:
  """The generator with random weights that keep activations in range."""
  name, kwargs = settings["model"], settings["kwargs"]
  module = registry.build(registry.GENERATORS, name, **kwargs)
  rng = np.random.default_rng(0)
  flat = {}
  for key, shape in zoo.expected_shapes(module).items():
    values = 0.5 * rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))
    norm = key.endswith(("/scale", "/var"))
    flat[key] = np.ones(shape, np.float32) if norm else np.float32(values)
  dtype = jax.numpy.dtype(settings["dtype"])
  return zoo.Generator(
    name,
    kwargs,
    module.clone(dtype=dtype),
    traverse_util.unflatten_dict(flat, sep="/"),
    {"generative": False},
    "",
  )


def _work(
  settings: dict[str, Any], bundle: zoo.Generator
) -> Callable[[], np.ndarray]:
  """One run of the contender."""
  height, width = settings["size"]
  shape = (height, width, bundle.module.channels)
  x = np.random.default_rng(1).random(shape, np.float32)
  if settings["variant"] == "onnx":
    from enhance_jax.deploy import onnx_model

    session = onnx_model.load(
      onnx_model.model(bundle, (height, width)).SerializeToString()
    )
    return lambda: session(x[None])
  upscaler = engine.Upscaler(bundle)
  if settings["frames"]:
    film = np.stack([images.to_uint8(x)] * settings["frames"])
    return lambda: upscaler.upscale_frames(film)
  return lambda: upscaler.upscale(x)


def _roofline(bundle: zoo.Generator) -> dict[str, float]:
  """Operations and bytes of the largest compiled program, a window of it.

  The least time is that of the slower of the two at the device's peaks.
  """
  counts = [
    (shape[0], program.cost_analysis() or {})
    for (shape, *_), program in programs.of(bundle.module).compiled.items()
  ]
  windows, cost = max(counts, key=lambda count: count[0])
  flops = cost.get("flops", 0.0) / windows
  moved = cost.get("bytes accessed", 0.0) / windows
  kind, seconds = jax.devices()[0].device_kind, 0.0
  for name, (operations, memory) in PEAKS.items():
    if name in kind:
      wide = bundle.module.dtype == np.float32
      seconds = max(flops / operations * (1 + wide), moved / memory)
  return {"flops": flops, "bytes": moved, "roofline_s": seconds}


def main() -> None:
  """Measures what the one argument, JSON, asks for; prints JSON."""
  settings = json.loads(sys.argv[1])
  cache.enable_compilation_cache()
  start = time.perf_counter()
  bundle = _bundle(settings)
  run = _work(settings, bundle)
  run()
  first = time.perf_counter() - start
  run()

  def take() -> None:
    for _ in range(settings["steps"]):
      run()

  result = benchmark.measure(take, settings)
  result.update(
    first_s=first,
    frames=settings["frames"],
    device=jax.devices()[0].device_kind,
    versions=zoo.versions(),
  )
  if settings["frames"]:
    each = _roofline(bundle)
    result.update({k: v * settings["frames"] for k, v in each.items()})
  print(json.dumps(result))


if __name__ == "__main__":
  main()
