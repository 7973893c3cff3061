"""A run's scores against what was published of its system."""

from enhance_jax import published
from enhance_jax.reporting import page, words
from enhance_jax.reporting.runs import Phase, Run
from enhance_jax.reporting.scores import Scores


def systems(run: Run) -> dict[str, Phase]:
  """The published systems that a run's phases come nearest to.

  Where several phases belong to one system, its last one stands for it.
  """
  found = {}
  for phase in run.phases:
    system = published.find_system(
      run.setting("generator.name"),
      run.setting("generator.options"),
      phase.settings["objective"],
      real_world=run.setting("task.degradation.name") == "real_world",
    )
    if system:
      found[system] = phase
  return found


def describe(run: Run) -> list[str]:
  """A sentence on each system: whose it is, and how our phase differs."""
  sentences = []
  for name, phase in systems(run).items():
    system = published.SYSTEMS[name]
    ours = words.objective(phase.settings["objective"]) or phase.name
    text = (
      f"The phase {phase.name} comes nearest to {name} ({system.paper}), which "
      f"was trained on {system.objective}; this phase on {ours}."
    )
    if not published.find(name, run.setting("task.scale")):
      reason = system.silent or "its tables have no such enlargement"
      text += f" No numbers to compare with: {reason}."
    sentences.append(text)
  return sentences


def compare(run: Run) -> list[page.Table]:
  """Published values beside the run's.

  Returns:
    What the run was scored on, then, folded, what it was not; each only if it
    has a line.
  """
  scale = run.setting("task.scale")
  upscalers = {
    model: model
    for scores in run.scores
    if published.set_name(scores.set)
    for model in scores.models
  }
  upscalers |= {name: p.upscaler for name, p in systems(run).items()}
  scored, others = [], []
  for system, upscaler in upscalers.items():
    for result in published.find(system, scale):
      scores = _scores(run, upscaler, result.set)
      for metric in result.printed:
        if scores:
          scored.append(_row(result, metric, scores, upscaler))
        else:
          others.append(_published(result, metric))
  columns = ("system", "set", "metric", "published", "under", "read in")
  tables = [
    page.Table(
      (*columns[:4], "ours", "difference", *columns[4:], "ours under"),
      scored,
      numbers=(3, 4),
    ),
    page.Table(
      columns,
      others,
      numbers=(3,),
      folded="Published numbers of sets that this run was not scored on",
    ),
  ]
  return [table for table in tables if table.rows]


def _published(result: published.Result, metric: str) -> tuple[str, ...]:
  return (
    result.system,
    result.set,
    words.label(metric),
    result.printed[metric],
    result.protocol.describe(metric),
    result.source,
  )


def _row(
  result: published.Result, metric: str, scores: Scores, upscaler: str
) -> tuple[str, ...]:
  theirs = _published(result, metric)
  ours = scores.models[upscaler].get(metric)
  under = str(scores.protocol["text"])
  if metric not in ("psnr", "ssim"):
    under = str(scores.protocol.get("metrics", {}).get(metric, "not recorded"))
  if ours is None:
    return (*theirs[:4], "not measured", "", *theirs[4:], "")
  obstacle = published.obstacle(metric, result.protocol, scores.protocol)
  difference = words.show(metric, ours - result.values[metric], "+")
  return (
    *theirs[:4],
    words.show(metric, ours),
    f"not comparable: {obstacle}" if obstacle else difference,
    *theirs[4:],
    under,
  )


def _scores(run: Run, upscaler: str, name: str) -> Scores | None:
  """The run's scores of an upscaler on a published set, if it has any."""
  for scores in run.scores:
    if published.set_name(scores.set) == name and upscaler in scores.models:
      return scores
  return None
