"""Command: enlarges picture files and folders of them."""

import argparse
import dataclasses
import os
import pathlib
import sys
import time

from enhance_jax import errors, images
from enhance_jax.inference import engine, fidelity, picture

EXAMPLES = """\
examples:
  python -m enhance_jax.upscale photo.jpg -o large.png --workdir=runs/faces
  python -m enhance_jax.upscale photos/ -o large/ --model=faces.safetensors
  python -m enhance_jax.upscale scan.tif -o out/ --model=lanczos --scale=4
  python -m enhance_jax.upscale photo.jpg -o best.png --workdir=runs/faces \\
      --ensemble --consistent

Folders are searched to the bottom and their tree is kept. 16 bits, gray,
alpha, colour profile and EXIF are kept; inputs are never overwritten.
"""
EXTENSIONS = ("png", "auto", "jpg", "webp", "tif")
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Job:
  """One picture: where from, where to, its (height, width) if readable."""

  source: pathlib.Path
  target: pathlib.Path
  size: tuple[int, int] | None

  @property
  def pixels(self) -> int:
    """Share of the work; 0 for a broken file."""
    return self.size[0] * self.size[1] if self.size else 0


def main(argv: list[str]) -> int:
  """Plans everything, then enlarges file by file; 1 if any failed."""
  flags = _parser().parse_args(argv)
  jobs = plan(flags.inputs, flags.output, flags.ext)
  if not (flags.overwrite or flags.skip_existing):
    _refuse_existing(jobs)
  upscaler = engine.open_model(
    flags.model,
    flags.workdir,
    flags.scale,
    flags.tile,
    ensemble=flags.ensemble,
    consistent=flags.consistent,
  )
  if upscaler.generative:
    print(
      f"note: {upscaler.name} was trained adversarially; the fine detail in "
      "its pictures is invented, not recovered"
    )
  return _run(jobs, upscaler, flags)


def plan(inputs: list[str], output: str, ext: str) -> list[Job]:
  """What is read and where each result goes.

  Args:
    inputs: files and folders.
    output: a file for one input file if it ends like a picture, else a folder.
    ext: of the results in a folder; "auto" keeps each input's own.

  Raises:
    EnhanceError: a missing input, nothing to do, two inputs with one result,
      or a result that would overwrite an input.
  """
  out = pathlib.Path(output)
  found = _expand(inputs, out)
  as_file = out.suffix.lower() in images.SUFFIXES and not out.is_dir()
  if as_file and (len(inputs) > 1 or pathlib.Path(inputs[0]).is_dir()):
    raise errors.EnhanceError(
      f"-o {out} names one file, but there may be several results; name a "
      "folder"
    )
  if out.exists() and not out.is_dir() and not as_file:
    raise errors.EnhanceError(
      f"-o {out} is an existing file and no picture; name a folder"
    )
  jobs = []
  for source, relative in found:
    suffix = source.suffix.lower() if ext == "auto" else f".{ext}"
    if suffix not in images.SUFFIXES:
      suffix = ".png"
    target = out if as_file else out / relative.with_suffix(suffix)
    jobs.append(Job(source, target, _size(source)))
  _refuse_collisions(jobs)
  return jobs


def _expand(
  inputs: list[str], out: pathlib.Path
) -> list[tuple[pathlib.Path, pathlib.Path]]:
  """(file, path relative to its input) of every picture, each file once."""
  found: dict[pathlib.Path, tuple[pathlib.Path, pathlib.Path]] = {}
  for text in inputs:
    given = pathlib.Path(text)
    if given.is_dir():
      files = [(path, path.relative_to(given)) for path in _list(given, out)]
      if not files:
        raise errors.EnhanceError(
          f"{given} holds no pictures; known suffixes: "
          f"{', '.join(sorted(images.SUFFIXES))}"
        )
    elif given.exists():
      files = [(given, pathlib.Path(given.name))]
    else:
      raise errors.EnhanceError(
        f"{given} does not exist; wanted picture files or folders"
      )
    for path, relative in files:
      found.setdefault(path.resolve(), (path, relative))
  return list(found.values())


def _list(folder: pathlib.Path, out: pathlib.Path) -> list[pathlib.Path]:
  """Its pictures, without earlier results where OUT lies inside the folder."""
  inside, whole = out.resolve(), folder.resolve()
  if inside == whole or not inside.is_relative_to(whole):
    return images.list_pictures(folder)
  return [
    path
    for path in images.list_pictures(folder)
    if not path.resolve().is_relative_to(inside)
  ]


def _size(path: pathlib.Path) -> tuple[int, int] | None:
  try:
    return images.picture_size(path)
  except errors.EnhanceError:
    # Reported in its turn, when it is read.
    return None


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


def _refuse_existing(jobs: list[Job]) -> None:
  existing = [str(job.target) for job in jobs if job.target.exists()]
  if existing:
    more = len(existing) - _SHOWN
    rest = f" and {more} more" if more > 0 else ""
    raise errors.EnhanceError(
      f"{', '.join(existing[:_SHOWN])}{rest} already there; --overwrite "
      "replaces results, --skip-existing keeps them and does the others"
    )


def _run(
  jobs: list[Job], upscaler: engine.Engine, flags: argparse.Namespace
) -> int:
  start, done_pixels = time.perf_counter(), 0
  left = sum(job.pixels for job in jobs)
  done = skipped = failed = 0
  for i, job in enumerate(jobs):
    label = f"[{i + 1}/{len(jobs)}] {job.source}"
    left -= job.pixels
    try:
      if flags.skip_existing and _finished(job, upscaler, flags.overwrite):
        skipped += 1
        print(f"{label}: already there", flush=True)
        continue
      began = time.perf_counter()
      shape = _enlarge(job, upscaler)
    except (errors.EnhanceError, OSError, MemoryError) as error:
      failed += 1
      print(f"error: {_naming(job, error)}", file=sys.stderr, flush=True)
      continue
    done += 1
    done_pixels += job.pixels
    now = time.perf_counter()
    eta = left * (now - start) / max(done_pixels, 1)
    rest = f", about {_duration(eta)} left" if left else ""
    print(
      f"{label}: {shape} in {_duration(now - began)}{rest}",
      flush=True,
    )
  counts = [
    f"{done} of {len(jobs)} pictures enlarged x{upscaler.scale} by "
    f"{upscaler.name} in {_duration(time.perf_counter() - start)}"
  ]
  counts += [f"{skipped} already there"] if skipped else []
  counts += [f"{failed} failed"] if failed else []
  print(f"{', '.join(counts)}: {flags.output}")
  return 1 if failed else 0


def _finished(job: Job, upscaler: engine.Engine, overwrite: bool) -> bool:
  """Whether the result is there and has the right size."""
  if not job.target.exists() or job.size is None:
    return False
  wanted = tuple(side * upscaler.scale for side in job.size)
  try:
    got = images.picture_size(job.target)
  except errors.EnhanceError:
    got = None
  if got == wanted:
    return True
  if overwrite:
    return False
  found = f"{got[1]}x{got[0]} pixels" if got else "no readable picture"
  raise errors.EnhanceError(
    f"{job.target} is there but is {found}, wanted {wanted[1]}x{wanted[0]}; "
    "add --overwrite to replace such files"
  )


def _enlarge(job: Job, upscaler: engine.Engine) -> str:
  """Reads, enlarges and writes one picture; both sizes in words.

  Where the result was made consistent, how well it agrees with its input too.
  """
  original = images.read_picture(job.source)
  show = _show_tiles if sys.stdout.isatty() else None
  result = picture.upscale_picture(upscaler, original, on_tile=show)
  job.target.parent.mkdir(parents=True, exist_ok=True)
  images.write_picture(job.target, result)
  (h, w), (big_h, big_w) = original.pixels.shape[:2], result.pixels.shape[:2]
  text = f"{w}x{h} -> {big_w}x{big_h}"
  if isinstance(upscaler, fidelity.Consistent):
    text += f", {upscaler.agreement}"
  return text


def _show_tiles(done: int, total: int) -> None:
  if total > 1:
    print(f"\r  tile {done}/{total}", end="", flush=True)
    if done == total:
      print("\r\033[K", end="", flush=True)


def _naming(job: Job, error: Exception) -> str:
  if isinstance(error, MemoryError):
    text = "the result does not fit into memory; cut the picture in pieces"
  else:
    text = str(error)
  named = str(job.source) in text or str(job.target) in text
  return text if named else f"{job.source}: {text}"


def _duration(seconds: float) -> str:
  if seconds < 60:
    return f"{seconds:.1f} s"
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m enhance_jax.upscale",
    description="Enlarges pictures by a trained network or an interpolation.",
    epilog=EXAMPLES,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument(
    "inputs", nargs="+", metavar="IN", help="picture files and folders"
  )
  parser.add_argument(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="folder, or a picture's name for one input file",
  )
  parser.add_argument(
    "--workdir", metavar="DIR", help="a finished training run's folder"
  )
  parser.add_argument(
    "-n",
    "--model",
    metavar="NAME|FILE",
    help="nearest, bilinear, bicubic, lanczos, or a .safetensors file",
  )
  parser.add_argument(
    "-s",
    "--scale",
    type=int,
    metavar="N",
    help="enlargement for interpolations; weights know their own, and a few "
    "have several",
  )
  parser.add_argument(
    "-t",
    "--tile",
    type=int,
    metavar="N",
    help="input pixels a tile; less needs less memory, the result is the same",
  )
  _add_refinements(parser)
  parser.add_argument(
    "--ext",
    default="png",
    choices=EXTENSIONS,
    help="format of results in a folder; auto keeps the input's; default png",
  )
  parser.add_argument(
    "--skip-existing",
    action="store_true",
    help="keep results that are there and have the right size",
  )
  parser.add_argument(
    "--overwrite", action="store_true", help="replace results that are there"
  )
  return parser


def _add_refinements(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "--ensemble",
    action="store_true",
    help="mean of the eight mirrored and turned pictures' results: a little "
    "more exact, eight times slower",
  )
  parser.add_argument(
    "--consistent",
    action="store_true",
    help="correct each result until, made small, it is its input again; only "
    "for inputs that were themselves made small, not noisy photographs",
  )


if __name__ == "__main__":
  errors.run_door(main)
