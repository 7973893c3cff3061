"""The networks that the page offers, and their engines, opened when needed."""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from enhance_jax import errors, zoo
from enhance_jax.inference import engine, named
from enhance_jax.zoo import bundled, cards

# One line for visitors; a model that is not here is called by its name.
_KINDS = {
  "compact": "small and quick",
  "edsr": "larger and slower, a little closer to the truth",
  "srresnet": "of middle size",
  "rrdb": "large and slow, fine detail",
}


@dataclasses.dataclass(frozen=True)
class Network:
  """A choice on the page: one network, or two that can be mixed.

  Attributes:
    name: how page and scripts call it.
    line: a description of one line.
    path: its weights; those of the faithful half of a pair.
    imagined: weights of the other half; None where there is none.
    scale: what it enlarges by.
  """

  name: str
  line: str
  path: pathlib.Path
  imagined: pathlib.Path | None
  scale: int


class Networks:
  """Networks of files, which were asked for, and then the bundled ones."""

  def __init__(self, files: Sequence[str] = ()):
    """Reads the cards; weights are read when a network is used.

    Args:
      files: .safetensors files. One trained adversarially that follows a
        faithful one of the same architecture becomes its other half.

    Raises:
      EnhanceError: an unusable file, or no network at all.
    """
    pairs = [*_given(files), *_bundled()]
    if not pairs:
      raise errors.EnhanceError(
        "there are no bundled weights, so the page has no network to offer; "
        "name some: --models FILE.safetensors"
      )
    self._networks: dict[str, Network] = {}
    for path, imagined in pairs:
      name = _unused(named.title(path), self._networks)
      self._networks[name] = _describe(name, path, imagined)
    self._pairs: dict[tuple[str, bool], engine.Pair] = {}
    self._single: dict[tuple[str, bool], engine.Engine] = {}

  def __iter__(self) -> Iterator[Network]:
    """Every network, the one to begin with first."""
    return iter(self._networks.values())

  def get(self, name: str) -> Network:
    """The network of that name.

    Raises:
      EnhanceError: there is none; the nearest name is given.
    """
    if name not in self._networks:
      raise errors.EnhanceError(
        f'there is no network called "{name}"; '
        f"{errors.nearest(name, self._networks)}"
      )
    return self._networks[name]

  @property
  def folders(self) -> set[pathlib.Path]:
    """Where the weights lie."""
    return {one.path.parent for one in self} | {
      one.imagined.parent for one in self if one.imagined is not None
    }

  def engine(
    self, name: str, imagination: float, *, consistent: bool
  ) -> engine.Engine:
    """What enlarges.

    Args:
      name: of a network.
      imagination: 0 faithful to 1 imagined; 0 where there is one network.
      consistent: correct the result until, made small, it is the input.

    Raises:
      EnhanceError: an unknown name, or nothing to mix.
    """
    network, key = self.get(name), (name, consistent)
    policy = engine.Policy(consistent=consistent)
    if network.imagined is not None:
      if key not in self._pairs:
        ends = (network.path, network.imagined)
        a, b = (zoo.load_generator(path) for path in ends)
        self._pairs[key] = engine.Pair(a, b, policy, name=name)
      return self._pairs[key].at(imagination)
    if imagination:
      raise errors.EnhanceError(
        f'"{name}" is one network, got imagination {imagination:g}; only a '
        "pair of a faithful and an imagining network can be mixed, so leave "
        "that at 0"
      )
    if key not in self._single:
      self._single[key] = engine.open_model(str(network.path), policy=policy)
    return self._single[key]


def _bundled() -> list[tuple[pathlib.Path, pathlib.Path | None]]:
  """The default first; the imagining half of a pair only in its pair."""
  names = list(bundled.names())
  if 4 in bundled.scales():
    names.sort(key=lambda name: name != bundled.default(4))
  pairs = []
  for name in names:
    other = bundled.partner(name)
    if other is None:
      pairs.append((bundled.path(name), None))
    elif name + bundled.IMAGINED == other:
      pairs.append((bundled.path(name), bundled.path(other)))
  return pairs


def _given(
  files: Sequence[str],
) -> list[tuple[pathlib.Path, pathlib.Path | None]]:
  pairs: list[tuple[pathlib.Path, pathlib.Path | None]] = []
  before: dict[str, Any] | None = None
  for text in files:
    path = bundled.resolve(text)
    if not path.is_file():
      raise errors.EnhanceError(
        f"--models {text} does not exist; wanted a .safetensors file"
      )
    card = cards.read(path)
    if before is not None and _continues(card, before):
      pairs[-1] = (pairs[-1][0], path)
      before = None
      continue
    pairs.append((path, None))
    before = card
  return pairs


def _continues(card: dict[str, Any], before: dict[str, Any]) -> bool:
  """Whether a card is that of the imagining half for the one before it."""
  same = all(card[key] == before[key] for key in ("model", "kwargs", "scale"))
  return same and card["generative"] and not before["generative"]


def _describe(
  name: str, path: pathlib.Path, imagined: pathlib.Path | None
) -> Network:
  card = cards.read(path)
  line = f"x{card['scale']}, {_KINDS.get(card['model'], card['model'])}"
  if imagined is not None:
    line += "; can imagine detail"
  elif card["generative"]:
    line += "; imagines detail"
  return Network(name, line, path, imagined, card["scale"])


def _unused(name: str, taken: dict[str, Network]) -> str:
  number, free = 1, name
  while free in taken:
    number += 1
    free = f"{name} ({number})"
  return free
