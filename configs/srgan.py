"""SRGAN x4: Ledig et al. 2017, arXiv:1609.04802v5.

  python -m enhance_jax.main --config=configs/srgan.py            # the paper
  python -m enhance_jax.main --config=configs/srgan.py:vgg22      # or :mse
  python -m enhance_jax.main --config=configs/srgan.py:celeba64   # faces 16->64
  bash launch/local.sh --config=configs/srgan.py:demo             # 12 minutes
  bash launch/local.sh --config=configs/srgan.py:smoke            # 1 minute

Published (x4, luma, 4 px border, Daala's SSIM): SRGAN-VGG54 Set5 29.40 dB /
0.8472, Set14 26.02 / 0.7397, BSD100 25.16 / 0.6688; VGG22 29.84 / 0.8468 and
26.44 / 0.7518; MSE 30.64 / 0.8701 and 26.92 / 0.7611; the SRResNet they start
from 32.05 / 0.9019, 28.49 / 0.8184, 27.58 / 0.7620.

Cost of the paper's recipe: 1.2 million updates, days on one GPU; not yet rerun
here. It trains on 350,000 ImageNet photographs; any folder of photographs
does (`--config.data.train=folder:DIR`). VGG19's ImageNet weights are needed
(`--config.vgg.weights=FILE`).

Where the paper is silent: no output activation; PReLU with a slope a channel,
from 0.25; BatchNorm momentum 0.9, epsilon 1e-5; Adam's beta2 0.999; moments
start afresh in each phase. The VGG54 loss is the squared distance after the
activation, summed over channels, averaged over space, times 0.006 (= 1/12.75
squared), which is inside the `vgg54` term: its weight is 1. Images are in
[0, 1] between modules: the paper's MSE on [-1, 1] is 4 times ours.

celeba64 (a student paper's faces): 64x64 pictures and 16x16 inputs, tanh
output, Adam(2e-4, 0.5, 0.9). Its ImageNet normalisation is left out (a tanh
output cannot reach it), and the network is pretrained on MSE, as in the paper.

demo: a narrow generator on the photographs that the installed packages bring.
Its content loss is discriminator feature matching, which needs no download.
"""

import ml_collections

from enhance_jax import config as config_lib

optimizer, phase = config_lib.optimizer, config_lib.phase


def _paper() -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.name = "srgan"
  config.data.train = "folder:data/imagenet"
  config.data.crop = 96
  config.data.batch_size = 16
  config.generator.options = {"width": 64, "blocks": 16}
  config.discriminator.name = "srgan"
  config.discriminator.options = {"width": 64, "dense": 1024}
  adam = {"b1": 0.9, "b2": 0.999}
  config.phase_order = ("pixel", "gan", "fine")
  config.phases = {
    "pixel": phase(1_000_000, {"mse": 4.0}, optimizer(1e-4, **adam)),
    "gan": phase(
      100_000,
      {"vgg54": 1.0, "adversarial": 1e-3},
      optimizer(1e-4, **adam),
      optimizer(1e-4, **adam),
    ),
    "fine": phase(
      100_000,
      {"vgg54": 1.0, "adversarial": 1e-3},
      optimizer(1e-5, **adam),
      optimizer(1e-5, **adam),
    ),
  }
  config.evaluate.ssim = "daala"
  return config


def _content(term: str, weight: float = 1.0) -> ml_collections.ConfigDict:
  """The paper's other content losses."""
  config = _paper()
  config.name = f"srgan-{term}"
  for name in ("gan", "fine"):
    config.phases[name].objective = {term: weight, "adversarial": 1e-3}
  return config


def _celeba64() -> ml_collections.ConfigDict:
  config = _paper()
  config.name = "srgan-celeba64"
  config.data.train = "tfds:celeb_a:train"
  config.data.validation = "tfds:celeb_a:validation[:64]"
  config.data.resize = (64, 64)
  config.data.crop = 64
  config.data.turn = False
  config.generator.options = {"width": 64, "blocks": 16, "output": "tanh"}
  config.phase_order = ("pixel", "gan")
  config.phases = {
    "pixel": phase(20_000, {"mse": 4.0}, optimizer(2e-4)),
    "gan": phase(
      200_000,
      {"vgg54": 1.0, "adversarial": 1e-3},
      optimizer(2e-4),
      optimizer(2e-4),
    ),
  }
  config.evaluate.ssim = "wang"
  return config


def _demo() -> ml_collections.ConfigDict:
  config = _paper()
  config.name = "srgan-demo"
  config.data.train = "samples"
  config.data.crop = 64
  config.data.batch_size = 8
  config.generator.options = {"width": 32, "blocks": 4}
  config.discriminator.options = {"width": 16, "dense": 64}
  config.train.update(
    {"log_every": 50, "evaluate_every": 500, "save_every": 500}
  )
  config.train.ema_decay = 0.99
  config.phase_order = ("pixel", "gan")
  config.phases = {
    "pixel": phase(2800, {"l1": 1.0}, optimizer(1e-3, decay_every=700)),
    "gan": phase(
      800,
      {"l1": 1.0, "features": 0.1, "adversarial": 5e-3},
      optimizer(2e-4),
      optimizer(2e-4),
    ),
  }
  config.evaluate.ssim = "wang"
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _demo()
  config.name = "srgan"
  config.generator.options = {"width": 8, "blocks": 1}
  config.discriminator.options = {"width": 4, "dense": 8}
  config.phase_order = ("pixel", "gan", "fine")
  config.phases.fine = phase(
    4,
    {"l1": 1.0, "features": 0.1, "adversarial": 5e-3},
    optimizer(2e-5),
    optimizer(2e-5),
  )
  return config_lib.smoke(config, crop=32)


_VARIANTS = {
  "": _paper,
  "vgg22": lambda: _content("vgg22"),
  "mse": lambda: _content("mse", 4.0),
  "celeba64": _celeba64,
  "demo": _demo,
  "smoke": _smoke,
}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "" (VGG54) or one of `_VARIANTS`."""
  return config_lib.choose(_VARIANTS, variant)()
