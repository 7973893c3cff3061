"""srez x4: faces 16 -> 64 (github.com/david-gpu/srez, 2016; CelebA).

  python -m enhance_jax.main --config=configs/srez.py \\
    --config.data.train=folder:DIR:train \\
    --config.data.validation=folder:DIR:held_out
  python -m enhance_jax.main --config=configs/srez.py:pixel ...
  bash launch/local.sh --config=configs/srez.py:smoke             # 1 minute

DIR holds aligned CelebA faces at half their size, 109 high and 89 wide. From
TensorFlow Datasets, at full size (they are halved first):

  --config.data.train=tfds:celeb_a:train --config.data.resize="(109, 89)" \\
  --config.data.validation="tfds:celeb_a:validation[:64]"

Published: no figures, pictures only; those of the program's page took 130,000
updates, 3 hours on a GTX 1080. `pixel` is the contrast that a talk on the
program draws: the same generator on the difference to the real photograph
alone, which it found little better than bicubic after a few hours. It does
not say which difference; here l1, or squared with
`--config.phases.pixel.objective.l1=0.0` and `...objective.mse=1.0`.

Recipe: 0.9 L1 between the output's 4x4 block means and the clean input + 0.1
BCE, no label smoothing; Adam(0.5, 0.999) at 2e-4, halved every 5000 updates;
batch 16; N(0, 0.03) on the generator's input; mirroring, and up to 5 percent
of saturation, brightness and contrast. Both networks are updated from the same
forward pass.

Where this differs from the program:
- It cuts 128x128 out of a box of 144x144 and halves that by area; here whole
  pictures come halved (from TFDS by antialiased bicubic), and 64x64 is cut out
  of the same box, in steps of two of its pixels.
- It changes colours of the whole photograph, here of the crop, whose own mean
  the contrast then stretches.
- It normalises by the batch at test time too. Here running statistics are
  kept; `--config.generator.options.batch_statistics=True` and the same of the
  discriminator is its way, in which held-out pictures are a batch of one.
- It shows the last weights, here their moving average (0.999) is kept.
"""

import ml_collections

from enhance_jax import config as config_lib

optimizer, phase = config_lib.optimizer, config_lib.phase


def _adam() -> ml_collections.ConfigDict:
  return optimizer(2e-4, b1=0.5, b2=0.999, decay_every=5000)


def _paper() -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.name = "srez"
  config.task.degradation.name = "noise"
  config.task.degradation.options = ml_collections.ConfigDict(
    {"sigma": 0.03, "kernel": "box", "quantize": False}
  )
  config.data.train = "folder:data/faces:train"
  config.data.validation = "folder:data/faces:held_out"
  config.data.box = (26, 8, 72, 72)
  config.data.crop = 64
  config.data.turn = False
  config.data.jitter.update(
    {"saturation": 0.05, "brightness": 0.05, "contrast": 0.05}
  )
  config.generator.name = "srez"
  config.generator.options = {"width": 256, "batch_statistics": False}
  config.discriminator.name = "srez"
  config.discriminator.options = {"width": 64, "batch_statistics": False}
  config.phase_order = ("gan",)
  config.phases.gan = phase(
    130_000, {"block_l1": 0.9, "adversarial": 0.1}, _adam(), _adam()
  )
  config.train.evaluate_pictures = 64
  # The noise is for training; the code tests on clean block means.
  config.evaluate.degradation.name = "resize"
  config.evaluate.degradation.options = ml_collections.ConfigDict(
    {"kernel": "box"}
  )
  return config


def _pixel() -> ml_collections.ConfigDict:
  config = _paper()
  config.name = "srez-pixel"
  config.phase_order = ("pixel",)
  config.phases = {"pixel": phase(130_000, {"l1": 1.0, "mse": 0.0}, _adam())}
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _paper()
  config.data.box = ()
  config.generator.options.width = 8
  config.discriminator.options.width = 4
  return config_lib.smoke(config, crop=32)


_VARIANTS = {"": _paper, "pixel": _pixel, "smoke": _smoke}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "", "pixel" or "smoke"."""
  return config_lib.choose(_VARIANTS, variant)()
