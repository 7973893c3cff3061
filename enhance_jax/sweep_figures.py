"""Drawings of a sweep: the perception-distortion curve, a picture over alpha.

After Blau & Michaeli (CVPR 2018): distortion along x, perception along y.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from enhance_jax import figures, scoring

# Colour-blind safe (Okabe & Ito), and unlike in gray as well.
_LOOKS = {
  "network": {
    "color": "#0072B2",
    "marker": "o",
    "label": "blended networks",
    "zorder": 3,
  },
  "image": {
    "color": "#E69F00",
    "marker": "s",
    "linestyle": "--",
    "label": "mixed pictures",
  },
}
_PANEL = (5.2, 4.2)
# Here both methods are the same, and only the first of them is listed.
_ENDS = (0.0, 1.0)


def curve(points: Sequence[Mapping[str, Any]], protocol: str) -> bytes:
  """Every metric over PSNR, a row of panels for each set.

  Args:
    points: {"method", "alpha", "sets": {NAME: {"mean": {METRIC: value}}}},
      alpha rising.
    protocol: in words, for the title.

  Returns:
    a PNG file.
  """
  from matplotlib.figure import Figure

  sets = list(points[0]["sets"])
  means = points[0]["sets"][sets[0]]["mean"]
  names = [name for name in means if name != "psnr"]
  size = (_PANEL[0] * len(names), _PANEL[1] * len(sets))
  figure = Figure(figsize=size, layout="constrained")
  figure.suptitle(f"Between two generators\n{protocol}", fontsize=10)
  panels = figure.subplots(len(sets), len(names), squeeze=False)
  for row, folder in zip(panels, sets, strict=True):
    for panel, name in zip(row, names, strict=True):
      _panel(panel, points, folder, name)
  panels[0][0].legend(loc="best", fontsize=9)
  data = io.BytesIO()
  figure.savefig(data, format="png", dpi=120)
  return data.getvalue()


def _panel(
  panel: Any, points: Sequence[Mapping[str, Any]], folder: str, name: str
) -> None:
  for method, look in _LOOKS.items():
    line = [
      (
        point["alpha"],
        *(point["sets"][folder]["mean"][k] for k in ("psnr", name)),
      )
      for point in points
      if point["method"] == method or point["alpha"] in _ENDS
    ]
    _, x, y = zip(*line, strict=True)
    panel.plot(x, y, **look)
    if method == "network":
      # A set of which no picture could be scored has no place in the panel.
      for alpha, *place in (one for one in line if np.isfinite(one).all()):
        panel.annotate(
          f"{alpha:.2g}",
          place,
          xytext=(5, 5),
          textcoords="offset points",
          fontsize=8,
        )
  kind = scoring.KINDS[name]
  panel.set_title(folder, fontsize=10)
  panel.set_xlabel("PSNR, dB (higher is better)")
  panel.set_ylabel(f"{kind.title} ({kind.better} is better)")
  panel.margins(0.12)
  panel.grid(alpha=0.3)


def strip(
  samples: Mapping[tuple[str, float], scoring.Sample], detail: int
) -> np.ndarray:
  """A picture over alpha, one row a method, HR at the right.

  Args:
    samples: (method, alpha) -> the picture, alpha rising; has both ends.
    detail: pixels a side that are shown, where the two ends differ most.

  Returns:
    uint8 [H, W, 3].
  """
  first, last = (samples["network", alpha] for alpha in _ENDS)
  window = _where_they_differ(first.sr, last.sr, detail)
  hr = (["HR", "the reference"], first.hr[window])
  rows = []
  for method, look in _LOOKS.items():
    columns = [
      _column(sample, alpha, window)
      for (kind, alpha), sample in samples.items()
      if kind == method or alpha in _ENDS
    ]
    rows.append((look["label"], [*columns, hr]))
  title = f"{first.set}/{first.file}: a detail; values are of the whole"
  return figures.comparison_page(rows, title=title)


def _column(
  sample: scoring.Sample, alpha: float, window: tuple[slice, slice]
) -> figures.Column:
  names = [name for name in sample.values if name != "psnr"][-1:]
  values = [f"{sample.values['psnr']:.2f} dB"]
  values += [
    f"{scoring.KINDS[name].title} "
    f"{sample.values[name]:.{scoring.KINDS[name].decimals}f}"
    for name in names
  ]
  return [f"alpha {alpha:g}", *values], sample.sr[window]


def _where_they_differ(
  a: np.ndarray, b: np.ndarray, size: int
) -> tuple[slice, slice]:
  """The window of `size` pixels in which two pictures differ most."""
  from scipy import ndimage

  difference = np.abs(a.astype(np.float32) - b).mean(axis=-1)
  height, width = (min(size, side) for side in difference.shape)
  mean = ndimage.uniform_filter1d(difference, height, 0, mode="constant")
  mean = ndimage.uniform_filter1d(mean, width, 1, mode="constant")
  row, column = np.unravel_index(np.argmax(mean), mean.shape)
  top = int(np.clip(row - height // 2, 0, difference.shape[0] - height))
  left = int(np.clip(column - width // 2, 0, difference.shape[1] - width))
  return slice(top, top + height), slice(left, left + width)
