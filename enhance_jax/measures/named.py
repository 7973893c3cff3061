"""The table of metrics, and some of them made ready together."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from enhance_jax import errors, images
from enhance_jax.measures import parts
from enhance_jax.metrics import perceptual
from enhance_jax.metrics.image import Protocol

PathLike = str | pathlib.Path

DEFAULT = ("psnr", "ssim")


class Kind(NamedTuple):
  """How a metric's numbers are printed and read.

  Attributes:
    title: heading of its column.
    better: "higher" or "lower".
    decimals: of a mean in the table.
    of_set: whether it is of a set as a whole, and of no single picture.
  """

  title: str
  better: str
  decimals: int
  of_set: bool = False


KINDS = {
  "psnr": Kind("PSNR dB", "higher", 3),
  "ssim": Kind("SSIM", "higher", 4),
  "ms_ssim": Kind("MS-SSIM", "higher", 4),
  "lr_psnr": Kind("LR-PSNR dB", "higher", 3),
  "lr_psnr_float": Kind("LR-PSNR float dB", "higher", 3),
  "lpips_alex": Kind("LPIPS-alex", "lower", 4),
  "lpips_vgg": Kind("LPIPS-vgg", "lower", 4),
  "lpips_squeeze": Kind("LPIPS-squeeze", "lower", 4),
  "niqe": Kind("NIQE", "lower", 3),
  "pi": Kind("PI", "lower", 3),
  "fid": Kind("FID", "lower", 3, of_set=True),
  "fid_squeeze": Kind("FID-squeeze", "lower", 3, of_set=True),
}


class Metrics:
  """Some metrics, with the files that they need in memory.

  Attributes:
    names: of `KINDS`, each once.
  """

  def __init__(
    self,
    names: Sequence[str] = DEFAULT,
    weights: PathLike | None = None,
    *,
    niqe: PathLike | None = None,
    ma: float | PathLike | None = None,
    fid: tuple[PathLike, PathLike] | None = None,
  ):
    """Looks everything up: a missing file must not cost an hour first.

    Args:
      names: of `KINDS`.
      weights: folder of network, head and NIQE parameter files; without it
        $ENHANCE_CACHE, else ~/.cache/enhance_jax.
      niqe: NIQE parameter file, instead of one in the folder.
      ma: for `pi`: the Ma score of every picture, or a CSV file with columns
        `image` and `ma` (and `set`, where several sets share file names).
      fid: for `fid`: files of HR and of SR features, see
        `perceptual.statistics_from_arrays`.

    Raises:
      EnhanceError: an unknown name, or a file is missing or wrong.
    """
    if not names:
      raise errors.EnhanceError(
        f"no metric was named; known: {', '.join(sorted(KINDS))}"
      )
    for name in names:
      if name not in KINDS:
        raise errors.EnhanceError(
          f'there is no metric called "{name}"; {errors.nearest(name, KINDS)}'
        )
    self.names = tuple(dict.fromkeys(names))
    given = parts.Given(weights, niqe, ma, fid)
    self._parts = {name: parts.make(name, given) for name in self.names}

  def describe(self) -> dict[str, str]:
    """Name -> which way is better, and the metric's protocol in words."""
    return {
      name: f"{KINDS[name].better} is better; {part.text}"
      for name, part in self._parts.items()
    }

  def measure(
    self,
    sr: np.ndarray,
    hr: np.ndarray,
    lr: np.ndarray | None,
    protocol: Protocol,
    *,
    name: str = "",
  ) -> dict[str, float]:
    """The metrics of one picture; those of whole sets are not among them.

    Args:
      sr: uint8 [H, W, 1 or 3], the picture judged.
      hr: uint8, same shape, the truth.
      lr: uint8, what sr was made from; None where no metric asks for it.
      protocol: colour and border.
      name: "set/file", to find its Ma score by.
    """
    pair = parts.Pair(sr, hr, lr, protocol, name)
    return {
      name: part.picture(pair)
      for name, part in self._parts.items()
      if part.picture
    }

  def features(
    self, sr: np.ndarray, hr: np.ndarray, protocol: Protocol
  ) -> parts.Row:
    """What metrics of whole sets keep of a picture: features of sr and hr."""
    sr, hr = (images.shave(x, protocol.crop) for x in (sr, hr))
    return {
      name: tuple(perceptual.pooled(x, part.pool) for x in (sr, hr))
      for name, part in self._parts.items()
      if part.pool
    }

  def of_set(self, rows: Sequence[parts.Row]) -> dict[str, float]:
    """The metrics of a whole set, from the `features` of its pictures."""
    return {
      name: part.whole([row[name] for row in rows if name in row])
      for name, part in self._parts.items()
      if part.whole
    }
