"""Compact generator x4 and x2: SRVGGNetCompact of Wang et al. 2021.

  python -m enhance_jax.main --config=configs/compact.py            # x4
  python -m enhance_jax.main --config=configs/compact.py:x2
  python -m enhance_jax.main --config=configs/compact.py:distilled \\
    --config.teacher=runs/esrgan-psnr/generator.safetensors
  python -m enhance_jax.main --config=configs/compact.py:int8 \\
    --config.generator.start=runs/compact/generator.safetensors
  bash launch/local.sh --config=configs/compact.py:smoke          # 1 minute
  bash launch/local.sh --config=configs/compact.py:smoke_int8
  bash launch/local.sh --config=configs/compact.py:smoke_distilled

Published: none in PSNR. The network (621,424 parameters) comes with the code
of Real-ESRGAN (arXiv:2107.10833), whose training on unknown degradations is
`realesrgan.py:compact`; here it learns to undo a bicubic reduction.

Every figure of these recipes is our decision: L1, Adam(0.9, 0.99) at 2e-4
halved every 100,000 of 400,000 updates, 16 crops of 48 LR pixels from DIV2K
and Flickr2K. Not yet rerun here.

distilled: the target is the output of a large network (RRDBNet of
`esrgan.py:psnr`) and, with a tenth of its weight, the picture itself. Its
smoke variant learns from the network that `smoke` leaves behind.

int8: the same network, trained on with the rounding of eight-bit integers
(quantisation-aware), from finished float weights; 40,000 updates at 5e-5. The
file `enhance_jax/models/quantize.py` says what is simulated.
"""

import ml_collections

from enhance_jax import config as config_lib

optimizer, phase = config_lib.optimizer, config_lib.phase


def _plain() -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.name = "compact"
  config.data.train = "folder:data/DF2K"
  config.data.crop = 192
  config.data.batch_size = 16
  config.generator.name = "compact"
  config.generator.options = {
    "width": 64,
    "convs": 16,
    "activation": "prelu",
    "quantize": "",
  }
  config.phase_order = ("pixel",)
  config.phases.pixel = phase(
    400_000,
    {"l1": 1.0},
    optimizer(2e-4, b1=0.9, b2=0.99, decay_every=100_000),
  )
  return config


def _x2() -> ml_collections.ConfigDict:
  config = _plain()
  config.name = "compact-x2"
  config.task.scale = 2
  config.data.crop = 96
  return config


def _distilled() -> ml_collections.ConfigDict:
  config = _plain()
  config.name = "compact-distilled"
  config.teacher = "runs/esrgan-psnr/generator.safetensors"
  config.phases.pixel.objective = {"teacher": 1.0, "l1": 0.1}
  return config


def _int8() -> ml_collections.ConfigDict:
  config = _plain()
  config.name = "compact-int8"
  config.generator.options.quantize = "int8"
  config.generator.start = "runs/compact/generator.safetensors"
  config.phases.pixel = phase(
    40_000,
    {"l1": 1.0},
    optimizer(5e-5, b1=0.9, b2=0.99, decay_every=10_000),
  )
  return config


def _small(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  config.generator.options.update({"width": 8, "convs": 2})
  config.generator.start = ""
  return config_lib.smoke(config, crop=32)


def _smoke_distilled() -> ml_collections.ConfigDict:
  config = _small(_distilled())
  config.teacher = "runs/compact-smoke/generator.safetensors"
  return config


_VARIANTS = {
  "": _plain,
  "x2": _x2,
  "distilled": _distilled,
  "int8": _int8,
  "smoke": lambda: _small(_plain()),
  "smoke_int8": lambda: _small(_int8()),
  "smoke_distilled": _smoke_distilled,
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "", x2, distilled, int8 or a smoke one."""
  return config_lib.choose(_VARIANTS, variant)()
