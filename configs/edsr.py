"""EDSR x4, x3 and x2: Lim et al. 2017, arXiv:1707.02921.

  python -m enhance_jax.main --config=configs/edsr.py:x2
  python -m enhance_jax.main --config=configs/edsr.py \\
    --config.generator.start=runs/edsr-x2/generator.safetensors   # baseline x4
  python -m enhance_jax.main --config=configs/edsr.py:x3          # likewise
  python -m enhance_jax.main --config=configs/edsr.py:large
  bash launch/local.sh --config=configs/edsr.py:smoke             # 1 minute

Published: DIV2K's 100 validation pictures, RGB, scale + 6 px of border: x4
baseline 28.94 dB, large 29.25 (29.38 with the eight-fold ensemble); x2 34.55,
35.03 and 35.12. Set5 x4, luma, 4 px: large 32.46 dB / 0.8968.

Cost: 300,000 updates; the large network has 28 times the baseline's parameters.
Not yet rerun here.

Recipe of the paper: DIV2K, L1, Adam(0.9, 0.999, 1e-8), 16 crops of 48 LR
pixels with flips and quarter turns, rate 1e-4 halved every 200,000 updates;
x3 and x4 start from the finished x2 network. Without `generator.start` they
start at random here, so that the command needs no other run.

The length is the released code's 300 epochs of 1000 updates; the paper gives
none. The published L1 is on 0..255 and ours on [0, 1], where gradients are 255
times smaller: Adam's steps are the same with its epsilon divided by 255.
"""

import ml_collections

from enhance_jax import config as config_lib

optimizer, phase = config_lib.optimizer, config_lib.phase


def _baseline(scale: int = 4) -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.name = "edsr" if scale == 4 else f"edsr-x{scale}"
  config.task.scale = scale
  config.data.train = "folder:data/DIV2K"
  config.data.crop = 48 * scale
  config.data.batch_size = 16
  config.generator.name = "edsr"
  config.generator.options = {
    "width": 64,
    "blocks": 16,
    "residual_scale": 1.0,
    "img_range": 255.0,
  }
  config.phase_order = ("pixel",)
  config.phases.pixel = phase(
    300_000,
    {"l1": 1.0},
    optimizer(1e-4, b1=0.9, b2=0.999, eps=1e-8 / 255, decay_every=200_000),
  )
  return config


def _large() -> ml_collections.ConfigDict:
  config = _baseline()
  config.name = "edsr-large"
  config.generator.options.update(
    {"width": 256, "blocks": 32, "residual_scale": 0.1}
  )
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _baseline()
  config.generator.options.update({"width": 8, "blocks": 1})
  return config_lib.smoke(config, crop=32)


_VARIANTS = {
  "": _baseline,
  "x2": lambda: _baseline(2),
  "x3": lambda: _baseline(3),
  "large": _large,
  "smoke": _smoke,
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "" (baseline x4) or one of `_VARIANTS`."""
  return config_lib.choose(_VARIANTS, variant)()
