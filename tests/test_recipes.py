"""Recipes that need data or weights, on small stand-ins of the same form."""

import json

import pytest

from enhance_jax import experiment, zoo
from tests.test_config import _load
from tests.test_tfds import write_set
from tests.weight_files import write_vgg


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
  """Compiled programs only; VGG19 is given by its path."""
  base = tmp_path_factory.getbasetemp() / "recipes_cache"
  monkeypatch.setenv("ENHANCE_CACHE", str(base))


def _shrink(config, tmp_path):
  """The recipe with narrow networks and two updates a phase."""
  config.generator.options.update({"width": 8, "blocks": 1})
  config.discriminator.options.update({"width": 4, "dense": 8})
  config.data.batch_size = 4
  config.train.log_every = 1
  config.train.evaluate_pictures = 1
  for name in config.phase_order:
    config.phases[name].steps = 2
  config.vgg.weights = str(write_vgg(tmp_path))
  return config


def _rows(workdir):
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_the_paper_with_vgg54(tmp_path):
  config = _shrink(_load("srgan", ""), tmp_path)
  config.data.train = "samples"
  config.data.crop = 64
  config.train.compute_dtype = "bfloat16"
  assert experiment.train(config, tmp_path / "run") == 0
  terms = _rows(tmp_path / "run")[-2]
  assert terms["loss/vgg54"] > 0 and terms["loss/adversarial"] > 0
  assert terms["learning_rate"] == pytest.approx(1e-5)
  card = zoo.load_generator(tmp_path / "run" / "generator.safetensors").card
  assert card["generative"] is True and card["phase"] == "fine"
  pixel = zoo.load_generator(
    tmp_path / "run" / "generator.pixel.safetensors"
  ).card
  assert pixel["generative"] is False


@pytest.mark.slow
def test_celeba64_from_tfds(tmp_path):
  write_set(tmp_path / "tfds", "celeb_a", 6, ("train", "validation"))
  config = _shrink(_load("srgan", "celeba64"), tmp_path)
  config.data.tfds_dir = str(tmp_path / "tfds")
  config.data.validation = "tfds:celeb_a:validation"
  assert experiment.train(config, tmp_path / "run") == 0
  assert experiment.evaluate(config, tmp_path / "run") == 0
  bundle = zoo.load_generator(tmp_path / "run" / "generator.safetensors")
  assert bundle.kwargs["output"] == "tanh"
  scores = json.loads((tmp_path / "run" / "evaluation.json").read_text())
  assert len(scores["models"]["bicubic"]["sets"]["held_out"]["images"]) == 6
