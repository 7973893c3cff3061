"""VDSR for x2, x3 and x4 in one network: Kim et al. 2016, arXiv:1511.04587.

  python -m enhance_jax.main --config=configs/vdsr.py             # the paper
  python -m enhance_jax.main --config=configs/vdsr.py:adam        # GPU, an hour
  bash launch/local.sh --config=configs/vdsr.py:smoke

Published (Set5, luma rounded to 8 bits, border = scale): 37.53 / 33.66 / 31.35
dB for x2 / x3 / x4 (bicubic 33.66 / 30.39 / 28.42). It trains on 291 images:
91 of Yang et al. and 200 of BSDS500's training set.

Cost of the paper's recipe: 4 hours on a Titan Z; not yet rerun here.

Decisions: theta, the bound of the adjustable clipping, is not given. It is 1e-4
here; at 0.01, which is often seen, the loss below leaves no ReLU alive after 50
updates (tried at half the width). The "80 epochs (9960 iterations with batch
size 64)" count an epoch: about 26,000 patches of 41x41 with three scales and
eight orientations make as many. Crops are 48 pixels, the least above 41 that 2,
3 and 4 divide; the loss is half the sum over their pixels, as the rate of 0.1
needs it, and its weight says so. Scales are mixed within a batch, as in the
paper; x3 is the one evaluated.
"""

import ml_collections

from enhance_jax import config as config_lib

optimizer, phase = config_lib.optimizer, config_lib.phase

_EPOCH = 9960


def _paper() -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.name = "vdsr"
  config.task.scale = 3
  config.task.scales = (2, 3, 4)
  config.task.channels = 1
  config.task.degradation.options.quantize = False
  config.data.train = "folder:data/t91+folder:data/bsds500_train"
  config.data.crop = 48
  config.data.batch_size = 64
  config.generator.name = "vdsr"
  config.generator.options = {"depth": 20, "width": 64}
  config.evaluate.color = "y8"
  config.phase_order = ("pixel",)
  config.phases.pixel = phase(
    80 * _EPOCH,
    {"mse": config.data.crop**2 / 2},
    optimizer(
      0.1,
      name="sgd",
      b1=0.9,
      decay_every=20 * _EPOCH,
      decay_rate=0.1,
      weight_decay=1e-4,
      clip_scaled=1e-4,
    ),
  )
  return config


def _adam() -> ml_collections.ConfigDict:
  config = _paper()
  config.name = "vdsr-adam"
  config.task.degradation.options.quantize = True
  config.data.rescale = (1.0, 0.8, 0.6)
  config.phases.pixel = phase(
    40_000,
    {"mse": 1.0},
    optimizer(
      5e-4,
      b1=0.9,
      b2=0.999,
      decay_at=(20_000, 30_000, 36_000),
      decay_rate=0.3,
      clip_norm=0.1,
    ),
  )
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _paper()
  config.generator.options = {"depth": 3, "width": 4}
  return config_lib.smoke(config, crop=24)


_VARIANTS = {"": _paper, "adam": _adam, "smoke": _smoke}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "", "adam" or "smoke"."""
  return config_lib.choose(_VARIANTS, variant)()
