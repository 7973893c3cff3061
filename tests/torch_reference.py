"""The networks as PyTorch users write them, to compare with."""

from torch import nn


class ResidualBlock(nn.Module):
  def __init__(self, width: int, slopes: int):
    super().__init__()
    self.body = nn.Sequential(
      nn.Conv2d(width, width, 3, 1, 1, bias=False),
      nn.BatchNorm2d(width),
      nn.PReLU(slopes),
      nn.Conv2d(width, width, 3, 1, 1, bias=False),
      nn.BatchNorm2d(width),
    )

  def forward(self, x):
    return x + self.body(x)


class Generator(nn.Module):
  """SRResNet x4 on [0, 1], mapped from the paper's [-1, 1] at the end."""

  def __init__(self, width: int = 64, blocks: int = 16, scalar: bool = False):
    super().__init__()
    slopes = 1 if scalar else width
    self.head = nn.Sequential(nn.Conv2d(3, width, 9, 1, 4), nn.PReLU(slopes))
    self.trunk = nn.Sequential(
      *[ResidualBlock(width, slopes) for _ in range(blocks)]
    )
    self.middle = nn.Sequential(
      nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
    )
    stage = [nn.PixelShuffle(2), nn.PReLU(slopes)]
    self.up = nn.Sequential(
      nn.Conv2d(width, 4 * width, 3, 1, 1),
      *stage,
      nn.Conv2d(width, 4 * width, 3, 1, 1),
      nn.PixelShuffle(2),
      nn.PReLU(slopes),
    )
    self.tail = nn.Conv2d(width, 3, 9, 1, 4)

  def forward(self, x):
    entry = self.head(x)
    return (self.tail(self.up(entry + self.middle(self.trunk(entry)))) + 1) / 2


def discriminator(size: int, width: int = 64, dense: int = 1024):
  """The SRGAN discriminator on [-1, 1], logits [N, 1]."""
  layers, channels = [], 3
  for i in range(8):
    out = width * 2 ** (i // 2)
    layers.append(nn.Conv2d(channels, out, 3, 1 + i % 2, 1, bias=i == 0))
    if i:
      layers.append(nn.BatchNorm2d(out))
    layers.append(nn.LeakyReLU(0.2))
    channels = out
  flat = channels * (-(-size // 16)) ** 2
  return nn.Sequential(
    *layers,
    nn.Flatten(),
    nn.Linear(flat, dense),
    nn.LeakyReLU(0.2),
    nn.Linear(dense, 1),
  )


def vgg19_features(widths):
  """torchvision's `vgg19().features` with other widths, one for each stage."""
  layers, channels = [], 3
  for count, width in zip((2, 2, 4, 4, 4), widths, strict=True):
    for _ in range(count):
      layers += [nn.Conv2d(channels, width, 3, 1, 1), nn.ReLU()]
      channels = width
    layers.append(nn.MaxPool2d(2))
  return nn.Sequential(*layers)


def arrays(module) -> list:
  """The state dict's arrays in order, without the batch counters."""
  return [
    tensor.detach().numpy()
    for name, tensor in module.state_dict().items()
    if not name.endswith("num_batches_tracked")
  ]
