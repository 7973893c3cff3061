"""Scores of whole test sets, how files are matched, strips as pixels."""

import csv
import json
import math

import numpy as np
import pytest

from enhance_jax import errors, figures, images, resample, scoring, testsets
from enhance_jax.inference import engine
from enhance_jax.metrics import image as metrics

Y = metrics.Protocol("y", 4)


def scene(height, width, seed=0, channels=3):
  """A smooth picture with some noise, uint8."""
  rng = np.random.default_rng(seed)
  i, j, c = np.mgrid[:height, :width, :channels]
  smooth = 120 + 60 * np.sin(i / 9 + c + seed) + 50 * np.cos(j / 7 - c)
  return np.uint8(np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255))


def write(path, pixels):
  path.parent.mkdir(parents=True, exist_ok=True)
  images.write_picture(path, images.Picture(pixels))


@pytest.fixture
def photos(tmp_path):
  """A set of a colour, an odd-sized and a gray picture below HR."""
  folder = tmp_path / "photos"
  write(folder / "HR" / "a.png", scene(48, 40))
  write(folder / "HR" / "b.png", scene(51, 47, 1))
  write(folder / "HR" / "gray.png", scene(44, 48, 2, 1))
  (folder / "HR" / "notes.txt").write_text("no picture")
  return folder


def test_scores_are_those_of_the_steps_done_by_hand(photos):
  scores = scoring.score_sets(
    engine.Interpolation("bicubic", 4), [photos], scale=4, protocol=Y
  )
  entry = scores["sets"]["photos"]
  assert sorted(entry["images"]) == ["a.png", "b.png", "gray.png"]
  for name, (height, width) in {
    "b.png": (48, 44),
    "gray.png": (44, 48),
  }.items():
    pixels = images.read_picture(photos / "HR" / name).pixels
    hr = pixels[:height, :width]
    lr = resample.resize_uint8(hr, scale=0.25)
    sr = resample.resize_uint8(lr, scale=4)
    assert entry["images"][name] == {
      "psnr": metrics.psnr(sr, hr, Y),
      "ssim": metrics.ssim(sr, hr, Y),
    }
  values = [v["psnr"] for v in entry["images"].values()]
  assert entry["mean"]["psnr"] == pytest.approx(sum(values) / 3, abs=1e-12)
  assert entry["failed"] == {}


def test_a_number_carries_its_protocol(photos, tmp_path):
  scores = scoring.score_sets(
    engine.Interpolation("nearest", 3),
    [photos / "HR"],
    scale=3,
    protocol=metrics.Protocol("y8", 2),
  )
  assert list(scores["sets"]) == ["photos"]
  protocol = scores["protocol"]
  assert (protocol["color"], protocol["crop"], protocol["ssim"]) == (
    "y8",
    2,
    "wang",
  )
  assert protocol["scale"] == 3 and "bicubic" in protocol["lr"]
  assert "uint8" in protocol["sr"] and "rounded" in protocol["lr"]
  scoring.write_json(tmp_path / "out" / "s.json", scores)
  assert json.loads((tmp_path / "out" / "s.json").read_text()) == scores
  scoring.write_csv(tmp_path / "s.csv", scores)
  with open(tmp_path / "s.csv", newline="") as file:
    rows = list(csv.DictReader(file))
  assert [row["image"] for row in rows] == ["a.png", "b.png", "gray.png"]
  assert rows[0]["model"] == "nearest" and rows[0]["color"] == "y8"
  first = scores["sets"]["photos"]["images"]["a.png"]["psnr"]
  assert float(rows[0]["psnr"]) == pytest.approx(first, abs=1e-6)


def test_infinity_survives_json(photos, tmp_path):
  for name in ("a", "b", "gray"):
    pixels = images.read_picture(photos / "HR" / f"{name}.png").pixels
    write(tmp_path / "same" / f"{name}.png", images.modcrop(pixels, 4))
  scores = scoring.score_sets(tmp_path / "same", [photos], scale=4, protocol=Y)
  assert scores["sets"]["photos"]["mean"] == {"psnr": math.inf, "ssim": 1.0}
  scoring.write_json(tmp_path / "s.json", scores)
  stored = json.loads((tmp_path / "s.json").read_text())
  assert float(stored["sets"]["photos"]["mean"]["psnr"]) == math.inf


@pytest.mark.parametrize("tail", ["", "x4", "_SR", "-4x (1)"])
def test_ready_results_are_found_by_stem_and_a_common_tail(
  photos, tmp_path, tail
):
  upscaler = engine.Interpolation("bicubic", 4)
  expected = scoring.score_sets(upscaler, [photos], scale=4, protocol=Y)
  results = tmp_path / "results" / "photos"
  for name in ("a", "b", "gray"):
    pixels = images.read_picture(photos / "HR" / f"{name}.png").pixels
    lr = scoring.degrade(images.modcrop(pixels, 4), 4)
    write(results / f"{name}{tail}.png", upscaler.upscale_uint8(lr))
  write(results / "unrelated.png", scene(9, 9))
  for folder in (results, results.parent):
    scores = scoring.score_sets(folder, [photos], scale=4, protocol=Y)
    assert scores["sets"] == expected["sets"]


def test_ready_lr_pictures_are_used(photos, tmp_path):
  for name in ("a", "b", "gray"):
    pixels = images.read_picture(photos / "HR" / f"{name}.png").pixels
    size = [side // 4 for side in pixels.shape[:2]]
    write(tmp_path / "lr" / f"{name}x4.png", np.zeros((*size, 3), np.uint8))
  seen = []
  scores = scoring.score_sets(
    engine.Interpolation("bicubic", 4),
    [photos],
    scale=4,
    protocol=Y,
    lr=tmp_path / "lr",
    observe=seen.append,
  )
  assert [sample.lr.max() for sample in seen] == [0, 0, 0]
  assert "given" in scores["protocol"]["lr"]
  assert scores["sets"]["photos"]["mean"]["psnr"] < 10


@pytest.mark.parametrize(
  ("files", "message"),
  [
    (["ax4.png", "b.png"], r"no result file for \w.* looked for"),
    (["a_x4.png", "b_x4.jpg", "b_x4.png"], "two result files for b"),
    (["a_A.png", "a_B.png", "b_A.png", "b_B.png"], "ending in _A, _B"),
    (["abc.png", "bcd.png"], "no result file for a, b"),
    (["a.png", "a.jpg", "b.png"], "a.jpg and a.png: two"),
  ],
)
def test_results_that_do_not_match_are_listed(tmp_path, files, message):
  for file in files:
    write(tmp_path / file, scene(8, 8))
  with pytest.raises(errors.EnhanceError, match=message):
    testsets.match(["a", "b"], tmp_path, "any", "result")


def test_an_exact_stem_and_a_named_tail_have_precedence(tmp_path):
  for file in ("a.png", "a_B.png", "b.png", "b_B.png"):
    write(tmp_path / file, scene(8, 8))
  exact = testsets.match(["a", "b"], tmp_path, "any", "result")
  assert [path.name for path in exact.values()] == ["a.png", "b.png"]
  named = testsets.match(["a", "b"], tmp_path, "any", "result", "_B")
  assert [path.name for path in named.values()] == ["a_B.png", "b_B.png"]


def test_bad_pictures_are_named_and_the_others_scored(photos):
  path = photos / "HR" / "b.png"
  path.write_bytes(path.read_bytes()[:200])
  write(photos / "HR" / "tiny.png", scene(9, 30))
  scores = scoring.score_sets(
    engine.Interpolation("bicubic", 4), [photos], scale=4, protocol=Y
  )
  entry = scores["sets"]["photos"]
  assert sorted(entry["images"]) == ["a.png", "gray.png"]
  assert set(entry["failed"]) == {"b.png", "tiny.png"}
  assert all(str(photos) in text for text in entry["failed"].values())


def test_results_of_another_size_or_colour_are_failures(photos, tmp_path):
  write(tmp_path / "r" / "a.png", scene(48, 36))
  write(tmp_path / "r" / "b.png", scene(48, 44, channels=1))
  write(tmp_path / "r" / "gray.png", scene(44, 48))
  scores = scoring.score_sets(tmp_path / "r", [photos], scale=4, protocol=Y)
  failed = scores["sets"]["photos"]["failed"]
  assert "36x48" in failed["a.png"] and "40x48" in failed["a.png"]
  assert "is gray" in failed["b.png"]
  # Results of gray pictures are often saved as colour.
  assert list(scores["sets"]["photos"]["images"]) == ["gray.png"]


def test_sets_that_cannot_be_scored_are_refused(photos, tmp_path):
  upscaler = engine.Interpolation("bicubic", 4)
  (tmp_path / "empty").mkdir()
  for sets, message in (
    ([tmp_path / "missing"], "is no folder"),
    ([tmp_path / "empty"], "holds no pictures"),
    ([photos, photos], 'second test set called "photos"'),
    ([], "no test set"),
  ):
    with pytest.raises(errors.EnhanceError, match=message):
      scoring.score_sets(upscaler, sets, scale=4, protocol=Y)
  with pytest.raises(errors.EnhanceError, match="enlarges x4, scale 2"):
    scoring.score_sets(upscaler, [photos], scale=2, protocol=Y)


def test_a_strip_shows_its_pictures_untouched():
  left, right = scene(30, 40), scene(30, 40, 1, 1)
  strip = figures.comparison_strip(
    [(["one", "1.00 dB"], left), (["two"], right)], least_width=80
  )
  gap, zoom = figures.GAP, 2
  shown = strip[gap : gap + 60, gap : gap + 80]
  np.testing.assert_array_equal(shown[::zoom, ::zoom], left)
  shown = strip[gap : gap + 60, 2 * gap + 80 : 2 * gap + 160]
  np.testing.assert_array_equal(shown[1::zoom, 1::zoom, :1], right)
  assert strip.shape[1] == 2 * 80 + 3 * gap
  below = strip[gap + 60 :]
  assert (below.min(axis=-1) < 100).sum() > 20


def test_long_captions_stay_in_their_column():
  picture = np.full((20, 100, 3), 255, np.uint8)
  strip = figures.comparison_strip(
    [(["W" * 300], picture), ([""], picture)], least_width=100
  )
  ink = np.flatnonzero((strip < 128).any(axis=(0, 2)))
  assert ink.min() >= figures.GAP and ink.max() < figures.GAP + 100


def test_a_page_stacks_strips_below_headings():
  columns = [(["a"], scene(20, 30))]
  strip = figures.comparison_strip(columns, least_width=30)
  page = figures.comparison_page(
    [("first", columns), ("", columns)], title="all", least_width=30
  )
  assert page.shape[1] >= strip.shape[1]
  assert page.shape[0] > 2 * strip.shape[0]
  np.testing.assert_array_equal(
    page[-strip.shape[0] :, : strip.shape[1]], strip
  )


def test_columns_of_a_sample_run_from_lr_to_hr(photos):
  seen = []
  for name in ("lanczos", "bicubic", "nearest"):
    scoring.score_sets(
      engine.Interpolation(name, 4),
      [photos],
      scale=4,
      protocol=Y,
      observe=seen.append,
    )
  titles = [
    [lines[0] for lines, _ in scoring.columns(sample, Y, name=name)]
    for sample, name in zip(
      seen[::3], ("lanczos", "bicubic", "nearest"), strict=True
    )
  ]
  assert titles == [
    ["LR 10x12", "bicubic", "lanczos", "HR"],
    ["LR 10x12", "bicubic", "HR"],
    ["bicubic", "nearest", "HR"],
  ]


def test_bicubic_on_set5_and_set14_has_the_known_values(data_dir):
  # Set5 x4: an independent MATLAB-exact implementation gives 28.429/.8111
  # with float luma and 28.416/.8101 with rounded luma. The gray bridge:
  # SelfExSR's table says 23.1459, from LR with old MATLAB's borders.
  upscaler = engine.Interpolation("bicubic", 4)
  sets = [data_dir / "set5", data_dir / "set14"]
  for color, psnr, ssim in (("y8", 28.416, 0.8101), ("y", 28.429, 0.8111)):
    scores = scoring.score_sets(
      upscaler, sets, scale=4, protocol=metrics.Protocol(color, 4)
    )
    mean = scores["sets"]["set5"]["mean"]
    assert mean["psnr"] == pytest.approx(psnr, abs=6e-4)
    assert mean["ssim"] == pytest.approx(ssim, abs=6e-5)
    bridge = scores["sets"]["set14"]["images"]["bridge.png"]
    assert bridge["psnr"] == pytest.approx(23.1459, abs=2e-3)


@pytest.mark.parametrize(("name", "count"), [("set5", 5), ("set14", 14)])
def test_every_picture_of_selfexsr_s_table_is_met(data_dir, name, count):
  # Per-image bicubic PSNR and SSIM published by SelfExSR (rounded luma, LR of
  # old MATLAB), six decimals.
  path = data_dir / "reference_results" / "selfexsr_per_image.csv"
  with open(path, newline="") as file:
    rows = list(csv.DictReader(file))
  scores = scoring.score_sets(
    engine.Interpolation("bicubic", 4),
    [data_dir / name],
    scale=4,
    protocol=metrics.Protocol("y8", 4),
    lr=data_dir / name / "LR_bicubic_matlab_oldedge" / "X4",
  )
  images_ = scores["sets"][name]["images"].values()
  for kind, tolerance in (("PSNR", 2e-5), ("SSIM", 1e-6)):
    expected = [
      float(row["Bicubic"])
      for row in rows
      if (row["set"].lower(), row["scale"], row["metric"]) == (name, "4", kind)
    ]
    assert len(expected) == count
    got = [values[kind.lower()] for values in images_]
    np.testing.assert_allclose(got, expected, atol=tolerance, rtol=0)
