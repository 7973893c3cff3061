"""One DCGAN to enlarge x4, to denoise and to deblur faces of 64x64.

  python -m enhance_jax.main --config=configs/dcgan.py \\
    --config.data.train=folder:DIR:train \\
    --config.data.validation=folder:DIR:held_out
  python -m enhance_jax.main --config=configs/dcgan.py:denoise ...
  python -m enhance_jax.main --config=configs/dcgan.py:deblur ...
  bash launch/local.sh --config=configs/dcgan.py:smoke            # 1 minute
  bash launch/local.sh --config=configs/dcgan.py:smoke_denoise

DIR holds aligned CelebA faces at half their size, 109 high and 89 wide; see
`srez.py` for TensorFlow Datasets and for the box they are cut from. For x2:
`--config.task.scale=2`.

Yan and Wang, "DCGANs for image super-resolution, denoising and deblurring"
(Stanford EE367, 2017), and a student paper that repeats the plan with the
loss below but had not trained it. Published: PSNR slightly below bicubic (x2,
x4), non-local means, Wiener and ADMM, with a better look; about 3 hours a task
on an AWS GRID K520 with srez's program, here 40,000 updates.

Recipe: 0.9 L1 to the original + 0.1 BCE, Adam(0.5, 0.999) at 2e-4, batch 16;
as in srez the rate is halved every 5000 updates.

Where the sources are silent or contradict themselves: an enlargement in each
of the five residual layers would be x32, so the first log2(scale) layers have
one; 128 channels throughout; the first convolution, printed as 4x4 with a
padding of 1 that would lose a pixel, is 3x3; the L1 is a mean; pictures are in
[0, 1], as the sigmoid output has them, without ImageNet's mean and deviation;
the discriminator's loss, printed without a lower bound, is the usual BCE.
Enlarging starts from area means, without noise. The noise to remove has a
deviation of 0.1. The blur is 9x9 with a deviation of 2 pixels (the paper gives
the size alone) and noise of 0.003 (the paper's).
"""

import ml_collections

from enhance_jax import config as config_lib

optimizer, phase = config_lib.optimizer, config_lib.phase


def _paper() -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.name = "dcgan"
  config.task.degradation.options.kernel = "box"
  config.data.train = "folder:data/faces:train"
  config.data.validation = "folder:data/faces:held_out"
  config.data.box = (26, 8, 72, 72)
  config.data.crop = 64
  config.data.turn = False
  config.generator.name = "dcgan"
  config.generator.options = {"width": 128, "num_blocks": 5}
  config.discriminator.name = "dcgan"
  config.discriminator.options = {"width": 64, "dense": 1024}
  adam = {"b1": 0.5, "b2": 0.999, "decay_every": 5000}
  config.phase_order = ("gan",)
  config.phases.gan = phase(
    40_000,
    {"l1": 0.9, "adversarial": 0.1},
    optimizer(2e-4, **adam),
    optimizer(2e-4, **adam),
  )
  config.train.evaluate_pictures = 64
  return config


def _repair(
  config: ml_collections.ConfigDict, name: str, **options: float
) -> ml_collections.ConfigDict:
  """The same, on pictures of the same size."""
  config.task.scale = 1
  config.task.degradation.name = name
  config.task.degradation.options = ml_collections.ConfigDict(options)
  return config


def _denoise() -> ml_collections.ConfigDict:
  config = _repair(_paper(), "noise", sigma=0.1)
  config.name = "dcgan-denoise"
  return config


def _deblur() -> ml_collections.ConfigDict:
  config = _repair(_paper(), "blur", sigma=2.0, size=9, noise=0.003)
  config.name = "dcgan-deblur"
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _paper()
  config.data.box = ()
  config.generator.options = {"width": 8, "num_blocks": 2}
  config.discriminator.options = {"width": 4, "dense": 8}
  return config_lib.smoke(config, crop=32)


def _smoke_denoise() -> ml_collections.ConfigDict:
  config = _repair(_smoke(), "noise", sigma=0.1)
  config.name = "dcgan-smoke-denoise"
  config.data.crop = 16
  return config


_VARIANTS = {
  "": _paper,
  "denoise": _denoise,
  "deblur": _deblur,
  "smoke": _smoke,
  "smoke_denoise": _smoke_denoise,
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "", "denoise", "deblur" or a smoke one."""
  return config_lib.choose(_VARIANTS, variant)()
