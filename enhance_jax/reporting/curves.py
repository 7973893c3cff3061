"""A run's curves: losses, held-out quality, and how its discriminator does."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from enhance_jax.metrics import classify
from enhance_jax.reporting import plots, words
from enhance_jax.reporting.runs import Run

BASELINES = ("nearest", "bilinear", "bicubic")
_BASELINE_DASHES = ("dotted", "dashdot", "dashed")
_DASHES = ("solid", "dashed", "dashdot", "dotted")
# Settings that make held-out scores comparable while runs train.
_SAME = (
  "data.validation",
  "data.resize",
  "task.scale",
  "task.degradation",
  "train.evaluate_pictures",
  "evaluate.color",
  "evaluate.crop",
  "evaluate.ssim",
)
# Drawn in this order, so that the line of F1 is seen where they coincide.
_RATES = {
  "recall": "recall",
  "specificity": "specificity",
  "precision": "precision",
  "accuracy": "accuracy",
  "f1": "F1",
}


def losses(run: Run) -> plots.Plot | None:
  """Every loss, on training batches and held-out; None if none is logged."""
  names = [
    name.removeprefix("validation/")
    for name in (*run.logged("loss/"), *run.logged("validation/loss/"))
  ]
  names = sorted(dict.fromkeys(names), key=_loss_order)
  return plots.draw([_loss_panel(run, name) for name in names], _axis(run))


def quality(run: Run) -> plots.Plot | None:
  """Held-out metrics with the baselines as lines; None if none is logged."""
  apart = ("validation/loss/", "validation/d_", "validation/weight/")
  metrics = [
    name.removeprefix("validation/")
    for name in run.logged("validation/")
    if not name.startswith(apart)
  ]
  return plots.draw([_quality_panel(run, m) for m in metrics], _axis(run))


def discriminator(run: Run) -> plots.Plot | None:
  """Its rates and mean outputs; None if none is logged."""
  panels = []
  if found := rates(run, ""):
    panels.append(_rate_panel(found, "on training batches"))
  if found := rates(run, "validation/"):
    panels.append(_rate_panel(found, "on held-out pictures"))
  if run.logged("d_real"):
    panels.append(_output_panel(run))
  return plots.draw(panels, _axis(run))


def together(runs: Sequence[Run]) -> list[plots.Plot]:
  """PSNR and SSIM of several runs; one plot for each kind of held-out pictures.

  Runs without a fellow of the same pictures and protocol are left out.
  """
  alike: dict[str, list[Run]] = {}
  for run in runs:
    if run.logged("validation/psnr"):
      settings = [run.setting(key) for key in _SAME]
      alike.setdefault(repr(settings), []).append(run)
  found = []
  for shown in alike.values():
    if len(shown) > 1:
      panels = [_together_panel(shown, metric) for metric in ("psnr", "ssim")]
      axis = plots.Axis(max(run.steps for run in shown))
      found.append(plots.draw(panels, axis))
  return found


def rates(run: Run, prefix: str) -> dict[str, tuple[list[int], list[float]]]:
  """Accuracy, precision, recall, specificity and F1 of the discriminator.

  They follow from recall and specificity, as there are as many real as
  generated pictures.

  Args:
    run: the run.
    prefix: "" for training batches, "validation/" for held-out pictures.

  Returns:
    name -> (steps, values); empty if the run logged no rates. Ratios of
    nothing are left out.
  """
  recall = dict(zip(*run.series(f"{prefix}d_recall"), strict=True))
  specificity = dict(zip(*run.series(f"{prefix}d_specificity"), strict=True))
  found: dict[str, tuple[list[int], list[float]]] = {}
  for step in sorted(recall.keys() & specificity.keys()):
    scores = classify.scores_from_rates(recall[step], specificity[step])
    for name in _RATES:
      steps, values = found.setdefault(name, ([], []))
      if math.isfinite(scores[name]):
        steps.append(step)
        values.append(scores[name])
  return found


def _axis(run: Run) -> plots.Axis:
  phases = [(phase.name, phase.start, phase.end) for phase in run.phases]
  return plots.Axis(run.steps, phases, run.steps_an_epoch)


def _loss_order(name: str) -> tuple[int, str]:
  first = ("loss/generator", "loss/discriminator")
  return (first.index(name) if name in first else len(first), name)


def _loss_panel(run: Run, name: str) -> plots.Panel:
  def panel(axes: Axes, colors: Sequence[str]) -> None:
    drawn: list[float] = []
    for index, (key, label, marker) in enumerate(
      ((name, "training", ""), (f"validation/{name}", "held-out", "."))
    ):
      steps, values = run.series(key)
      if steps:
        color = colors[index]
        axes.plot(steps, values, marker=marker, color=color, label=label)
        drawn += values
    # A range that a linear axis would press against its edge.
    if min(drawn, default=0) > 0 and max(drawn) > 20 * min(drawn):
      axes.set_yscale("log")
    title = name.removeprefix("loss/")
    sums = ("generator", "discriminator")
    axes.set_title(f"loss of the {title}" if title in sums else f"term {title}")
    if len(axes.lines) > 1:
      axes.legend(loc="best")

  return panel


def _quality_panel(run: Run, metric: str) -> plots.Panel:
  def panel(axes: Axes, colors: Sequence[str]) -> None:
    steps, values = run.series(f"validation/{metric}")
    axes.plot(steps, values, marker=".", color=colors[0], label="this run")
    for index, name in enumerate(BASELINES):
      for value in run.series(f"baseline/{name}/{metric}")[1][:1]:
        axes.axhline(
          value,
          color=colors[1 + index],
          linestyle=_BASELINE_DASHES[index],
          label=f"{name}, {words.show(metric, value)}",
        )
    axes.set_title(f"{words.label(metric)} on held-out pictures")
    axes.legend(loc="best")

  return panel


def _together_panel(runs: Sequence[Run], metric: str) -> plots.Panel:
  def panel(axes: Axes, colors: Sequence[str]) -> None:
    for index, run in enumerate(runs):
      axes.plot(
        *run.series(f"validation/{metric}"),
        color=colors[index % len(colors)],
        linestyle=_DASHES[index // len(colors) % len(_DASHES)],
        marker=".",
        label=run.name,
      )
    axes.set_title(f"{words.label(metric)} on held-out pictures")
    axes.legend(loc="best")

  return panel


def _rate_panel(
  found: dict[str, tuple[list[int], list[float]]], title: str
) -> plots.Panel:
  def panel(axes: Axes, colors: Sequence[str]) -> None:
    for index, (name, label) in enumerate(_RATES.items()):
      dash = _DASHES[index % len(_DASHES)]
      axes.plot(*found[name], linestyle=dash, color=colors[index], label=label)
    axes.set_ylim(-0.03, 1.03)
    axes.set_title(f"discriminator {title}")
    axes.legend(loc="best")

  return panel


def _output_panel(run: Run) -> plots.Panel:
  def panel(axes: Axes, colors: Sequence[str]) -> None:
    for index, (key, label) in enumerate(
      (("d_real", "real"), ("d_fake", "generated"))
    ):
      axes.plot(*run.series(key), color=colors[index], label=label)
      steps, values = run.series(f"validation/{key}")
      if steps:
        label = f"{label}, held-out"
        axes.plot(steps, values, ".--", color=colors[index], label=label)
    axes.set_ylim(-0.03, 1.03)
    axes.set_title("mean probability of being real")
    axes.legend(loc="best")

  return panel
