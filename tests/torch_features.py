"""torchvision's feature networks with any widths, to compare with."""

import torch
from torch import nn


def vgg(stages, widths):
  """`vgg16().features` or `vgg19().features`, one width for each stage."""
  layers, channels = [], 3
  for count, width in zip(stages, widths, strict=True):
    for _ in range(count):
      layers += [nn.Conv2d(channels, width, 3, 1, 1), nn.ReLU()]
      channels = width
    layers.append(nn.MaxPool2d(2))
  return nn.Sequential(*layers)


def alexnet(widths):
  """`alexnet().features`."""
  a, b, c, d, e = widths
  return nn.Sequential(
    nn.Conv2d(3, a, 11, 4, 2),
    nn.ReLU(),
    nn.MaxPool2d(3, 2),
    nn.Conv2d(a, b, 5, 1, 2),
    nn.ReLU(),
    nn.MaxPool2d(3, 2),
    nn.Conv2d(b, c, 3, 1, 1),
    nn.ReLU(),
    nn.Conv2d(c, d, 3, 1, 1),
    nn.ReLU(),
    nn.Conv2d(d, e, 3, 1, 1),
    nn.ReLU(),
    nn.MaxPool2d(3, 2),
  )


class Fire(nn.Module):
  def __init__(self, channels, squeeze, expand):
    super().__init__()
    self.squeeze = nn.Conv2d(channels, squeeze, 1)
    self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
    self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

  def forward(self, x):
    x = self.squeeze(x).relu()
    return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)


def squeezenet(part=1):
  """`squeezenet1_1().features`, every width divided by `part`."""

  def fire(channels, squeeze, expand):
    return Fire(channels // part, squeeze // part, expand // part)

  return nn.Sequential(
    nn.Conv2d(3, 64 // part, 3, 2),
    nn.ReLU(),
    nn.MaxPool2d(3, 2, ceil_mode=True),
    fire(64, 16, 64),
    fire(128, 16, 64),
    nn.MaxPool2d(3, 2, ceil_mode=True),
    fire(128, 32, 128),
    fire(256, 32, 128),
    nn.MaxPool2d(3, 2, ceil_mode=True),
    fire(256, 48, 192),
    fire(384, 48, 192),
    fire(384, 64, 256),
    fire(512, 64, 256),
  )


def tensors(features):
  """A network's state dict under torchvision's names, as arrays."""
  return {
    f"features.{name}": value.numpy()
    for name, value in features.state_dict().items()
  }


def normalized(pictures):
  """Pictures [N, H, W, 3] in [0, 1] as torchvision's networks want them."""
  x = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())
  mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
  std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
  return (x - mean) / std


def run(features, x, skip=(nn.MaxPool2d,)):
  """[N, H, W, C] after every layer but the skipped ones."""
  outputs = []
  with torch.no_grad():
    for layer in features:
      x = layer(x)
      if not isinstance(layer, skip):
        outputs.append(x.numpy().transpose(0, 2, 3, 1))
  return outputs
