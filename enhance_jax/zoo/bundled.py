"""The weights that come with the package: their names, files and pairs.

`NAME.safetensors` and its card `NAME.json` lie in the folder `weights`. A name
ends in its scale (`compact_x4`); the network that a GAN trained on from there
has `_gan` behind it and is the other half of the pair.
"""

import pathlib

from enhance_jax import errors

FOLDER = pathlib.Path(__file__).parent / "weights"
SUFFIX = ".safetensors"
IMAGINED = "_gan"
# Scale -> what enlarges when nothing is named: the quick and faithful one.
DEFAULTS = {2: "compact_x2", 4: "compact_x4"}


def names() -> tuple[str, ...]:
  """The bundled networks, in alphabetical order; () if there are none."""
  return tuple(
    sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob("*" + SUFFIX))
  )


def path(name: str) -> pathlib.Path:
  """The weights file of a bundled network.

  Raises:
    EnhanceError: there is none of that name; the nearest one is named.
  """
  if name not in names():
    raise errors.EnhanceError(
      f'there are no bundled weights called "{name}"; '
      f"{errors.nearest(name, names())}"
    )
  return FOLDER / (name + SUFFIX)


def scales() -> tuple[int, ...]:
  """The enlargements that have a bundled default, the smallest first."""
  there = names()
  return tuple(scale for scale in sorted(DEFAULTS) if DEFAULTS[scale] in there)


def default(scale: int) -> str:
  """The name of the bundled network that enlarges by `scale` by default.

  Raises:
    EnhanceError: there is none; the scales that have one are listed.
  """
  if scale not in scales():
    known = " and ".join(f"x{one}" for one in scales()) or "no scale at all"
    raise errors.EnhanceError(
      f"there are no bundled weights for x{scale}, only for {known}; take one "
      "of these, an interpolation, or weights of your own"
    )
  return DEFAULTS[scale]


def partner(name: str) -> str | None:
  """The other half of a pair: faithful -> imagined, imagined -> faithful.

  Args:
    name: a bundled network.

  Returns:
    the name of the one that it can be blended with; None if it has no pair.

  Raises:
    EnhanceError: there is no bundled network `name`.
  """
  path(name)
  faithful = name.removesuffix(IMAGINED)
  other = faithful if faithful != name else name + IMAGINED
  return other if other in names() else None


def resolve(text: str) -> pathlib.Path:
  """What a user typed: a weights file, or else the name of a bundled network.

  Args:
    text: FILE.safetensors, whose suffix may be left out, or a bundled name.

  Returns:
    the path; a file need not exist, unless the text is a mere word.

  Raises:
    EnhanceError: it names no file, and no bundled network either.
  """
  file = pathlib.Path(text.removesuffix(SUFFIX) + SUFFIX)
  if text in names() and not file.exists():
    return FOLDER / (text + SUFFIX)
  if not file.exists() and pathlib.Path(text).name == text == file.stem:
    raise errors.EnhanceError(
      f"{file} does not exist, and no bundled weights are called "
      f'"{text}"; {errors.nearest(text, names())}'
    )
  return file
