"""The report's parts, in order; what a run lacks is said in words."""

import io
import pathlib
from collections.abc import Sequence

from PIL import Image

from enhance_jax import errors
from enhance_jax.reporting import against, curves, page, plots, tables
from enhance_jax.reporting.runs import Run

TITLE = "Training report"
_INVENTED = (
  "Detail from an adversarial network is invented: it shows what is plausible, "
  "not what was there."
)


def build(runs: Sequence[Run]) -> list[page.Block]:
  """All blocks of the report.

  Raises:
    EnhanceError: a run's comparison picture is damaged.
  """
  blocks: list[page.Block] = [page.Text(_INVENTED), *_side_by_side(runs)]
  for number, run in enumerate(runs, 1):
    blocks += _run(run, f"run {number}")
  return blocks


def _side_by_side(runs: Sequence[Run]) -> list[page.Block]:
  blocks: list[page.Block] = [
    page.Heading(2, "Runs side by side" if len(runs) > 1 else "Scores")
  ]
  if len(runs) > 1:
    blocks.append(tables.overview(runs))
  found = tables.groups(runs)
  for group in found:
    blocks.append(group.table)
    if group.pictures:
      blocks.append(group.pictures)
  if found:
    blocks.append(page.Text("The best value of each column is set in bold."))
  for run in runs:
    if not run.scores:
      blocks.append(
        page.Text(
          f"The run {run.name} has no scores yet: they are written by "
          "python -m enhance_jax.main with --mode=evaluate."
        )
      )
  for number, plot in enumerate(curves.together(runs), 1):
    what = "PSNR and SSIM by step of runs with the same held-out pictures."
    blocks.append(_picture(plot, page.file_name("together", str(number)), what))
  return blocks


def _run(run: Run, number: str) -> list[page.Block]:
  blocks: list[page.Block] = [
    page.Heading(2, run.name),
    page.Heading(3, "What it is"),
    tables.facts(run),
  ]
  if run.phases:
    blocks.append(tables.phases(run))
  else:
    blocks.append(page.Text("This run has no phases: nothing is trained."))
  blocks += [page.Heading(3, "Curves"), *_curves(run, number)]
  blocks += [page.Heading(3, "Published numbers and ours")]
  blocks += [page.Text(text) for text in against.describe(run)]
  if not against.systems(run):
    blocks.append(page.Text("This run has no published counterpart."))
  compared = against.compare(run)
  if not any(not table.folded for table in compared):
    blocks.append(
      page.Text(
        "This run was not scored on a set with published numbers: name folders "
        "called set5, set14, bsd100, urban100 or manga109 in "
        "--config.evaluate.sets, with --mode=evaluate."
      )
    )
  blocks += compared
  blocks += [page.Heading(3, "Pictures"), *_pictures(run, number)]
  return blocks


def _curves(run: Run, number: str) -> list[page.Block]:
  if not run.rows:
    return [page.Text("This run has no metrics.jsonl yet, so no curves.")]
  blocks: list[page.Block] = []
  for name, plot, alt, missing in (
    (
      "losses",
      curves.losses(run),
      "Losses by step, on training batches and on held-out pictures",
      "This run has logged no losses.",
    ),
    (
      "quality",
      curves.quality(run),
      "Metrics on held-out pictures by step, with the interpolations as lines",
      "This run has logged no metrics on held-out pictures.",
    ),
    (
      "discriminator",
      curves.discriminator(run),
      "Accuracy, precision, recall, specificity and F1 of the discriminator",
      "This run has logged nothing of a discriminator.",
    ),
  ):
    if plot:
      file = page.file_name(number, name)
      blocks.append(_picture(plot, file, f"{alt}: {run.name}."))
    else:
      blocks.append(page.Text(missing))
  return blocks + [page.Text(text) for text in _remarks(run)]


def _remarks(run: Run) -> list[str]:
  """What the curves mean, and what they lack."""
  texts = [
    "Terms are drawn before their weights, the losses of generator and "
    "discriminator are weighted sums."
  ]
  if run.steps_an_epoch is None:
    texts.append(
      "This run has no record of the number of its training pictures, so its "
      "curves have no epochs."
    )
  else:
    texts.append("An epoch is as many crops as there are training pictures.")
  if not run.logged("validation/loss/"):
    texts.append("This run has logged no losses on held-out pictures.")
  if run.logged("validation/psnr") and not run.logged("baseline/"):
    texts.append("This run has logged no scores of interpolations.")
  for prefix, where in (("", "training batches"), ("validation/", "held-out")):
    if run.logged("d_real") and not curves.rates(run, prefix):
      texts.append(f"This run has no rates of its discriminator on {where}.")
  if run.logged("d_recall"):
    texts.append(
      "The discriminator's rates count a real picture as the positive class; "
      "accuracy, precision and F1 follow from recall and specificity, with as "
      "many real as generated pictures."
    )
  return texts


def _pictures(run: Run, number: str) -> list[page.Block]:
  if not run.comparisons:
    return [page.Text("This run has no comparison pictures yet.")]
  blocks: list[page.Block] = []
  for name, path in run.comparisons.items():
    pictures = name.replace("_", "-")
    alt = (
      f"Details of {pictures} pictures: low resolution, bicubic, this run's "
      f"results and the reference: {run.name}."
    )
    file = page.file_name(number, "pictures", name)
    blocks.append(page.Picture(file, _read_png(path), alt))
  return blocks


def _read_png(path: pathlib.Path) -> bytes:
  try:
    data = path.read_bytes()
    with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
      picture.load()
  except (OSError, SyntaxError, ValueError) as error:
    raise errors.EnhanceError(
      f"{path} is not a whole PNG picture ({error}); draw it again with "
      "python -m enhance_jax.main and --mode=evaluate"
    ) from error
  return data


def _picture(plot: plots.Plot, file: str, alt: str) -> page.Picture:
  return page.Picture(file, plot.light, alt, plot.dark)
