"""The networks that come with the project: whole, small, as good as said."""

import pytest
from skimage import data

from enhance_jax import images, resample, scoring, zoo
from enhance_jax.inference import engine, uncertainty
from enhance_jax.metrics import image as metrics
from enhance_jax.zoo import bundled

NAMES = ("compact_x2", "compact_x4", "compact_x4_gan")


def test_they_are_here_and_small():
  assert bundled.names() == NAMES
  assert bundled.scales() == (2, 4)
  assert bundled.partner("compact_x4") == "compact_x4_gan"
  size = sum(path.stat().st_size for path in bundled.FOLDER.iterdir())
  assert size < 12e6


@pytest.mark.parametrize("name", NAMES)
def test_their_cards_say_how_they_came_about(name):
  card = zoo.load_generator(bundled.path(name)).card
  assert card["generative"] == name.endswith("_gan")
  assert f"_x{card['scale']}" in name and card["step"] > 0
  training = card["training"]
  assert training["seed"] == 0
  assert training["seconds"] > 0 and training["devices"]
  # Trained on none of what it is scored on.
  for test_set in ("set5", "set14", "bsd100"):
    assert card["scores"][test_set]["psnr"] > 20
    assert test_set not in training["train"]


@pytest.mark.parametrize(
  ("name", "decibels"), [("compact_x2", 1), ("compact_x4", 0.3)]
)
def test_they_are_closer_to_the_truth_than_bicubic(name, decibels):
  ours = engine.open_model(name)
  bicubic = engine.open_model("bicubic", scale=ours.scale)
  protocol = metrics.Protocol(color="y", crop=ours.scale)
  for photograph in (data.coffee(), data.chelsea()):
    hr = images.modcrop(photograph[60:252, 120:312], ours.scale)
    lr = resample.resize_uint8(hr, scale=1 / ours.scale)
    found, simple = (
      metrics.psnr(one.upscale_uint8(lr), hr, protocol)
      for one in (ours, bicubic)
    )
    assert found > simple + decibels


@pytest.mark.slow
@pytest.mark.parametrize(
  ("name", "least"), [("compact_x2", 36.0), ("compact_x4", 30.7)]
)
def test_they_score_what_their_cards_say(name, least, data_dir):
  upscaler = engine.open_model(name)
  scores = scoring.score_sets(
    upscaler,
    [data_dir / "set5"],
    scale=upscaler.scale,
    protocol=metrics.Protocol(color="y", crop=upscaler.scale),
  )
  found = scores["sets"]["set5"]["mean"]["psnr"]
  assert found > least
  assert found == pytest.approx(
    upscaler.card["scores"]["set5"]["psnr"], abs=0.01
  )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("consistent", [False, True])
def test_how_far_they_are_off_is_known(name, consistent):
  upscaler = engine.open_model(
    name, policy=engine.Policy(consistent=consistent)
  )
  made = uncertainty.load(
    uncertainty.beside(bundled.path(name)), upscaler.sha256, upscaler.settings
  )
  assert made.report["measured"]["all"]["coverage"] > 0.9
