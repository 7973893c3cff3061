"""Which network enlarges which picture; each is opened once."""

import argparse
import threading

from enhance_jax import errors
from enhance_jax.inference import engine, named, sizes, uncertainty
from enhance_jax.models import classical
from enhance_jax.upscaling import flags as command_flags
from enhance_jax.zoo import bundled


class Models:
  """Opens engines as sizes ask for them.

  With a model of one enlargement there is one engine. Without a model each
  picture takes the bundled network whose enlargement suits the wished size;
  an interpolation and a network of several enlargements work in the same way.
  May be used from several threads.
  """

  def __init__(self, flags: argparse.Namespace):
    """Takes the flags --model, --workdir, --blend, ... and the wished size."""
    self._flags = flags
    self._wish: sizes.Size | None = flags.size
    self._open: dict[int | None, engine.Engine] = {}
    self._calibrations: dict[int, uncertainty.Calibration] = {}
    self._lock = threading.RLock()

  @property
  def opened(self) -> list[engine.Engine]:
    """The engines so far, each once."""
    return list({id(one): one for one in self._open.values()}.values())

  def suiting(self, size: tuple[int, int] | None) -> engine.Engine:
    """The engine for a picture of (height, width), None if that is unknown.

    Raises:
      EnhanceError: see `engine.open_model`.
    """
    if self._wish is None:
      return self._at(None)
    scales = self._scales()
    if scales is None:
      return self._at(None)
    if size is None:
      # Any size does for a wished scale; sides of pixels want the real one.
      size = (1000, 1000)
    try:
      scale = sizes.network_scale(self._wish, size, scales)
    except errors.EnhanceError:
      # No enlargement: this picture is refused in its turn, the others not.
      scale = scales[0]
    return self._at(scale)

  def calibration(self, upscaler: engine.Engine) -> uncertainty.Calibration:
    """What `--uncertainty` knows about an opened engine's errors.

    Raises:
      EnhanceError: it is no network, or there is no calibration of it and
        the way it is run.
    """
    key = id(upscaler)
    if key not in self._calibrations:
      flags = self._flags
      if flags.model in classical.KERNELS and flags.workdir is None:
        raise errors.EnhanceError(
          f"--uncertainty is for networks, and {flags.model} is none; leave it "
          "out"
        )
      path = named.weights(flags.model, flags.workdir, upscaler.scale)
      self._calibrations[key] = uncertainty.load(
        uncertainty.beside(path), upscaler.sha256, upscaler.settings
      )
    return self._calibrations[key]

  def _scales(self) -> list[int] | None:
    """The enlargements to choose from; None leaves it to the file."""
    flags = self._flags
    if flags.model is None and flags.workdir is None:
      return sorted(bundled.scales()) or None
    if flags.model in classical.KERNELS and flags.workdir is None:
      return list(classical.SCALES)
    # The file may serve several; only opening it tells.
    return sorted(self._at(None).card.get("scales", [])) or None

  def _at(self, scale: int | None) -> engine.Engine:
    with self._lock:
      for one in self.opened:
        if one.scale == scale:
          self._open[scale] = one
      if scale not in self._open:
        self._open[scale] = self._opening(scale)
      return self._open[scale]

  def _opening(self, scale: int | None) -> engine.Engine:
    flags = self._flags
    opened = engine.open_model(
      flags.model,
      flags.workdir,
      scale,
      command_flags.policy(flags),
      blend=flags.blend,
      partner=flags.partner,
    )
    if opened.generative:
      print(
        f"note: {opened.name} was trained adversarially; the fine detail in "
        "its pictures is invented, not recovered"
      )
    return opened
