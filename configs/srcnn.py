"""SRCNN x3: Dong et al. 2014 and 2016, arXiv:1501.00092v3.

  python -m enhance_jax.main --config=configs/srcnn.py:adam       # an hour
  python -m enhance_jax.main --config=configs/srcnn.py            # the paper
  python -m enhance_jax.main --config=configs/srcnn.py:955        # its largest
  bash launch/local.sh --config=configs/srcnn.py:smoke

Published (Set5, luma rounded to 8 bits, border = scale, LR not rounded):
9-1-5 on 91 images 36.34 / 32.39 / 30.09 dB for x2 / x3 / x4; on ImageNet 9-1-5
x3 32.52, 9-3-5 x3 32.66, 9-5-5 36.66 / 32.75 / 30.49. Bicubic: 30.39 for x3.

Cost of the paper's recipe: 8e8 patches, three days on a GTX 770. `adam` is for
two CPU cores and an hour. Both take any folder of photographs
(`--config.data.train=folder:DIR`); the paper's are 91 images ("T91").

Decisions: LR is made as by the authors' script, bicubic without blur and not
rounded, where the paper speaks of a blur; momentum 0.9 and batches of 128 are
the released solver's; N(0, 0.001) is its start, where notes on the paper have
1e-4. Caffe's Euclidean loss is half the sum over the 21x21 (9-5-5: 17x17)
pixels that valid convolutions leave of 33x33, which the margin and the weight
of the mean squared difference restate. For x2 and x4 use
`--config.task.scale=2 --config.data.crop=36`.
"""

import ml_collections

from enhance_jax import config as config_lib

optimizer, phase = config_lib.optimizer, config_lib.phase


def _base(middle: int) -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.name = "srcnn"
  config.task.scale = 3
  config.task.channels = 1
  config.data.train = "folder:data/t91"
  config.generator.name = "srcnn"
  config.generator.options = {"middle": middle}
  config.evaluate.color = "y8"
  config.phase_order = ("pixel",)
  return config


def _paper(middle: int = 1) -> ml_collections.ConfigDict:
  config = _base(middle)
  config.task.degradation.options.quantize = False
  config.data.crop = 33
  config.data.batch_size = 128
  config.data.flip = config.data.turn = False
  margin = 4 + middle // 2 + 2
  config.phases.pixel = phase(
    6_250_000,
    {"mse": (config.data.crop - 2 * margin) ** 2 / 2},
    optimizer(
      1e-4,
      name="sgd",
      b1=0.9,
      multipliers={"conv_1/bias": 0.1, "conv_2/bias": 0.1, "conv_3": 0.1},
    ),
    margin=margin,
  )
  return config


def _955() -> ml_collections.ConfigDict:
  config = _paper(5)
  config.name = "srcnn-955"
  return config


def _adam() -> ml_collections.ConfigDict:
  config = _base(1)
  config.name = "srcnn-adam"
  config.generator.options.start = "he"
  config.data.rescale = (1.0, 0.9, 0.8, 0.7, 0.6)
  config.data.crop = 48
  config.phases.pixel = phase(
    40_000,
    {"mse": 1.0},
    optimizer(
      1e-3, b1=0.9, b2=0.999, decay_at=(20_000, 30_000, 36_000), decay_rate=0.3
    ),
    margin=6,
  )
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _paper()
  config.generator.options = {"width": 4}
  return config_lib.smoke(config, crop=15)


_VARIANTS = {"": _paper, "955": _955, "adam": _adam, "smoke": _smoke}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "", "955", "adam" or "smoke"."""
  return config_lib.choose(_VARIANTS, variant)()
