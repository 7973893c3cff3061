"""The report's curves: what is drawn, over which axis, and how."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from enhance_jax.reporting import curves, plots, runs
from tests import report_runs


@pytest.fixture
def run(tmp_path):
  return runs.read([report_runs.write(tmp_path / "run")])[0]


@pytest.fixture
def panels(monkeypatch):
  return report_runs.capture(monkeypatch)


def test_rates_follow_from_recall_and_specificity(run):
  found = {name: v[-1] for name, (_, v) in curves.rates(run, "").items()}
  # Of 10 real 6 are called real, of 10 generated 3.
  assert found == pytest.approx(
    {
      "accuracy": 13 / 20,
      "precision": 6 / 9,
      "recall": 6 / 10,
      "specificity": 7 / 10,
      "f1": 12 / 19,
    }
  )
  held_out = curves.rates(run, "validation/")
  assert held_out["accuracy"] == ([8], [0.5])
  # Nothing is called real: precision is 0/0.
  assert held_out["precision"] == held_out["f1"] == ([], [])


def test_curves_show_what_was_logged(run, panels):
  assert run.steps_an_epoch == 1.5
  assert (
    curves.losses(run) and curves.quality(run) and curves.discriminator(run)
  )
  psnr = panels["PSNR dB on held-out pictures"]
  assert psnr["this run"].get_xydata().tolist() == [[4, 27.0], [8, 28.0]]
  assert list(psnr["bicubic, 27.500"].get_ydata()) == [27.5, 27.5]
  mse = panels["term mse"]
  assert list(mse["training"].get_xdata()) == [2, 4, 6, 8]
  assert list(mse["held-out"].get_ydata()) == [0.125, 0.0625]
  assert list(panels["loss of the generator"]) == ["training"]
  rates = panels["discriminator on training batches"]
  assert set(rates) == {"accuracy", "precision", "recall", "specificity", "F1"}
  output = panels["mean probability of being real"]
  assert output["real"].get_xydata().tolist() == [[6, 0.6], [8, 0.6]]
  assert output["real, held-out"].get_xydata().tolist() == [[8, 0.55]]


def test_axes_have_epochs_phases_and_only_what_concerns_them(monkeypatch):
  shown = []

  def keep(figure, file, **kwargs):
    figure.draw_without_rendering()
    shown.append(figure)

  monkeypatch.setattr(Figure, "savefig", keep)
  axis = plots.Axis(1000, [("pixel", 0, 600), ("gan", 600, 1000)], 50.0)
  plots.draw(
    [
      lambda axes, colors: axes.plot([10, 1000], [1, 2]),
      lambda axes, colors: axes.plot([610, 1000], [1, 2]),
    ],
    axis,
  )
  whole, late = shown[0].axes
  assert whole.get_xlim() == (-20, 1020) and late.get_xlim() == (592, 1008)
  assert {t.get_text() for t in whole.texts} == {"pixel", "gan"}
  assert {t.get_text() for t in late.texts} == {"gan"}
  top = whole.child_axes[0]
  assert top.get_xlabel() == "epoch"
  assert top.get_xlim() == pytest.approx((-0.4, 20.4))


def test_equal_curves_are_equal_files_and_dark_ones_are_dark():
  def panel(axes, colors):
    axes.plot([0, 5], [1, 2], color=colors[0])

  first, second = (plots.draw([panel], plots.Axis(5)) for _ in range(2))
  assert first == second
  with (
    Image.open(io.BytesIO(first.light)) as light,
    Image.open(io.BytesIO(first.dark)) as dark,
  ):
    corners = [np.asarray(x.convert("L"))[0, 0] for x in (light, dark)]
  assert corners[0] == 255 and corners[1] < 40
