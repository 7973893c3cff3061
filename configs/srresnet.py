"""SRResNet x4: the generator of SRGAN trained on MSE alone (arXiv:1609.04802).

  python -m enhance_jax.main --config=configs/srresnet.py
  python -m enhance_jax.main --config=configs/srresnet.py:vgg22
  bash launch/local.sh --config=configs/srresnet.py:smoke

Published (x4, luma, 4 px border, Daala's SSIM): Set5 32.05 dB / 0.9019, Set14
28.49 / 0.8184, BSD100 27.58 / 0.7620; SRResNet-VGG22 Set5 30.51 / 0.8803,
Set14 27.19 / 0.7807. Cost of the recipe: a million updates of batch 16, about a
day on one GPU; not yet rerun here. How long VGG22 was trained is not stated:
the 100,000 updates here are SRGAN's.

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


def _vgg22() -> ml_collections.ConfigDict:
  """The paper's network without a discriminator on VGG22 features."""
  config = _paper()
  config.name = "srresnet-vgg22"
  adam = optimizer(1e-4, b1=0.9, b2=0.999)
  config.phase_order = ("pixel", "vgg22")
  config.phases.vgg22 = phase(
    100_000, {"vgg22": 1.0, "total_variation_squared": 2e-8}, adam
  )
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _paper()
  config.generator.options = {"width": 8, "blocks": 1}
  config.evaluate.ssim = "wang"
  return config_lib.smoke(config, crop=32)


_VARIANTS = {"": _paper, "vgg22": _vgg22, "smoke": _smoke}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "", "vgg22" or "smoke"."""
  return config_lib.choose(_VARIANTS, variant)()
