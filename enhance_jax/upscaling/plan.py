"""What is enlarged, and where each result goes: all of it before any work."""

import dataclasses
import glob
import os
import pathlib
from collections.abc import Callable

from enhance_jax import errors, images
from enhance_jax.inference import tiled
from enhance_jax.upscaling import names
from enhance_jax.video import codecs, probe

# Of a picture's name, in the names of what --uncertainty writes beside it.
EXTRAS = (".uncertainty.png", ".uncertainty-overlay.png")
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Source:
  """A file to enlarge and its place in the tree below the result's folder."""

  path: pathlib.Path
  relative: pathlib.Path

  @property
  def is_video(self) -> bool:
    """By its suffix."""
    return self.path.suffix.lower() in probe.SUFFIXES


@dataclasses.dataclass(frozen=True)
class Job:
  """One file: where from, where to, how much.

  Attributes:
    source: the input.
    target: the result.
    size: (height, width), upright; None if the header cannot be read.
    frames: 1, or about how many a video has.
    is_video: what it is.
  """

  source: pathlib.Path
  target: pathlib.Path
  size: tuple[int, int] | None
  frames: int
  is_video: bool

  @property
  def pixels(self) -> int:
    """Share of the work; 0 for a broken file."""
    return self.size[0] * self.size[1] * self.frames if self.size else 0

  def extra(self, suffix: str) -> pathlib.Path:
    """A file beside the result, such as NAME.uncertainty.png."""
    return self.target.with_name(self.target.stem + suffix)


@dataclasses.dataclass(frozen=True)
class Found:
  """What `find` found.

  Attributes:
    sources: the files, each once.
    left_out: videos in folders; only named ones are enlarged.
  """

  sources: list[Source]
  left_out: list[pathlib.Path]


def find(inputs: list[str], output: str) -> Found:
  """The files that the arguments mean.

  Args:
    inputs: files, folders and patterns; `**` goes through all folders.
    output: OUT; what lies in it is no input, wherever it is.

  Raises:
    EnhanceError: something is missing or holds nothing.
  """
  found: dict[pathlib.Path, Source] = {}
  left_out: list[pathlib.Path] = []
  for text in inputs:
    given = pathlib.Path(text)
    if given.is_dir():
      paths, root = images.list_pictures(given), given
      left_out += _videos(given)
    elif given.exists():
      paths, root = [given], given.parent
    elif glob.has_magic(text):
      paths, root = _matches(text), _fixed_part(given)
    else:
      raise errors.EnhanceError(
        f"{given} does not exist; wanted picture files or folders"
      )
    if given.is_dir() or not given.exists():
      paths = _outside(paths, root, pathlib.Path(output))
    if not paths:
      raise errors.EnhanceError(
        f"{given} holds no pictures; known suffixes: "
        f"{', '.join(sorted(images.SUFFIXES))}"
      )
    for path in paths:
      source = Source(path, path.relative_to(root))
      found.setdefault(path.resolve(), source)
  return Found(list(found.values()), left_out)


def assign(
  found: Found,
  output: str,
  ext: str,
  name: Callable[[str, str, tuple[int, int] | None], str],
) -> list[Job]:
  """Where each result goes.

  Args:
    found: of `find`.
    output: a file for one input file if it ends like one, else a folder.
    ext: of pictures in a folder; "auto" keeps each input's own.
    name: (stem, suffix, size of the input) -> the name in its folder.

  Raises:
    EnhanceError: two inputs with one result, a result that would overwrite an
      input, a name of one file for several, or of the wrong kind; ffmpeg is
      absent and there are videos.
  """
  out = pathlib.Path(output)
  as_file = _names_a_file(out, found.sources)
  jobs = []
  for source in found.sources:
    size, frames = _measure(source)
    suffix = out.suffix if as_file else _suffix(source, ext)
    if as_file:
      target = out
    else:
      folder = out / source.relative.parent
      target = folder / name(source.path.stem, suffix, size)
    jobs.append(Job(source.path, target, size, frames, source.is_video))
  _refuse_collisions(jobs)
  return jobs


def template_namer(
  template: names.Template,
  scale: float | None,
  engine_for: Callable[[tuple[int, int] | None], tiled.Engine],
) -> Callable[[str, str, tuple[int, int] | None], str]:
  """The `name` of `assign` for a template.

  Args:
    template: of the flag --name.
    scale: the wished one; None takes the engine's.
    engine_for: the engine for a size.
  """

  def name(stem: str, suffix: str, size: tuple[int, int] | None) -> str:
    fields: dict[str, str] = {"stem": stem, "suffix": suffix}
    if "scale" in template.fields:
      fields["scale"] = f"{scale or engine_for(size).scale:g}"
    if "model" in template.fields:
      fields["model"] = engine_for(size).name
    return template.name(**fields)

  return name


def refuse_existing(jobs: list[Job], extras: tuple[str, ...]) -> None:
  """Refuses results that are there, of every job.

  Args:
    jobs: of `assign`.
    extras: suffixes of what is written beside a picture.

  Raises:
    EnhanceError: some are there; the first few are named.
  """
  wanted = [job.target for job in jobs]
  wanted += [job.extra(suffix) for job in jobs for suffix in extras]
  existing = [str(path) for path in wanted if path.exists()]
  if existing:
    more = len(existing) - _SHOWN
    rest = f" and {more} more" if more > 0 else ""
    raise errors.EnhanceError(
      f"{', '.join(existing[:_SHOWN])}{rest} already there; --overwrite "
      "replaces results, --skip-existing keeps them and does the others"
    )


def _matches(pattern: str) -> list[pathlib.Path]:
  known = set(images.SUFFIXES) | set(probe.SUFFIXES)
  return sorted(
    path
    for path in map(pathlib.Path, glob.glob(pattern, recursive=True))
    if path.suffix.lower() in known and path.is_file()
  )


def _fixed_part(pattern: pathlib.Path) -> pathlib.Path:
  """The folder of a pattern above its first part with a wildcard."""
  for parent in pattern.parents:
    if not glob.has_magic(str(parent)):
      return parent
  return pathlib.Path()


def _videos(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(
    path for path in folder.rglob("*") if path.suffix.lower() in probe.SUFFIXES
  )


def _outside(
  paths: list[pathlib.Path], root: pathlib.Path, out: pathlib.Path
) -> list[pathlib.Path]:
  """Those without earlier results, where OUT lies inside the root."""
  inside, whole = out.resolve(), root.resolve()
  if inside == whole or not inside.is_relative_to(whole):
    return paths
  return [p for p in paths if not p.resolve().is_relative_to(inside)]


def _names_a_file(out: pathlib.Path, sources: list[Source]) -> bool:
  suffix = out.suffix.lower()
  known = suffix in images.SUFFIXES or suffix in codecs.FORMATS
  if out.is_dir() or not known:
    if out.exists() and not out.is_dir():
      raise errors.EnhanceError(
        f"-o {out} is an existing file and no picture; name a folder"
      )
    return False
  if len(sources) > 1:
    raise errors.EnhanceError(
      f"-o {out} names one file, but there are {len(sources)} results; name a "
      "folder"
    )
  if sources[0].is_video != (suffix in codecs.FORMATS):
    kinds = ("a picture", "a video")
    raise errors.EnhanceError(
      f"{sources[0].path} is {kinds[sources[0].is_video]} and -o {out} names "
      f"{kinds[suffix in codecs.FORMATS]}; give it another suffix"
    )
  return True


def _suffix(source: Source, ext: str) -> str:
  own = source.path.suffix.lower()
  if source.is_video:
    return own if own in codecs.FORMATS else codecs.ANY_STREAM
  suffix = own if ext == "auto" else f".{ext}"
  return suffix if suffix in images.SUFFIXES else ".png"


def _measure(source: Source) -> tuple[tuple[int, int] | None, int]:
  """(height, width) and number of frames; no size for a broken file."""
  if source.is_video:
    tools = probe.find_tools()
    try:
      clip = probe.header(source.path, tools)
      return (clip.height, clip.width), clip.estimated_frames
    except errors.EnhanceError:
      # Reported in its turn, when it is read.
      return None, 0
  try:
    return images.picture_size(source.path), 1
  except errors.EnhanceError:
    return None, 0


def _refuse_collisions(jobs: list[Job]) -> None:
  sources = {job.source.resolve() for job in jobs}
  owners: dict[pathlib.Path, pathlib.Path] = {}
  for job in jobs:
    target = job.target.resolve()
    if target in sources or _same_file(job.source, job.target):
      raise errors.EnhanceError(
        f"the result of {job.source} would overwrite the input {job.target}; "
        "choose another output folder"
      )
    if target in owners:
      raise errors.EnhanceError(
        f"{owners[target]} and {job.source} would both become {job.target}; "
        "enlarge them into different folders, or keep their formats apart by "
        "--ext=auto"
      )
    owners[target] = job.source


def _same_file(source: pathlib.Path, target: pathlib.Path) -> bool:
  return target.exists() and os.path.samefile(source, target)
