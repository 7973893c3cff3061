"""Bundled weights: names, defaults, pairs, half precision, the list."""

import json

import numpy as np
import pytest
from flax import traverse_util
from safetensors import safe_open

from enhance_jax import errors, zoo
from enhance_jax.models import compact
from enhance_jax.zoo import __main__ as door
from enhance_jax.zoo import bundled


def save(folder, name, scale=4, half=False, generative=False, **card):
  kwargs = {"scale": scale, "width": 4, "convs": 1}
  rng = np.random.default_rng(scale)
  flat = {
    key: rng.uniform(-1, 1, shape).astype(np.float32)
    for key, shape in zoo.expected_shapes(compact.Generator(**kwargs)).items()
  }
  return zoo.save_generator(
    folder / name,
    model="compact",
    kwargs=kwargs,
    variables=traverse_util.unflatten_dict(flat, sep="/"),
    card={"generative": generative, **card},
    half=half,
  )


@pytest.fixture
def folder(tmp_path, monkeypatch):
  scores = {"set5": {"psnr": 30.712, "ssim": 0.87, "protocol": "x4, y"}}
  save(tmp_path, "compact_x4", scores=scores)
  save(tmp_path, "compact_x4_gan", generative=True)
  save(tmp_path, "compact_x2", scale=2)
  monkeypatch.setattr(bundled, "FOLDER", tmp_path)
  return tmp_path


def test_names_are_the_files_that_are_there(folder, monkeypatch):
  assert bundled.names() == ("compact_x2", "compact_x4", "compact_x4_gan")
  for name in bundled.names():
    assert zoo.load_generator(bundled.path(name)).model == "compact"
  with pytest.raises(errors.EnhanceError, match='did you mean "compact_x4"'):
    bundled.path("compat_x4")
  # A name is no path.
  with pytest.raises(errors.EnhanceError, match="no bundled weights"):
    bundled.path("../compact_x4")
  monkeypatch.setattr(bundled, "FOLDER", folder / "none")
  assert bundled.names() == () and bundled.scales() == ()


def test_a_scale_has_one_default(folder):
  assert bundled.scales() == (2, 4)
  assert [bundled.default(scale) for scale in (2, 4)] == [
    "compact_x2",
    "compact_x4",
  ]
  with pytest.raises(errors.EnhanceError, match="x3, only for x2 and x4"):
    bundled.default(3)
  bundled.path("compact_x4").unlink()
  with pytest.raises(errors.EnhanceError, match="x4, only for x2"):
    bundled.default(4)


def test_pairs(folder):
  assert bundled.partner("compact_x4") == "compact_x4_gan"
  assert bundled.partner("compact_x4_gan") == "compact_x4"
  assert bundled.partner("compact_x2") is None
  with pytest.raises(errors.EnhanceError, match="no bundled weights"):
    bundled.partner("none")


def test_what_a_user_types_is_a_file_or_a_name(folder, monkeypatch, tmp_path):
  here = tmp_path / "here"
  here.mkdir()
  monkeypatch.chdir(here)
  assert bundled.resolve("compact_x4") == folder / "compact_x4.safetensors"
  assert bundled.resolve("a/b").name == "b.safetensors"
  assert bundled.resolve("b.safetensors").name == "b.safetensors"
  with pytest.raises(errors.EnhanceError, match='called "compact_4"; did you'):
    bundled.resolve("compact_4")
  # A file of one's own comes first.
  own = save(here, "compact_x4", scale=3)
  assert bundled.resolve("compact_x4").resolve() == own


def test_half_precision_is_read_as_float32(tmp_path):
  whole = zoo.load_generator(save(tmp_path, "whole"))
  path = save(tmp_path, "half", half=True)
  half = zoo.load_generator(path)
  assert half.card["storage"] == "float16"
  assert whole.card["storage"] == "float32"
  with safe_open(path, framework="numpy") as file:
    assert {file.get_tensor(k).dtype for k in file.keys()} == {
      np.dtype(np.float16)
    }
  ours, exact = zoo.flatten(half.variables), zoo.flatten(whole.variables)
  for name, array in ours.items():
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.float32(np.float16(exact[name])))


def test_what_half_precision_cannot_hold_is_not_written(tmp_path):
  whole = zoo.load_generator(save(tmp_path, "whole"))
  whole.variables["params"]["conv_in"]["bias"][0] = 1e5
  with pytest.raises(errors.EnhanceError, match="conv_in/bias .* 65504"):
    zoo.save_generator(
      tmp_path / "half",
      model=whole.model,
      kwargs=whole.kwargs,
      variables=whole.variables,
      card={"generative": False},
      half=True,
    )
  assert not (tmp_path / "half.safetensors").exists()


# The command


def test_the_list(folder, capsys):
  assert door.main(["list"]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].split() == [
    "name",
    "scale",
    "default",
    "parameters",
    "bytes",
    "generative",
    "PSNR",
  ]
  x4 = next(line for line in lines if line.startswith("compact_x4 "))
  # 3 -> 4, 4 -> 4 and 4 -> 48 channels by 3x3 with biases, two PReLUs of 4.
  count = 27 * 4 + 4 + 36 * 4 + 4 + 36 * 48 + 48 + 2 * 4
  size = bundled.path("compact_x4").stat().st_size
  assert x4.split() == [
    "compact_x4",
    "x4",
    "yes",
    f"{count:,}",
    f"{size:,}",
    "no",
    "set5",
    "30.71",
  ]
  assert "compact_x4_gan" in lines[3] and lines[3].split()[5] == "yes"


def test_an_empty_list_is_an_error(tmp_path, monkeypatch):
  monkeypatch.setattr(bundled, "FOLDER", tmp_path)
  with pytest.raises(errors.EnhanceError, match="no networks are bundled"):
    door.main(["list"])


def test_bundled_names_are_shown_and_blended(folder, tmp_path, capsys):
  assert door.main(["show", "compact_x2"]) == 0
  assert "enlarges    x2" in capsys.readouterr().out
  out = tmp_path / "new" / "half_way"
  names = ["compact_x4", "compact_x4_gan"]
  assert door.main(["blend", *names, "--alpha=0.5", "-o", str(out)]) == 0
  card = zoo.load_generator(f"{out}.safetensors").card
  assert [p["sha256"] for p in card["blend"]["parents"]] == [
    zoo.file_sha256(bundled.path(name)) for name in names
  ]


def test_a_file_becomes_a_bundled_one(folder, tmp_path, capsys):
  source = save(tmp_path / "run", "generator", step=9, phase="pixel")
  command = ["bundle", str(source), "edsr_x4", "--half", "--note=thanks"]
  assert door.main(command) == 0
  made = zoo.load_generator(bundled.path("edsr_x4"))
  assert made.card["source_sha256"] == zoo.file_sha256(source)
  assert (made.card["storage"], made.card["note"]) == ("float16", "thanks")
  assert made.card["step"] == 9
  beside = json.loads((folder / "edsr_x4.json").read_text())
  assert beside["sha256"] == made.sha256
  with pytest.raises(errors.EnhanceError, match="already there"):
    door.main(command)
