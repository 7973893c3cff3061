"""What a small type costs: scores of an artefact and of its network."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from enhance_jax import errors, images, resample, scoring, zoo
from enhance_jax.deploy.artefact import Deployed
from enhance_jax.inference import engine


class Whole(engine.Engine):
  """An artefact as an upscaler of whole pictures, without tiles.

  Gray and colour go through networks of other channels as they do in
  `engine.Upscaler`.
  """

  def __init__(self, deployed: Deployed):
    """Takes a loaded artefact whose sizes are open."""
    known = deployed.metadata
    name = f"{known['model']} ({deployed.format}, {known['dtype']})"
    super().__init__(name, deployed.scale, known["card"], known["sha256"])
    self._deployed = deployed

  def upscale(
    self, x: np.ndarray, *, on_tile: engine.OnTile | None = None
  ) -> np.ndarray:
    """See `Engine.upscale`."""
    x = np.asarray(x, np.float32)
    sr = self._enlarge(x).astype(np.float32)
    if not np.isfinite(sr).all():
      raise errors.EnhanceError(
        f"{self.name} gave NaN or infinity for a picture of {x.shape[1]}x"
        f"{x.shape[0]}; take another --dtype"
      )
    if on_tile is not None:
      on_tile(1, 1)
    return sr

  def _enlarge(self, x: np.ndarray) -> np.ndarray:
    wanted = self._deployed.channels
    if x.shape[-1] == wanted:
      return self._deployed(x[None])[0]
    if wanted == 3:
      rgb = self._deployed(np.repeat(x, 3, axis=-1)[None])[0]
      return (rgb @ engine.GRAY)[..., None]
    ycbcr = images.rgb_to_ycbcr(x)
    luma = self._deployed(ycbcr[None, ..., :1])[0]
    chroma = resample.resize(ycbcr[..., 1:], scale=self.scale)
    return images.ycbcr_to_rgb(np.concatenate([luma, chroma], axis=-1))

  def upscale_uint8(
    self, pixels: np.ndarray, *, on_tile: engine.OnTile | None = None
  ) -> np.ndarray:
    """See `Engine.upscale_uint8`."""
    sr = self.upscale(images.to_float(pixels), on_tile=on_tile)
    return images.to_uint8(sr)

  def upscale_uint16(
    self, pixels: np.ndarray, *, on_tile: engine.OnTile | None = None
  ) -> np.ndarray:
    """See `Engine.upscale_uint16`."""
    sr = self.upscale(images.to_float(pixels), on_tile=on_tile)
    return images.to_uint16(sr)


def loss(
  deployed: Deployed, bundle: zoo.Generator, sets: Sequence[str], color: str
) -> dict[str, Any]:
  """PSNR of an artefact and of its float32 network on test sets.

  Args:
    deployed: the artefact, of open sizes.
    bundle: the network it was made of.
    sets: folders, as for `scoring.score_sets`.
    color: of `scoring.Protocol`; the border of `scale` pixels is left out.

  Returns:
    "protocol" and "lr" in words, and "sets": name -> images, psnr (of the
    artefact against HR), psnr_float32 (of the network), loss (their
    difference), psnr_to_float32 (of the artefact against the network's
    result, both uint8); all in dB, means over pictures. A PSNR of equal
    pictures is the text "inf".

  Raises:
    EnhanceError: a set is unusable, or a picture of it is.
  """
  protocol = scoring.Protocol(color, deployed.scale)
  wanted: dict[tuple[str, str], np.ndarray] = {}
  between: dict[str, list[float]] = {}

  def remember(sample: scoring.Sample) -> None:
    wanted[sample.set, sample.file] = sample.sr

  def compare(sample: scoring.Sample) -> None:
    other = wanted[sample.set, sample.file]
    value = scoring.measure(sample.sr, other, protocol, ("psnr",))["psnr"]
    between.setdefault(sample.set, []).append(value)

  def score(upscaler: engine.Engine, observe: Any) -> scoring.Scores:
    scores = scoring.score_sets(
      upscaler,
      sets,
      scale=deployed.scale,
      protocol=protocol,
      metrics=("psnr",),
      observe=observe,
    )
    _refuse_failures(scores)
    return scores

  float32 = score(engine.Upscaler(bundle), remember)
  small = score(Whole(deployed), compare)["sets"]
  return {
    "protocol": float32["protocol"]["text"],
    "lr": float32["protocol"]["lr"],
    "sets": {
      name: {
        "images": len(entry["images"]),
        "psnr": small[name]["mean"]["psnr"],
        "psnr_float32": entry["mean"]["psnr"],
        "loss": entry["mean"]["psnr"] - small[name]["mean"]["psnr"],
        "psnr_to_float32": _number(np.mean(between[name])),
      }
      for name, entry in float32["sets"].items()
    },
  }


def _refuse_failures(scores: scoring.Scores) -> None:
  for entry in scores["sets"].values():
    for message in entry["failed"].values():
      raise errors.EnhanceError(message)


def _number(value: Any) -> float | str:
  return float(value) if np.isfinite(value) else "inf"
