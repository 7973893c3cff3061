"""Modern networks in PyTorch with their public names, to compare with."""

import torch
from torch import nn
from torch.nn import functional


def conv(inputs: int, out: int, size: int = 3, stride: int = 1, bias=True):
  return nn.Conv2d(inputs, out, size, stride, 1, bias=bias)


def leaky(x, slope: float = 0.2):
  return functional.leaky_relu(x, slope)


def double(x, mode: str = "nearest"):
  corners = {} if mode == "nearest" else {"align_corners": False}
  return functional.interpolate(x, scale_factor=2, mode=mode, **corners)


class Dense(nn.Module):
  def __init__(self, width: int, growth: int):
    super().__init__()
    for i in range(5):
      out = width if i == 4 else growth
      setattr(self, f"conv{i + 1}", conv(width + i * growth, out))

  def forward(self, x):
    seen = [x]
    for i in range(1, 5):
      layer = getattr(self, f"conv{i}")
      seen.append(leaky(layer(torch.cat(seen, 1))))
    return x + 0.2 * self.conv5(torch.cat(seen, 1))


class DenseTrio(nn.Module):
  def __init__(self, width: int, growth: int):
    super().__init__()
    for i in (1, 2, 3):
      setattr(self, f"rdb{i}", Dense(width, growth))

  def forward(self, x):
    return x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(nn.Module):
  """x4, or x2 and x1 of a folded picture."""

  def __init__(self, blocks: int, width: int, growth: int, fold: int = 1):
    super().__init__()
    self.fold = fold
    self.conv_first = conv(3 * fold**2, width)
    self.body = nn.Sequential(
      *[DenseTrio(width, growth) for _ in range(blocks)]
    )
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
      setattr(self, name, conv(width, width))
    self.conv_last = conv(width, 3)

  def forward(self, x):
    entry = self.conv_first(functional.pixel_unshuffle(x, self.fold))
    x = entry + self.conv_body(self.body(entry))
    x = leaky(self.conv_up1(double(x)))
    x = leaky(self.conv_up2(double(x)))
    return self.conv_last(leaky(self.conv_hr(x)))


class Compact(nn.Module):
  def __init__(self, convs: int, width: int, scale: int):
    super().__init__()
    self.scale = scale
    layers = []
    for i in range(convs + 1):
      layers += [conv(width if i else 3, width), nn.PReLU(width)]
    self.body = nn.Sequential(*layers, conv(width, 3 * scale**2))

  def forward(self, x):
    detail = functional.pixel_shuffle(self.body(x), self.scale)
    return detail + functional.interpolate(x, scale_factor=self.scale)


class Pair(nn.Module):
  """conv, ReLU, conv, scaled and added to the input."""

  def __init__(self, width: int, factor: float):
    super().__init__()
    self.factor = factor
    self.conv1 = conv(width, width)
    self.conv2 = conv(width, width)

  def forward(self, x):
    return x + self.factor * self.conv2(torch.relu(self.conv1(x)))


class EDSR(nn.Module):
  def __init__(self, blocks: int, width: int, factors, residual_scale: float):
    super().__init__()
    self.conv_first = conv(3, width)
    self.body = nn.Sequential(
      *[Pair(width, residual_scale) for _ in range(blocks)]
    )
    self.conv_after_body = conv(width, width)
    stages = []
    for factor in factors:
      stages += [conv(width, width * factor**2), nn.PixelShuffle(factor)]
    self.upsample = nn.Sequential(*stages)
    self.conv_last = conv(width, 3)

  def forward(self, x):
    mean = torch.tensor([0.4488, 0.4371, 0.4040]).reshape(1, 3, 1, 1)
    entry = self.conv_first((x - mean) * 255.0)
    x = self.upsample(entry + self.conv_after_body(self.body(entry)))
    return self.conv_last(x) / 255.0 + mean


class MSRResNet(nn.Module):
  def __init__(self, blocks: int, width: int, factors):
    super().__init__()
    self.factors = factors
    self.conv_first = conv(3, width)
    self.body = nn.Sequential(*[Pair(width, 1.0) for _ in range(blocks)])
    for i, factor in enumerate(factors):
      setattr(self, f"upconv{i + 1}", conv(width, width * factor**2))
    self.conv_hr = conv(width, width)
    self.conv_last = conv(width, 3)

  def forward(self, x):
    y, scale = self.body(leaky(self.conv_first(x), 0.1)), 1
    for i, factor in enumerate(self.factors):
      y = getattr(self, f"upconv{i + 1}")(y)
      y = leaky(functional.pixel_shuffle(y, factor), 0.1)
      scale *= factor
    base = functional.interpolate(
      x, scale_factor=scale, mode="bilinear", align_corners=False
    )
    return base + self.conv_last(leaky(self.conv_hr(y), 0.1))


class SRGANBlock(nn.Module):
  def __init__(self, width: int):
    super().__init__()
    self.conv1, self.bn1 = conv(width, width), nn.BatchNorm2d(width)
    self.prelu = nn.PReLU()
    self.conv2, self.bn2 = conv(width, width), nn.BatchNorm2d(width)

  def forward(self, x):
    y = self.prelu(self.bn1(self.conv1(x)))
    return x + self.bn2(self.conv2(y))


class SRGANStage(nn.Module):
  def __init__(self, width: int):
    super().__init__()
    self.conv, self.prelu = conv(width, 4 * width), nn.PReLU()

  def forward(self, x):
    return self.prelu(functional.pixel_shuffle(self.conv(x), 2))


class SRGAN(nn.Module):
  """A generator whose blocks are numbered through, with biases everywhere."""

  def __init__(self, blocks: int, width: int, stages: int, norm: bool):
    super().__init__()
    self.count = blocks + 3
    self.block1 = nn.Sequential(nn.Conv2d(3, width, 9, 1, 4), nn.PReLU())
    for i in range(blocks):
      setattr(self, f"block{i + 2}", SRGANBlock(width))
    last = nn.BatchNorm2d(width) if norm else nn.PReLU()
    setattr(self, f"block{blocks + 2}", nn.Sequential(conv(width, width), last))
    tail = [SRGANStage(width) for _ in range(stages)]
    tail = nn.Sequential(*tail, nn.Conv2d(width, 3, 9, 1, 4))
    setattr(self, f"block{blocks + 3}", tail)

  def forward(self, x):
    x = entry = self.block1(x)
    for i in range(2, self.count):
      x = getattr(self, f"block{i}")(x)
    x = getattr(self, f"block{self.count}")(entry + x)
    return (torch.tanh(x) + 1) / 2


class VGGStyle(nn.Module):
  """The ESRGAN discriminator for pictures of 4 * 2^halvings pixels."""

  def __init__(self, width: int, halvings: int = 5, units: int = 100):
    super().__init__()
    self.count, inputs = 2 * halvings, 3
    for i in range(self.count):
      stage, halves = divmod(i, 2)
      out = width * min(2**stage, 8)
      layer = conv(inputs, out, 3 + halves, 1 + halves, bias=i == 0)
      setattr(self, f"conv{stage}_{halves}", layer)
      if i:
        setattr(self, f"bn{stage}_{halves}", nn.BatchNorm2d(out))
      inputs = out
    self.linear1 = nn.Linear(16 * inputs, units)
    self.linear2 = nn.Linear(units, 1)

  def forward(self, x):
    for i in range(self.count):
      name = f"{i // 2}_{i % 2}"
      x = getattr(self, f"conv{name}")(x)
      x = leaky(getattr(self, f"bn{name}")(x) if i else x)
    return self.linear2(leaky(self.linear1(x.flatten(1))))[:, 0]


class UNet(nn.Module):
  """The Real-ESRGAN discriminator with spectral normalisation."""

  def __init__(self, width: int):
    super().__init__()
    norm = nn.utils.spectral_norm
    self.conv0 = conv(3, width)
    for i in (1, 2, 3):
      inputs = width * 2 ** (i - 1)
      layer = conv(inputs, 2 * inputs, 4, 2, bias=False)
      setattr(self, f"conv{i}", norm(layer))
    for i in (4, 5, 6):
      inputs = width * 2 ** (7 - i)
      layer = conv(inputs, inputs // 2, bias=False)
      setattr(self, f"conv{i}", norm(layer))
    for i in (7, 8):
      setattr(self, f"conv{i}", norm(conv(width, width, bias=False)))
    self.conv9 = conv(width, 1)

  def forward(self, x):
    down = [leaky(self.conv0(x))]
    for i in (1, 2, 3):
      down.append(leaky(getattr(self, f"conv{i}")(down[-1])))
    x = down[3]
    for i in (4, 5, 6):
      x = leaky(getattr(self, f"conv{i}")(double(x, "bilinear")))
      x = x + down[6 - i]
    x = leaky(self.conv8(leaky(self.conv7(x))))
    return self.conv9(x)[:, 0]


def randomize(module) -> None:
  """Statistics of batch norms away from 0 and 1, and positive slopes."""
  for layer in module.modules():
    if isinstance(layer, nn.BatchNorm2d):
      nn.init.normal_(layer.running_mean, 0, 0.1)
      nn.init.uniform_(layer.running_var, 0.5, 1.5)
    if isinstance(layer, nn.PReLU):
      nn.init.uniform_(layer.weight, 0.1, 0.4)


def state(module) -> dict:
  """The state dict as NumPy arrays, copied."""
  return {k: v.detach().numpy().copy() for k, v in module.state_dict().items()}


def nchw(x):
  """A NumPy [N, H, W, C] as a PyTorch tensor [N, C, H, W]."""
  return torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
