"""SRResNet x4: the generator of SRGAN trained on MSE alone (arXiv:1609.04802).

  python -m enhance_jax.main --config=configs/srresnet.py
  bash launch/local.sh --config=configs/srresnet.py:smoke

Published (x4, luma, 4 px border, Daala's SSIM): Set5 32.05 dB / 0.9019, Set14
28.49 / 0.8184, BSD100 27.58 / 0.7620. Cost of the recipe: a million updates of
batch 16, about a day on one GPU; not yet rerun here.

Where the paper is silent, see `srgan.py`: this is its first phase.
"""

import ml_collections

from enhance_jax import config as config_lib

optimizer, phase = config_lib.optimizer, config_lib.phase


def _paper() -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.name = "srresnet"
  config.data.train = "folder:data/imagenet"
  config.generator.options = {"width": 64, "blocks": 16}
  config.phase_order = ("pixel",)
  config.phases.pixel = phase(
    1_000_000, {"mse": 4.0}, optimizer(1e-4, b1=0.9, b2=0.999)
  )
  config.evaluate.ssim = "daala"
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _paper()
  config.name = "srresnet-smoke"
  config.data.train = "samples"
  config.data.crop = 32
  config.data.batch_size = 4
  config.generator.options = {"width": 8, "blocks": 1}
  config.train.update({"log_every": 2, "evaluate_every": 4, "save_every": 4})
  config.train.update({"evaluate_pictures": 1, "sample_pictures": 1})
  config.phases.pixel.steps = 4
  config.evaluate.ssim = "wang"
  return config


_VARIANTS = {"": _paper, "smoke": _smoke}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "" or "smoke"."""
  return config_lib.choose(_VARIANTS, variant)()
