"""Every configuration's smallest run, through the real trainer to the end."""

import json

import numpy as np
import pytest

from enhance_jax import config as config_lib
from enhance_jax import experiment, zoo
from enhance_jax.inference import engine
from tests.test_config import CONFIGS, variants


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
  """Compiled programs of this file's runs are kept for each other."""
  base = tmp_path_factory.getbasetemp() / "smoke_cache"
  monkeypatch.setenv("ENHANCE_CACHE", str(base))


SMOKE = [
  (name, variant)
  for name in CONFIGS
  for variant in variants(name)
  if variant.startswith("smoke")
]


@pytest.mark.slow
@pytest.mark.parametrize(
  ("name", "variant"), SMOKE, ids=[":".join(row) for row in SMOKE]
)
def test_it_trains_is_scored_and_enlarges(name, variant, tmp_path, capsys):
  config = variants(name)[variant]()
  workdir = tmp_path / "run"
  if config.teacher:
    assert experiment.train(variants(name)["smoke"](), tmp_path / "big") == 0
    config.teacher = str(tmp_path / "big" / engine.WEIGHTS)
  assert experiment.train(config, workdir) == 0
  assert experiment.evaluate(config, workdir) == 0
  models = json.loads((workdir / "evaluation.json").read_text())["models"]
  means = [row["sets"]["held_out"]["mean"]["psnr"] for row in models.values()]
  assert np.isfinite(means).all() or config.task.scale == 1
  assert (workdir / "comparison.png").is_file()
  if config.fit == "none":
    assert set(models) == {"nearest", "bilinear", "bicubic", "lanczos"}
    return
  last = list(config.phase_order or (config.fit,))[-1]
  assert f"ours, after {last}" in models
  upscaler = engine.open_model(workdir=workdir)
  scale = config.task.scale
  picture = np.full((9, 7, 3), 128, np.uint8)
  assert upscaler.upscale_uint8(picture).shape == (9 * scale, 7 * scale, 3)
  card = zoo.load_generator(workdir / engine.WEIGHTS).card
  rows = config_lib.phases(config)
  assert card["step"] == (rows[-1][3] if rows else 0)
  assert card["generative"] == any(
    settings.objective.get("adversarial", 0) for _, settings, _, _ in rows
  )
  capsys.readouterr()
  assert experiment.train(config, workdir) == 0
  assert "finished" in capsys.readouterr().out
