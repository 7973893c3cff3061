"""The swish face GAN: gray faces 56x46 -> 112x92 ("Enhance!", student report).

  python -m enhance_jax.main --config=configs/enhance_faces.py \\
    --config.data.train=folder:DIR:train \\
    --config.data.validation=folder:DIR:held_out
  python -m enhance_jax.main --config=configs/enhance_faces.py:orl ...
  bash launch/local.sh --config=configs/enhance_faces.py:smoke    # 1 minute

DIR holds gray faces with one sub-folder a subject, as the ORL faces (AT&T,
400 pictures of 112x92 of 40 subjects) come; every fifth subject is held out,
so that no tested face was seen. Pictures of other sizes are brought to 112x92
by antialiased bicubic, which distorts those of another aspect.

Published: no table. PSNR is to pass interpolation's after about 45 of 50
epochs, the discriminator to be right on every picture by the third; the
result does not carry over to photographs from elsewhere.

Recipe: MSE + 1e-3 BCE, Adam(0.5, 0.9) at 2e-4 for both, batch 64, 50 epochs of
2447 pictures, 39 updates each: 1950 updates here, on however many pictures.
Cost: minutes on a GPU.

`orl` is for the 320 training pictures of that set and two CPU cores: batches
of 4, 100 epochs of 80 updates, a discriminator of width 20, the rest as it is;
an hour and a quarter.

Where the report is silent or contradicts itself: its 2447 faces "of Yale" fit
no release of that set, 112x92 is ORL's size; LR is the mean of 2x2 pixels
(`box`); values are in [0, 1] throughout; faces are mirrored at random, never
turned; no pretraining, no VGG loss, no label smoothing. The discriminator is
64 to 512 channels wide with a norm after each of its eight convolutions, as
the report says (its ancestors leave the first one out);
`--config.discriminator.options.width=20` follows the generator's width.
Both networks are updated from the same forward pass.
"""

import ml_collections

from enhance_jax import config as config_lib

optimizer, phase = config_lib.optimizer, config_lib.phase


def _paper() -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.name = "enhance-faces"
  config.task.scale = 2
  config.task.channels = 1
  config.task.degradation.options.kernel = "box"
  config.data.train = "folder:data/faces:train"
  config.data.validation = "folder:data/faces:held_out"
  config.data.resize = (112, 92)
  config.data.crop = 112
  config.data.crop_width = 92
  config.data.batch_size = 64
  config.data.turn = False
  config.generator.name = "swish_resnet"
  config.generator.options = {"width": 20, "blocks": 16}
  config.discriminator.name = "swish_resnet"
  config.discriminator.options = {"width": 64}
  adam = {"b1": 0.5, "b2": 0.9}
  config.phase_order = ("gan",)
  config.phases.gan = phase(
    1950,
    {"mse": 1.0, "adversarial": 1e-3},
    optimizer(2e-4, **adam),
    optimizer(2e-4, **adam),
  )
  config.train.update(
    {"log_every": 10, "evaluate_every": 195, "save_every": 195}
  )
  return config


def _orl() -> ml_collections.ConfigDict:
  config = _paper()
  config.name = "enhance-faces-orl"
  config.data.batch_size = 4
  config.discriminator.options = {"width": 20}
  config.phases.gan.steps = 8000
  config.train.update(
    {"log_every": 80, "evaluate_every": 80, "save_every": 400}
  )
  return config


def _smoke() -> ml_collections.ConfigDict:
  config = _paper()
  config.data.resize = ()
  config.data.crop_width = 24
  config.generator.options = {"width": 8, "blocks": 1}
  config.discriminator.options = {"width": 4}
  return config_lib.smoke(config, crop=32)


_VARIANTS = {"": _paper, "orl": _orl, "smoke": _smoke}


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The configuration of a variant: "", "orl" or "smoke"."""
  return config_lib.choose(_VARIANTS, variant)()
