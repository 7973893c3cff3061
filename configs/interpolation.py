"""Interpolation: what every super-resolution method is compared with.

  python -m enhance_jax.main --config=configs/interpolation.py \
    --config.evaluate.sets=data/Set5/HR,data/Set14/HR --config.task.scale=2

Nothing is trained. Nearest, bilinear, bicubic and Lanczos (three lobes) are
scored on the held-out pictures and on the folders of `config.evaluate.sets`;
minutes on a CPU.

Published for bicubic (luma, border of `scale` pixels, PSNR dB / SSIM):

          x2               x3               x4
  Set5    33.66 / 0.9299   30.39 / 0.8682   28.42 / 0.8104
  Set14   30.24 / 0.8688   27.55 / 0.7742   26.00 / 0.7027
  BSD100  29.56 / 0.8431   27.21 / 0.7385   25.96 / 0.6675

Published for nearest by SRGAN (x4, luma, 4 px border, Daala's SSIM): Set5
26.26 / 0.7552.

These figures mix two conventions: with luma as floats (`config.evaluate.color`
"y", the default) bicubic x4 reaches 28.43 on Set5, with luma rounded to 8 bits
("y8") 28.42. LR pictures are MATLAB's, with 8 bits.
"""

import ml_collections

from enhance_jax import config as config_lib


def _baseline() -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.name = "interpolation"
  config.fit = "none"
  config.generator.name = "interpolation"
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _baseline()
  return config_lib.smoke(config, crop=config.data.crop)


_VARIANTS = {"": _baseline, "smoke": _smoke}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "" or "smoke"."""
  return config_lib.choose(_VARIANTS, variant)()
