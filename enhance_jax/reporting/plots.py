"""Draws panels of curves over training steps, for light pages and for dark."""

import dataclasses
import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

# Draws into a pair of axes with the colours of a theme.
Panel = Callable[[Axes, Sequence[str]], None]

_DOTS_PER_INCH = 110
_COLUMNS = 3
_WIDTH, _HEIGHT = 3.7, 2.9
# A phase narrower than this share of the axis has no room for its name, which
# stands in this share of the height above the curves.
_ROOM, _HEADROOM = 0.12, 0.1


@dataclasses.dataclass(frozen=True)
class Theme:
  """Colours of a page.

  Attributes:
    ink: text and axes.
    soft: grid and borders of phases.
    paper: behind everything.
    curves: of curves, told apart by any colour vision (Okabe and Ito).
  """

  ink: str
  soft: str
  paper: str
  curves: tuple[str, ...]


LIGHT = Theme(
  "#1c1c1c",
  "#b9b9b9",
  "#ffffff",
  ("#0072b2", "#d55e00", "#009e73", "#b5578f", "#9a7400", "#3d3d3d"),
)
DARK = Theme(
  "#e6e6e6",
  "#5c5c5c",
  "#16181c",
  ("#56b4e9", "#ff9248", "#2fc79a", "#e79ac6", "#f0c75e", "#cfcfcf"),
)


@dataclasses.dataclass(frozen=True)
class Plot:
  """A drawn figure.

  Attributes:
    light: PNG for a light page.
    dark: PNG for a dark one.
  """

  light: bytes
  dark: bytes


@dataclasses.dataclass(frozen=True)
class Axis:
  """The horizontal axis of a run.

  Attributes:
    steps: where it ends.
    phases: (name, first step, last step) in order; a single one has no mark.
    steps_an_epoch: for a second scale at the top; None: no such scale.
  """

  steps: int
  phases: Sequence[tuple[str, int, int]] = ()
  steps_an_epoch: float | None = None


def draw(panels: Sequence[Panel], axis: Axis) -> Plot | None:
  """Draws panels in rows of up to three; None if there is none."""
  if not panels:
    return None
  return Plot(_png(panels, axis, LIGHT), _png(panels, axis, DARK))


def _png(panels: Sequence[Panel], axis: Axis, theme: Theme) -> bytes:
  columns = min(_COLUMNS, len(panels))
  rows = -(-len(panels) // columns)
  with matplotlib.rc_context(_style(theme)):
    figure = Figure((_WIDTH * columns, _HEIGHT * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for index, panel in enumerate(panels):
      axes = figure.add_subplot(rows, columns, index + 1)
      panel(axes, theme.curves)
      _scale(axes, axis, theme)
    buffer = io.BytesIO()
    # Without the version of the library equal curves are equal files.
    figure.savefig(buffer, dpi=_DOTS_PER_INCH, metadata={"Software": None})
  return buffer.getvalue()


def _style(theme: Theme) -> dict[Any, Any]:
  ink = {
    f"{name}color": theme.ink
    for name in ("text.", "axes.label", "xtick.", "ytick.")
  }
  return {
    **ink,
    "axes.edgecolor": theme.soft,
    "axes.facecolor": theme.paper,
    "figure.facecolor": theme.paper,
    "savefig.facecolor": theme.paper,
    "legend.facecolor": theme.paper,
    "legend.edgecolor": theme.soft,
    "legend.framealpha": 0.8,
    "grid.color": theme.soft,
    "grid.alpha": 0.5,
    "grid.linewidth": 0.5,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "font.size": 8.5,
    "legend.fontsize": 7.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
  }


def _scale(axes: Axes, axis: Axis, theme: Theme) -> None:
  """Steps below, epochs above.

  A panel begins with the first phase that it has something to show of.
  """
  first = axes.dataLim.x0
  begun = [start for _, start, _ in axis.phases if start < first < math.inf]
  left = max(begun, default=0)
  margin = 0.02 * (axis.steps - left)
  axes.set_xlim(left - margin, axis.steps + margin)
  axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
  axes.xaxis.set_major_formatter(FuncFormatter(_count))
  axes.set_xlabel("step")
  if axis.steps_an_epoch:
    per = axis.steps_an_epoch
    top = axes.secondary_xaxis(
      "top",
      functions=(lambda x: np.asarray(x) / per, lambda x: np.asarray(x) * per),
    )
    top.xaxis.set_major_locator(MaxNLocator(4))
    top.xaxis.set_major_formatter(FuncFormatter(_count))
    top.set_xlabel("epoch")
  if len(axis.phases) > 1:
    _name_phases(axes, axis, left, theme)


def _name_phases(axes: Axes, axis: Axis, left: float, theme: Theme) -> None:
  """A line where a phase begins, and its name above the curves."""
  scale = axes.yaxis.get_transform()
  bottom, top = scale.transform(np.asarray(axes.get_ylim()))
  raised = scale.inverted().transform(top + _HEADROOM * (top - bottom))
  axes.set_ylim(top=float(raised))
  for name, start, end in axis.phases:
    if not left <= start < axis.steps:
      continue
    if start > left:
      axes.axvline(start, color=theme.soft, linewidth=1, zorder=1)
    if min(end, axis.steps) - start > _ROOM * (axis.steps - left):
      axes.annotate(
        name,
        (start, 1),
        xycoords=("data", "axes fraction"),
        xytext=(3, -3),
        textcoords="offset points",
        va="top",
        alpha=0.7,
        fontsize=7.5,
      )


def _count(value: float, position: object = None) -> str:
  """1,500,000 as "1.5M", 12,000 as "12k"."""
  del position
  for unit, name in ((1e6, "M"), (1e4, "k")):
    if abs(value) >= unit:
      unit = min(unit, 1e3) if name == "k" else unit
      return f"{value / unit:g}{name}"
  return f"{value:,.4g}" if value % 1 else f"{value:,.0f}"
