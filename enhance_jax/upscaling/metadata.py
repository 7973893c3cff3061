"""Leaving out what an input's file tells about its owner."""

import io

import numpy as np
from PIL import Image, ImageCms

from enhance_jax import errors, images


def stripped(picture: images.Picture) -> images.Picture:
  """The picture without EXIF, XMP, texts and colour profile, in sRGB.

  Pixels without a profile are taken for sRGB by every viewer, so those of
  another one are converted first.

  Raises:
    EnhanceError: a profile that cannot be applied, or one of 16-bit pixels,
      which there is no exact conversion for.
  """
  pixels = picture.pixels
  if picture.icc is not None:
    pixels = _in_srgb(pixels, picture.icc)
  return images.Picture(pixels)


def _in_srgb(pixels: np.ndarray, icc: bytes) -> np.ndarray:
  try:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    name = ImageCms.getProfileDescription(profile)
    if name.startswith("sRGB"):
      return pixels
    if pixels.dtype != np.uint8:
      raise errors.EnhanceError(
        f"has 16 bits and the colour profile {name.strip()!r}, which cannot be "
        "converted to sRGB without loss; keep its metadata"
      )
    colour = 1 if pixels.shape[-1] < 3 else 3
    shape = pixels.shape[:2] if colour == 1 else (*pixels.shape[:2], 3)
    image = Image.fromarray(pixels[..., :colour].reshape(shape))
    target = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(
      image, profile, target, outputMode="RGB"
    )
  except (ImageCms.PyCMSError, OSError) as error:
    raise errors.EnhanceError(
      f"has a colour profile that cannot be applied ({error}); keep its "
      "metadata"
    ) from error
  # Gray stays neutral, so that one channel has it all.
  result = np.asarray(converted)[..., :colour]
  return np.concatenate([result, pixels[..., colour:]], axis=-1)
