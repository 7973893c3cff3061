"""LPIPS against PyTorch on small networks, the Frechet distance by SciPy."""

import numpy as np
import pytest
from scipy import linalg

from enhance_jax import images, measures, scoring
from enhance_jax.errors import EnhanceError
from enhance_jax.measures import files
from enhance_jax.metrics import perceptual
from enhance_jax.metrics.image import Protocol
from tests.test_metrics_image import noisy, picture_s

ALEX = (6, 8, 10, 8, 5)
VGG = (3, 4, 5, 6, 7)
SQUEEZE = (6, 8, 8, 10, 10, 12, 12, 14, 14)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path_factory.getbasetemp()))


def alexnet(nn):
  a, b, c, d, e = ALEX
  return nn.Sequential(
    *(nn.Conv2d(3, a, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
    *(nn.Conv2d(a, b, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
    *(nn.Conv2d(b, c, 3, 1, 1), nn.ReLU()),
    *(nn.Conv2d(c, d, 3, 1, 1), nn.ReLU()),
    *(nn.Conv2d(d, e, 3, 1, 1), nn.ReLU()),
  )


def vgg16(nn):
  layers, channels = [], 3
  for count, width in zip((2, 2, 3, 3, 3), VGG, strict=True):
    for _ in range(count):
      layers += [nn.Conv2d(channels, width, 3, 1, 1), nn.ReLU()]
      channels = width
    layers.append(nn.MaxPool2d(2))
  return nn.Sequential(*layers)


def squeezenet(nn):
  import torch

  class Fire(nn.Module):
    def __init__(self, channels, out):
      super().__init__()
      self.squeeze = nn.Conv2d(channels, 3, 1)
      self.expand1x1 = nn.Conv2d(3, out // 2, 1)
      self.expand3x3 = nn.Conv2d(3, out - out // 2, 3, padding=1)

    def forward(self, x):
      x = self.squeeze(x).relu()
      both = [self.expand1x1(x).relu(), self.expand3x3(x).relu()]
      return torch.cat(both, 1)

  widths = zip(SQUEEZE, SQUEEZE[1:], strict=False)
  fires = [Fire(*pair) for pair in widths]

  def pool():
    return nn.MaxPool2d(3, 2, ceil_mode=True)

  return nn.Sequential(
    *(nn.Conv2d(3, SQUEEZE[0], 3, 2), nn.ReLU(), pool()),
    *(*fires[:2], pool(), *fires[2:4], pool(), *fires[4:]),
  )


# Build; the index after which LPIPS takes an activation; its file's name.
NETWORKS = {
  "alex": (alexnet, (1, 4, 7, 9, 11), "alexnet.npz"),
  "vgg": (vgg16, (3, 8, 15, 22, 29), "vgg16.npz"),
  "squeeze": (squeezenet, (1, 4, 7, 9, 10, 11, 12), "squeezenet1_1.npz"),
}


def small_network(kind, folder):
  """A random network and heads: the PyTorch parts, and files of both."""
  torch = pytest.importorskip("torch")
  build, taps, file = NETWORKS[kind]
  torch.manual_seed(3)
  net = build(torch.nn).double().eval().requires_grad_(False)
  widths, x = [], torch.zeros(1, 3, 40, 44).double()
  for index, layer in enumerate(net):
    x = layer(x)
    if index in taps:
      widths.append(x.shape[1])
  rng = np.random.default_rng(5)
  heads = [rng.uniform(0, 1, width).astype(np.float32) for width in widths]
  folder.mkdir(exist_ok=True)
  np.savez(
    folder / file,
    **{
      f"features.{name}": tensor.detach().numpy()
      for name, tensor in net.state_dict().items()
    },
  )
  np.savez(
    folder / f"lpips_v0.1_lin_{kind}.npz",
    **{
      f"lin{k}.model.1.weight": head.reshape(1, -1, 1, 1)
      for k, head in enumerate(heads)
    },
  )
  return net, taps, heads


def reference_lpips(net, taps, heads, sr, hr):
  """LPIPS as its authors wrote it, float64."""
  import torch

  def scaled(x):
    x = torch.from_numpy(x.astype(np.float64)).permute(2, 0, 1)[None]
    x = x / 127.5 - 1
    shift = torch.tensor([-0.030, -0.088, -0.188]).double().view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).double().view(1, 3, 1, 1)
    return (x - shift) / scale

  a, b, total = scaled(sr), scaled(hr), 0.0
  weights = iter(heads)
  for index, layer in enumerate(net):
    a, b = layer(a), layer(b)
    if index in taps:
      unit = [x / ((x**2).sum(1, keepdim=True).sqrt() + 1e-10) for x in (a, b)]
      head = torch.from_numpy(next(weights)).double().view(1, -1, 1, 1)
      total += float(((unit[0] - unit[1]) ** 2 * head).sum(1).mean())
  return total


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
  "kind",
  [
    "alex",
    pytest.param("vgg", marks=SLOW),
    pytest.param("squeeze", marks=SLOW),
  ],
)
def test_lpips_by_pytorch(kind, tmp_path):
  parts = small_network(kind, tmp_path)
  hr = picture_s(48, 52)
  sr = noisy(np.roll(hr, 1, 1))
  metrics = measures.Metrics([f"lpips_{kind}"], tmp_path)
  got = metrics.measure(sr, hr, None, Protocol("y", 4))
  expected = reference_lpips(*parts, sr[4:-4, 4:-4], hr[4:-4, 4:-4])
  assert expected > 0.01
  # Features are float32, everything after them float64.
  assert got == {f"lpips_{kind}": pytest.approx(expected, rel=2e-5)}
  same = metrics.measure(hr, hr, None, Protocol("y", 0))
  assert same == {f"lpips_{kind}": 0.0}
  text = metrics.describe()[f"lpips_{kind}"]
  assert text.startswith("lower is better; LPIPS v0.1")
  assert "SHA-256" in text and "Keras" not in text


def test_lpips_of_gray_is_that_of_three_equal_channels(tmp_path):
  small_network("alex", tmp_path)
  hr = picture_s(40, 44)[..., :1]
  sr = noisy(picture_s(40, 44))[..., :1]
  metrics = measures.Metrics(["lpips_alex"], tmp_path)
  got = [
    metrics.measure(*pair, None, Protocol("y", 0))["lpips_alex"]
    for pair in ((sr, hr), (sr.repeat(3, -1), hr.repeat(3, -1)))
  ]
  assert got[0] == got[1] > 0


def test_lpips_by_hand():
  # One tap of two channels: unit vectors (0.6, 0.8) and (1, 0), differences
  # squared 0.16 and 0.64, weighted 2 and 3; elsewhere equal; 4 pixels.
  maps = np.zeros((2, 2, 2, 2))
  maps[..., 0] = 1
  maps[0, 0, 0] = 3, 4
  sr = np.zeros((32, 32, 3), np.uint8)
  got = perceptual.lpips(sr, sr, lambda x: [maps], [np.array([2.0, 3.0])])
  assert got == pytest.approx((2 * 0.16 + 3 * 0.64) / 4, rel=1e-9)
  with pytest.raises(EnhanceError, match=r"have \[3\] channels.* has \[2\]"):
    perceptual.lpips(sr, sr, lambda x: [maps], [np.ones(3)])
  with pytest.raises(EnhanceError, match="at least 32x32"):
    perceptual.lpips(sr[1:], sr[1:], lambda x: [maps], [np.ones(2)])


# Sums of the released heads: specification sheet 2.5.
@pytest.mark.parametrize(
  ("kind", "sums"),
  [
    ("alex", (2.349532, 16.143028, 39.26844, 27.197178, 20.317177)),
    ("vgg", (6.925992, 8.858335, 17.515005, 51.521324, 47.034851)),
  ],
)
def test_the_released_heads(data_dir, kind, sums):
  heads, text = files.lpips_heads(kind, data_dir / "weights")
  assert [head.sum() for head in heads] == pytest.approx(sums, rel=1e-6)
  assert text.startswith(f"lpips_v0.1_lin_{kind}.npz (SHA-256 ")


@SLOW
def test_lpips_with_the_keras_backbone(data_dir):
  metrics = measures.Metrics(["lpips_squeeze"], data_dir / "weights")
  assert "Keras SqueezeNet 1.1 backbone" in metrics.describe()["lpips_squeeze"]
  hr = images.read_hr(data_dir / "set5" / "HR" / "butterfly.png")[:96, :96]
  small = scoring.degrade(hr, 4)
  blocks = small.repeat(4, 0).repeat(4, 1)
  values = [
    metrics.measure(sr, hr, None, Protocol("y", 4))["lpips_squeeze"]
    for sr in (hr, noisy(hr), blocks)
  ]
  assert values[0] == 0 < values[1] < 0.05 < 0.2 < values[2] < 1


def test_other_files_are_no_heads():
  head = {"lin0.model.1.weight": np.ones((1, 4, 1, 1))}
  (only,) = perceptual.heads_from_arrays(head | {"other": np.ones(2)})
  np.testing.assert_array_equal(only, np.ones(4))
  with pytest.raises(EnhanceError, match="no LPIPS heads"):
    perceptual.heads_from_arrays({"lin1.model.1.weight": np.ones((1, 4, 1, 1))})
  with pytest.raises(EnhanceError, match=r"shape \(4, 1, 1, 1\)"):
    perceptual.heads_from_arrays({"lin0.model.1.weight": np.ones((4, 1, 1, 1))})


def test_frechet_distance_by_scipy():
  rng = np.random.default_rng(6)
  a = rng.normal(size=(50, 7)) @ rng.normal(size=(7, 7))
  b = rng.normal(0.3, 1.2, size=(40, 7))
  p, q = perceptual.statistics(a), perceptual.statistics(b)
  np.testing.assert_allclose(p.covariance, np.cov(a.T), rtol=1e-12)
  root = linalg.sqrtm(p.covariance @ q.covariance).real
  expected = np.sum((a.mean(0) - b.mean(0)) ** 2)
  expected += np.trace(p.covariance + q.covariance - 2 * root)
  got = perceptual.frechet_distance(p, q)
  assert got == pytest.approx(expected, rel=1e-9)
  assert perceptual.frechet_distance(q, p) == pytest.approx(got, rel=1e-9)
  assert perceptual.frechet_distance(p, p) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_by_hand_where_covariances_are_singular():
  # Along one axis, deviations 3 and 1 and means 2 apart: 4 + (3 - 1)^2.
  a = np.array([[0.0, 5], [np.sqrt(18), 5]])
  b = np.array([[0.0, 5], [np.sqrt(2), 5]])
  b[:, 0] += a[:, 0].mean() - b[:, 0].mean() + 2
  got = perceptual.frechet_distance(*map(perceptual.statistics, (a, b)))
  assert got == pytest.approx(8, rel=1e-12)


def test_statistics_from_files():
  rng = np.random.default_rng(7)
  x = rng.normal(size=(9, 3)).astype(np.float32)
  found = perceptual.statistics_from_arrays({"features": x})
  saved = {"mu": found.mean, "sigma": found.covariance}
  again = perceptual.statistics_from_arrays(saved)
  assert perceptual.frechet_distance(found, again) == pytest.approx(0, abs=1e-9)
  for arrays, words in (
    ({"mu": found.mean}, "got arrays mu; wanted"),
    ({}, "of no name"),
    (saved | {"mu": np.zeros(4)}, r"\(4,\) and sigma of shape \(3, 3\)"),
    ({"features": x[:1]}, "at least two pictures"),
  ):
    with pytest.raises(EnhanceError, match=words):
      perceptual.statistics_from_arrays(arrays)
  other = perceptual.statistics(rng.normal(size=(9, 4)))
  with pytest.raises(EnhanceError, match="3 and 4 channels"):
    perceptual.frechet_distance(found, other)
