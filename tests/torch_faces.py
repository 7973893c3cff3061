"""The face GANs as PyTorch users write them, to compare with."""

import torch
from torch import nn


class _Beta(nn.Module):
  """Batch norm without a scale, by the batch, then ReLU."""

  def __init__(self, features: int):
    super().__init__()
    self.beta = nn.Parameter(0.1 * torch.randn(features))

  def forward(self, x):
    args = (None, None, None, self.beta, True, 0.0, 1e-3)
    return torch.relu(nn.functional.batch_norm(x, *args))


class _Add(nn.Module):
  """The input plus what the layers make of it."""

  def __init__(self, *layers: nn.Module):
    super().__init__()
    self.body = nn.Sequential(*layers)

  def forward(self, x):
    return x + self.body(x)


def _conv(inputs: int, outputs: int, size: int = 3, stride: int = 1, **more):
  return nn.Conv2d(inputs, outputs, size, stride, size // 2, **more)


def srez_generator(width: int, blocks: int, head: int, scale: int):
  """srez on [0, 1]."""
  layers, inputs = [], 3
  while scale > 1:
    layers += [_conv(inputs, width, 1)]
    for _ in range(blocks):
      half = (_Beta(width), _conv(width, width))
      layers += [_Add(*half, _Beta(width), _conv(width, width))]
    layers += [nn.Upsample(scale_factor=2), _Beta(width), _conv(width, width)]
    inputs, width, scale = width, width // 2, scale // 2
  layers += [_conv(inputs, head), nn.ReLU(), _conv(head, head, 1), nn.ReLU()]
  return nn.Sequential(*layers, _conv(head, 3, 1), nn.Sigmoid())


def srez_discriminator(width: int):
  """srez's judge on [-1, 1], even sizes; a map of logits."""
  layers, inputs = [], 3
  for factor in (1, 2, 4, 8):
    wide = factor * width
    # TensorFlow's padding: one zero, below and on the right.
    layers += [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(inputs, wide, 3, 2)]
    layers += [_Beta(wide)]
    inputs = wide
  for size in (3, 1):
    layers += [_conv(inputs, inputs, size), _Beta(inputs)]
  return nn.Sequential(*layers, _conv(inputs, 1, 1))


class SwishGenerator(nn.Module):
  """SRResNet's plan with swish, x2."""

  def __init__(self, width: int, blocks: int):
    super().__init__()

    def half():
      return _conv(width, width), nn.BatchNorm2d(width)

    self.head = nn.Sequential(_conv(1, width, 9), nn.SiLU())
    trunk = [_Add(*half(), nn.SiLU(), *half()) for _ in range(blocks)]
    self.trunk = nn.Sequential(*trunk, *half())
    up = (_conv(width, 4 * width), nn.PixelShuffle(2), nn.SiLU())
    self.tail = nn.Sequential(*up, _conv(width, 1, 9))

  def forward(self, x):
    entry = self.head(x)
    return self.tail(entry + self.trunk(entry))


def swish_discriminator(width: int):
  """The swish GAN's judge; a map of logits."""
  layers, inputs = [], 1
  for i in range(8):
    wide = width * 2 ** (i // 2)
    layers += [_conv(inputs, wide, 3, 1 + i % 2)]
    layers += [nn.BatchNorm2d(wide), nn.SiLU()]
    inputs = wide
  return nn.Sequential(*layers, _conv(inputs, 1, 1))


def dcgan_generator(width: int, num_blocks: int, doublings: int):
  """The enhancement DCGAN: the first `doublings` layers enlarge."""
  layers: list[nn.Module] = [_conv(3, width), nn.ReLU()]
  for i in range(num_blocks):
    body = []
    for _ in range(2):
      body += [_conv(width, width, bias=False), nn.BatchNorm2d(width)]
      body += [nn.ReLU()]
    layers += [_Add(*body)]
    if i < doublings:
      layers += [nn.Upsample(scale_factor=2), nn.BatchNorm2d(width)]
      layers += [nn.ReLU(), _conv(width, width)]
  layers += [_conv(width, width), nn.ReLU()]
  layers += [_conv(width, width // 2), nn.ReLU()]
  return nn.Sequential(*layers, _conv(width // 2, 3), nn.Sigmoid())


def dcgan_discriminator(height: int, width: int, channels: int, dense: int):
  """The enhancement DCGAN's judge on [-1, 1], logits [N, 1]."""
  layers: list[nn.Module] = [_conv(3, channels), nn.LeakyReLU(0.2)]
  inputs = channels
  for factor in (1, 2, 4, 8):
    wide = factor * channels
    layers += [_conv(inputs, wide, 3, 2), nn.LeakyReLU(0.2)]
    layers += [nn.BatchNorm2d(wide)]
    inputs = wide
  for _ in range(2):
    layers += [_conv(inputs, inputs, bias=False), nn.BatchNorm2d(inputs)]
    layers += [nn.ReLU()]
  flat = inputs * -(-height // 16) * -(-width // 16)
  layers += [nn.Flatten(), nn.Linear(flat, dense), nn.LeakyReLU(0.2)]
  return nn.Sequential(*layers, nn.Linear(dense, 1))


def shake(module: nn.Module) -> nn.Module:
  """Gives every batch norm a history and parameters of its own."""
  for norm in module.modules():
    if isinstance(norm, nn.BatchNorm2d):
      norm.running_mean.normal_(0, 0.1)
      norm.running_var.uniform_(0.5, 1.5)
      nn.init.uniform_(norm.weight, 0.5, 1.5)
      nn.init.normal_(norm.bias, 0, 0.1)
  return module


def run(module: nn.Module, x, train: bool):
  """The module's output for NHWC pictures as a NumPy array."""
  module.train(train)
  with torch.no_grad():
    y = module(torch.from_numpy(x.transpose(0, 3, 1, 2)).contiguous())
  y = y.numpy()
  return y.transpose(0, 2, 3, 1) if y.ndim == 4 else y
