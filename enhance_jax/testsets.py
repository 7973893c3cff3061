"""Test sets on disk: their pictures, and the files that belong to them."""

import pathlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from enhance_jax import errors, images
from enhance_jax.inference.upscalers import GRAY

PathLike = str | pathlib.Path

# What may stand between a picture's own stem and ".png": x4, _SR, -out, (1).
_TAIL = re.compile(r"[_\-. (].*|x\d.*")
_SHOWN = 8


# Stem relative to the set's folder -> (path, relative file name).
Pictures = dict[str, tuple[pathlib.Path, str]]


def find(sets: Sequence[PathLike]) -> dict[str, Pictures]:
  """The HR pictures of each set, by the set's name.

  Args:
    sets: folders; pictures are in FOLDER/HR if that exists, else in FOLDER.

  Raises:
    EnhanceError: a set is missing or empty, two have one name, or two
      pictures of one have one stem.
  """
  found: dict[str, Pictures] = {}
  for given in sets:
    top = pathlib.Path(given)
    if not top.is_dir():
      raise errors.EnhanceError(
        f"test set {given} is no folder; wanted a folder of HR pictures, or "
        "one that holds them in a sub-folder HR"
      )
    folder = top / "HR" if (top / "HR").is_dir() else top
    whole = top.resolve()
    name = whole.parent.name if whole.name == "HR" else whole.name
    if name in found:
      raise errors.EnhanceError(
        f'{given} is the second test set called "{name}"; name each once'
      )
    found[name] = _pictures(folder)
  if not found:
    raise errors.EnhanceError("no test set was named; wanted --sets=DIR,...")
  return found


def _pictures(folder: pathlib.Path) -> Pictures:
  result: Pictures = {}
  for path in images.list_pictures(folder):
    relative = path.relative_to(folder)
    stem = relative.with_suffix("").as_posix()
    if stem in result:
      raise errors.EnhanceError(
        f"{result[stem][0]} and {path} have one stem; keep one of them"
      )
    result[stem] = (path, relative.as_posix())
  if not result:
    raise errors.EnhanceError(
      f"{folder} holds no pictures; known suffixes: "
      f"{', '.join(sorted(images.SUFFIXES))}"
    )
  return result


def match(
  pictures: Iterable[str],
  base: PathLike,
  name: str,
  what: str,
  suffix: str | None = None,
) -> dict[str, pathlib.Path]:
  """The file of another folder that belongs to each picture of a set.

  It has the picture's stem, or that stem and one tail that all of them share,
  as in "babyx4.png" or "bird_SR.png".

  Args:
    pictures: stems.
    base: the folder, or one with a sub-folder for every set.
    name: of the set.
    what: what the files are, for messages.
    suffix: the tail, where several would fit.

  Raises:
    EnhanceError: files are missing, or more than one fits.
  """
  stems, folder = list(pictures), pathlib.Path(base)
  folder = folder / name if (folder / name).is_dir() else folder
  found = defaultdict(list)
  for path in images.list_pictures(folder):
    found[path.relative_to(folder).with_suffix("").as_posix()].append(path)
  tails = _tails(stems, found) if suffix is None else [suffix]
  whole = [tail for tail in tails if all(s + tail in found for s in stems)]
  if len(whole) > 1 and "" not in whole:
    raise errors.EnhanceError(
      f"{folder} holds several {what} files a picture, ending in "
      f"{', '.join(whole)}; say which by --suffix={whole[0]}"
    )
  # Where none fits all, the one that fits most tells best what is missing.
  tail = max(tails, key=lambda t: sum(s + t in found for s in stems))
  missing = [stem for stem in stems if stem + tail not in found]
  if missing:
    more = f" and {len(missing) - _SHOWN} more" if missing[_SHOWN:] else ""
    raise errors.EnhanceError(
      f"{folder} has no {what} file for {', '.join(missing[:_SHOWN])}{more} "
      f"(of {len(stems)} pictures); looked for {missing[0]}{tail}.png and the "
      "like"
    )
  for stem in stems:
    if len(found[stem + tail]) > 1:
      names = " and ".join(path.name for path in found[stem + tail])
      raise errors.EnhanceError(
        f"{folder} holds {names}: two {what} files for {stem}; keep one"
      )
  return {stem: found[stem + tail][0] for stem in stems}


def _tails(stems: Iterable[str], found: Iterable[str]) -> list[str]:
  """What may follow a stem, "" first: the exact stem has precedence."""
  tails = {
    name.removeprefix(stem)
    for stem in stems
    for name in found
    if name.startswith(stem)
  }
  return ["", *sorted(tail for tail in tails if _TAIL.fullmatch(tail))]


def read_hr(path: pathlib.Path, scale: int) -> np.ndarray:
  """HR cut to multiples of the scale, uint8; gray stays one channel.

  Raises:
    EnhanceError: the picture cannot be read or is too small.
  """
  try:
    return images.modcrop(_read(path), scale)
  except errors.EnhanceError as error:
    if str(path) in str(error):
      raise
    raise errors.EnhanceError(f"{path}: {error}") from error


def read_lr(
  path: pathlib.Path, hr: np.ndarray, scale: int, hr_path: pathlib.Path
) -> np.ndarray:
  """A ready LR picture of hr, uint8, with the channels of hr.

  Raises:
    EnhanceError: it cannot be read, or does not belong to hr.
  """
  lr = _like(_read(path), hr, path)
  size = (hr.shape[0] // scale, hr.shape[1] // scale)
  _want_size(path, lr, size, hr_path)
  return lr


def read_result(path: pathlib.Path, hr: np.ndarray) -> np.ndarray:
  """A ready result for hr, uint8, with the channels of hr.

  Raises:
    EnhanceError: it cannot be read, or has another size.
  """
  sr = _like(_read(path), hr, path)
  _want_size(path, sr, hr.shape[:2], "its HR picture, cut to the scale,")
  return sr


def _read(path: pathlib.Path) -> np.ndarray:
  """uint8 [H, W, 1 or 3]: as the file, without alpha, 16 bits rounded."""
  pixels = images.read_picture(path).pixels
  pixels = pixels[..., : 1 if pixels.shape[-1] < 3 else 3]
  if pixels.dtype == np.uint16:
    return images.to_uint8(images.to_float(pixels))
  return pixels


def _like(x: np.ndarray, hr: np.ndarray, path: pathlib.Path) -> np.ndarray:
  """The picture with the channels of hr; colour of a gray hr is averaged."""
  if x.shape[-1] == hr.shape[-1]:
    return x
  if hr.shape[-1] == 3:
    raise errors.EnhanceError(
      f"{path} is gray and its HR picture is colour; wanted a colour picture"
    )
  return images.to_uint8(images.to_float(x) @ GRAY[:, None])


def _want_size(
  path: pathlib.Path, x: np.ndarray, size: tuple[int, int], why: Any
) -> None:
  if x.shape[:2] != tuple(size):
    raise errors.EnhanceError(
      f"{path} is {x.shape[1]}x{x.shape[0]} pixels; {why} asks for "
      f"{size[1]}x{size[0]}"
    )
