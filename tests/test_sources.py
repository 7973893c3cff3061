"""Splits, joined sources, boxes and sizes."""

import jax
import numpy as np
import pytest
from PIL import Image

from enhance_jax import config as config_lib
from enhance_jax import errors
from enhance_jax.data import pipeline, resident, sampling, sources
from enhance_jax.resample import resize_uint8

NEEDS = sources.Needs(1, (4, 4))


def _write(path, size=(8, 6), seed=0):
  """A gray picture of (height, width)."""
  path.parent.mkdir(parents=True, exist_ok=True)
  pixels = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
  Image.fromarray(pixels).save(path)
  return pixels


def _names(spec):
  source = sources.open_source(spec, NEEDS)
  return [source.name(i) for i in range(len(source))]


def test_every_fifth_sub_folder_is_held_out_whole(tmp_path):
  for person in range(10):
    for view in range(2):
      _write(tmp_path / f"p{person}" / f"{view}.png")
  held_out = _names(f"folder:{tmp_path}:held_out")
  train = _names(f"folder:{tmp_path}:train")
  assert {name.split("/")[-2] for name in held_out} == {"p4", "p9"}
  assert len(held_out) == 4 and len(train) == 16
  assert not set(held_out) & set(train)


def test_without_sub_folders_every_tenth_picture_is(tmp_path):
  for index in range(20):
    _write(tmp_path / f"{index:02d}.png")
  held_out = _names(f"folder:{tmp_path}:held_out")
  assert [name[-6:-4] for name in held_out] == ["09", "19"]
  assert len(_names(f"folder:{tmp_path}:train")) == 18


def test_sources_are_joined_and_take_part_at_several_sizes(tmp_path):
  one = _write(tmp_path / "a+b" / "1.png", (20, 10))
  two = _write(tmp_path / "c" / "2.png", (10, 20), seed=1)
  spec = f"folder:{tmp_path}/a+b+folder:{tmp_path}/c"
  source = sources.open_source(spec, NEEDS, (1.0, 0.5))
  assert len(source) == 4
  for index, whole in ((0, one), (2, two)):
    np.testing.assert_array_equal(source[index][..., 0], whole)
    height, width = whole.shape
    half = resize_uint8(whole[..., None], size=(height // 2, width // 2))
    np.testing.assert_array_equal(source[index + 1], half)
  assert source.name(3).endswith("2.png at 0.5")
  assert source.bytes_up_to(10**6) == 200 + 50 + 200 + 50
  again = sources.open_source(spec, NEEDS, (1.0, 0.6))
  assert again.fingerprint() != source.fingerprint()


def test_a_box_is_cut_from_each_picture(tmp_path):
  pixels = _write(tmp_path / "1.png", (20, 10))
  needs = sources.Needs(1, (5, 4), box=(3, 2, 6, 5))
  source = sources.open_source(f"folder:{tmp_path}", needs)
  np.testing.assert_array_equal(source[0][..., 0], pixels[3:9, 2:7])
  assert source.bytes_up_to(100) == 30
  needs = sources.Needs(1, (7, 4), box=(3, 2, 6, 5))
  with pytest.raises(errors.EnhanceError, match="crop of 7x4"):
    sources.open_source(f"folder:{tmp_path}", needs)[0]


@pytest.mark.parametrize("kind", ["grain", "resident"])
def test_crops_need_not_be_square(tmp_path, kind):
  pixels = _write(tmp_path / "1.png", (9, 7))
  config = config_lib.defaults()
  config.task.channels = 1
  config.data.update(
    {
      "train": f"folder:{tmp_path}",
      "validation": f"folder:{tmp_path}",
      "crop": 8,
      "crop_width": 4,
      "batch_size": 8,
      "turn": False,
      "pipeline": kind,
    }
  )
  loader = pipeline.open_loader(config)
  batch = next(loader.batches(0))
  crops = np.asarray(jax.jit(loader.fetch)(batch, loader.constants()))
  assert crops.shape == (8, 8, 4, 1)
  windows = np.lib.stride_tricks.sliding_window_view(pixels, (8, 4))
  known = {w.tobytes() for w in windows.reshape(-1, 8, 4)}
  known |= {w[:, ::-1].tobytes() for w in windows.reshape(-1, 8, 4)}
  assert {crop[..., 0].tobytes() for crop in crops} <= known
  held_out = pipeline.held_out_crops(config)
  np.testing.assert_array_equal(held_out[0, ..., 0], pixels[0:8, 1:5])


def test_losses_are_taken_from_crops_of_all_held_out_pictures(tmp_path):
  for i in range(80):
    Image.fromarray(np.full((9, 9), i, np.uint8)).save(tmp_path / f"{i:02}.png")
  config = config_lib.defaults()
  config.task.channels = 1
  config.data.update(
    {"validation": f"folder:{tmp_path}", "crop": 8, "batch_size": 4}
  )
  levels = pipeline.held_out_crops(config)[:, 0, 0, 0]
  assert levels.tolist() == [i * 80 // 32 for i in range(32)]
  config.data.batch_size = 40
  assert len(pipeline.held_out_crops(config)) == 40


def test_both_pipelines_draw_the_same_oblong_crops():
  drawing = sampling.Drawing(crop=(4, 2), flip=True, turn=False)
  picture = np.arange(60, dtype=np.uint8).reshape(6, 10, 1)
  rng = np.random.default_rng(3)
  plans = [drawing.draw(6, 10, rng) for _ in range(5)]
  rng = np.random.default_rng(3)
  crops = [
    sampling.CutCrop(drawing).random_map(picture, rng)["hr"] for _ in range(5)
  ]
  plan = {key: np.stack([p[key] for p in plans]) for key in plans[0]}
  plan["picture"] = np.zeros(5, np.int32)
  cut = jax.jit(resident.cut, static_argnums=3)(
    picture.reshape(-1, 1), np.array([[0, 6, 10]], np.int32), plan, (4, 2)
  )
  np.testing.assert_array_equal(cut, np.stack(crops))
