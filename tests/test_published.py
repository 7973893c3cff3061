"""Published numbers: as printed, plausible, and matched to the right runs."""

import ast
import collections
import csv
import importlib.util
import re

import pytest

from enhance_jax import config_check, published, registry
from tests.runs import ROOT


def row(system, name, scale, word=""):
  found = [
    r
    for r in published.find(system, scale)
    if r.set == name and word in r.source
  ]
  assert len(found) == 1, found
  return found[0]


# Typed from the papers' tables once more, not from the module's.
@pytest.mark.parametrize(
  ("system", "name", "scale", "word", "psnr", "ssim", "protocol"),
  [
    ("SRGAN-VGG54", "BSD100", 4, "paper", 25.16, 0.6688, ("luma", 4, "daala")),
    ("SRResNet", "Set14", 4, "paper", 28.49, 0.8184, ("luma", 4, "daala")),
    ("bicubic", "Set5", 4, "SRGAN", 28.43, 0.8211, ("luma", 4, "daala")),
    ("bicubic", "Set5", 4, "DRRN", 28.42, 0.8104, ("luma", 4, "wang")),
    ("VDSR", "Urban100", 3, "DRRN", 27.14, 0.8279, ("luma", 3, "wang")),
    ("RRDB", "Manga109", 4, "Flickr2K", 31.66, 0.9196, ("luma", 4, "wang")),
    ("EDSR", "DIV2K val", 2, "ensemble", 35.12, None, ("rgb", 8, "")),
    ("FSRCNN", "Set5", 3, "", 33.06, None, ("luma", 3, "")),
    ("MSRResNet", "Set5", 2, "BasicSR", 35.7483, None, ("rgb", 2, "")),
    ("ESRGAN", "Set14", 4, "SPSR", 26.28, None, ("luma", None, "")),
  ],
)
def test_a_number_stands_with_its_protocol(
  system, name, scale, word, psnr, ssim, protocol
):
  found = row(system, name, scale, word)
  assert (found.psnr, found.ssim) == (psnr, ssim)
  assert found.protocol == published.Protocol(*protocol)


def test_digits_are_those_printed():
  assert row("SRResNet", "BSD100", 4, "paper").printed["ssim"] == "0.7620"
  spsr = row("ESRGAN", "Set14", 4, "SPSR").printed
  assert spsr == {"pi": "2.926", "lpips": "0.1329", "psnr": "26.28"}


def test_each_row_is_there_once_and_in_range():
  rows = published.results()
  keys = [(r.system, r.set, r.scale, r.source) for r in rows]
  assert len(keys) == len(set(keys)) > 100
  for r in rows:
    assert r.scale in (2, 3, 4) and r.source and r.printed
    assert r.psnr is None or 20 < r.psnr < 40
    assert r.ssim is None or 0.6 < r.ssim < 1
    assert (r.ssim is None) == (r.protocol.ssim == "")


def test_larger_scales_are_harder_and_systems_beat_bicubic():
  tables = collections.defaultdict(dict)
  for r in published.results():
    # SPSR, 4PP-EUSR and the papers on GANs trade PSNR for looks.
    if r.psnr and "GAN" not in r.system:
      tables[r.source, r.set][r.system, r.scale] = r.psnr
  compared = 0
  for values in tables.values():
    for (system, scale), psnr in values.items():
      higher = values.get((system, scale + 1))
      bicubic = values.get(("bicubic", scale))
      assert higher is None or psnr > higher + 0.5
      if bicubic and system not in ("bicubic", "nearest"):
        assert psnr > bicubic + 0.7
      compared += bool(higher) + bool(bicubic)
  assert compared > 60


# One has no weights, the other is for public weights alone.
UNTRAINED = {"interpolation", "msrresnet"}


def test_every_network_has_systems_and_each_a_number_or_a_reason():
  generators = {system.generator for system in published.SYSTEMS.values()}
  assert generators == registry.GENERATORS.keys() - UNTRAINED
  numbers = {r.system for r in published.results()}
  for name, system in published.SYSTEMS.items():
    assert (name in numbers) != bool(system.silent), name


def test_published_means_agree_with_published_pictures(data_dir):
  """SelfExSR published the same methods picture by picture (rounded luma)."""
  path = data_dir / "reference_results" / "selfexsr_per_image.csv"
  means = collections.defaultdict(list)
  with path.open(newline="") as file:
    for line in csv.DictReader(file):
      for theirs, ours in (("Bicubic", "bicubic"), ("A+", "A+")):
        key = ours, line["set"], int(line["scale"]), line["metric"].lower()
        means[key].append(float(line[theirs]))
  compared = 0
  for (system, name, scale, metric), values in means.items():
    # Columns of zeros belong to methods that were not run.
    if metric in ("psnr", "ssim") and values[0] and name != "Urban100":
      value = row(system, name, scale, "DRRN").values[metric]
      mean = sum(values) / len(values)
      assert abs(mean - value) < (0.03 if metric == "psnr" else 0.001)
      compared += 1
  assert compared == 24


@pytest.mark.parametrize(
  ("generator", "options", "objective", "real_world", "system"),
  [
    ("srresnet", {}, {"mse": 4.0}, False, "SRResNet"),
    ("srresnet", {}, {"l1": 1.0}, False, "SRResNet"),
    ("srresnet", {}, {"vgg22": 1, "mse": 0.0}, False, "SRResNet-VGG22"),
    (
      "srresnet",
      {},
      {"vgg54": 1, "adversarial": 1e-3},
      False,
      "SRGAN-VGG54",
    ),
    ("srresnet", {}, {"mse": 1, "adversarial": 1}, False, "SRGAN-MSE"),
    ("srresnet", {}, {"squeezenet": 1, "adversarial": 1}, False, "SRGAN-VGG54"),
    ("edsr", {"width": 64}, {"l1": 1}, False, "EDSR-baseline"),
    ("edsr", {"width": 256}, {"l1": 1}, False, "EDSR"),
    ("fsrcnn", {"width": 56}, {"mse": 1}, False, "FSRCNN"),
    ("fsrcnn", {"width": 32}, {"mse": 1}, False, None),
    ("rrdb", {}, {"l1": 1}, False, "RRDB"),
    ("rrdb", {}, {"l1": 1}, True, "Real-ESRNet"),
    (
      "rrdb",
      {},
      {"l1": {"from": 0, "to": 1, "begin": 0, "steps": 9}, "adversarial": 1},
      False,
      "ESRGAN",
    ),
    ("srez", {}, {"block_l1": 0.9, "adversarial": 0.1}, False, "srez"),
    ("srez", {}, {"l1": 1}, False, "srez, per pixel"),
    ("sparse_coding", {}, {}, False, "sparse coding"),
    ("interpolation", {}, {}, False, None),
    ("compact", {}, {"l1": 1}, False, None),
  ],
)
def test_a_phase_is_matched_to_the_nearest_system(
  generator, options, objective, real_world, system
):
  found = published.find_system(
    generator, options, objective, real_world=real_world
  )
  assert found == system


@pytest.mark.parametrize(
  ("folder", "name"),
  [
    ("set5", "Set5"),
    ("Set14", "Set14"),
    ("B100", "BSD100"),
    ("DIV2K_valid_HR", "DIV2K val"),
    ("manga-109", "Manga109"),
    ("div2k_valid_crop256", ""),
    ("set5_crops", ""),
    ("held_out", ""),
  ],
)
def test_a_set_is_known_by_its_folder(folder, name):
  assert published.set_name(folder) == name


MATLAB = "MATLAB bicubic, antialiased"


@pytest.mark.parametrize(
  ("metric", "theirs", "ours", "reason"),
  [
    ("psnr", ("luma", 4, "daala"), ("y", 4, "wang", MATLAB), ""),
    ("psnr", ("luma", 4), ("y8", 4, "wang", "given: DIR"), ""),
    ("psnr", ("rgb", 4), ("rgb", 4, "wang", MATLAB), ""),
    ("psnr", ("rgb", 10), ("y", 10, "wang", MATLAB), "rgb and y"),
    ("psnr", ("y", 4), ("rgb", 4, "wang", MATLAB), "y and rgb"),
    ("psnr", ("luma", 4), ("y", 6, "wang", MATLAB), "borders of 4 and 6 px"),
    ("psnr", ("luma", None), ("y", 4, "wang", MATLAB), "border not stated"),
    ("psnr", ("luma", 4), ("y", 4, "wang", "box"), "LR made in another way"),
    ("ssim", ("luma", 4, "wang"), ("y", 4, "wang", MATLAB), ""),
    (
      "ssim",
      ("luma", 4, "daala"),
      ("y", 4, "wang", MATLAB),
      "SSIM of daala and wang",
    ),
    ("pi", ("luma", 4), ("y", 4, "wang", MATLAB), "other implementations"),
  ],
)
def test_only_like_is_subtracted_from_like(metric, theirs, ours, reason):
  keys = ("color", "crop", "ssim", "lr")
  found = published.obstacle(
    metric, published.Protocol(*theirs), dict(zip(keys, ours, strict=True))
  )
  assert found.startswith(reason) and bool(found) == bool(reason)


PAGE = (ROOT / "docs" / "reproduce.md").read_text()
# (system, scale, data, command, published, ours) of every row of the page.
ROWS = [
  [cell.strip() for cell in line.strip("|").split("|")]
  for line in PAGE.splitlines()
  if re.match(r"\| .* \| x\d \|", line)
]
CONFIGURED = [cells for cells in ROWS if "enhance_jax.main" in cells[3]]
_VALUE = re.compile(
  r"(Set5|Set14|BSD100|DIV2K val) (\d+\.\d+)(?: / (\d\.\d+))?"
)


def test_the_page_has_every_system_and_prints_published_numbers():
  # Real-ESRNet is the first phase of Real-ESRGAN's row.
  systems = published.SYSTEMS.keys() - {"Real-ESRNet"} | {"bicubic"}
  assert {cells[0].split(" (")[0] for cells in ROWS} == systems
  compared = 0
  for system, scale, _, _, printed, _ in ROWS:
    rows = published.find(system.split(" (")[0], int(scale[1:]))
    for name, psnr, ssim in _VALUE.findall(printed):
      assert any(
        r.set == name
        and r.printed.get("psnr") == psnr
        and r.printed.get("ssim", "") == ssim
        for r in rows
      ), (system, name, psnr)
      compared += 1
  assert compared > 40


@pytest.mark.parametrize("cells", CONFIGURED, ids=lambda cells: cells[3][-40:])
def test_the_pages_commands_configure_what_their_row_says(cells):
  system, scale, _, command, _, _ = cells
  found = re.search(r"--config=(configs/\w+\.py)(?::(\w+))?", command)
  path = ROOT / found[1]
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config(found[2] or "")
  for key, value in re.findall(r"--config\.([\w.]+)=([^` ]+)", command):
    literal = ast.literal_eval(value) if value.isdecimal() else value
    config.update_from_flattened_dict({key: literal})
  config_check.validate(config)
  assert config.task.scale == int(scale[1:])
  # A row's system is that of the run's last phase.
  order = config.phase_order
  objective = config.phases[order[-1]].objective.to_dict() if order else {}
  real_world = config.task.degradation.name == "real_world"
  nearest = published.find_system(
    config.generator.name,
    config.generator.options.to_dict(),
    objective,
    real_world=real_world,
  )
  assert nearest == system.split(" (")[0]
