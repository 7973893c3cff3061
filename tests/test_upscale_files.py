"""The command upscale: patterns, names, sizes, reports and what it leaves."""

import json
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image, ImageCms

from enhance_jax import errors, images, upscale, zoo
from enhance_jax.inference import picture, provenance, stream, uncertainty
from enhance_jax.upscaling import pictures
from enhance_jax.zoo import bundled
from tests.command_files import read, save_network, scene, write

BICUBIC = ["--model=bicubic", "--scale=2"]
ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path_factory.getbasetemp()))


@pytest.fixture
def shelf(tmp_path, monkeypatch):
  """Bundled networks for x2 and x4."""
  folder = tmp_path / "shelf"
  for scale in (2, 4):
    save_network(folder / f"compact_x{scale}", generative=False, scale=scale)
  save_network(folder / "compact_x4_gan", generative=True, scale=4, seed=1)
  monkeypatch.setattr(bundled, "FOLDER", folder)
  return folder


@pytest.fixture
def trip(tmp_path):
  for name in ("a.png", "day 1/b.png", "day 1/night/c.png", "day 2/d.png"):
    write(tmp_path / "trip" / name, scene(6, 8))
  (tmp_path / "trip" / "day 1" / "diary.txt").write_text("no picture")
  return tmp_path / "trip"


def made(folder):
  return sorted(
    path.relative_to(folder).as_posix()
    for path in folder.rglob("*")
    if path.is_file()
  )


def test_patterns_keep_the_tree_below_their_fixed_part(trip, tmp_path):
  out = tmp_path / "out"
  upscale.main([f"{trip}/day*/**/*", "-o", str(out), *BICUBIC])
  assert made(out) == ["day 1/b.png", "day 1/night/c.png", "day 2/d.png"]
  upscale.main([f"{trip}/day ?/*.png", "-o", str(tmp_path / "two"), *BICUBIC])
  assert made(tmp_path / "two") == ["day 1/b.png", "day 2/d.png"]
  with pytest.raises(errors.EnhanceError, match=r"x\*\.png holds no pictures"):
    upscale.main([f"{trip}/x*.png", "-o", str(out), *BICUBIC])


def test_a_file_called_like_a_pattern_is_that_file(tmp_path):
  write(tmp_path / "a[1].png", scene(6, 8))
  write(tmp_path / "a1.png", scene(6, 8))
  out = tmp_path / "out"
  upscale.main([f"{tmp_path}/a[1].png", "-o", str(out), *BICUBIC])
  assert made(out) == ["a[1].png"]


def test_names_follow_the_template(trip, tmp_path, shelf):
  out = tmp_path / "out"
  name = "--name={stem}_x{scale}_{model}{suffix}"
  command = [str(trip / "a.png"), "-o", str(out), name]
  upscale.main([*command, "--scale=2.5"])
  upscale.main([*command, "--ext=jpg"])
  assert made(out) == ["a_x2.5_compact_x4.png", "a_x4_compact_x4.jpg"]
  assert read(out / made(out)[0]).shape == (15, 20, 3)
  with pytest.raises(errors.EnhanceError, match="leave {scale} out"):
    upscale.main([*command, "--width=20"])


def test_the_bundled_network_suits_the_size(trip, tmp_path, shelf, capsys):
  photo = str(trip / "a.png")
  for flag, size, scale in (
    ([], (24, 32), 4),
    (["--scale=2"], (12, 16), 2),
    (["--width=14"], (11, 14), 2),
    (["--height=20"], (20, 27), 4),
    (["--width=100", "--height=30"], (30, 40), 4),
  ):
    target = tmp_path / f"x{''.join(flag)}.png"
    assert upscale.main([photo, "-o", str(target), *flag]) == 0
    assert read(target).shape[:2] == size
    record = provenance.inspect(target)
    assert (record["model"], record["scale"]) == (f"compact_x{scale}", scale)
    assert ("size" in record["settings"]) == (size[0] % 12 != 0)


def test_devices_may_share_rows(trip, tmp_path, shelf):
  whole, shared = tmp_path / "whole.png", tmp_path / "shared.png"
  command = [str(trip / "a.png"), "--model=compact_x4", "-o"]
  assert upscale.main([*command, str(whole)]) == 0
  assert upscale.main([*command, str(shared), "--shard-rows"]) == 0
  np.testing.assert_allclose(
    read(shared).astype(int), read(whole).astype(int), atol=1
  )
  assert provenance.inspect(shared)["settings"] == {"shard_rows": True}


def test_one_picture_that_is_large_enough_does_not_stop_the_others(
  tmp_path, capsys
):
  write(tmp_path / "in" / "a.png", scene(6, 8))
  write(tmp_path / "in" / "wide.png", scene(6, 50))
  out = tmp_path / "out"
  command = [str(tmp_path / "in"), "-o", str(out), "--model=bicubic"]
  assert upscale.main([*command, "--width=20"]) == 1
  assert read(out / "a.png").shape == (15, 20, 3)
  assert "wide.png: width 20 makes 50x6" in capsys.readouterr().err


def test_a_blend_lies_between_and_is_recorded(trip, tmp_path, shelf, capsys):
  photo = str(trip / "a.png")
  results = {}
  for blend in ("0", "0.5", "1"):
    target = tmp_path / f"{blend}.png"
    command = [photo, "-o", str(target), f"--blend={blend}"]
    assert upscale.main(command) == 0
    results[blend] = read(target)
    assert provenance.inspect(target)["settings"] == {"blend": float(blend)}
    assert ("invented" in capsys.readouterr().out) == (blend != "0")
  assert not np.array_equal(results["0"], results["0.5"])
  assert not np.array_equal(results["1"], results["0.5"])
  pair = [f"--model={shelf}/compact_x4.safetensors"]
  pair += [f"--partner={shelf}/compact_x4_gan.safetensors", "--blend=0.5"]
  upscale.main([photo, "-o", str(tmp_path / "pair.png"), *pair])
  np.testing.assert_array_equal(read(tmp_path / "pair.png"), results["0.5"])


def test_the_report_says_what_became_of_every_file(tmp_path, capsys):
  folder, out = tmp_path / "in", tmp_path / "out"
  for name in ("a", "b", "broken"):
    write(folder / f"{name}.png", scene(6, 8))
  (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
  report = tmp_path / "new" / "report.json"
  command = [str(folder), "-o", str(out), *BICUBIC, f"--report={report}"]
  upscale.main([str(folder / "a.png"), "-o", str(out), *BICUBIC])
  assert upscale.main([*command, "--skip-existing", "--consistent"]) == 1
  content = json.loads(report.read_text())
  assert not content["interrupted"]
  assert [content[k] for k in ("ok", "skipped", "failed", "pending")] == [
    1,
    1,
    1,
    0,
  ]
  a, b, broken = content["files"]
  assert [a["status"], b["status"], broken["status"]] == [
    "skipped",
    "ok",
    "failed",
  ]
  assert (b["input_size"], b["output_size"]) == ([8, 6], [16, 12])
  assert b["output"] == str(out / "b.png")
  assert b["output_sha256"] == zoo.file_sha256(out / "b.png")
  assert b["input_sha256"] == zoo.file_sha256(folder / "b.png")
  assert b["seconds"] > 0 and b["lr_psnr"] > 30
  assert b["model"] == "bicubic + consistent"
  assert "broken.png: " in broken["error"]


def test_an_interruption_leaves_whole_files_and_a_report(
  trip, tmp_path, monkeypatch, capsys
):
  out, report = tmp_path / "out", tmp_path / "r.json"
  real, calls = picture.upscale_picture, []

  def interrupted(*arguments, **options):
    calls.append(1)
    if len(calls) == 3:
      raise KeyboardInterrupt
    return real(*arguments, **options)

  monkeypatch.setattr(picture, "upscale_picture", interrupted)
  with pytest.raises(KeyboardInterrupt):
    upscale.main([str(trip), "-o", str(out), *BICUBIC, f"--report={report}"])
  content = json.loads(report.read_text())
  assert content["interrupted"]
  done = [one["output"] for one in content["files"] if one["status"] == "ok"]
  assert [str(out / name) for name in made(out)] == done
  assert 1 <= len(done) <= 2 and content["pending"] == 4 - len(done)
  assert "--skip-existing goes on" in capsys.readouterr().out
  monkeypatch.undo()
  assert (
    upscale.main([str(trip), "-o", str(out), *BICUBIC, "--skip-existing"]) == 0
  )
  assert len(made(out)) == 4


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_nothing_half_written(tmp_path):
  for i in range(40):
    write(tmp_path / "in" / f"{i}.png", scene(300, 300))
  out = tmp_path / "out"
  command = [sys.executable, "-m", "enhance_jax.upscale", str(tmp_path / "in")]
  command += ["-o", str(out), "--model=lanczos", "--scale=4"]
  running = subprocess.Popen(
    command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  )
  while not (out.exists() and made(out)) and running.poll() is None:
    time.sleep(0.02)
  running.send_signal(signal.SIGINT)
  told, errors_told = running.communicate(timeout=60)
  assert running.returncode == 130
  assert errors_told == "interrupted\n"
  assert "not finished" in told.splitlines()[-1]
  assert 0 < len(made(out)) < 40
  for name in made(out):
    assert read(out / name).shape == (1200, 1200, 3)


def test_metadata_can_be_left_out_but_not_the_record(tmp_path, capsys):
  exif = Image.Exif()
  exif[271] = "maker"
  gray = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
  srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
  Image.fromarray(scene(6, 8)).save(
    tmp_path / "in.png", exif=exif, icc_profile=srgb
  )
  kept, stripped = tmp_path / "kept.png", tmp_path / "stripped.png"
  upscale.main([f"{tmp_path}/in.png", "-o", str(kept), *BICUBIC])
  upscale.main(
    [f"{tmp_path}/in.png", "-o", str(stripped), *BICUBIC, "--no-metadata"]
  )
  before, after = map(images.read_picture, (kept, stripped))
  assert before.exif and before.icc == srgb
  assert after.exif is None and after.icc is None
  np.testing.assert_array_equal(before.pixels, after.pixels)
  assert provenance.inspect(stripped)["model"] == "bicubic"
  # A profile that is not of RGB pixels cannot be applied to them.
  Image.fromarray(scene(6, 8)).save(tmp_path / "lab.png", icc_profile=gray)
  command = [f"{tmp_path}/lab.png", "-o", str(tmp_path / "x.png"), *BICUBIC]
  assert upscale.main([*command, "--no-metadata"]) == 1
  assert "keep its metadata" in capsys.readouterr().err


def test_inspect_prints_the_record(tmp_path, capsys):
  photo = write(tmp_path / "a.png", scene(6, 8))
  target = tmp_path / "b.jpg"
  upscale.main([str(photo), "-o", str(target), *BICUBIC, "--quality=80"])
  capsys.readouterr()
  assert upscale.main([f"--inspect={target}"]) == 0
  record = json.loads(capsys.readouterr().out)
  assert record["model"] == "bicubic" and record["scale"] == 2
  assert record["source_sha256"] == zoo.file_sha256(photo)
  with pytest.raises(errors.EnhanceError, match="carries no provenance"):
    upscale.main([f"--inspect={photo}"])


def test_uncertainty_is_written_beside_the_result(tmp_path, capsys):
  photo = write(tmp_path / "a.png", scene(12, 10))
  path = save_network(tmp_path / "net", generative=False)
  command = [str(photo), "-o", f"{tmp_path}/out", f"--model={path}"]
  command += ["--uncertainty"]
  assert upscale.main(command) == 1
  assert "calibration" in capsys.readouterr().err
  calibration = uncertainty.Calibration(
    sha256=zoo.file_sha256(path),
    settings=uncertainty.relevant({}),
    scores=(0.0, 1.0),
    levels=(1.0, 50.0),
    coverage=0.9,
    report={},
  )
  uncertainty.save(uncertainty.beside(path), calibration)
  assert upscale.main(command) == 0
  assert made(tmp_path / "out") == [
    "a.png",
    "a.uncertainty-overlay.png",
    "a.uncertainty.png",
  ]
  assert read(tmp_path / "out" / "a.uncertainty.png").shape[:2] == (24, 20)
  assert upscale.main([*command, "--skip-existing"]) == 0
  with pytest.raises(errors.EnhanceError, match="already there"):
    upscale.main(command)
  assert upscale.main([*command, "--overwrite", "--scale=1.5"]) == 1
  assert "--uncertainty knows" in capsys.readouterr().err


def test_large_results_go_to_their_files_row_by_row(
  tmp_path, monkeypatch, capsys
):
  photo = write(tmp_path / "a.png", scene(30, 20), icc=b"profile")
  path = save_network(tmp_path / "net", generative=True)
  command = [str(photo), f"--model={path}", "--tile=8", "-o"]
  assert upscale.main([*command, str(tmp_path / "whole.png")]) == 0
  streamed = []

  def upscale_file(*arguments, **options):
    streamed.append(1)
    return real(*arguments, **options)

  real = stream.upscale_file
  monkeypatch.setattr(stream, "upscale_file", upscale_file)
  monkeypatch.setattr(pictures, "_IN_MEMORY", 100)
  assert upscale.main([*command, str(tmp_path / "rows.png")]) == 0
  whole, rows = (
    images.read_picture(tmp_path / name) for name in ("whole.png", "rows.png")
  )
  assert streamed == [1]
  np.testing.assert_array_equal(whole.pixels, rows.pixels)
  assert whole.icc == rows.icc == b"profile"
  assert whole.text == rows.text
  assert "20x30 -> 40x60" in capsys.readouterr().out.splitlines()[-2]


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (["--quality=0"], "wanted 1 to 100"),
    (["--report=r.txt"], "ends in .json"),
    (["--scale=2", "--width=9"], "wanted a scale, or a width"),
    (["--scale=nan"], "from 1 to 16"),
    (["--width=0"], "1 pixel or more"),
    (["--name={stem}/x"], "cannot be a file's name"),
    (["--crf=99"], "takes 0"),
    (["--codec=ffv1", "--crf=3"], "is lossless"),
    (["--partner=x.safetensors"], "say how far"),
    (["--tile=0"], "out of range"),
    (["--inspect=x.png"], "leave IN and -o out"),
  ],
)
def test_flags_that_make_no_sense_are_one_line(trip, tmp_path, flags, message):
  with pytest.raises(errors.EnhanceError, match=message):
    upscale.main([str(trip), "-o", str(tmp_path / "out"), *flags])
  assert not (tmp_path / "out").exists()


def test_nothing_named_says_how_it_goes():
  for arguments in ([], ["a.png"], ["-o", "b.png"]):
    with pytest.raises(errors.EnhanceError, match=r"photo\.jpg -o large\.png"):
      upscale.main(arguments)
