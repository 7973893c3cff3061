"""Folders of runs for the report, without training."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from safetensors.numpy import save_file

from enhance_jax.reporting import plots

PROTOCOL = {
  "color": "y",
  "crop": 4,
  "ssim": "wang",
  "text": "x4, float BT.601 luma, 4 px cropped, SSIM of Wang 2004",
  "scale": 4,
  "lr": "MATLAB bicubic, antialiased",
  "metrics": {"psnr": "higher is better; peak 255"},
}


def scores(name: str, models: dict[str, dict[str, float]], **protocol) -> dict:
  """An evaluation of two pictures, each with its model's mean."""
  return {
    "protocol": {**PROTOCOL, **protocol},
    "models": {
      model: {
        "sets": {
          name: {
            "mean": values,
            "images": {"a.png": values, "b.png": values},
            "failed": {},
          }
        }
      }
      for model, values in models.items()
    },
  }


def config(name: str = "srgan-test") -> dict[str, Any]:
  """An SRGAN of two phases of 4 updates, as `config.to_dict` gives it."""
  adam = {
    "name": "adam",
    "learning_rate": 1e-4,
    "decay_every": 2,
    "decay_rate": 0.5,
  }
  return {
    "name": name,
    "seed": 7,
    "task": {
      "scale": 4,
      "channels": 3,
      "degradation": {"name": "resize", "options": {"kernel": "bicubic"}},
    },
    "data": {
      "train": "samples",
      "validation": "samples:held_out",
      "resize": [],
      "crop": 32,
      "batch_size": 8,
    },
    "generator": {"name": "srresnet", "options": {"width": 8, "blocks": 1}},
    "discriminator": {"name": "srgan", "options": {}},
    "train": {"compute_dtype": "float32", "evaluate_pictures": 0},
    "evaluate": {"color": "y", "crop": -1, "ssim": "wang"},
    "phase_order": ["pixel", "gan"],
    "phases": {
      "pixel": {
        "steps": 4,
        "objective": {"mse": 4.0},
        "generator_optimizer": adam,
      },
      "gan": {
        "steps": 4,
        "objective": {"vgg54": 1.0, "adversarial": 0.001},
        "adversarial": "bce",
        "generator_optimizer": adam,
      },
    },
  }


def rows() -> list[dict[str, float]]:
  """What such a run logs."""
  found: list[dict[str, float]] = [
    {"step": 0, "baseline/bicubic/psnr": 27.5, "baseline/bicubic/ssim": 0.8}
  ]
  for step in (2, 4, 6, 8):
    row = {"step": step, "loss/generator": 1 / step, "loss/mse": 0.25 / step}
    row["timing/images_per_second"] = 4.0 if step == 2 else 16.0
    if step > 4:
      row |= {"d_real": 0.6, "d_recall": 0.6, "d_specificity": 0.7}
    found.append(row)
    held_out = {"psnr": 26.0 + step / 4, "ssim": 0.7, "loss/mse": 0.5 / step}
    if step > 4:
      held_out |= {"d_real": 0.55, "d_recall": 0.0, "d_specificity": 1.0}
    if step % 4 == 0:
      named = {f"validation/{name}": v for name, v in held_out.items()}
      found.append({"step": step, **named})
  return found


def write(folder: pathlib.Path, name: str = "srgan-test") -> pathlib.Path:
  """A finished run, with scores of held-out pictures and of Set5."""
  folder.mkdir(parents=True)
  record = {
    "config": config(name),
    "data": {"pictures": 12, "fingerprint": "abc123"},
    "devices": "1 x cpu",
    "revision": "0123456789ab",
    "versions": {"python": "3.11.7", "jax": "0.10.2"},
  }
  write_json(folder / "run.json", record)
  lines = [json.dumps(row) + "\n" for row in rows()]
  (folder / "metrics.jsonl").write_text("".join(lines))
  bicubic = {"psnr": 27.5, "ssim": 0.8, "lpips_squeeze": 0.3}
  pixel = {"psnr": 28.0, "ssim": 0.82, "lpips_squeeze": 0.2}
  gan = {"psnr": 27.8, "ssim": 0.81, "lpips_squeeze": 0.1}
  named = {"ours, after pixel": pixel, "ours, after gan": gan}
  held_out = scores("held_out", {"bicubic": bicubic, **named})
  write_json(folder / "evaluation.json", held_out)
  pixel = {"psnr": 30.05, "ssim": 0.85}
  gan = {"psnr": 29.2, "ssim": 0.83}
  named = {"ours, after pixel": pixel, "ours, after gan": gan}
  set5 = {"bicubic": {"psnr": 28.429, "ssim": 0.8111}, **named}
  write_json(folder / "evaluation.set5.json", scores("set5", set5))
  for ending in ("", ".set5"):
    Image.new("RGB", (30, 20)).save(folder / f"comparison{ending}.png")
  tensors = {
    "params/conv/kernel": np.zeros((3, 3, 3, 8), np.float32),
    "params/conv/bias": np.zeros(8, np.float32),
    "batch_stats/norm/mean": np.zeros(8, np.float32),
  }
  for phase in ("pixel", "gan"):
    save_file(tensors, folder / f"generator.{phase}.safetensors")
  return folder


def write_json(path: pathlib.Path, tree: Any) -> None:
  """Writes a tree as JSON."""
  path.write_text(json.dumps(tree))


def change(path: pathlib.Path, *keys: str, value: Any) -> None:
  """Sets one value of a JSON file."""
  tree = node = json.loads(path.read_text())
  for key in keys[:-1]:
    node = node[key]
  node[keys[-1]] = value
  write_json(path, tree)


def capture(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Line2D]]:
  """Makes plots empty; their panels' lines come by title and label."""
  kept = {}

  def draw(given, axis):
    for panel in given:
      axes = Figure().add_subplot()
      panel(axes, plots.LIGHT.curves)
      kept[axes.get_title()] = {str(x.get_label()): x for x in axes.lines}
    return plots.Plot(b"light", b"dark") if given else None

  monkeypatch.setattr(plots, "draw", draw)
  return kept
