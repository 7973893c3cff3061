"""Dictionary learning: its training vectors, determinism, and a real gain."""

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from enhance_jax import config as config_lib
from enhance_jax import errors, images, resample, zoo
from enhance_jax.data import sources
from enhance_jax.inference import engine
from enhance_jax.models import sparse_coding
from enhance_jax.train import dictionary


def _config(**settings):
  config = config_lib.defaults()
  config.task.scale, config.task.channels = 2, 1
  config.generator.name = "sparse_coding"
  config.generator.options = ConfigDict({"atoms": 8, "patch": 5})
  config.dictionary = ConfigDict(
    {
      "patches": 300,
      "variance": 10.0,
      "sparsity": 0.15,
      "sweeps": 2,
      "batch_size": 64,
    }
  )
  config.dictionary.update(settings)
  return config


class _Pictures(sources.Source):
  """Pictures in memory."""

  def __init__(self, *pictures):
    super().__init__(sources.Needs(1))
    self._pictures = pictures

  def __repr__(self):
    return "pictures"

  def __len__(self):
    return len(self._pictures)

  def _read(self, index):
    return self._pictures[index]


def _noise(height, width):
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (height, width, 1), dtype=np.uint8)


def _quiet(_):
  pass


def test_training_vectors_by_hand():
  picture = _noise(16, 16)
  source = _Pictures(picture)
  pairs = dictionary.sample(_config(patches=40), source, _quiet)
  hr = picture.astype(np.float64)
  middle = resample.resize(resample.resize(hr, scale=0.5), scale=2.0)
  maps = sparse_coding.features(middle[None])[0]
  expected = []
  # In 16x16 there are four corners with 5 pixels to every border.
  for row in (5, 6):
    for column in (5, 6):
      truth = hr[row : row + 5, column : column + 5].ravel()
      seen = maps[row : row + 5, column : column + 5]
      seen = seen.transpose(2, 0, 1).ravel()
      truth = truth - truth.mean()
      joint = np.concatenate(
        [
          5 * truth / np.linalg.norm(truth),
          10 * seen / np.linalg.norm(seen),
        ]
      )
      expected.append(joint / np.linalg.norm(joint))
  distance = np.abs(pairs[:, None] - np.asarray(expected)).max(-1)
  assert distance.min(1).max() < 1e-12
  assert set(distance.argmin(1)) == {0, 1, 2, 3}


def test_what_teaches_nothing_is_left_out():
  flat = np.full((20, 20, 1), 99, np.uint8)
  # Cut to 14x14, which has no room for a patch and its margins.
  small = _noise(15, 15)
  source = _Pictures(flat, _noise(20, 20), small)
  lines = []
  pairs = dictionary.sample(_config(), source, lines.append)
  assert len(pairs) == 100
  assert lines == [
    "100 of 300 patches from 3 pictures have a variance above 10.0"
  ]
  np.testing.assert_allclose(np.linalg.norm(pairs, axis=1), 1.0)
  with pytest.raises(errors.EnhanceError, match="0 patches .* the 8 atoms"):
    dictionary.fit(_config(), _Pictures(flat, small), _quiet)


def test_fit_on_the_sample_photographs():
  config = _config()
  source = sources.open_source("samples", sources.Needs(1))
  lines = []
  first = dictionary.fit(config, source, lines.append)
  assert len(lines) == 4 and lines[-1].startswith("sweep 2 of 2: objective 0.")
  shapes = {
    f"params/{name}": value.shape for name, value in first["params"].items()
  }
  assert shapes == zoo.expected_shapes(sparse_coding.Generator(atoms=8))
  both = np.concatenate(
    [first["params"]["dictionary_hr"], first["params"]["dictionary_lr"]]
  )
  assert both.dtype == np.float32 and np.isfinite(both).all()
  assert np.linalg.norm(both, axis=0).max() <= 1 + 1e-6
  again = dictionary.fit(config, source, _quiet)
  jax.tree.map(np.testing.assert_array_equal, first, again)
  config.seed = 1
  other = dictionary.fit(config, source, _quiet)
  assert not np.array_equal(
    first["params"]["dictionary_hr"], other["params"]["dictionary_hr"]
  )


def test_sweeps_lower_the_objective():
  lines = []
  source = sources.open_source("samples", sources.Needs(1))
  config = _config(sweeps=6, batch_size=32)
  dictionary.fit(config, source, lines.append)
  costs = [float(line.split()[-1]) for line in lines if "sweep" in line]
  assert len(costs) == 6 and costs[-1] < costs[0]


@pytest.mark.slow
def test_butterfly(data_dir):
  """What ScSR gains on a picture that it was not trained on.

  A separate implementation with 256 atoms went from 27.51 dB (bicubic) to
  29.36, and with back-projection to 30.04, on luma with 4 pixels cropped.
  """
  config = _config(patches=8000, sweeps=4, batch_size=256)
  config.generator.options.atoms = 64
  source = sources.open_source(f"folder:{data_dir / 't91'}", sources.Needs(1))
  variables = dictionary.fit(config, source, _quiet)
  hr = images.read_hr(data_dir / "set5" / "HR" / "butterfly.png")[:192, :192]
  hr = images.luma(hr / 255.0)
  lr = np.round(resample.resize(hr, scale=1 / 2) * 255) / 255

  def decibel(sr):
    error = (np.asarray(sr, np.float64) - hr)[4:-4, 4:-4]
    return -10 * np.log10(np.square(error).mean())

  assert decibel(resample.resize(lr, scale=2)) == pytest.approx(
    27.507, abs=1e-3
  )
  for iterations, expected in ((0, 29.3), (20, 30.1)):
    module = sparse_coding.Generator(
      atoms=64, iterations=50, back_projections=iterations
    )
    bundle = zoo.Generator("sparse_coding", {}, module, variables, {}, "")
    sr = engine.Upscaler(bundle).upscale(lr)
    assert decibel(sr) == pytest.approx(expected, abs=0.1)
