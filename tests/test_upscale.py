"""The command upscale with pictures, as a user meets it."""

import numpy as np
import pytest
from PIL import Image

from enhance_jax import errors, images, resample, upscale
from enhance_jax.inference import engine
from enhance_jax.metrics import image as image_metrics
from enhance_jax.zoo import bundled
from tests.command_files import read, save_network, scene, write

BICUBIC = ["--model=bicubic", "--scale=4"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path_factory.getbasetemp()))


@pytest.fixture
def photos(tmp_path):
  """A tree of good pictures, one broken and one that is no picture."""
  folder = tmp_path / "photos"
  write(folder / "cat.png", scene(12, 10))
  write(folder / "sub dir" / "-it's; ü.png", scene(9, 9, 1))
  broken = write(folder / "broken.png", scene(16, 16))
  broken.write_bytes(broken.read_bytes()[:100])
  (folder / "notes.txt").write_text("no picture")
  return folder


def test_a_folder_is_enlarged_with_its_tree_and_bad_files_are_named(
  photos, tmp_path, capsys
):
  out = tmp_path / "out"
  assert upscale.main([str(photos), "-o", str(out), *BICUBIC]) == 1
  done = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*"))
  assert done == ["cat.png", "sub dir/-it's; ü.png"]
  expected = resample.resize_uint8(scene(12, 10), scale=4)
  np.testing.assert_array_equal(read(out / "cat.png"), expected)
  assert read(out / "sub dir" / "-it's; ü.png").shape == (36, 36, 1)
  told = capsys.readouterr()
  assert f"error: {photos / 'broken.png'}: " in told.err
  assert "cat.png: 10x12 -> 40x48 in " in told.out
  last = told.out.splitlines()[-1]
  assert last.startswith("2 of 3 files enlarged x4 by bicubic in ")
  assert last.endswith(f", 1 failed: {out}")


def test_one_file_to_one_file(photos, tmp_path):
  target = tmp_path / "new folder" / "big.jpg"
  assert upscale.main([f"{photos}/cat.png", "-o", str(target), *BICUBIC]) == 0
  with Image.open(target) as image:
    assert (image.format, image.size) == ("JPEG", (40, 48))


def test_depth_alpha_orientation_and_metadata_come_through(tmp_path):
  exif = Image.Exif()
  exif[274], exif[271] = 6, "maker"
  Image.fromarray(scene(10, 14)).save(tmp_path / "turned.jpg", exif=exif)
  write(tmp_path / "deep.png", scene(8, 9, 3, np.uint16), icc=b"profile")
  write(tmp_path / "deep.tif", scene(8, 9, 1, np.uint16))
  write(tmp_path / "glass.png", scene(8, 9, 4))
  out = tmp_path / "out"
  assert (
    upscale.main([str(tmp_path), "-o", str(out), *BICUBIC, "--ext=auto"]) == 0
  )
  turned = images.read_picture(out / "turned.jpg")
  assert turned.pixels.shape == (56, 40, 3)
  with Image.open(out / "turned.jpg") as image:
    assert image.getexif().get(274, 1) == 1
    assert image.getexif()[271] == "maker"
  deep = images.read_picture(out / "deep.png")
  assert deep.pixels.dtype == np.uint16 and deep.icc == b"profile"
  assert deep.pixels.max() > 60000
  assert read(out / "deep.tif").dtype == np.uint16
  assert read(out / "deep.tif").shape == (32, 36, 1)
  assert read(out / "glass.png").shape == (32, 36, 4)


def test_existing_results_are_refused_kept_or_replaced(
  photos, tmp_path, capsys
):
  (photos / "broken.png").unlink()
  out = tmp_path / "out"
  command = [str(photos), "-o", str(out), *BICUBIC]
  write(out / "cat.png", np.zeros((48, 40, 3), np.uint8))
  with pytest.raises(errors.EnhanceError, match="--overwrite replaces"):
    upscale.main(command)
  assert len(list(out.rglob("*.png"))) == 1
  assert upscale.main([*command, "--skip-existing"]) == 0
  assert read(out / "cat.png").max() == 0
  assert "1 already there" in capsys.readouterr().out.splitlines()[-1]
  assert upscale.main([*command, "--overwrite"]) == 0
  assert read(out / "cat.png").max() > 0


def test_a_result_of_another_size_is_no_finished_one(photos, tmp_path, capsys):
  (photos / "broken.png").unlink()
  out = tmp_path / "out"
  command = [str(photos), "-o", str(out), *BICUBIC, "--skip-existing"]
  write(out / "cat.png", np.zeros((4, 4, 3), np.uint8))
  assert upscale.main(command) == 1
  assert "is 4x4 pixels, wanted 40x48" in capsys.readouterr().err
  assert upscale.main([*command, "--overwrite"]) == 0
  assert read(out / "cat.png").shape == (48, 40, 3)


def test_inputs_are_never_overwritten(photos, tmp_path):
  before = (photos / "cat.png").read_bytes()
  link = tmp_path / "link.png"
  link.symlink_to(photos / "cat.png")
  for arguments in (
    [f"{photos}/cat.png", "-o", f"{photos}/cat.png"],
    [f"{photos}/cat.png", "-o", str(photos)],
    [str(photos), "-o", str(photos)],
    [f"{photos}/cat.png", "-o", str(link)],
  ):
    with pytest.raises(errors.EnhanceError, match="would overwrite the input"):
      upscale.main([*arguments, *BICUBIC, "--overwrite"])
  assert (photos / "cat.png").read_bytes() == before


def test_two_inputs_with_one_result_are_refused(photos, tmp_path):
  write(photos / "cat.jpg", scene(8, 8))
  with pytest.raises(errors.EnhanceError, match="would both become"):
    upscale.main([str(photos), "-o", str(tmp_path / "out"), *BICUBIC])
  assert not (tmp_path / "out").exists()


def test_results_inside_the_input_folder_are_not_enlarged_again(photos):
  (photos / "broken.png").unlink()
  command = [str(photos), "-o", f"{photos}/big", *BICUBIC]
  assert upscale.main(command) == 0
  assert upscale.main([*command, "--skip-existing"]) == 0
  assert len(list((photos / "big").rglob("*.png"))) == 2


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["missing.png", "-o", "x", *BICUBIC], "missing.png does not exist"),
    (["empty", "-o", "x", *BICUBIC], "empty holds no pictures"),
    (["photos", "-o", "x.png", *BICUBIC], "names one file"),
    (["photos", "-o", "photos/notes.txt", *BICUBIC], "name a folder"),
    (["photos", "-o", "x"], "no bundled weights for x4"),
    (["photos", "-o", "x", "--model=bicubic"], "--scale=4"),
    (["photos", "-o", "x", "--workdir=empty"], "has not finished"),
  ],
)
def test_what_upscale_cannot_do_is_said_before_anything_is_done(
  photos, tmp_path, monkeypatch, arguments, message
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "empty").mkdir()
  monkeypatch.setattr(bundled, "FOLDER", tmp_path / "empty")
  before = sorted(tmp_path.rglob("*"))
  with pytest.raises(errors.EnhanceError, match=message):
    upscale.main(arguments)
  assert sorted(tmp_path.rglob("*")) == before


def test_an_adversarial_network_says_once_that_detail_is_invented(
  tmp_path, capsys
):
  for name in ("a", "b"):
    write(tmp_path / "in" / f"{name}.png", scene(20, 24))
  for generative in (True, False):
    folder = tmp_path / f"run {generative}"
    save_network(folder / "generator", generative=generative)
    out = folder / "out"
    command = [str(tmp_path / "in"), "-o", str(out), f"--workdir={folder}"]
    assert upscale.main([*command, "--tile=6"]) == 0
    assert capsys.readouterr().out.count("invented") == int(generative)
    assert read(out / "a.png").shape == (40, 48, 3)


def test_a_network_that_overflows_leaves_no_file(tmp_path, capsys):
  write(tmp_path / "in" / "a.png", scene(20, 24))
  path = save_network(tmp_path / "bad", generative=False, spoil=True)
  command = [str(tmp_path / "in"), "-o", str(tmp_path / "out")]
  status = upscale.main([*command, f"--model={path}"])
  told = capsys.readouterr()
  assert status == 1 and not (tmp_path / "out").exists()
  assert "a.png: bad gave" in told.err and "in tile 1 of 1" in told.err


def test_ensemble_and_consistency_are_flags(tmp_path, capsys):
  photo = write(tmp_path / "a.png", scene(12, 10))
  path = save_network(tmp_path / "net", generative=False)
  command = [str(photo), f"--model={path}"]
  results = []
  for flags in ([], ["--ensemble"], ["--consistent"]):
    out = tmp_path / f"{len(results)}.png"
    assert upscale.main([*command, "-o", str(out), *flags]) == 0
    told = capsys.readouterr().out
    assert ("LR-PSNR " in told) == (flags == ["--consistent"])
    results.append(read(out))
  plain, mean, consistent = results
  upscaler = engine.open_model(str(path), policy=engine.Policy(ensemble=True))
  np.testing.assert_array_equal(mean, upscaler.upscale_uint8(scene(12, 10)))
  assert not np.array_equal(plain, mean)
  least = image_metrics.lr_psnr(plain, scene(12, 10))
  assert image_metrics.lr_psnr(consistent, scene(12, 10)) > least + 10
