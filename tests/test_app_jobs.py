"""The page's work: files in, files out, nothing lost, nothing told too much."""

import json
import zipfile

import numpy as np
import pytest

from enhance_jax import errors, images
from enhance_jax.app import jobs, shelf
from enhance_jax.app.limits import Limits
from enhance_jax.inference import provenance, sizes, uncertainty
from tests import app_networks, picture_samples
from tests.app_networks import settings

LIMITS = Limits(result_pixels=20_000, files=4)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
  made = app_networks.desk(tmp_path_factory.mktemp("networks"), LIMITS)
  yield made
  made.shelf.close()


@pytest.fixture
def visitor(desk, request):
  name = request.node.name
  yield desk.shelf.session(name)
  desk.shelf.end(name)


def upload(desk, name):
  """Where Gradio would put it."""
  folder = desk.shelf.root / f"{hash(name) % 2**64:064x}"
  folder.mkdir(exist_ok=True)
  return folder / name


def steps(seen):
  return lambda share, what: seen.append((round(share, 3), what))


def quiet(share, what):
  pass


def run(desk, visitor, path, show=False, **changes):
  chosen = settings(**changes)
  return desk.enhance(visitor, str(path), chosen, quiet, show=show)


@pytest.mark.parametrize(
  ("name", "dtype", "channels"),
  [
    ("rgb.png", np.uint8, 3),
    ("gray16.png", np.uint16, 1),
    ("rgba16.png", np.uint16, 4),
    ("photo.jpg", np.uint8, 3),
  ],
)
def test_depth_alpha_and_metadata_are_kept(
  desk, visitor, name, dtype, channels
):
  path = app_networks.photo(upload(desk, name), dtype=dtype, channels=channels)
  made = run(desk, visitor, path, show=True)
  assert made.file.name == f"{path.stem}-x2.png"
  result = images.read_picture(made.file)
  assert result.pixels.dtype == dtype
  assert result.pixels.shape == (40, 48, channels)
  assert result.icc == picture_samples.ICC
  assert picture_samples.tags_of(result.exif)[271] == "Camera maker"


def test_the_record_is_what_the_file_says(desk, visitor):
  path = app_networks.photo(upload(desk, "photo.png"))
  made = run(desk, visitor, path, imagination=0.5, consistent=True)
  told = provenance.inspect(made.file)
  assert {key: made.record[key] for key in told} == told
  assert told["generative"] is True
  assert told["settings"]["blend"] == 0.5
  assert told["settings"]["consistent"] is True
  assert made.record["picture"] == "photo.png"
  assert made.record["pixels"] == "24 x 20 -> 48 x 40, 8 bits"
  assert made.record["lr_psnr"] > 45
  json.dumps(made.record, allow_nan=False)


@pytest.mark.parametrize(
  ("kind", "suffix", "magic"),
  [
    ("PNG", ".png", b"\x89PNG"),
    ("JPEG", ".jpg", b"\xff\xd8\xff"),
    ("WebP", ".webp", b"RIFF"),
    ("TIFF", ".tif", b"II*\0"),
  ],
)
def test_formats(desk, visitor, kind, suffix, magic):
  path = app_networks.photo(upload(desk, "photo.png"))
  made = run(desk, visitor, path, format=kind)
  assert made.file.suffix == suffix
  assert made.file.read_bytes().startswith(magic)


def test_any_scale(desk, visitor):
  path = app_networks.photo(upload(desk, "photo.png"))
  made = run(desk, visitor, path, scale=2.5)
  assert made.file.name == "photo-x2.5.png"
  assert images.picture_size(made.file) == (50, 60)


def test_progress_names_tiles(desk, visitor):
  path = app_networks.photo(upload(desk, "photo.png"))
  seen = []
  desk.enhance(visitor, str(path), settings(), steps(seen), show=False)
  assert seen[0] == (0.0, "Reading the picture")
  assert (1.0, "Tile 1 of 1") in seen
  assert seen[-1][1] == "Writing the file"


def test_cancel_leaves_no_file(desk, visitor, request):
  path = app_networks.photo(upload(desk, "photo.png"))

  def cancel(share, what):
    desk.shelf.cancel(request.node.name)

  with pytest.raises(shelf.CancelledError):
    desk.enhance(visitor, str(path), settings(), cancel, show=False)
  assert not list(visitor.folders["result"][0].iterdir())
  assert run(desk, visitor, path).file.is_file()


def test_bombs_are_refused_by_their_header(desk, visitor, monkeypatch):
  path = app_networks.bomb(upload(desk, "bomb.png"))
  assert path.stat().st_size < 10_000

  def never(*args, **kwargs):
    pytest.fail("the picture was decoded")

  monkeypatch.setattr(images, "read_picture", never)
  with pytest.raises(errors.EnhanceError, match="40000x40000") as info:
    run(desk, visitor, path)
  assert "the limit is 0" in str(info.value)


def test_the_bound_is_on_what_the_network_makes(desk, visitor):
  """70 x 70 at x2 is 19,600 pixels; x1 does not lower what is computed."""
  path = app_networks.photo(upload(desk, "fits.png"), 70, 70)
  assert run(desk, visitor, path, scale=1.0).file.is_file()
  with pytest.raises(errors.EnhanceError, match="smaller scale"):
    run(desk, visitor, path, scale=2.5)
  path = app_networks.photo(upload(desk, "large.png"), 71, 71)
  with pytest.raises(errors.EnhanceError, match="megapixels at x2"):
    run(desk, visitor, path, scale=1.0)


@pytest.mark.parametrize(
  ("name", "content", "words"),
  [
    ("fake.png", b"GIF89a nothing", "not a picture in a known format"),
    ("empty.png", b"", "the file is empty"),
    ("cut.png", None, "damaged"),
  ],
)
def test_errors_name_the_file_and_not_its_place(
  desk, visitor, name, content, words
):
  path = upload(desk, name)
  if content is None:
    app_networks.photo(path)
    content = path.read_bytes()[:-30]
  path.write_bytes(content)
  with pytest.raises(errors.EnhanceError, match=words) as info:
    run(desk, visitor, path)
  assert str(info.value).startswith(f"{name}: ")
  assert str(desk.shelf.root) not in str(info.value)


def test_places_are_hidden_wherever_the_networks_lie(
  desk, visitor, monkeypatch
):
  """Also where a network's folder is above that of the uploads."""
  monkeypatch.setattr(type(desk.networks), "folders", {desk.shelf.root.parent})
  path = upload(desk, "fake.png")
  path.write_bytes(b"GIF89a nothing")
  with pytest.raises(errors.EnhanceError, match=r"^fake\.png: not a picture"):
    run(desk, visitor, path)


def test_formats_that_would_lose_something_are_refused(desk, visitor):
  path = app_networks.photo(upload(desk, "alpha.png"), channels=4)
  with pytest.raises(errors.EnhanceError, match="alpha") as info:
    run(desk, visitor, path, format="JPEG")
  assert str(info.value).startswith("alpha-x2.jpg: ")


def test_no_calibration_is_said_without_its_place(desk, visitor, tmp_path):
  path = app_networks.photo(upload(desk, "photo.png"))
  with pytest.raises(errors.EnhanceError, match="calibrat") as info:
    run(desk, visitor, path, uncertain=True)
  assert not any(str(f) in str(info.value) for f in desk.networks.folders)


@pytest.mark.parametrize(
  ("imagination", "name"),
  [(0.0, "tiny"), (0.5, "tiny"), (1.0, "tiny_imagined")],
)
def test_either_half_has_a_calibration_of_its_own(
  desk, visitor, monkeypatch, imagination, name
):
  def load(path, sha256, settings):
    assert path.name == f"{name}.uncertainty.json"
    raise errors.EnhanceError("seen")

  monkeypatch.setattr(uncertainty, "load", load)
  path = app_networks.photo(upload(desk, "photo.png"))
  with pytest.raises(errors.EnhanceError, match="seen"):
    run(desk, visitor, path, uncertain=True, imagination=imagination)


def test_uncertainty_gives_a_map_and_an_overlay(desk, visitor, monkeypatch):
  path = app_networks.photo(upload(desk, "photo.png"))
  network = desk.networks.get("tiny")
  known = uncertainty.Calibration(
    desk.networks.engine("tiny", 0.0, consistent=False).sha256,
    {},
    (0.0, 1.0),
    (0.0, 100.0),
    0.9,
    {},
  )
  file = uncertainty.beside(network.path)
  uncertainty.save(file, known)
  try:
    made = run(desk, visitor, path, show=True, uncertain=True)
  finally:
    file.unlink()
  assert made.map is not None and made.shown.overlay is not None
  assert images.picture_size(made.map) == (40, 48)
  assert "levels" in made.record["uncertainty"]
  assert desk.shelf.view(made.shown.overlay).is_file()


def test_what_is_shown_is_8_bits_and_keeps_the_profile(desk, visitor):
  path = app_networks.photo(
    upload(desk, "deep.png"), dtype=np.uint16, channels=4
  )
  shown = run(desk, visitor, path, show=True).shown
  before, after = (
    images.read_picture(desk.shelf.view(key))
    for key in (shown.before, shown.after)
  )
  assert before.pixels.shape == (20, 24, 4)
  assert after.pixels.shape == (40, 48, 4)
  assert before.pixels.dtype == after.pixels.dtype == np.uint8
  assert before.icc == after.icc == picture_samples.ICC


def test_preview_is_the_middle_and_follows_the_slider(desk, visitor):
  path = upload(desk, "wide.png")
  pixels = picture_samples.smooth(30, 120, 3)
  images.write_picture(path, images.Picture(pixels))
  shown = [
    desk.preview(visitor, str(path), settings(imagination=x, scale=2.0))
    for x in (0.0, 1.0)
  ]
  assert shown[0].size == (60, 2 * jobs.PREVIEW)
  views = [
    images.read_picture(desk.shelf.view(one.after)).pixels for one in shown
  ]
  assert np.abs(views[0].astype(int) - views[1]).mean() > 1
  before = images.read_picture(desk.shelf.view(shown[1].before)).pixels
  middle = pixels[:, 12:108]
  assert np.abs(before.astype(int) - middle).mean() < 3  # JPEG


def test_preview_reads_a_picture_once(desk, visitor, monkeypatch):
  path = app_networks.photo(upload(desk, "photo.png"))
  read, seen = images.read_picture, []
  monkeypatch.setattr(
    images, "read_picture", lambda *a, **k: seen.append(a) or read(*a, **k)
  )
  for x in (0.0, 0.5, 1.0):
    desk.preview(visitor, str(path), settings(imagination=x))
  assert len(seen) == 1


def test_batch_names_broken_files_and_does_the_rest(desk, visitor):
  good = app_networks.photo(upload(desk, "good.png"))
  same = desk.shelf.root / ("0" * 64) / "good.png"
  same.parent.mkdir()
  app_networks.photo(same, 10, 10)
  bad = upload(desk, "bad.png")
  bad.write_bytes(b"no picture")
  bomb = app_networks.bomb(upload(desk, "bomb.png"))
  seen = []
  archive, records = desk.enhance_all(
    visitor, [str(p) for p in (good, bad, bomb, same)], settings(), steps(seen)
  )
  with zipfile.ZipFile(archive) as found:
    assert found.namelist() == ["good-x2.png", "good-x2-2.png"]
    assert found.testzip() is None
    assert found.read("good-x2.png").startswith(b"\x89PNG")
  assert ["error" in one for one in records] == [False, True, True, False]
  assert [one["picture"] for one in records[1:3]] == ["bad.png", "bomb.png"]
  assert [p.name for p in archive.parent.iterdir()] == ["enhanced.zip"]
  assert seen[0] == (0.0, "Picture 1 of 4, reading the picture")
  assert (0.25, "Picture 2 of 4, reading the picture") in seen
  assert seen[-1] == (1.0, "Picture 4 of 4, writing the file")


def test_batch_without_a_good_file_has_no_zip(desk, visitor):
  bad = upload(desk, "bad.png")
  bad.write_bytes(b"no picture")
  archive, records = desk.enhance_all(visitor, [str(bad)], settings(), quiet)
  assert archive is None and len(records) == 1


def test_batches_are_bounded(desk, visitor):
  with pytest.raises(errors.EnhanceError, match="got 5 files, and 4"):
    desk.enhance_all(visitor, ["x"] * 5, settings(), quiet)


def test_uploads_that_are_gone_are_asked_for_again(desk, visitor):
  with pytest.raises(errors.EnhanceError, match="choose it again"):
    run(desk, visitor, upload(desk, "gone.png"))


@pytest.mark.parametrize(
  ("name", "stem"),
  [
    ("Straße 1.png", "Straße_1"),
    ("-rf.png", "rf"),
    ("...png", "picture"),
    ("a" * 200 + ".png", "a" * 80),
  ],
)
def test_results_have_harmless_names(desk, visitor, name, stem):
  path = app_networks.photo(upload(desk, "photo.png"))
  path = path.rename(path.with_name(name))
  assert run(desk, visitor, path).file.name == f"{stem}-x2.png"


def test_lr_psnr():
  """Of a picture off by 1 level everywhere: 20 log10(255) = 48.13 dB."""
  lr = np.full((8, 8, 3), 100, np.uint8)
  sr = sizes.resize_pixels(lr, (16, 16))
  assert jobs.lr_psnr(lr, sr) == 200.0
  assert jobs.lr_psnr(lr, sr + np.uint8(1)) == 48.13
  assert (
    jobs.lr_psnr(lr[..., [0, 0]], np.dstack([sr[..., 0] + 1, sr[..., 0]]))
    == 48.13
  )
