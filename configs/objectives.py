"""One generator, three objectives: what each buys and what it costs, x4.

  python -m enhance_jax.main --config=configs/objectives.py \\
    --config.data.train=folder:DIR:train \\
    --config.data.validation=folder:DIR:held_out
  python -m enhance_jax.main --config=configs/objectives.py:perceptual ... \\
    --config.generator.start=runs/objectives-pixel/generator.safetensors
  python -m enhance_jax.main --config=configs/objectives.py:gan ... \\
    --config.generator.start=runs/objectives-pixel/generator.safetensors
  python -m enhance_jax.main --config=configs/objectives.py:gan ... \\
    --mode=evaluate --config.evaluate.beside=PIXEL_FILE,PERCEPTUAL_FILE
  bash launch/local.sh --config=configs/objectives.py:smoke       # 1 minute

The comparison of the SRGAN (arXiv:1609.04802, table 2) and ESRGAN
(arXiv:1809.00219) papers at a size that two CPU cores train: a small EDSR
learns L1 first; from there L1 alone, features, or features with a
relativistic discriminator go on for equally many updates (`pixel`'s second
phase, `perceptual`, `gan`). Expected: PSNR falls in this order, LPIPS improves
by the features and NIQE by the discriminator; `docs/results.md` has the table
and the pictures. Cost: half an hour a run.

The weights of features, discriminator and L1 are ESRGAN's (1, 5e-3, 1e-2). The
features are SqueezeNet's (`--config.squeezenet.weights=FILE`), since they come
in a small file; give `vgg54_pre` for ESRGAN's own.
"""

import ml_collections

from enhance_jax import config as config_lib

optimizer, phase = config_lib.optimizer, config_lib.phase

_UPDATES = 2500
_OBJECTIVES = {
  "pixel": {"l1": 1.0},
  "perceptual": {"squeezenet": 1.0, "l1": 1e-2},
  "gan": {"squeezenet": 1.0, "adversarial": 5e-3, "l1": 1e-2},
}


def _base(objective: str) -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.name = f"objectives-{objective}"
  config.data.train = "folder:data/photographs:train"
  config.data.validation = "folder:data/photographs:held_out"
  config.data.batch_size = 8
  config.generator.name = "edsr"
  config.generator.options = {"width": 32, "blocks": 6}
  config.discriminator.name = "vgg_style"
  config.discriminator.options = {"width": 16, "halvings": 4}
  config.train.update(
    {"log_every": 50, "evaluate_every": 500, "save_every": 500}
  )
  config.train.evaluate_pictures = 10
  config.evaluate.metrics = ("psnr", "ssim", "lpips_squeeze", "niqe")
  adam = {"b1": 0.9, "b2": 0.999}
  config.phase_order = (objective,)
  config.phases[objective] = phase(
    _UPDATES,
    _OBJECTIVES[objective],
    optimizer(1e-4, **adam),
    optimizer(1e-4, **adam),
    adversarial="ragan",
  )
  return config


def _pixel() -> ml_collections.ConfigDict:
  config = _base("pixel")
  config.phase_order = ("first", "pixel")
  config.phases.first = phase(
    5000,
    {"l1": 1.0},
    optimizer(5e-4, b1=0.9, b2=0.999, decay_every=2500),
  )
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _base("gan")
  config.generator.options = {"width": 4, "blocks": 1}
  config.discriminator.options = {"width": 4, "halvings": 4, "dense": 4}
  config.evaluate.metrics = ("psnr", "ssim")
  # SqueezeNet's weights are no part of the installation.
  config.phases.gan.objective = {
    "features": 1.0,
    "adversarial": 5e-3,
    "l1": 1e-2,
  }
  return config_lib.smoke(config, crop=32)


_VARIANTS = {
  "": _pixel,
  "perceptual": lambda: _base("perceptual"),
  "gan": lambda: _base("gan"),
  "smoke": _smoke,
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "", "perceptual", "gan" or "smoke"."""
  return config_lib.choose(_VARIANTS, variant)()
