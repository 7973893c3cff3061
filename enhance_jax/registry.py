"""Explicit tables, name -> where it lives; nothing is imported before use."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from enhance_jax import errors

GENERATORS = {
  "interpolation": "enhance_jax.models.interpolation:Generator",
  "sparse_coding": "enhance_jax.models.sparse_coding:Generator",
  "srcnn": "enhance_jax.models.srcnn:Generator",
  "vdsr": "enhance_jax.models.vdsr:Generator",
  "espcn": "enhance_jax.models.subpixel:Espcn",
  "fsrcnn": "enhance_jax.models.subpixel:Fsrcnn",
  "srez": "enhance_jax.models.srez:Generator",
  "swish_resnet": "enhance_jax.models.swish_resnet:Generator",
  "dcgan": "enhance_jax.models.dcgan:Generator",
  "srresnet": "enhance_jax.models.srresnet:Generator",
  "msrresnet": "enhance_jax.models.msrresnet:Generator",
  "edsr": "enhance_jax.models.edsr:Generator",
  "rrdb": "enhance_jax.models.rrdb:Generator",
  "compact": "enhance_jax.models.compact:Generator",
}
# Generator -> how its arrays are called in public PyTorch weights.
PUBLIC = {
  "srcnn": "enhance_jax.models.srcnn:PUBLIC",
  "vdsr": "enhance_jax.models.vdsr:PUBLIC",
  "espcn": "enhance_jax.models.subpixel:ESPCN",
  "fsrcnn": "enhance_jax.models.subpixel:FSRCNN",
  "srresnet": "enhance_jax.models.srresnet:PUBLIC",
  "msrresnet": "enhance_jax.models.msrresnet:PUBLIC",
  "edsr": "enhance_jax.models.edsr:PUBLIC",
  "rrdb": "enhance_jax.models.rrdb:PUBLIC",
  "compact": "enhance_jax.models.compact:PUBLIC",
}
DISCRIMINATORS = {
  "srez": "enhance_jax.models.srez:Discriminator",
  "swish_resnet": "enhance_jax.models.swish_resnet:Discriminator",
  "dcgan": "enhance_jax.models.dcgan:Discriminator",
  "srgan": "enhance_jax.models.srresnet:Discriminator",
  "vgg_style": "enhance_jax.models.rrdb:Discriminator",
  "unet": "enhance_jax.models.unet_disc:Discriminator",
}
DEGRADATIONS = {
  "resize": "enhance_jax.data.degrade:Resize",
  "noise": "enhance_jax.data.corrupt:Noise",
  "blur": "enhance_jax.data.corrupt:Blur",
  "real_world": "enhance_jax.data.real_world:RealWorld",
}
SOURCES = {
  "samples": "enhance_jax.data.sources:Samples",
  "folder": "enhance_jax.data.sources:Folder",
  "tfds": "enhance_jax.data.tfds_source:Tfds",
}
PIXEL_LOSSES = {
  "mse": "enhance_jax.losses.pixel:mse",
  "l1": "enhance_jax.losses.pixel:l1",
  "charbonnier": "enhance_jax.losses.pixel:charbonnier",
  "total_variation": "enhance_jax.losses.pixel:total_variation",
  "total_variation_squared": (
    "enhance_jax.losses.pixel:total_variation_squared"
  ),
  "block_l1": "enhance_jax.losses.pixel:block_l1",
  "ssim": "enhance_jax.losses.ssim:ssim",
  "ms_ssim": "enhance_jax.losses.ssim:ms_ssim",
  "ms_ssim_l1": "enhance_jax.losses.ssim:ms_ssim_l1",
}
# Perceptual term -> the ImageNet network it looks through; "": none.
PERCEPTUAL_LOSSES = {
  "vgg22": "vgg19",
  "vgg54": "vgg19",
  "vgg54_pre": "vgg19",
  "vgg_multi": "vgg19",
  "vgg34_l1": "vgg19",
  "alexnet": "alexnet",
  "squeezenet": "squeezenet",
  "style_vgg": "vgg19",
  "style_squeezenet": "squeezenet",
  "contextual_vgg": "vgg19",
  "contextual_squeezenet": "squeezenet",
  "cobi_vgg": "vgg19",
  "cobi_squeezenet": "squeezenet",
  "cobi_rgb": "",
}


def lookup(table: Mapping[str, str], name: str, what: str) -> Any:
  """The object that `table` files under `name`.

  Args:
    table: one of this module's tables.
    name: the key.
    what: what the table holds, in words, for the message.

  Raises:
    EnhanceError: the name is not in the table; the nearest one is named.
  """
  if name not in table:
    raise errors.EnhanceError(
      f'there is no {what} called "{name}"; {errors.nearest(name, table)}'
    )
  module, attribute = table[name].split(":")
  return getattr(importlib.import_module(module), attribute)


def build(
  table: Mapping[str, str], name: str, what: str = "entry", **kwargs: Any
) -> Any:
  """Calls the factory filed under `name`, refusing arguments it lacks.

  Raises:
    EnhanceError: unknown name or argument; the nearest known one is named.
  """
  factory = lookup(table, name, what)
  known = [
    field
    for field in inspect.signature(factory).parameters
    if field not in ("parent", "name")
  ]
  for key in kwargs:
    if key not in known:
      raise errors.EnhanceError(
        f'{what} "{name}" has no option "{key}"; {errors.nearest(key, known)}'
      )
  return factory(**kwargs)
