"""Command: lists, shows, imports, exports, blends and scores weights."""

import argparse
import json
import pathlib
import sys
from typing import Any

from enhance_jax import errors, zoo
from enhance_jax.zoo import bundled, flags

# Of a card, what the first lines say already.
_SAID = ("format", "model", "kwargs", "scale", "channels", "generative")
_RUN_RECORD = "run.json"


def main(argv: list[str]) -> int:
  """Runs one of the verbs; 1 if a picture could not be scored."""
  said = flags.parser().parse_args(argv)
  verbs = {
    "list": _list,
    "show": _show,
    "import": _import,
    "export": _export,
    "train-card": _train_card,
    "bundle": _bundle,
    "blend": _blend,
    "sweep": _sweep,
  }
  return verbs[said.verb](said)


def _list(said: argparse.Namespace) -> int:
  del said
  rows = [
    ("name", "scale", "default", "parameters", "bytes", "generative", "PSNR")
  ]
  for name in bundled.names():
    generator = zoo.load_generator(bundled.path(name))
    scales = generator.card.get("scales", [generator.module.scale])
    rows.append(
      (
        name,
        " ".join(f"x{scale}" for scale in scales),
        "yes" if name in bundled.DEFAULTS.values() else "no",
        f"{_parameters(generator)[0]:,}",
        f"{bundled.path(name).stat().st_size:,}",
        "yes" if generator.card["generative"] else "no",
        _psnr(generator.card),
      )
    )
  if len(rows) == 1:
    raise errors.EnhanceError(
      f"no networks are bundled in {bundled.FOLDER}; install the package anew"
    )
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  for row in rows:
    cells = zip(row, widths, strict=True)
    print("  ".join(f"{cell:<{width}}" for cell, width in cells).rstrip())
  return 0


def _psnr(card: dict[str, Any]) -> str:
  return ", ".join(
    f"{name} {one['psnr']:.2f}"
    for name, one in card.get("scores", {}).items()
    if "psnr" in one
  )


def _parameters(generator: zoo.Generator) -> tuple[int, int, int]:
  """Parameters, the arrays they are in, and running statistics."""
  arrays = zoo.flatten(generator.variables)
  sizes = {
    kind: [x.size for name, x in arrays.items() if name.startswith(kind)]
    for kind in ("params/", "batch_stats/")
  }
  parameters, statistics = sizes.values()
  return sum(parameters), len(parameters), sum(statistics)


def _show(said: argparse.Namespace) -> int:
  path = bundled.resolve(said.file)
  generator = zoo.load_generator(path)
  parameters, arrays, statistics = _parameters(generator)
  options = ", ".join(f"{k}={v}" for k, v in generator.kwargs.items())
  scales = generator.card.get("scales", [generator.module.scale])
  print(f"file        {path}, {path.stat().st_size:,} bytes")
  print(f"sha256      {generator.sha256}")
  print(f"model       {generator.model}({options})")
  print(f"enlarges    {' or '.join(f'x{scale}' for scale in scales)}")
  print(
    f"parameters  {parameters:,} in {arrays} arrays, and "
    f"{statistics:,} running statistics"
  )
  invented = (
    "yes, its fine detail is invented" if generator.card["generative"] else "no"
  )
  print(f"generative  {invented}")
  rest = {k: v for k, v in generator.card.items() if k not in _SAID}
  print("card        " + json.dumps(rest, indent=2, ensure_ascii=False))
  return 0


def _import(said: argparse.Namespace) -> int:
  from enhance_jax.zoo import importing

  source = pathlib.Path(said.file)
  out = _new(said.output or str(source.with_suffix("")))
  done = importing.import_file(
    source,
    generative=said.generative,
    scales=said.scale,
    options=dict(said.set),
    prefix=said.prefix,
    anyway=said.anyway,
  )
  made, match = done.generator, done.match
  _save(out, made)
  where = f' under "{match.prefix}"' if match.prefix else ""
  options = ", ".join(f"{k}={v}" for k, v in made.kwargs.items())
  print(f"recognised  {made.model}({options})")
  print(
    f"layout      {match.layout}{where}, all {len(match.matched)} arrays have "
    "their place"
  )
  for name, value in done.assumed.items():
    print(f"taken       {name}={value}, which no array tells (--set)")
  size = " x ".join(map(str, done.figures["size"]))
  print(
    f"tried       a test picture comes out as {size}, mean colour off by "
    f"{done.figures['colour']}, made small again {done.figures['lr_psnr']} dB"
  )
  print(f"written     {out} (with a model card, .json)")
  return 0


def _export(said: argparse.Namespace) -> int:
  from enhance_jax.zoo import exporting

  out = _new(said.output)
  generator = zoo.load_generator(bundled.resolve(said.file))
  layout, count = exporting.export(generator, out, said.layout)
  print(
    f"{generator.model} in the layout {layout}, {count} float32 arrays, the "
    f"same bits when read back: {out}"
  )
  return 0


def _train_card(said: argparse.Namespace) -> int:
  from enhance_jax.zoo import training_card

  name, generator, facts = _trained(said.file)
  card = {**generator.card, **facts}
  print(training_card.markdown(name, card, generator.sha256), end="")
  return 0


def _bundle(said: argparse.Namespace) -> int:
  out = _new(str(bundled.FOLDER / said.name))
  _, generator, facts = _trained(said.file)
  note = {"note": said.note} if said.note else {}
  # What is written now gets the versions of now.
  before = {"training": {"versions": generator.card.get("versions", {})}}
  card = {**generator.card, **(facts or before), **note}
  card["source_sha256"] = generator.sha256
  zoo.save_generator(
    out,
    model=generator.model,
    kwargs=generator.kwargs,
    variables=generator.variables,
    card=card,
    half=said.half,
  )
  print(f"{out}, {out.stat().st_size:,} bytes")
  return 0


def _trained(text: str) -> tuple[str, zoo.Generator, dict[str, Any]]:
  """Name, weights, and what the run's folder adds to their card."""
  # Here: only two verbs look into runs.
  from enhance_jax.reporting import runs
  from enhance_jax.zoo import training_card

  path = pathlib.Path(text)
  if path.is_dir():
    path = path / "generator.safetensors"
  else:
    path = bundled.resolve(text)
  generator = zoo.load_generator(path)
  name, phase = path.name.removesuffix(zoo.SUFFIX), generator.card.get("phase")
  if not (phase and (path.parent / _RUN_RECORD).is_file()):
    return name, generator, {}
  (run,) = runs.read([path.parent])
  return run.name, generator, training_card.facts(run, phase)


def _blend(said: argparse.Namespace) -> int:
  out = _new(said.output)
  made = zoo.blend(
    zoo.load_generator(bundled.resolve(said.first)),
    zoo.load_generator(bundled.resolve(said.second)),
    said.alpha,
  )
  _save(out, made)
  print(
    f"{1 - said.alpha:g} of {said.first} and {said.alpha:g} of "
    f"{said.second}: {out}"
  )
  return 0


def _new(text: str) -> pathlib.Path:
  """The file to write, which must not be there."""
  out = pathlib.Path(text.removesuffix(zoo.SUFFIX) + zoo.SUFFIX)
  if out.exists():
    raise errors.EnhanceError(f"-o {out} is already there; choose another name")
  return out


def _save(out: pathlib.Path, made: zoo.Generator) -> None:
  zoo.save_generator(
    out,
    model=made.model,
    kwargs=made.kwargs,
    variables=made.variables,
    card=made.card,
  )


def _sweep(said: argparse.Namespace) -> int:
  # Here: it brings the metrics with it.
  from enhance_jax import sweep

  outcome = sweep.sweep(
    bundled.resolve(said.first),
    bundled.resolve(said.second),
    [folder for folder in said.sets.split(",") if folder],
    said.output,
    steps=said.steps,
    metrics=[name for name in said.metrics.split(",") if name],
    weights=said.weights,
    color=said.protocol,
    tile=said.tile,
    say=lambda line: print(line, flush=True),
  )
  for message in outcome.failures:
    print(f"error: {message}", file=sys.stderr)
  print(f"written: {', '.join(map(str, outcome.files))}")
  return 1 if outcome.failures else 0


if __name__ == "__main__":
  errors.run_door(main)
