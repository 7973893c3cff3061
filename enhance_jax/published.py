"""Published results of the systems that this project rebuilds.

Every number stands with its protocol and with where it was read: most tables
go back to the papers, some were read in the READMEs that quote them. Systems
without a row published no such number.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

from enhance_jax import published_tables as tables

# Names under which the sets lie in folders -> their name in the tables.
_ALIASES = {
  "b100": "BSD100",
  "bsds100": "BSD100",
  "div2k100": "DIV2K val",
  "div2kvalid": "DIV2K val",
  "div2kvalidhr": "DIV2K val",
}
_LUMA = ("luma", "y", "y8")


@dataclasses.dataclass(frozen=True)
class Protocol:
  """How a published number was measured, as far as its source says.

  Attributes:
    color: "luma" (BT.601; the source leaves open whether rounded), "y" (not
      rounded), "y8" (rounded) or "rgb".
    crop: pixels dropped on every side; None: not stated.
    ssim: "wang", "daala", or whose code; "": no SSIM, or not stated.
  """

  color: str
  crop: int | None
  ssim: str = ""

  def describe(self, metric: str) -> str:
    """The part of the protocol that a metric depends on."""
    if metric not in ("psnr", "ssim"):
      return "as its source computes it"
    color = {"rgb": "RGB", "y": "float luma", "y8": "rounded luma"}
    crop = "border not stated" if self.crop is None else f"{self.crop} px"
    words = [color.get(self.color, "luma"), crop]
    if metric == "ssim":
      words.append(f"{self.ssim.capitalize()}'s SSIM")
    return ", ".join(words)


@dataclasses.dataclass(frozen=True)
class Result:
  """One published row.

  Attributes:
    system: a name in `SYSTEMS`, or of a system that only serves to compare.
    set: the test set.
    scale: the enlargement.
    printed: metric -> value with the printed digits: "psnr" in dB, "ssim",
      "lpips" (its network is not stated), "pi".
    protocol: how it was measured; LR is MATLAB's bicubic throughout.
    source: where the numbers were read.
  """

  system: str
  set: str
  scale: int
  printed: Mapping[str, str]
  protocol: Protocol
  source: str

  @property
  def values(self) -> dict[str, float]:
    """Metric -> value."""
    return {metric: float(text) for metric, text in self.printed.items()}

  @property
  def psnr(self) -> float | None:
    """PSNR in dB, if published."""
    return self.values.get("psnr")

  @property
  def ssim(self) -> float | None:
    """SSIM, if published."""
    return self.values.get("ssim")


@dataclasses.dataclass(frozen=True)
class System:
  """A published system, and how a run of it is recognised.

  Attributes:
    generator: its name in `registry.GENERATORS`.
    paper: authors, year, arXiv number.
    objective: what it was trained on, in words.
    terms: terms of the objective that tell it from its siblings.
    options: options of the generator that do.
    real_world: whether it is trained on second-order degradations.
    silent: why there is no number, where there is none.
  """

  generator: str
  paper: str
  objective: str
  terms: tuple[str, ...] = ()
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  real_world: bool = False
  silent: str = ""


_LEDIG = "Ledig et al. 2017, arXiv:1609.04802"
_LIM = "Lim et al. 2017, arXiv:1707.02921"
_WANG = "Wang et al. 2018, arXiv:1809.00219"
_REAL = "Wang et al. 2021, arXiv:2107.10833"
_BLIND = "its paper reports no-reference metrics only"

# Among siblings that fit a run equally well the first one counts.
SYSTEMS: Mapping[str, System] = {
  "sparse coding": System(
    "sparse_coding",
    "Yang et al. 2010",
    "a joint dictionary of LR and HR patches",
    silent="no table of its paper has been read",
  ),
  "SRCNN": System(
    "srcnn",
    "Dong et al. 2016, arXiv:1501.00092",
    "MSE (as 9-5-5, on ImageNet)",
    ("mse",),
  ),
  "VDSR": System("vdsr", "Kim et al. 2016, arXiv:1511.04587", "MSE", ("mse",)),
  "FSRCNN": System(
    "fsrcnn",
    "Dong et al. 2016, arXiv:1608.00367",
    "MSE",
    ("mse",),
    {"width": 56},
  ),
  "ESPCN": System(
    "espcn", "Shi et al. 2016, arXiv:1609.05158", "MSE", ("mse",)
  ),
  "EDSR-baseline": System("edsr", _LIM, "L1", ("l1",)),
  "EDSR": System("edsr", _LIM, "L1", ("l1",), {"width": 256}),
  "SRResNet": System("srresnet", _LEDIG, "MSE", ("mse",)),
  "SRResNet-VGG22": System(
    "srresnet", _LEDIG, "VGG22 + total variation", ("vgg22",)
  ),
  "SRGAN-VGG54": System(
    "srresnet", _LEDIG, "VGG54 + 1e-3 adversarial", ("adversarial", "vgg54")
  ),
  "SRGAN-VGG22": System(
    "srresnet", _LEDIG, "VGG22 + 1e-3 adversarial", ("adversarial", "vgg22")
  ),
  "SRGAN-MSE": System(
    "srresnet", _LEDIG, "MSE + 1e-3 adversarial", ("adversarial", "mse")
  ),
  "RRDB": System("rrdb", _WANG, "L1", ("l1",)),
  "ESRGAN": System(
    "rrdb",
    _WANG,
    "VGG54 before activation + 5e-3 relativistic + 1e-2 L1",
    ("adversarial", "vgg54_pre", "l1"),
  ),
  "Real-ESRNet": System(
    "rrdb", _REAL, "L1", ("l1",), real_world=True, silent=_BLIND
  ),
  "Real-ESRGAN": System(
    "rrdb",
    _REAL,
    "L1 + VGG19 of five layers + 0.1 adversarial",
    ("adversarial", "vgg_multi", "l1"),
    real_world=True,
    silent=_BLIND,
  ),
  "Real-ESRGAN compact": System(
    "compact",
    _REAL,
    "L1 + VGG19 of five layers + 0.1 adversarial",
    ("adversarial", "vgg_multi", "l1"),
    real_world=True,
    silent=_BLIND,
  ),
  "srez, per pixel": System(
    "srez",
    "talk of 2017 on srez",
    "difference per pixel",
    ("l1",),
    silent="the talk shows pictures, no numbers",
  ),
  "srez": System(
    "srez",
    "Garcia 2016, github.com/david-gpu/srez",
    "0.9 L1 of the reduced result + 0.1 adversarial",
    ("adversarial", "block_l1"),
    silent="its author shows pictures, no numbers",
  ),
  "swish GAN": System(
    "swish_resnet",
    'student report "Enhance!"',
    "MSE + 1e-3 adversarial",
    ("adversarial", "mse"),
    silent="the report has curves, no table",
  ),
  "DCGAN": System(
    "dcgan",
    "Yan and Wang 2017",
    "0.9 L1 + 0.1 adversarial",
    ("adversarial", "l1"),
    silent="no table of its paper has been read",
  ),
}


def find_system(
  generator: str,
  options: Mapping[str, Any],
  objective: Mapping[str, Any],
  *,
  real_world: bool = False,
) -> str | None:
  """The published system that a phase of a run is nearest to.

  The generator must be the same, both adversarial or neither, both for
  bicubic LR or neither; then the objective with the most terms in common.

  Args:
    generator: name in `registry.GENERATORS`.
    options: the generator's options.
    objective: term -> weight.
    real_world: whether it is trained on second-order degradations.

  Returns:
    a key of `SYSTEMS`, or None where nothing comparable was published.
  """
  terms = {name for name, weight in objective.items() if weight}

  def fits(system: System) -> bool:
    return (
      system.generator == generator
      and system.real_world == real_world
      and ("adversarial" in system.terms) == ("adversarial" in terms)
      and all(options.get(k) == v for k, v in system.options.items())
    )

  fitting = [name for name, system in SYSTEMS.items() if fits(system)]
  return max(
    fitting,
    key=lambda name: (
      len(terms & set(SYSTEMS[name].terms)),
      len(SYSTEMS[name].options),
    ),
    default=None,
  )


def set_name(folder: str) -> str:
  """The tables' name of a test set by that of its folder, or "".

  A folder that only begins like a set ("set5_crops") is another set.
  """
  plain = re.sub(r"[^a-z0-9]", "", folder.lower())
  known = {re.sub(r"[^a-z0-9]", "", r.set.lower()): r.set for r in results()}
  return known.get(plain) or _ALIASES.get(plain, "")


def find(system: str, scale: int) -> list[Result]:
  """All published rows of a system at an enlargement, in the tables' order."""
  return [r for r in results() if r.system == system and r.scale == scale]


def obstacle(metric: str, theirs: Protocol, ours: Mapping[str, Any]) -> str:
  """Why two values cannot be subtracted; "" if they can.

  Luma as float and rounded count as one kind: they differ by some hundredths
  of a decibel, a border or RGB by tenths and more.

  Args:
    metric: a key of `Result.printed`.
    theirs: the published protocol.
    ours: {"color", "crop", "ssim", "lr"}, as evaluations store it.
  """
  if metric not in ("psnr", "ssim"):
    return "other implementations give other values"
  made = str(ours.get("lr", ""))
  if not made.startswith(("MATLAB bicubic", "given")):
    return "LR made in another way"
  color = ours.get("color")
  if theirs.color != color and not {theirs.color, color} <= set(_LUMA):
    return f"{theirs.color} and {color}"
  if theirs.crop is None:
    return "border not stated"
  if theirs.crop != ours.get("crop"):
    return f"borders of {theirs.crop} and {ours.get('crop')} px"
  if metric == "ssim" and theirs.ssim != ours.get("ssim"):
    return f"SSIM of {theirs.ssim} and {ours.get('ssim')}"
  return ""


@functools.cache
def results() -> tuple[Result, ...]:
  """All rows of all tables."""
  rows = []
  for table in tables.TABLES:
    header, *lines = table.text.strip().splitlines()
    columns = [_column(name) for name in re.split(r"\s{2,}", header.strip())]
    for line in lines:
      system, *cells = re.split(r"\s{2,}", line.strip())
      for (name, scale), cell in zip(columns, cells, strict=True):
        if cell == "-":
          continue
        numbers = zip(table.metrics, cell.split("/"), strict=True)
        printed = {k: _digits(text) for k, text in numbers if text}
        crop = None if table.extra_crop is None else scale + table.extra_crop
        ssim = table.ssim if "ssim" in printed else ""
        used = Protocol(table.color, crop, ssim)
        rows.append(Result(system, name, scale, printed, used, table.source))
  return tuple(rows)


def _digits(text: str) -> str:
  return f"0{text}" if text.startswith(".") else text


def _column(text: str) -> tuple[str, int]:
  name, _, scale = text.rpartition(" x")
  return name, int(scale)
