"""The recipe of the networks that come with the project.

  D=/my/photographs
  python -m enhance_jax.main --config=configs/bundled.py \\
    --config.data.train=folder:$D/a+folder:$D/b \\
    --config.data.validation=folder:$D/held_out                   # x4
  python -m enhance_jax.main --config=configs/bundled.py:x2 ... \\
    --config.generator.start=runs/compact_x4/generator.safetensors
  python -m enhance_jax.main --config=configs/bundled.py:gan ... \\
    --config.generator.start=runs/compact_x4/generator.safetensors \\
    --config.squeezenet.weights=FILE
  bash launch/local.sh --config=configs/bundled.py:smoke          # 1 minute

SRVGGNetCompact (see `compact.py`), but of 48 channels and 12 convolutions, for
bicubic reduction: what two CPU cores train in two hours and a half. The ones
that ship saw the 591 photographs of T91, General-100 and BSDS500's train and
test parts (BSD100, a test set, is in neither), each also at 0.8 and 0.6 of its
size, and were validated on 100 crops of DIV2K.

Decisions, all ours: L1 with Adam(0.9, 0.99) at 1e-3, halved five times; crops
of 32 LR pixels. x2 starts from the x4 network, of which all but the last
convolution fits. The adversarial network starts from it too and goes on with
ESRGAN's objective, except that SqueezeNet's features stand for VGG19's and
that its weight of L1 is ten times ESRGAN's: a network this small should not
stray far from what it was given.

Expected: x4 31.33 dB on Set5 (luma, 4 px cropped), where FSRCNN has 30.55 and
VDSR 31.35; `docs/results.md` has the rest. `JAX_NUM_CPU_DEVICES=2` makes two
cores compute.
"""

import ml_collections

from enhance_jax import config as config_lib

optimizer, phase = config_lib.optimizer, config_lib.phase


def _base(name: str, scale: int) -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.name = name
  config.task.scale = scale
  config.data.train = "folder:data/photographs:train"
  config.data.validation = "folder:data/photographs:held_out"
  config.data.rescale = (1.0, 0.8, 0.6)
  config.data.resident_limit_mb = 1024
  config.data.crop = 32 * scale
  config.data.batch_size = 16
  config.generator.name = "compact"
  config.generator.options = {"width": 48, "convs": 12}
  config.train.update(
    {"log_every": 50, "evaluate_every": 1000, "save_every": 500}
  )
  config.train.evaluate_pictures = 20
  config.phase_order = ("pixel",)
  return config


def _x4() -> ml_collections.ConfigDict:
  config = _base("compact_x4", 4)
  config.phases.pixel = phase(
    16_000,
    {"l1": 1.0},
    optimizer(
      1e-3,
      b1=0.9,
      b2=0.99,
      decay_at=(5000, 8500, 11_500, 13_500, 15_000),
    ),
  )
  return config


def _x2() -> ml_collections.ConfigDict:
  config = _base("compact_x2", 2)
  config.phases.pixel = phase(
    4000,
    {"l1": 1.0},
    optimizer(5e-4, b1=0.9, b2=0.99, decay_at=(1500, 2500, 3300)),
  )
  return config


def _gan() -> ml_collections.ConfigDict:
  config = _base("compact_x4_gan", 4)
  config.discriminator.name = "vgg_style"
  config.discriminator.options = {"width": 24, "halvings": 4}
  config.evaluate.metrics = ("psnr", "ssim", "lpips_squeeze", "niqe")
  config.data.batch_size = 8
  adam = {"b1": 0.9, "b2": 0.99}
  config.phase_order = ("gan",)
  config.phases.gan = phase(
    2400,
    {"squeezenet": 1.0, "adversarial": 5e-3, "l1": 1e-1},
    optimizer(1e-4, decay_at=(1700,), **adam),
    optimizer(1e-4, decay_at=(1700,), **adam),
    adversarial="ragan",
  )
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _gan()
  config.generator.options = {"width": 8, "convs": 2}
  config.discriminator.options = {"width": 4, "halvings": 4, "dense": 4}
  config.evaluate.metrics = ("psnr", "ssim")
  # SqueezeNet's weights are no part of the installation.
  config.phases.gan.objective = {
    "features": 1.0,
    "adversarial": 5e-3,
    "l1": 1e-1,
  }
  return config_lib.smoke(config, crop=32)


_VARIANTS = {"": _x4, "x2": _x2, "gan": _gan, "smoke": _smoke}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "" (x4), "x2", "gan" or "smoke"."""
  return config_lib.choose(_VARIANTS, variant)()
