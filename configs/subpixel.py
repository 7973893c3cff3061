"""FSRCNN and ESPCN x3: arXiv:1608.00367 and arXiv:1609.05158.

  python -m enhance_jax.main --config=configs/subpixel.py:adam    # an hour
  python -m enhance_jax.main --config=configs/subpixel.py         # FSRCNN
  python -m enhance_jax.main --config=configs/subpixel.py:espcn
  bash launch/local.sh --config=configs/subpixel.py:smoke

Published (Set5, luma rounded to 8 bits, border = scale): FSRCNN(56, 12, 4)
36.94 / 33.06 / 30.55 dB for x2 / x3 / x4, FSRCNN-s 36.57 / 32.60 / 30.11;
bicubic 33.66 / 30.39 / 28.42. ESPCN: 30.76 dB for x4 as the SRGAN paper has it.

Both papers train on 91 images ("T91"); FSRCNN is then tuned on them and
General-100 together. `adam` is for two CPU cores and an hour.

FSRCNN: patches of 10, 7 and 6 LR pixels whose deconvolution yields 19, 19 and
21 pixels; the margin and the weight of the loss restate Caffe's half sum over
them. Batches of 128, momentum 0.9 and the number of updates are not in the
paper; from 1e-3 the sum diverges within 50 updates, so the gradient's norm is
clipped to 1. Tuning has the same photographs here as training.

`adam`: the pictures are centred on 0.5 inside, which lets Adam take steps of
3e-3: 0.5 dB more after 2,400 updates than 1e-3 without (on held-out pictures).

ESPCN: the cost's plateaus are replaced by fixed steps from 0.01 to 1e-4; batch
size and momentum are not in the paper. LR is bicubic, as everywhere else,
where the paper has blur and subsampling.
"""

import ml_collections

from enhance_jax import config as config_lib

optimizer, phase = config_lib.optimizer, config_lib.phase

# Scale -> LR patch of FSRCNN; its HR pixels are r less and 1 more.
_PATCH = {2: 10, 3: 7, 4: 6}


def _base(scale: int) -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.task.scale = scale
  config.task.channels = 1
  config.data.train = "folder:data/t91+folder:data/general100"
  config.data.flip = False
  config.data.rescale = (1.0, 0.9, 0.8, 0.7, 0.6)
  config.evaluate.color = "y8"
  return config


def _fsrcnn(scale: int = 3, small: bool = False) -> ml_collections.ConfigDict:
  config = _base(scale)
  config.name = f"fsrcnn{'-s' if small else ''}-x{scale}"
  config.task.degradation.options.quantize = False
  config.generator.name = "fsrcnn"
  config.generator.options = {"width": 56, "narrow": 12, "mappings": 4}
  if small:
    config.generator.options = {"width": 32, "narrow": 5, "mappings": 1}
  config.data.crop = _PATCH[scale] * scale
  config.data.batch_size = 128
  margin = scale // 2
  weight = {"mse": (config.data.crop - 2 * margin) ** 2 / 2}
  config.phase_order = ("pixel", "fine")
  sgd = {"name": "sgd", "b1": 0.9, "clip_norm": 1.0}
  sgd["multipliers"] = {"deconv": 0.1}
  config.phases = {
    "pixel": phase(1_000_000, weight, optimizer(1e-3, **sgd), margin=margin),
    "fine": phase(500_000, weight, optimizer(5e-4, **sgd), margin=margin),
  }
  return config


def _espcn(scale: int = 3) -> ml_collections.ConfigDict:
  config = _base(scale)
  config.name = f"espcn-x{scale}"
  config.generator.name = "espcn"
  config.data.crop = 17 * scale
  config.data.batch_size = 16
  config.data.rescale = (1.0,)
  config.phase_order = ("pixel",)
  config.phases.pixel = phase(
    1_000_000,
    {"mse": 1.0},
    optimizer(
      1e-2,
      name="sgd",
      b1=0.9,
      decay_every=200_000,
      decay_rate=0.1**0.5,
      multipliers={"conv_3": 0.1},
    ),
  )
  return config


def _adam(scale: int = 3) -> ml_collections.ConfigDict:
  config = _fsrcnn(scale)
  config.name = f"fsrcnn-adam-x{scale}"
  config.generator.options.center = 0.5
  config.task.degradation.options.quantize = True
  config.data.flip = True
  config.data.crop = 20 * scale
  config.data.batch_size = 16
  config.phase_order = ("pixel",)
  config.phases = {
    "pixel": phase(
      100_000,
      {"mse": 1.0},
      optimizer(
        3e-3,
        b1=0.9,
        b2=0.999,
        decay_at=(40_000, 60_000, 80_000, 90_000),
        decay_rate=0.4,
        clip_norm=0.05,
      ),
      margin=scale,
    )
  }
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _fsrcnn()
  config.data.rescale = (1.0, 0.5)
  config.generator.options = {"width": 4, "narrow": 2, "mappings": 1}
  return config_lib.smoke(config, crop=config.data.crop)


_VARIANTS = {
  "": _fsrcnn,
  "x2": lambda: _fsrcnn(2),
  "x4": lambda: _fsrcnn(4),
  "fsrcnn_s": lambda: _fsrcnn(small=True),
  "espcn": _espcn,
  "adam": _adam,
  "adam_x2": lambda: _adam(2),
  "adam_x4": lambda: _adam(4),
  "smoke": _smoke,
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "" (FSRCNN x3) or one of `_VARIANTS`."""
  return config_lib.choose(_VARIANTS, variant)()
