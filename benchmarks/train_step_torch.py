"""The same step in PyTorch in a process of its own; started by train_step.py.

Written as its users write it: the generator's update through a frozen
discriminator, then the discriminator's on real and detached pictures. It has
neither moving average nor NaN guard, and LR and HR are given.
"""

import functools
import json
import sys
import time
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks import train_step as benchmark
from tests import torch_reference

# Channels of VGG19's five stages.
WIDTHS = (64, 128, 256, 512, 512)


class _Run:
  """Networks, optimisers and data; `take` trains."""

  def __init__(self, settings: dict[str, Any]):
    torch.manual_seed(0)
    self._device = "cuda" if torch.cuda.is_available() else "cpu"
    self._half = settings["dtype"] == "bfloat16"
    self._format = torch.contiguous_format
    if settings["variant"] == "channels_last":
      self._format = torch.channels_last
    crop, batch, width = (settings[k] for k in ("crop", "batch", "width"))
    generator = torch_reference.Generator(width, settings["blocks"])
    discriminator = torch_reference.discriminator(crop, width, 16 * width)
    # Without the last pool, which the loss does not look at.
    features = torch_reference.vgg19_features(WIDTHS)[:-1]
    self._generator = self._place(generator)
    self._discriminator = self._place(discriminator)
    self._features = self._place(features.requires_grad_(False))
    adam = functools.partial(torch.optim.Adam, lr=1e-4)
    self._generator_adam = adam(self._generator.parameters())
    self._discriminator_adam = adam(self._discriminator.parameters())
    self._lr = self._place(torch.rand(batch, 3, crop // 4, crop // 4))
    self._hr = self._place(torch.rand(batch, 3, crop, crop))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    self._mean = self._place(torch.tensor(mean).view(1, 3, 1, 1))
    self._std = self._place(torch.tensor(std).view(1, 3, 1, 1))
    self._losses = self._generator_loss, self._discriminator_loss
    if settings["variant"] == "compiled":
      self._losses = tuple(map(torch.compile, self._losses))

  def _place(self, thing: Any) -> Any:
    return thing.to(self._device, memory_format=self._format)

  def _judge(self, pictures: torch.Tensor) -> torch.Tensor:
    return self._discriminator(2 * pictures - 1)

  def _seen(self, pictures: torch.Tensor) -> torch.Tensor:
    return self._features((pictures - self._mean) / self._std)

  def _generator_loss(self) -> tuple[torch.Tensor, torch.Tensor]:
    sr = self._generator(self._lr)
    with torch.no_grad():
      truth = self._seen(self._hr)
    content = (self._seen(sr) - truth).float().square().sum(1).mean()
    fooled = F.softplus(-self._judge(sr).float()).mean()
    return 0.006 * content + 1e-3 * fooled, sr.detach()

  def _discriminator_loss(self, sr: torch.Tensor) -> torch.Tensor:
    real = F.softplus(-self._judge(self._hr).float()).mean()
    return real + F.softplus(self._judge(sr).float()).mean()

  def take(self, count: int) -> None:
    """Takes steps and waits for the last one."""
    half = torch.autocast(
      self._device, dtype=torch.bfloat16, enabled=self._half
    )
    generator_loss, discriminator_loss = self._losses
    for _ in range(count):
      self._discriminator.requires_grad_(False)
      with half:
        loss, sr = generator_loss()
      self._generator_adam.zero_grad()
      loss.backward()
      self._generator_adam.step()
      self._discriminator.requires_grad_(True)
      with half:
        loss = discriminator_loss(sr)
      self._discriminator_adam.zero_grad()
      loss.backward()
      self._discriminator_adam.step()
    if not torch.isfinite(loss):
      raise RuntimeError("the loss is not finite")


def main() -> None:
  """Measures what the one argument, JSON, asks for; prints JSON."""
  settings = json.loads(sys.argv[1])
  if settings["threads"]:
    torch.set_num_threads(settings["threads"])
  start = time.perf_counter()
  run = _Run(settings)
  run.take(1)
  first = time.perf_counter() - start
  run.take(1)
  result = benchmark.measure(
    functools.partial(run.take, settings["steps"]), settings
  )
  cuda = torch.cuda.is_available()
  result.update(
    first_s=first,
    wait_share=0.0,
    device_mb=torch.cuda.max_memory_allocated() / 1e6 if cuda else 0.0,
    device=torch.cuda.get_device_name() if cuda else "cpu",
    versions={"torch": torch.__version__},
  )
  print(json.dumps(result))


if __name__ == "__main__":
  main()
