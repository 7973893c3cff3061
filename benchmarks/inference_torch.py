"""The same networks in PyTorch in a process of their own; see inference.py.

Float NCHW tensors in and out, as the public programs hold them.
"""

import json
import sys
import time
from typing import Any

import torch
from torch import nn

from benchmarks import train_step as benchmark
from tests import torch_modern, torch_reference


def _fsrcnn() -> nn.Module:
  """FSRCNN(56, 12, 4) x4, with a transposed convolution as it is published."""
  layers = [nn.Conv2d(1, 56, 5, padding=2), nn.PReLU(56)]
  layers += [nn.Conv2d(56, 12, 1), nn.PReLU(12)]
  for _ in range(4):
    layers += [nn.Conv2d(12, 12, 3, padding=1), nn.PReLU(12)]
  layers += [nn.Conv2d(12, 56, 1), nn.PReLU(56)]
  layers += [nn.ConvTranspose2d(56, 1, 9, 4, 4, output_padding=3)]
  return nn.Sequential(*layers)


def _espcn() -> nn.Module:
  return nn.Sequential(
    nn.Conv2d(1, 64, 5, padding=2),
    nn.Tanh(),
    nn.Conv2d(64, 32, 3, padding=1),
    nn.Tanh(),
    nn.Conv2d(32, 16, 3, padding=1),
    nn.PixelShuffle(4),
  )


# Model -> (network, colours of its input).
NETWORKS = {
  "srresnet": (lambda: torch_reference.Generator(), 3),
  "rrdb": (lambda: torch_modern.RRDBNet(23, 64, 32), 3),
  "compact": (lambda: torch_modern.Compact(32, 64, 4), 3),
  "fsrcnn": (_fsrcnn, 1),
  "espcn": (_espcn, 1),
}


def _prepare(settings: dict[str, Any]) -> tuple[nn.Module, torch.Tensor]:
  torch.manual_seed(0)
  device = "cuda" if torch.cuda.is_available() else "cpu"
  form = torch.contiguous_format
  if settings["variant"] == "channels_last":
    form = torch.channels_last
  build, channels = NETWORKS[settings["model"]]
  dtype = getattr(torch, settings["dtype"])
  network = build().eval().to(device, dtype, memory_format=form)
  x = torch.rand(1, channels, *settings["size"])
  return network, x.to(device, dtype, memory_format=form)


def main() -> None:
  """Measures what the one argument, JSON, asks for; prints JSON."""
  settings = json.loads(sys.argv[1])
  if settings["threads"]:
    torch.set_num_threads(settings["threads"])
  start = time.perf_counter()
  with torch.inference_mode():
    network, x = _prepare(settings)
    network(x).cpu()
    first = time.perf_counter() - start
    network(x).cpu()

    def take() -> None:
      for _ in range(settings["steps"]):
        network(x).cpu()

    result = benchmark.measure(take, settings)
  cuda = torch.cuda.is_available()
  result.update(
    first_s=first,
    device=torch.cuda.get_device_name() if cuda else "cpu",
    versions={"torch": torch.__version__},
  )
  print(json.dumps(result))


if __name__ == "__main__":
  main()
