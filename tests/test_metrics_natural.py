"""NIQE against golden numbers, a slow computation of its own, and MATLAB."""

import numpy as np
import pytest
from scipy import ndimage, special

from enhance_jax import images, measures, resample, weights
from enhance_jax.errors import EnhanceError
from enhance_jax.metrics import image, natural
from tests.test_metrics_image import noisy, picture_s


def texture(height, width, seed=0):
  """Rounded noise with some smoothness, float64 on 0..255."""
  rng = np.random.default_rng(seed)
  smooth = ndimage.gaussian_filter(rng.normal(0, 90, (height, width)), 1.2)
  return np.clip(np.round(128 + smooth), 0, 255)


def matlab_model(data_dir):
  path = data_dir / "weights" / "niqe_pris_params.npz"
  return natural.model_from_arrays(weights.read_tensors(path))


def test_golden_values(data_dir):
  # Specification sheet 2.10: an independent implementation, rounded luma.
  model = matlab_model(data_dir)
  s = picture_s(256, 320)
  for picture, expected in ((s, 28.670059), (noisy(s), 28.702489)):
    luma = image.rounded_luma(picture, 0)
    assert natural.niqe(luma, model) == pytest.approx(expected, abs=5.1e-7)


def test_a_picture_of_known_niqe(data_dir):
  # BasicSR documents 5.7296 for this file, "same as MATLAB".
  path = data_dir / "reference_results" / "niqe" / "baboon.png"
  luma = image.rounded_luma(images.read_hr(path), 0)
  got = natural.niqe(luma, matlab_model(data_dir))
  assert got == pytest.approx(5.7296, abs=5.1e-5)


def test_aggd_golden_values():
  # Specification sheet 2.6.
  v = np.linspace(-3, 3, 601)
  x = np.sign(v) * np.abs(v) ** 1.3
  alpha, left, right = natural.aggd(np.stack([x, np.where(x > 0, 2 * x, x)]))
  np.testing.assert_allclose(alpha, [2.879, 2.415], atol=1e-12)
  np.testing.assert_allclose(left, [3.572968, 3.385904], atol=5.1e-7)
  np.testing.assert_allclose(right, [3.572968, 6.771808], atol=5.1e-7)


def test_aggd_finds_the_distribution_again():
  # scale * (Gamma variate of shape 1 / alpha) ** (1 / alpha) is generalised
  # Gaussian; quantiles instead of random numbers.
  levels = (np.arange(40000) + 0.5) / 40000
  for alpha in (0.7, 2.0):
    half = special.gammaincinv(1 / alpha, levels) ** (1 / alpha)
    x = np.concatenate([-3 * half, 3 * half])
    shape, left, right = natural.aggd(x[None])
    assert shape[0] == pytest.approx(alpha, abs=0.01)
    assert left[0] == pytest.approx(3, rel=0.01)
    assert right[0] == left[0]


def reference_aggd(x):
  grid = np.arange(200, 10001) / 1000
  table = special.gamma(2 / grid) ** 2 / (
    special.gamma(1 / grid) * special.gamma(3 / grid)
  )
  left = np.sqrt(np.mean(x[x < 0] ** 2))
  right = np.sqrt(np.mean(x[x > 0] ** 2))
  g = left / right
  r = np.mean(np.abs(x)) ** 2 / np.mean(x**2)
  r *= (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
  alpha = grid[np.argmin((table - r) ** 2)]
  factor = np.sqrt(special.gamma(1 / alpha) / special.gamma(3 / alpha))
  return alpha, left * factor, right * factor


def reference_features(luma):
  """The definition, block by block."""
  height, width = (side // 96 * 96 for side in luma.shape)
  x = luma[:height, :width]
  offset = np.arange(-3, 4)
  window = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * (7 / 6) ** 2))
  window /= window.sum()
  scales = []
  for side in (96, 48):
    mean = ndimage.correlate(x, window, mode="nearest")
    square = ndimage.correlate(x * x, window, mode="nearest")
    normal = (x - mean) / (np.sqrt(np.abs(square - mean**2)) + 1)
    rows = []
    for i in range(0, x.shape[0], side):
      for j in range(0, x.shape[1], side):
        block = normal[i : i + side, j : j + side]
        alpha, left, right = reference_aggd(block)
        row = [alpha, (left + right) / 2]
        for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
          moved = np.roll(np.roll(block, down, 0), across, 1)
          alpha, left, right = reference_aggd(block * moved)
          mean = (right - left) * special.gamma(2 / alpha)
          row += [alpha, mean / special.gamma(1 / alpha), left, right]
        rows.append(row)
    scales.append(rows)
    x = resample.resize(x[..., None], scale=0.5)[..., 0]
  return np.concatenate(scales, axis=1)


def test_features_by_their_definition():
  luma = texture(200, 300)
  rows, sharpness = natural.block_features(luma)
  assert rows.shape == (6, natural.FEATURES) and sharpness.shape == (6,)
  np.testing.assert_allclose(rows, reference_features(luma), rtol=1e-9)


def test_niqe_is_the_distance_of_two_distributions():
  luma, other = texture(192, 288), texture(192, 1920, 1) * 0.5 + 20
  model = natural.fit([other])
  rows = reference_features(luma)
  m = rows.mean(0) - model.mean
  spread = (np.cov(rows.T) + model.covariance) / 2
  expected = np.sqrt(m @ np.linalg.pinv(spread) @ m)
  assert natural.niqe(luma, model) == pytest.approx(expected, rel=1e-6)


def test_flat_blocks_leave_gaps_only():
  model = natural.Model(np.zeros(36), np.eye(36))
  luma = texture(192, 288)
  luma[:96, :96] = 77
  rows, sharpness = natural.block_features(luma)
  assert sharpness[0] < sharpness[1:].min()
  luma[:] = 77
  rows, _ = natural.block_features(luma)
  # MATLAB's search for the nearest shape ends at the first, 0.2.
  assert rows[0, 0] == 0.2 and np.isnan(rows[:, 1]).all()
  with pytest.raises(EnhanceError, match="192x288 .* two blocks of 96x96"):
    natural.niqe(luma, model)


@pytest.mark.parametrize("size", [(95, 400), (96, 191)])
def test_small_pictures_are_refused(size):
  model = natural.Model(np.zeros(36), np.eye(36))
  with pytest.raises(EnhanceError, match=f"{size[0]}x{size[1]} pixels are"):
    natural.niqe(texture(*size), model)


def test_only_sharp_blocks_are_fitted():
  sharp = texture(192, 96 * 40)
  blurred = ndimage.gaussian_filter(sharp[:, : 96 * 20], 2.5)
  both = np.concatenate([sharp[:, 96 * 20 :], np.round(blurred)], axis=1)
  rows, sharpness = natural.block_features(both)
  kept = sharpness > 0.75 * sharpness.max()
  assert kept.reshape(2, 40)[:, :20].all()
  assert not kept.reshape(2, 40)[:, 20:].any()
  model = natural.fit([both])
  np.testing.assert_allclose(model.mean, rows[kept].mean(0), rtol=1e-12)
  np.testing.assert_allclose(model.covariance, np.cov(rows[kept].T), rtol=1e-9)
  with pytest.raises(EnhanceError, match="2 sharp blocks .* in 1 photographs"):
    natural.fit([texture(96, 192)])


def test_fitted_parameters_go_through_a_file(tmp_path):
  folder = tmp_path / "photographs" / "sub"
  folder.mkdir(parents=True)
  lumas = [np.uint8(texture(192, 960, seed)) for seed in (1, 2)]
  for seed, luma in enumerate(lumas):
    path = folder / f"{seed}.png"
    images.write_picture(path, images.Picture(luma[..., None]))
  path = tmp_path / "own.npz"
  assert measures.fit_niqe(folder.parent, path) == 2
  model = natural.model_from_arrays(weights.read_tensors(path))
  expected = natural.fit(lumas)
  np.testing.assert_array_equal(model.mean, expected.mean)
  np.testing.assert_array_equal(model.covariance, expected.covariance)
  before = path.read_bytes()
  measures.fit_niqe(folder.parent, path)
  assert path.read_bytes() == before
  with pytest.raises(EnhanceError, match="wanted one that ends in .npz"):
    measures.fit_niqe(folder, tmp_path / "own.txt")
  with pytest.raises(EnhanceError, match="is no folder"):
    measures.fit_niqe(path, path)


def test_other_files_are_no_parameters():
  good = natural.model_to_arrays(natural.Model(np.zeros(36), np.eye(36)))
  assert natural.model_from_arrays(good).covariance.trace() == 36
  for change, words in (
    ({"mu_pris_param": np.zeros(18)}, r"36 numbers, got shape \(18,\)"),
    ({"cov_pris_param": np.full((36, 36), np.nan)}, "is not finite"),
  ):
    with pytest.raises(EnhanceError, match=words):
      natural.model_from_arrays(good | change)
  with pytest.raises(EnhanceError, match="mu_pris_param .* got nothing"):
    natural.model_from_arrays({})


def test_perceptual_index():
  # PIRM 2018: ((10 - 8.5) + 3.1) / 2.
  assert natural.perceptual_index(8.5, 3.1) == pytest.approx(2.3, abs=1e-12)
