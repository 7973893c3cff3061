"""ESRGAN x4: Wang et al. 2018, arXiv:1809.00219.

  python -m enhance_jax.main --config=configs/esrgan.py           # the paper
  python -m enhance_jax.main --config=configs/esrgan.py:psnr      # RRDB alone
  bash launch/local.sh --config=configs/esrgan.py:smoke           # 1 minute

Between the two networks of one run (`blend` of the zoo; the paper goes from 0
to 1 in steps of 0.2):

  python -m enhance_jax.zoo blend runs/esrgan/generator.psnr.safetensors \\
    runs/esrgan/generator.safetensors --alpha=0.8 -o blended.safetensors

Published (x4, luma): RRDB after the first phase, trained on DIV2K and
Flickr2K: Set5 32.73 dB / 0.9011, Set14 28.99 / 0.7917, BSD100 27.85 / 0.7455.
The finished GAN has no such table; on the picture "baboon" 20.35 dB and a
perceptual index of 1.98.

Cost: 1.4 million updates of a network of 16.7 million parameters; not yet
rerun here. It trains on DIV2K, Flickr2K and OST; any folder of photographs
does (`--config.data.train=folder:DIR`). VGG19's ImageNet weights are needed
(`--config.vgg.weights=FILE`).

Losses: L1; then VGG19's conv5_4 before its activation (mean absolute
difference) + 5e-3 relativistic average GAN + 1e-2 L1.

Where paper and released code differ, the paper holds: Adam's beta2 0.999 (code
0.99); the first phase's rate halved every 200,000 updates (code: cosine
restarts); the generator's relativistic loss is not halved. In one thing the
code holds: the paper starts all weights at a tenth of He's, here only those in
the dense blocks. Crops are 128 pixels in both phases, as in the main text; its
supplement trains the network of the table on 192, and so does `psnr`. The
first phase's million updates and the second's 400,000 are the code's.
"""

import ml_collections

from enhance_jax import config as config_lib

optimizer, phase = config_lib.optimizer, config_lib.phase
_ADAM = {"b1": 0.9, "b2": 0.999}


def _paper() -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.name = "esrgan"
  config.data.train = "folder:data/DF2K"
  config.data.crop = 128
  config.data.batch_size = 16
  config.generator.name = "rrdb"
  config.generator.options = {
    "width": 64,
    "growth": 32,
    "blocks": 23,
    "residual_scale": 0.2,
  }
  config.discriminator.name = "vgg_style"
  config.discriminator.options = {"width": 64, "halvings": 5, "dense": 100}
  slower = {"decay_at": (50_000, 100_000, 200_000, 300_000), **_ADAM}
  config.phase_order = ("psnr", "gan")
  config.phases = {
    "psnr": phase(
      1_000_000, {"l1": 1.0}, optimizer(2e-4, decay_every=200_000, **_ADAM)
    ),
    "gan": phase(
      400_000,
      {"vgg54_pre": 1.0, "adversarial": 5e-3, "l1": 1e-2},
      optimizer(1e-4, **slower),
      optimizer(1e-4, **slower),
      adversarial="ragan",
    ),
  }
  return config


def _psnr() -> ml_collections.ConfigDict:
  config = _paper()
  config.name = "esrgan-psnr"
  config.data.crop = 192
  config.phase_order = ("psnr",)
  config.phases = {"psnr": config.phases.psnr}
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _paper()
  config.generator.options.update({"width": 8, "growth": 4, "blocks": 1})
  config.discriminator.options = {"width": 4, "halvings": 3, "dense": 8}
  # The discriminator's features stand in for VGG19's, which are a download.
  config.phases.gan.objective = {
    "features": 1.0,
    "adversarial": 5e-3,
    "l1": 1e-2,
  }
  return config_lib.smoke(config, crop=32)


_VARIANTS = {"": _paper, "psnr": _psnr, "smoke": _smoke}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "", "psnr" or "smoke"."""
  return config_lib.choose(_VARIANTS, variant)()
