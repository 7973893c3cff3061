"""Training cards: what they say, and that they say nothing unknown."""

import numpy as np
import pytest
from flax import traverse_util

from enhance_jax import zoo
from enhance_jax.models import compact
from enhance_jax.zoo import __main__ as door
from enhance_jax.zoo import bundled, training_card
from tests import report_runs

CARD = {
  "model": "compact",
  "kwargs": {"scale": 4, "width": 4},
  "scale": 4,
  "generative": False,
}


def test_a_bare_card_says_little():
  page = training_card.markdown("mine", CARD, "abc")
  assert page.startswith("# mine\n")
  assert "| Network | `compact(scale=4, width=4)` |" in page
  assert "| Stored as | float32 |" in page and "not invented" in page
  assert "##" not in page.replace("# mine", "")
  assert "None" not in page


def test_a_full_card_says_everything():
  optimizer = {
    "name": "adam",
    "learning_rate": 0.0005,
    "decay_rate": 0.5,
    "decay_every": 0,
    "clip_norm": 0.0,
  }
  recipe = {
    "gan": {"steps": 5, "objective": {"adversarial": 0.1}},
    "pixel": {
      "steps": 20,
      "objective": {"l1": 1.0},
      "generator_optimizer": optimizer,
    },
  }
  card = CARD | {
    "config": "compact_x4",
    "phase": "pixel",
    "step": 20,
    "averaged": True,
    "storage": "float16",
    "recipe": recipe,
    "data": {"seed": 0, "source": "folder:a", "pictures": 7},
    "training": {
      "seed": 0,
      "seconds": 5400.0,
      "devices": "1 x cpu",
      "phases": ["pixel"],
      "degradation": {"name": "resize", "options": {"kernel": "bicubic"}},
      "versions": {"jax": "0.10.2"},
    },
    "scores": {"set5": {"psnr": 30.7, "protocol": "x4, y", "pictures": 5}},
  }
  page = training_card.markdown("mine", card, "abc")
  for line in (
    "- seed: 0",
    "- time spent on updates: 1.50 h",
    "- devices: 1 x cpu",
    "- pictures: 7",
    "- degradation: resize kernel bicubic",
    "- updates: 20",
    "- moving average: yes",
    "| pixel | 20 | l1 1.0 | adam learning_rate 0.0005 |",
    "- set5 (5 pictures): PSNR 30.7000; x4, y",
    "- trained with: jax 0.10.2",
    "| Stored as | float16 |",
  ):
    assert line in page.splitlines(), line
  # The phase after these weights is not theirs.
  assert "| gan" not in page


def test_origins():
  imported = {"file": "x.pth", "sha256": "ab", "assumed": {"output": "tanh"}}
  parents = [{"sha256": 64 * "1"}, {"sha256": 64 * "2"}]
  for more, line in (
    ({"imported": imported}, "- taken without being told: output tanh"),
    (
      {"blend": {"alpha": 0.5, "parents": parents}},
      "- blend: alpha 0.5 between 111111111111 and 222222222222",
    ),
    ({"versions": {"jax": "1"}}, "- written with: jax 1"),
    ({"probe": {"colour": 0.01, "lr_psnr": 40}}, "0.01, made small again 40"),
  ):
    assert line in training_card.markdown("x", CARD | more, "")


@pytest.fixture
def run(tmp_path):
  """A run's folder with weights after both phases."""
  folder = report_runs.write(tmp_path / "run")
  kwargs = {"scale": 4, "width": 4, "convs": 1}
  flat = {
    key: np.zeros(shape, np.float32)
    for key, shape in zoo.expected_shapes(compact.Generator(**kwargs)).items()
  }
  for name, phase in (
    ("generator.pixel", "pixel"),
    ("generator.gan", "gan"),
    ("generator", "gan"),
  ):
    zoo.save_generator(
      folder / name,
      model="compact",
      kwargs=kwargs,
      variables=traverse_util.unflatten_dict(flat, sep="/"),
      card={"generative": phase == "gan", "phase": phase, "step": 4},
    )
  return folder


def test_a_run_s_folder_adds_what_it_knows(run, capsys):
  assert door.main(["train-card", str(run)]) == 0
  page = capsys.readouterr().out
  assert page.startswith("# srgan-test\n")
  for line in (
    "- phase of these weights: gan",
    "- seed: 7",
    "- devices: 1 x cpu",
    # 2 updates of 8 pictures at 4 a second, 6 at 16.
    f"- time spent on updates: {7 / 3600:.2f} h",
    "- held out: samples:held_out",
    "- trained with: python 3.11.7, jax 0.10.2",
  ):
    assert line in page.splitlines(), line
  assert "set5 (2 pictures): PSNR 29.2000, SSIM 0.8300; x4, float" in page


def test_an_earlier_phase_has_its_own_time_and_scores(run, monkeypatch):
  monkeypatch.setattr(bundled, "FOLDER", run / "bundled")
  source = run / "generator.pixel.safetensors"
  assert door.main(["bundle", str(source), "compact_x4"]) == 0
  card = zoo.load_generator(bundled.path("compact_x4")).card
  assert card["training"]["seconds"] == pytest.approx(4 + 1)
  assert card["training"]["phases"] == ["pixel"]
  assert card["scores"]["set5"]["psnr"] == 30.05
  assert card["scores"]["held_out"]["lpips_squeeze"] == 0.2


def test_a_bundled_card_needs_no_run(run, monkeypatch, capsys):
  monkeypatch.setattr(bundled, "FOLDER", run / "bundled")
  door.main(["bundle", str(run), "compact_x4_gan"])
  capsys.readouterr()
  assert door.main(["train-card", "compact_x4_gan"]) == 0
  page = capsys.readouterr().out
  assert page.startswith("# compact_x4_gan\n")
  assert "- set5 (2 pictures): PSNR 29.2000" in page and "- seed: 7" in page
