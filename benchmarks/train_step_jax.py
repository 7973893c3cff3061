"""Our training step in a process of its own; started by train_step.py."""

import dataclasses
import functools
import json
import sys
import time
from typing import Any

import jax
import ml_collections
import numpy as np

from benchmarks import train_step as benchmark
from configs import srgan
from enhance_jax import cache, config_check, zoo
from enhance_jax.data import pipeline
from enhance_jax.models import srresnet, vgg
from enhance_jax.train import build, mesh

# Channels of VGG19's five stages.
WIDTHS = (64, 128, 256, 512, 512)


def _vgg(seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
  """Random arrays of VGG19's shapes that keep the activations' size."""
  rng = np.random.default_rng(seed)
  params, channels = {}, 3
  stages = zip(vgg.STAGES["vgg19"], WIDTHS, strict=True)
  outs = [width for count, width in stages for _ in range(count)]
  for name, out in zip(vgg.CONVOLUTIONS["vgg19"], outs, strict=True):
    kernel = rng.standard_normal((3, 3, channels, out), np.float32)
    kernel *= np.float32(np.sqrt(2 / (9 * channels)))
    params[name] = {"kernel": kernel, "bias": np.zeros(out, np.float32)}
    channels = out
  return params


def _config(settings: dict[str, Any]) -> ml_collections.ConfigDict:
  config = srgan.get_config()
  config.data.train = "samples"
  config.data.crop = settings["crop"]
  config.data.batch_size = settings["batch"]
  config.data.pipeline = settings["variant"]
  width, blocks = settings["width"], settings["blocks"]
  config.generator.options = {"width": width, "blocks": blocks}
  config.discriminator.options = {"width": width, "dense": 16 * width}
  config.train.compute_dtype = settings["dtype"]
  config.phase_order = ("gan",)
  config_check.validate(config)
  return config


def _parts(settings: dict[str, Any]) -> build.Parts:
  """The run that `build.build` would make, but for VGG19's weights."""
  config = _config(settings)
  loader = pipeline.open_loader(config)
  # One device: the peer has no more.
  devices = mesh.Mesh(jax.devices()[:1])
  dtype = jax.numpy.dtype(settings["dtype"])
  return build.Parts(
    config=config,
    mesh=devices,
    generator=build.generator(config),
    discriminator=srresnet.Discriminator(
      **config.discriminator.options, dtype=dtype
    ),
    phases=build.phases(config),
    loader=loader,
    degrade=build.degradation(config),
    teacher=None,
    held_out=np.zeros((0, 1, 1, 3), np.uint8),
    constants=devices.replicate({"vgg19": _vgg(), **loader.constants()}),
  )


@dataclasses.dataclass
class _Run:
  """Takes steps as the training loop does: one update ahead of the metrics."""

  parts: build.Parts
  waited: float = 0.0

  def __post_init__(self) -> None:
    self._state = self.parts.init()
    self._step, _ = self.parts.compile(self.parts.phases[0])
    self._batches = self.parts.loader.batches(0)

  def take(self, count: int) -> None:
    before = None
    for _ in range(count):
      start = time.perf_counter()
      batch = next(self._batches)
      self.waited += time.perf_counter() - start
      self._state, metrics = self._step(
        self._state, self.parts.mesh.share(batch), self.parts.constants
      )
      jax.block_until_ready(before)
      before = metrics
    jax.block_until_ready(self._state)
    if float(before["skipped"]):
      raise RuntimeError("an update was skipped: its numbers were not finite")


def main() -> None:
  """Measures what the one argument, JSON, asks for; prints JSON."""
  settings = json.loads(sys.argv[1])
  cache.enable_compilation_cache()
  start = time.perf_counter()
  run = _Run(_parts(settings))
  run.take(1)
  first = time.perf_counter() - start
  run.take(1)
  run.waited = 0.0
  result = benchmark.measure(
    functools.partial(run.take, settings["steps"]), settings
  )
  device = jax.devices()[0]
  memory = device.memory_stats() or {}
  wall = result["ms"] * settings["steps"] / 1e3
  result.update(
    first_s=first,
    wait_share=run.waited / wall,
    device_mb=memory.get("peak_bytes_in_use", 0) / 1e6,
    device=run.parts.mesh.describe(),
    versions=zoo.versions(),
  )
  print(json.dumps(result))


if __name__ == "__main__":
  main()
