"""TFDS sources on small sets in the real on-disk format, without a network."""

import io
import pathlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from enhance_jax import errors
from enhance_jax.data import pipeline, sources
from tests.test_data import _config


def _example(feature, rng, pictures, key=""):
  """A random value of a TFDS feature; pictures are added to `pictures`."""
  if isinstance(feature, tfds.features.Image):
    height, width, channels = feature.shape
    shape = (height or 48, width or 40, channels or 3)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    pictures[key] = pixels
    # As a file: TFDS needs TensorFlow to encode an array, not to copy a file.
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    file.seek(0)
    return file
  if isinstance(feature, tfds.features.FeaturesDict):
    return {
      key: _example(value, rng, pictures, key) for key, value in feature.items()
    }
  return rng.integers(0, 2)


def write_set(
  data_dir: pathlib.Path, name: str, count: int, splits=("train",)
) -> list[np.ndarray]:
  """Writes a set with a known set's features where it would be prepared.

  TFDS downloads what it knows by name; a set that lies prepared in its folder
  is opened as it is. So the writer's own name is replaced by the known one.

  Returns:
    every example's largest picture.
  """
  known = tfds.builder(name, data_dir=str(data_dir))
  features = known.info.features
  rng = np.random.default_rng(len(name))
  truth = []

  class Stand(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = known.version
    name = "stand_in"
    code_path = None  # no checksums file belongs to it

    def _info(self):
      return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
      del dl_manager
      return {split: self._generate_examples() for split in splits}

    def _generate_examples(self):
      for number in range(count):
        pictures = {}
        example = _example(features, rng, pictures)
        truth.append(pictures.get("hr", pictures.get("image")))
        yield number, example

  writer = Stand(data_dir=str(data_dir), file_format="array_record")
  writer.download_and_prepare(file_format="array_record")
  made, wanted = pathlib.Path(writer.data_dir), pathlib.Path(known.data_dir)
  wanted.mkdir(parents=True)
  family = name.partition("/")[0]
  for path in made.iterdir():
    target = wanted / path.name.replace("stand_in", family)
    if path.suffix == ".json":
      target.write_text(path.read_text().replace("stand_in", family))
    else:
      path.rename(target)
  return truth


@pytest.mark.parametrize("name", ["celeb_a", "div2k/bicubic_x4"])
def test_known_sets_are_read_in_their_own_format(tmp_path, name):
  examples = write_set(tmp_path, name, 5)
  source = sources.open_source(
    f"tfds:{name}", sources.Needs(3, (16, 16), tfds_dir=str(tmp_path))
  )
  assert len(source) == 5
  got = sorted(source[i].tobytes() for i in range(5))
  assert got == sorted(x.tobytes() for x in examples)


def test_batches_from_tfds_are_reproducible(tmp_path):
  write_set(tmp_path, "celeb_a", 6, ("train", "validation"))
  config = _config(
    tmp_path,
    train="tfds:celeb_a:train[:4]",
    tfds_dir=str(tmp_path),
    resize=(20, 20),
  )
  loader = pipeline.open_loader(config)
  assert len(loader.source) == 4
  again = pipeline.open_loader(config)
  for _ in range(3):
    a, b = next(loader.batches(2)), next(again.batches(2))
    np.testing.assert_array_equal(a["hr"], b["hr"])


def test_messages(tmp_path):
  with pytest.raises(errors.EnhanceError, match="no_such_set"):
    sources.open_source(
      "tfds:no_such_set", sources.Needs(tfds_dir=str(tmp_path))
    )
  write_set(tmp_path, "celeb_a", 2)
  with pytest.raises(errors.EnhanceError, match="tset"):
    sources.open_source(
      "tfds:celeb_a:tset", sources.Needs(tfds_dir=str(tmp_path))
    )
