"""PSNR and SSIM against printed numbers of others, picture by picture."""

import csv
import hashlib
import math

import numpy as np
import pytest

from enhance_jax import images, resample
from enhance_jax.errors import EnhanceError
from enhance_jax.metrics import image as metrics
from enhance_jax.metrics import structure
from enhance_jax.metrics.image import Protocol


def picture_t(height, width):
  """T of specification sheet 1.1."""
  i, j, c = np.ogrid[:height, :width, :3]
  t = 37 * i + 59 * j + 101 * c + 7 * ((i * j) % 13)
  return (t % 256).astype(np.uint8)


def picture_s(height, width):
  """S of specification sheet 2.10."""
  i, j, c = np.ogrid[:height, :width, :3]
  waves = 60 * np.sin(i / 9 + c) + 50 * np.cos(j / 7 - 0.5 * c)
  texture = 2 * (((7 * i + 3 * j + 5 * c) % 9) - 4)
  return np.clip(np.floor(127.5 + waves + texture), 0, 255).astype(np.uint8)


def noisy(picture):
  """N of specification sheet 2.10."""
  i, j, c = np.ogrid[: picture.shape[0], : picture.shape[1], :3]
  noise = (3 * i + 5 * j + 2 * c) % 11 - 5
  return np.clip(picture.astype(int) + noise, 0, 255).astype(np.uint8)


# Specification sheet 2.10: sum of the picture, then PSNR RGB, PSNR Y, SSIM Y,
# SSIM RGB, SSIM Y rounded, Daala's SSIM (checked there against the C tool).
GOLDEN = [
  (
    picture_t(48, 40),
    736280,
    (38.212008, 42.808105, 0.99796923, 0.99907610, 0.99789444, 0.99832295),
  ),
  (
    picture_s(192, 176),
    13181961,
    (38.130804, 42.748565, 0.98016842, 0.96646371, 0.97947703, 0.97306629),
  ),
  (
    picture_s(256, 320),
    31941023,
    (38.130825, 42.748515, 0.98011551, 0.96628548, 0.97939117, 0.97890059),
  ),
]


@pytest.mark.parametrize(("hr", "total", "expected"), GOLDEN)
def test_golden_values(hr, total, expected):
  assert hr.sum() == total
  sr = noisy(hr)
  y, y8, rgb = (Protocol(color, 0) for color in ("y", "y8", "rgb"))
  got = (
    metrics.psnr(sr, hr, rgb),
    metrics.psnr(sr, hr, y),
    metrics.ssim(sr, hr, y),
    metrics.ssim(sr, hr, rgb),
    metrics.ssim(sr, hr, y8),
    metrics.ssim(sr, hr, Protocol("y", 0, "daala")),
  )
  # As many digits as the sheet prints.
  assert got[:2] == pytest.approx(expected[:2], abs=5.1e-7)
  assert got[2:] == pytest.approx(expected[2:], abs=5.1e-9)


def test_golden_values_with_border():
  hr = picture_s(256, 320)
  protocol = Protocol("y", 4)
  assert metrics.psnr(noisy(hr), hr, protocol) == pytest.approx(
    42.748787, abs=5.1e-7
  )
  assert metrics.ssim(noisy(hr), hr, protocol) == pytest.approx(
    0.98028197, abs=5.1e-9
  )


def raw_hash(pixels):
  """SHA-256 of raw bytes, [H, W] for gray."""
  return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def table(path, columns):
  """Rows of a CSV file with comments, as tuples of the named columns."""
  lines = [
    line for line in path.read_text().splitlines() if not line.startswith("#")
  ]
  return [tuple(row[c] for c in columns) for row in csv.DictReader(lines)]


COUNTS = {"Set5": 5, "Set14": 14, "BSD100": 100}


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", COUNTS)
def test_published_bicubic_scores(data_dir, name, scale):
  # Huang et al. (SelfExSR) published pixels and scores of every picture; their
  # MATLAB repeated the border pixel. HR file -> LR -> bicubic -> score.
  reference = data_dir / "reference_results"
  columns = ("set", "scale", "name", "kind", "sha256")
  hashes = {"HR": {}, "LR": {}}
  for row in table(reference / "selfexsr_pixel_sha256.csv", columns):
    if row[:2] == (name, str(scale)):
      hashes[row[3]][row[2]] = row[4]
  columns = ("set", "scale", "name", "metric", "Bicubic")
  published = {
    row[2:4]: float(row[4])
    for row in table(reference / "selfexsr_per_image.csv", columns)
    if row[:2] == (name, str(scale))
  }
  names = {digest: picture for picture, digest in hashes["HR"].items()}
  protocol = Protocol("y8", scale)
  seen = set()
  for path in images.list_pictures(data_dir / name.lower() / "HR"):
    hr = images.modcrop(images.read_picture(path).pixels, scale)
    picture = names[raw_hash(hr)]
    lr = resample.resize_uint8(hr, scale=1 / scale, border="replicate")
    assert raw_hash(lr) == hashes["LR"][picture], path.name
    sr = resample.resize_uint8(lr, scale=scale, border="replicate")
    got = metrics.psnr(sr, hr, protocol)
    assert got == pytest.approx(published[picture, "PSNR"], abs=1e-3), path.name
    got = metrics.ssim(sr, hr, protocol)
    assert got == pytest.approx(published[picture, "SSIM"], abs=1e-5), path.name
    seen.add(picture)
  assert len(seen) == COUNTS[name]


def test_set5_means_of_both_luma_conventions(data_dir):
  # Specification sheet 1.5: x4 bicubic, symmetric borders, uint8 LR and SR.
  pairs = []
  for path in images.list_pictures(data_dir / "set5" / "HR"):
    hr = images.modcrop(images.read_hr(path), 4)
    lr = resample.resize_uint8(hr, scale=1 / 4)
    pairs.append((resample.resize_uint8(lr, scale=4), hr))

  def mean(metric, protocol):
    return np.mean([metric(sr, hr, protocol) for sr, hr in pairs])

  for color, dB, similarity in (("y", 28.429, 0.8111), ("y8", 28.416, 0.8101)):
    protocol = Protocol(color, 4)
    assert mean(metrics.psnr, protocol) == pytest.approx(dB, abs=5.1e-4)
    assert mean(metrics.ssim, protocol) == pytest.approx(similarity, abs=6e-5)
  # Sheet 2.3: 0.820 by Daala; SRGAN's table 2 prints 0.8211.
  assert mean(metrics.ssim, Protocol("y", 4, "daala")) == pytest.approx(
    0.820, abs=5.1e-4
  )


@pytest.mark.parametrize(
  ("height", "taps"),
  [
    (248, "2 8 27 55 72 55 27 8 2"),
    (280, "1 3 12 30 52 60 52 30 12 3 1"),
  ],
)
def test_daala_window_of_the_c_tool(height, taps):
  got = structure.daala_taps(height, 300)
  assert got.tolist() == [float(tap) for tap in taps.split()]


def test_daala_window_is_cut_at_the_border():
  # One row, two pixels, sigma 1.5 / 256: the window is a single tap, so SSIM
  # is the mean of (2ab + C1) / (a^2 + b^2 + C1) over the pixels.
  a = np.array([[[10], [200]]], np.uint8)
  b = np.array([[[30], [200]]], np.uint8)
  c1 = 2.55**2
  expected = ((2 * 300 + c1) / (100 + 900 + c1) + 1) / 2
  got = metrics.ssim(a, b, Protocol("y", 0, "daala"))
  assert got == pytest.approx(expected, abs=1e-12)


def test_wang_by_its_definition():
  # Direct sums over 11x11 windows, no separability.
  rng = np.random.default_rng(3)
  a, b = rng.integers(0, 256, (2, 13, 12, 1), np.uint8)
  offset = np.arange(-5, 6)
  window = np.exp(-(offset[:, None] ** 2 + offset**2) / 4.5)
  window /= window.sum()
  values = []
  for i in range(3):
    for j in range(2):
      x, y = (p[i : i + 11, j : j + 11, 0].astype(float) for p in (a, b))
      mx, my = (window * x).sum(), (window * y).sum()
      vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
      cov = (window * (x - mx) * (y - my)).sum()
      c1, c2 = 2.55**2, 7.65**2
      top = (2 * mx * my + c1) * (2 * cov + c2)
      values.append(top / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
  got = metrics.ssim(a, b, Protocol("y", 0))
  assert got == pytest.approx(np.mean(values), abs=1e-12)


def test_psnr_by_hand():
  hr = np.full((4, 4, 3), 100, np.uint8)
  sr = hr.copy()
  sr[1, 2, 0] = 104  # one of 48 values is off by 4: MSE 1/3
  got = metrics.psnr(sr, hr, Protocol("rgb", 0))
  assert got == pytest.approx(10 * math.log10(3 * 255**2), abs=1e-12)
  assert metrics.psnr(sr, hr, Protocol("rgb", 1)) < got
  sr[1, 2, 0], sr[0, 0, 0] = 100, 104
  assert metrics.psnr(sr, hr, Protocol("rgb", 1)) == math.inf


@pytest.mark.parametrize(
  ("color", "kind"),
  [
    ("y", "wang"),
    ("y8", "wang"),
    ("rgb", "wang"),
    ("y", "daala"),
    ("y8", "daala"),
  ],
)
def test_equal_pictures(color, kind):
  x = picture_s(20, 30)
  assert metrics.psnr(x, x, Protocol(color, 2, kind)) == math.inf
  assert metrics.ssim(x, x, Protocol(color, 2, kind)) == pytest.approx(1)


@pytest.mark.parametrize("color", ["y", "y8", "rgb"])
def test_gray_is_compared_on_its_own_values(color):
  hr = picture_s(20, 30)[..., :1]
  sr = noisy(picture_s(20, 30))[..., :1]
  error = np.mean((sr.astype(float) - hr) ** 2)
  got = metrics.psnr(sr, hr, Protocol(color, 0))
  assert got == pytest.approx(10 * math.log10(255**2 / error), abs=1e-12)


X = np.zeros((16, 16, 3), np.uint8)


@pytest.mark.parametrize(
  ("sr", "hr", "crop", "words"),
  [
    (X, X[:15], 0, r"\(16, 16, 3\) and hr \(15, 16, 3\)"),
    (X, X[..., :1], 0, "same picture"),
    (X.astype(np.float32), X, 0, "sr is float32"),
    (X, X.astype(np.uint16), 0, "hr is uint16"),
    (X[..., 0], X[..., 0], 0, r"shape \(16, 16\)"),
    (X, X, 3, "10x10 pixels are left after cropping; SSIM"),
    (X, X, 8, "leave at least one pixel"),
  ],
)
def test_unusable_pairs(sr, hr, crop, words):
  with pytest.raises(EnhanceError, match=words):
    metrics.ssim(sr, hr, Protocol("y", crop))


def test_psnr_refuses_unequal_shapes_too():
  with pytest.raises(EnhanceError, match="same picture"):
    metrics.psnr(X, X[:, :15], Protocol("y", 0))


@pytest.mark.parametrize(
  ("arguments", "words"),
  [
    (("Y8", 4), "did you mean .y8"),
    (("y", 4, "wangg"), "did you mean .wang"),
    (("y", -1), "crop -1"),
    (("rgb", 4, "daala"), "luma only"),
  ],
)
def test_bad_protocols(arguments, words):
  with pytest.raises(EnhanceError, match=words):
    Protocol(*arguments)


def test_protocol_in_words_and_as_values():
  protocol = Protocol("y8", 4, "daala")
  assert protocol.as_dict() == {"color": "y8", "crop": 4, "ssim": "daala"}
  words = protocol.describe()
  assert "rounded to 8 bits" in words
  assert "4 px" in words
  assert "Daala" in words
