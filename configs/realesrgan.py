"""Real-ESRGAN x4 and x2: Wang et al. 2021, arXiv:2107.10833.

  python -m enhance_jax.main --config=configs/realesrgan.py \\
    --config.generator.start=runs/esrgan/generator.safetensors    # x4
  python -m enhance_jax.main --config=configs/realesrgan.py:x2
  python -m enhance_jax.main --config=configs/realesrgan.py:compact
  bash launch/local.sh --config=configs/realesrgan.py:smoke       # 1 minute

Published: no PSNR, since nobody knows the true picture behind a real one; the
paper reports no-reference metrics. Scores here are on bicubic LR, which is not
what these networks are for: look at the strips.

Cost: 1.4 million updates of 48 pictures; the authors used four GPUs. Not yet
rerun here. It trains on DIV2K, Flickr2K and OST; any folder of
photographs does (`--config.data.train=folder:DIR`). VGG19's ImageNet weights
are needed (`--config.vgg.weights=FILE`).

Recipe: LR is made by two rounds of blur, resize, noise and JPEG. Phase `net`
(the paper's Real-ESRNet): L1 at 2e-4 for a million updates. Phase `gan`: L1 +
VGG19 before the activation at five depths + 0.1 non-saturating GAN on the
U-Net discriminator's map, at 1e-4 for 400,000. Adam(0.9, 0.99), HR crops of
256, horizontal flips without turns, moving average 0.999. L1 and VGG19 aim at
the sharpened picture, the discriminator sees the plain one.

Decisions: the authors start from ESRGAN's weights; without `generator.start`
the network starts at random here, so that the command needs no other run.
They cut 256 of 400 degraded pixels, and draw batches from a pool of the last
180 pairs; here a crop is degraded as it is and trained on at once.

compact: the small network of the release `realesr-general-x4v3` (32
convolutions); its training was not described, so the recipe is the same.
"""

import ml_collections

from enhance_jax import config as config_lib

optimizer, phase = config_lib.optimizer, config_lib.phase


def _paper(scale: int = 4) -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.name = "realesrgan" if scale == 4 else f"realesrgan-x{scale}"
  config.task.scale = scale
  config.task.degradation = {"name": "real_world", "options": {}}
  config.data.train = "folder:data/DF2K"
  config.data.crop = 256
  config.data.batch_size = 48
  config.data.turn = False
  config.generator.name = "rrdb"
  config.generator.options = {"width": 64, "growth": 32, "blocks": 23}
  config.discriminator.name = "unet"
  config.discriminator.options = {"width": 64}
  adam = {"b1": 0.9, "b2": 0.99}
  config.phase_order = ("net", "gan")
  config.phases = {
    "net": phase(1_000_000, {"l1": 1.0}, optimizer(2e-4, **adam), sharpen=True),
    "gan": phase(
      400_000,
      {"l1": 1.0, "vgg_multi": 1.0, "adversarial": 0.1},
      optimizer(1e-4, **adam),
      optimizer(1e-4, **adam),
      sharpen=True,
    ),
  }
  return config


def _compact() -> ml_collections.ConfigDict:
  config = _paper()
  config.name = "realesrgan-compact"
  config.generator.name = "compact"
  config.generator.options = ml_collections.ConfigDict(
    {"width": 64, "convs": 32, "activation": "prelu"}
  )
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _paper()
  config.generator.options.update({"width": 8, "growth": 4, "blocks": 1})
  config.discriminator.options.width = 4
  # The discriminator's features stand in for VGG19's, which are a download.
  config.phases.gan.objective = {
    "l1": 1.0,
    "features": 1.0,
    "adversarial": 0.1,
  }
  # The second-order degradation compiles anew for each size of picture.
  config.evaluate.degradation.name = "resize"
  config.evaluate.degradation.options = ml_collections.ConfigDict(
    {"kernel": "bicubic"}
  )
  return config_lib.smoke(config, crop=64)


_VARIANTS = {
  "": _paper,
  "x2": lambda: _paper(2),
  "compact": _compact,
  "smoke": _smoke,
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "" (x4) or one of `_VARIANTS`."""
  return config_lib.choose(_VARIANTS, variant)()
