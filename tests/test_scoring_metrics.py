"""Metrics by name: in scores, in files, on the command line."""

import csv
import json
import math

import numpy as np
import pytest

from enhance_jax import errors, evaluate, images, measures, scoring
from enhance_jax.inference import engine
from enhance_jax.metrics import image, natural, perceptual
from enhance_jax.metrics.image import Protocol
from tests.test_metrics_image import noisy, picture_s
from tests.test_scoring import scene, write

Y = Protocol("y", 4)
BICUBIC = ["--model=bicubic", "--scale=4"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path_factory.getbasetemp()))


@pytest.fixture
def photos(tmp_path):
  """A set of a colour and a gray picture, large enough for every metric."""
  folder = tmp_path / "photos"
  write(folder / "HR" / "a.png", scene(208, 304))
  write(folder / "HR" / "gray.png", scene(208, 301, 2, 1))
  return folder


@pytest.fixture
def niqe_file(tmp_path):
  """Parameters of no photograph: the distance from zero."""
  path = tmp_path / "weights" / "niqe_own.npz"
  path.parent.mkdir()
  model = natural.Model(np.zeros(36), np.eye(36))
  np.savez(path, **natural.model_to_arrays(model))
  return path


def score(photos, metrics, **more):
  return scoring.score_sets(
    engine.Interpolation("bicubic", 4),
    [photos],
    scale=4,
    protocol=Y,
    metrics=metrics,
    **more,
  )


def test_what_was_asked_for_is_measured_in_that_order(photos, niqe_file):
  names = ("niqe", "lr_psnr_float", "ssim", "ms_ssim", "lr_psnr", "psnr")
  seen = []
  metrics = measures.Metrics([*names, "niqe"], niqe_file.parent)
  assert metrics.names == names
  scores = score(photos, metrics, observe=seen.append)
  entry = scores["sets"]["photos"]
  assert tuple(entry["mean"]) == names and not entry["failed"]
  model = natural.Model(np.zeros(36), np.eye(36))
  for sample in seen:
    sr, hr, lr = sample.sr, sample.hr, sample.lr
    expected = {
      "niqe": natural.niqe(image.rounded_luma(sr, 4), model),
      "lr_psnr_float": image.lr_psnr(sr, lr, rounded=False),
      "ssim": image.ssim(sr, hr, Y),
      "ms_ssim": image.ms_ssim(sr, hr, Y),
      "lr_psnr": image.lr_psnr(sr, lr),
      "psnr": image.psnr(sr, hr, Y),
    }
    assert entry["images"][sample.file] == sample.values == expected
  for name in names:
    values = [values[name] for values in entry["images"].values()]
    assert entry["mean"][name] == pytest.approx(sum(values) / 2, rel=1e-12)


def test_every_number_carries_its_protocol(photos, niqe_file, tmp_path):
  scores = score(photos, measures.Metrics(["psnr", "niqe"], niqe=niqe_file))
  texts = scores["protocol"]["metrics"]
  assert list(texts) == ["psnr", "niqe"]
  assert texts["psnr"].startswith("higher is better")
  assert texts["niqe"].startswith(
    "lower is better; parameters niqe_own.npz (SHA-256 "
  )
  assert "rounded to 8 bits" in texts["niqe"] and "border" in texts["niqe"]
  scoring.write_json(tmp_path / "s.json", scores)
  assert json.loads((tmp_path / "s.json").read_text()) == scores
  scoring.write_csv(tmp_path / "s.csv", scores)
  with open(tmp_path / "s.csv", newline="") as file:
    rows = list(csv.DictReader(file))
  assert list(rows[0])[:5] == ["set", "image", "psnr", "niqe", "model"]
  for row in rows:
    values = scores["sets"]["photos"]["images"][row["image"]]
    assert float(row["niqe"]) == pytest.approx(values["niqe"], rel=1e-7)


def test_a_picture_too_small_for_a_metric_says_for_which(photos):
  write(photos / "HR" / "small.png", scene(100, 300))
  entry = score(photos, ["psnr", "ms_ssim"])["sets"]["photos"]
  assert sorted(entry["images"]) == ["a.png", "gray.png"]
  assert "MS-SSIM needs 176x176" in entry["failed"]["small.png"]
  assert "small.png" in entry["failed"]["small.png"]


def test_lr_of_another_degradation_is_named(photos):
  def darken(hr):
    return scoring.degrade(hr, 4) // 2

  seen = []
  scores = score(
    photos, ["lr_psnr"], degrade=darken, made="half", observe=seen.append
  )
  assert scores["protocol"]["lr"] == "half"
  np.testing.assert_array_equal(seen[0].lr, darken(seen[0].hr))
  scores = score(photos, ["psnr"], degrade=darken)
  assert "another degradation" in scores["protocol"]["lr"]


def test_means_without_pictures_are_nan():
  entry = scoring.entry({}, {"a.png": "broken"}, names=["psnr", "niqe"])
  assert all(math.isnan(value) for value in entry["mean"].values())
  assert list(scoring.entry({})["mean"]) == ["psnr", "ssim"]
  row = {"a": {"psnr": 30.0, "lr_psnr": math.inf}}
  entry = scoring.entry(row, whole={"fid": 7.0})
  assert entry["mean"] == {"psnr": 30.0, "lr_psnr": math.inf, "fid": 7.0}


def test_measure_takes_names():
  hr = picture_s(40, 44)
  sr, lr = noisy(hr), scoring.degrade(hr, 4)
  assert scoring.measure(sr, hr, Y) == {
    "psnr": image.psnr(sr, hr, Y),
    "ssim": image.ssim(sr, hr, Y),
  }
  got = scoring.measure(sr, hr, Y, ["lr_psnr"], lr=lr)
  assert got == {"lr_psnr": image.lr_psnr(sr, lr)}
  with pytest.raises(errors.EnhanceError, match="hand over lr"):
    scoring.measure(sr, hr, Y, ["lr_psnr"])


@pytest.mark.parametrize(
  ("names", "words"),
  [
    (["psnr", "sssim"], 'no metric called "sssim"; did you mean "ssim"'),
    (["LPIPS_alex"], 'did you mean "lpips_alex"'),
    ([], "no metric was named; known: fid, fid_squeeze"),
    (["pi"], "pi needs the Ma score .* --ma=SCORES.csv"),
    (["fid"], "fid needs features .* --fid=HR.npz,SR.npz"),
    (["niqe"], "has no NIQE parameters .* looked for niqe.*--weights=DIR"),
    (["lpips_vgg"], r"has no LPIPS heads \(vgg.pth"),
    (["fid_squeeze"], "has no SqueezeNet 1.1 weights"),
  ],
)
def test_metrics_that_cannot_be_measured_are_refused_at_once(
  tmp_path, names, words
):
  with pytest.raises(errors.EnhanceError, match=words):
    measures.Metrics(names, tmp_path)


def test_files_in_the_way_are_named(tmp_path, niqe_file):
  with pytest.raises(errors.EnhanceError, match="nowhere is no folder"):
    measures.Metrics(["niqe"], tmp_path / "nowhere")
  with pytest.raises(errors.EnhanceError, match="niqe_own.npz cannot be read"):
    measures.Metrics(["niqe"], niqe=tmp_path / "niqe_own.npz")
  np.savez(niqe_file.with_name("niqe_b.npz"), a=np.zeros(1))
  with pytest.raises(errors.EnhanceError, match="niqe_b.npz, niqe_own.npz"):
    measures.Metrics(["niqe"], niqe_file.parent)
  with pytest.raises(errors.EnhanceError, match="niqe_b.npz: NIQE parameters"):
    measures.Metrics(["niqe"], niqe=niqe_file.with_name("niqe_b.npz"))


def test_the_perceptual_index_of_given_ma_scores(photos, niqe_file, tmp_path):
  table = tmp_path / "ma.csv"
  table.write_text("set,image,ma\nphotos,a.png,8\n,gray.png,6.5\n")
  for ma, expected in (("7.5", (7.5, 7.5)), (table, (8.0, 6.5))):
    metrics = measures.Metrics(["pi", "niqe"], niqe_file.parent, ma=ma)
    entry = score(photos, metrics)["sets"]["photos"]
    for values, m in zip(entry["images"].values(), expected, strict=True):
      assert values["pi"] == pytest.approx(((10 - m) + values["niqe"]) / 2)
  assert "Ma from ma.csv (SHA-256" in metrics.describe()["pi"]


@pytest.mark.parametrize(
  ("text", "words"),
  [
    ("image,ma\na.png,8\n", "has no Ma score for photos/gray.png"),
    ("image,score\na.png,8\n", "wanted a CSV file with the columns image"),
    ("image,ma\na.png,good\n", "could not convert"),
    ("image,ma\na.png,nan\n", "nan is no score"),
    ("image,ma\na.png\n", "holds no Ma scores"),
  ],
)
def test_ma_scores_that_are_not_there(photos, niqe_file, text, words):
  path = niqe_file.with_name("ma.csv")
  path.write_text(text)
  try:
    metrics = measures.Metrics(["pi"], niqe_file.parent, ma=path)
    entry = score(photos, metrics)["sets"]["photos"]
    message = entry["failed"]["gray.png"]
    assert list(entry["images"]) == ["a.png"]
  except errors.EnhanceError as error:
    message = str(error)
  assert words in message


def test_fid_of_feature_files(photos, tmp_path):
  rng = np.random.default_rng(8)
  hr, sr = rng.normal(size=(20, 4)), rng.normal(0.5, 1, size=(30, 4))
  np.savez(tmp_path / "hr.npz", mu=hr.mean(0), sigma=np.cov(hr.T))
  np.savez(tmp_path / "sr.npz", features=sr)
  pair = (tmp_path / "hr.npz", tmp_path / "sr.npz")
  metrics = measures.Metrics(["psnr", "fid"], fid=pair)
  scores = score(photos, metrics)
  entry = scores["sets"]["photos"]
  expected = perceptual.frechet_distance(*map(perceptual.statistics, (hr, sr)))
  assert entry["mean"]["fid"] == pytest.approx(expected, rel=1e-9)
  assert set(entry["images"]["a.png"]) == {"psnr"}
  scoring.write_csv(tmp_path / "s.csv", scores)
  assert "fid" not in (tmp_path / "s.csv").read_text()
  write(tmp_path / "more" / "b.png", scene(40, 40))
  with pytest.raises(errors.EnhanceError, match="one set at a time"):
    scoring.score_sets(
      engine.Interpolation("bicubic", 4),
      [photos, tmp_path / "more"],
      scale=4,
      protocol=Y,
      metrics=metrics,
    )


@pytest.mark.slow
def test_frechet_distance_of_a_set_s_own_features(data_dir):
  metrics = measures.Metrics(["fid_squeeze"], data_dir / "weights")
  assert "not to be compared with FID" in metrics.describe()["fid_squeeze"]
  pairs = [(noisy(x), x) for x in (scene(40, 44, seed) for seed in range(3))]
  rows = [metrics.features(sr, hr, Protocol("y", 4)) for sr, hr in pairs]
  assert rows[0]["fid_squeeze"][0].shape == (512,)
  assert metrics.measure(*pairs[0], None, Y) == {}
  sr, hr = (
    perceptual.statistics(np.stack([row["fid_squeeze"][i] for row in rows]))
    for i in (0, 1)
  )
  expected = perceptual.frechet_distance(sr, hr)
  found = metrics.of_set(rows)["fid_squeeze"]
  assert found == pytest.approx(expected, rel=1e-9) and found > 0
  assert math.isnan(metrics.of_set(rows[:1])["fid_squeeze"])


# The command.


def test_the_table_says_what_is_better(photos, niqe_file, tmp_path, capsys):
  command = [
    *BICUBIC,
    f"--sets={photos}",
    "--metrics=psnr,niqe,pi",
    f"--weights={niqe_file.parent}",
    "--ma=8",
    f"--json={tmp_path}/s.json",
    f"--strips={tmp_path}/strips",
  ]
  assert evaluate.main(command) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[3].startswith("psnr: higher is better")
  assert lines[4].startswith("niqe: lower is better; parameters niqe_own.npz")
  assert lines[5].startswith("pi: lower is better") and "Ma 8" in lines[5]
  head, row = lines[7:9]
  assert head.split() == ["set", "images", "PSNR", "dB", "NIQE", "PI"]
  mean = json.loads((tmp_path / "s.json").read_text())["sets"]["photos"]["mean"]
  assert row.split()[2:] == [f"{value:.3f}" for value in mean.values()]
  assert len(row) == len(head)
  strips = list((tmp_path / "strips").rglob("*.png"))
  assert len(strips) == 2


def test_ensemble_and_consistent_are_passed_on(photos, capsys):
  lines = {}
  for more in ([], ["--ensemble"], ["--consistent"]):
    command = [*BICUBIC, f"--sets={photos}", "--metrics=lr_psnr", *more]
    assert evaluate.main(command) == 0
    lines[tuple(more)] = capsys.readouterr().out.splitlines()
  plain, _, consistent = (
    float(found[-1].split()[-1]) for found in lines.values()
  )
  assert consistent > plain + 3
  assert "ensemble" in lines[("--ensemble",)][0]
  assert "consistent" in lines[("--consistent",)][0]


def test_parameters_are_fitted_by_the_command(tmp_path, capsys):
  noise = np.random.default_rng(9).integers(0, 256, (192, 1920, 1), np.uint8)
  write(tmp_path / "in" / "a.png", noise)
  out = tmp_path / "own.npz"
  command = [f"--fit-niqe={tmp_path / 'in'}", "-o", str(out)]
  assert evaluate.main(command) == 0
  assert str(out) in capsys.readouterr().out
  luma = images.read_hr(tmp_path / "in" / "a.png", 1)[..., 0]
  with np.load(out) as arrays:
    np.testing.assert_array_equal(
      arrays["mu_pris_param"][0], natural.fit([luma]).mean
    )


@pytest.mark.parametrize(
  ("arguments", "words"),
  [
    ([*BICUBIC, "--metrics=psnr,nique"], 'did you mean "niqe"'),
    ([*BICUBIC, "--metrics=,"], "no metric was named"),
    ([*BICUBIC, "--metrics=fid", "--fid=a.npz"], "names 1 files; wanted two"),
    ([*BICUBIC, "--metrics=fid", "--fid=a.npz,b.npz"], "a.npz cannot be read"),
    ([*BICUBIC, "--metrics=pi", "--ma=no.csv"], "no NIQE parameters"),
    (["--outputs=.", "--scale=4", "--ensemble"], "leave them out"),
    (["-o", "x.npz"], "both are needed"),
    (["--fit-niqe=."], "both are needed"),
  ],
)
def test_what_the_command_cannot_measure_is_said(
  photos, tmp_path, monkeypatch, arguments, words
):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(errors.EnhanceError, match=words):
    evaluate.main([*arguments, f"--sets={photos}", "--weights=."])
