"""Opens upscalers: networks by name or file, blended pairs, interpolations.

`open_model` turns what a user typed and a policy into an `Engine`: an object
with `.name`, `.scale`, `.card`, `.settings`, `.upscale`, `.upscale_uint8`,
`.upscale_uint16` and `.upscale_frames`.
"""

import dataclasses
import os
from typing import Any

from enhance_jax import cache, errors, zoo
from enhance_jax.inference import color_fix, fidelity, named
from enhance_jax.inference.named import WEIGHTS
from enhance_jax.inference.tiled import SEAMS, Engine, OnTile, Tiled
from enhance_jax.inference.upscalers import GRAY, Interpolation, Upscaler
from enhance_jax.models import classical

__all__ = [
  "GRAY",
  "SEAMS",
  "WEIGHTS",
  "Engine",
  "Interpolation",
  "OnTile",
  "Pair",
  "Policy",
  "Tiled",
  "Upscaler",
  "open_model",
]


@dataclasses.dataclass(frozen=True)
class Policy:
  """How a network is run.

  Attributes:
    tile: LR pixels a side of a tile; None chooses by radius and memory.
    seams: "exact" computes enough around each tile for the result of the whole
      picture; "blend" computes less and fades one tile into the next.
    ensemble: average over the eight mirrored and turned pictures.
    consistent: correct the result until, made small, it is the input again;
      comes last.
    color_fix: give the result the low frequencies of the input.
    shard_rows: where there are several devices, split each window by rows
      over them, in place of giving each device windows of its own: for
      networks that see so far that windows must be larger than one device's
      memory.
  """

  tile: int | None = None
  seams: str = "exact"
  ensemble: bool = False
  consistent: bool = False
  color_fix: bool = False
  shard_rows: bool = False

  def __post_init__(self) -> None:
    """Refuses what no picture can be cut by."""
    if self.tile is not None and self.tile < 1:
      raise errors.EnhanceError(
        f"tile {self.tile} is out of range; wanted LR pixels, 1 or more"
      )
    if self.seams not in SEAMS:
      raise errors.EnhanceError(
        f'there are no seams called "{self.seams}"; '
        f"{errors.nearest(self.seams, SEAMS)}"
      )
    if self.shard_rows and (self.ensemble or self.color_fix):
      raise errors.EnhanceError(
        "windows that are split by rows over the devices go with neither the "
        "ensemble nor the colour fix; leave one of them out"
      )

  def settings(self) -> dict[str, Any]:
    """What differs from the defaults, for records of how a picture was made."""
    return {
      field.name: getattr(self, field.name)
      for field in dataclasses.fields(self)
      if getattr(self, field.name) != field.default
    }


class Pair:
  """A faithful network and the same one that an adversary trained on.

  What lies between them by network interpolation (`zoo.blend`) shares one
  compiled program, so moving along the way costs no compilation.
  """

  def __init__(
    self,
    a: zoo.Generator,
    b: zoo.Generator,
    policy: Policy = Policy(),
    *,
    name: str | None = None,
  ):
    """Takes the two ends, a faithful and b imagined.

    Raises:
      EnhanceError: their architectures differ.
    """
    zoo.blend(a, b, 0)
    self._ends = (a, b)
    self._policy = policy
    self._name = name or a.model

  def at(self, alpha: float) -> Engine:
    """The engine at alpha: 0 is the faithful end, 1 the imagined one.

    Raises:
      EnhanceError: alpha is out of range.
    """
    a, b = self._ends
    if alpha in (0, 1):
      bundle = b if alpha else a
    else:
      # The digest of a mixture names what was mixed.
      sha256 = f"{a.sha256}+{b.sha256}"
      bundle = dataclasses.replace(zoo.blend(a, b, alpha), sha256=sha256)
    engine = _network(self._policy, bundle, f"{self._name}, blend {alpha:g}")
    engine.settings["blend"] = alpha
    return engine


def open_model(
  model: str | None = None,
  workdir: str | os.PathLike | None = None,
  scale: int | None = None,
  policy: Policy = Policy(),
  *,
  blend: float | None = None,
  partner: str | None = None,
) -> Engine:
  """Opens what the flags --model, --workdir, --scale and so on name.

  Args:
    model: the name of bundled weights or of an interpolation, or a
      .safetensors file; with no `workdir` either, the bundled default.
    workdir: a finished training run's folder, instead of `model`.
    scale: needed for an interpolation; a network has its own, and some have
      several; chooses the bundled default, 4 if None.
    policy: how the network is run.
    blend: 0 faithful to 1 imagined: the network between the two of a pair,
      which is the bundled one, the run's first and last phase, or the model
      and its `partner`. None takes the network as it is.
    partner: a .safetensors file to blend `model` with.

  Raises:
    EnhanceError: two things named, unknown name, unfinished run, scale
      missing or none of the network's, bad weights, no pair to blend.
  """
  if model is not None and workdir is not None:
    raise errors.EnhanceError(
      f"got --model={model} and --workdir={workdir}; name one of the two"
    )
  if partner is not None and blend is None:
    raise errors.EnhanceError(
      f"--partner={partner} is there to be blended with; say how far: "
      "--blend=0 (faithful) to 1 (imagined)"
    )
  if workdir is None and model in classical.KERNELS:
    return _interpolation(model, scale, policy, blend)
  cache.enable_compilation_cache()
  if blend is not None:
    ends = named.pair(model, workdir, scale, partner)
    a, b = (zoo.load_generator(path, scale=scale) for path in ends)
    return Pair(a, b, policy, name=named.title(ends[0])).at(blend)
  path = named.weights(model, workdir, scale)
  bundle = zoo.load_generator(path, scale=scale)
  return _network(policy, bundle, named.title(path))


def _network(policy: Policy, bundle: zoo.Generator, name: str) -> Engine:
  upscaler = Upscaler(
    bundle, tile=policy.tile, name=name, shard_rows=policy.shard_rows
  )
  return _under(policy, upscaler)


def _interpolation(
  name: str, scale: int | None, policy: Policy, blend: float | None
) -> Engine:
  if scale is None:
    raise errors.EnhanceError(
      f'interpolation "{name}" works at any scale; say which: --scale=4'
    )
  if blend is not None:
    raise errors.EnhanceError(
      f'interpolation "{name}" has no weights to blend; leave --blend out'
    )
  return _under(policy, Interpolation(name, scale, tile=policy.tile))


def _under(policy: Policy, upscaler: Tiled) -> Engine:
  """Puts around an upscaler what the policy says."""
  upscaler.seams = policy.seams
  if policy.ensemble:
    upscaler = fidelity.Ensemble(upscaler)
    upscaler.seams = policy.seams
  if policy.color_fix:
    upscaler = color_fix.ColorFix(upscaler)
  engine = fidelity.Consistent(upscaler) if policy.consistent else upscaler
  engine.settings = policy.settings()
  return engine
