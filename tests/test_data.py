"""Sources, sampling and pipelines."""

import pathlib

import jax
import ml_collections
import numpy as np
import pytest
from PIL import Image

from enhance_jax import config as config_lib
from enhance_jax import errors
from enhance_jax.data import degrade, pipeline, resident, sampling, sources
from enhance_jax.resample import resize_uint8


def _pictures(folder: pathlib.Path, count: int = 5, side: int = 24) -> None:
  rng = np.random.default_rng(0)
  for i in range(count):
    pixels = rng.integers(0, 256, (side + 3 * i, side + 7, 3), dtype=np.uint8)
    target = folder / ("deep" if i % 2 else "") / f"p{i}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(target)


def _config(folder: pathlib.Path, **data) -> ml_collections.ConfigDict:
  config = config_lib.defaults()
  config.seed = 3
  config.data.update(
    {
      "train": f"folder:{folder}",
      "validation": f"folder:{folder}",
      "crop": 16,
      "batch_size": 4,
      "pipeline": "grain",
      "resident_limit_mb": 1,
      **data,
    }
  )
  return config


def _take(iterator, count):
  return [next(iterator) for _ in range(count)]


def _crops(loader: pipeline.Loader, step: int, count: int) -> list[np.ndarray]:
  fetch = jax.jit(loader.fetch)
  batches = _take(loader.batches(step), count)
  return [np.asarray(fetch(b, loader.constants())) for b in batches]


def test_samples_are_photographs_and_disjoint():
  needs = sources.Needs(3, (96, 96))
  train = sources.open_source("samples", needs)
  held_out = sources.open_source("samples:held_out", needs)
  assert len(train) >= 8 and len(held_out) >= 3
  names = [{s.name(i) for i in range(len(s))} for s in (train, held_out)]
  assert not names[0] & names[1]
  assert train[0].dtype == np.uint8 and train[0].shape[-1] == 3


def test_folder_is_recursive_and_sorted(tmp_path):
  _pictures(tmp_path)
  source = sources.open_source(f"folder:{tmp_path}", sources.Needs(3, (16, 16)))
  assert len(source) == 5
  assert (
    source.fingerprint()
    == sources.open_source(
      f"folder:{tmp_path}", sources.Needs(3, (16, 16))
    ).fingerprint()
  )
  Image.new("RGB", (30, 30)).save(tmp_path / "more.png")
  assert (
    source.fingerprint()
    != sources.open_source(
      f"folder:{tmp_path}", sources.Needs(3, (16, 16))
    ).fingerprint()
  )


def test_unusable_pictures_are_named_counted_and_replaced(tmp_path, caplog):
  _pictures(tmp_path, count=3)
  good = (tmp_path / "p0.png").read_bytes()
  (tmp_path / "a_truncated.png").write_bytes(good[: len(good) // 2])
  Image.new("RGB", (1, 1)).save(tmp_path / "b_small.png")
  source = sources.open_source(f"folder:{tmp_path}", sources.Needs(3, (16, 16)))
  everything = [source[i] for i in range(len(source))]
  assert len(everything) == 5 and len(source.skipped) == 2
  np.testing.assert_array_equal(everything[0], everything[2])
  assert "a_truncated.png" in caplog.text
  assert "b_small.png: 1x1 pixels, smaller than the crop of 16" in caplog.text
  source[0]
  assert caplog.text.count("a_truncated.png") == 1


@pytest.mark.parametrize(
  ("files", "message"),
  [
    ({}, "no picture"),
    ({"x.png": b"not a picture"}, "none of the 1 pictures"),
  ],
)
def test_folder_without_a_usable_picture(tmp_path, files, message):
  for name, content in files.items():
    (tmp_path / name).write_bytes(content)
  with pytest.raises(errors.EnhanceError, match=message):
    sources.open_source(f"folder:{tmp_path}", sources.Needs(3, (16, 16)))[0]


def test_missing_folder_and_unknown_source(tmp_path):
  with pytest.raises(errors.EnhanceError, match="nowhere"):
    sources.open_source(f"folder:{tmp_path}/nowhere", sources.Needs())
  with pytest.raises(errors.EnhanceError, match='did you mean "folder"'):
    sources.open_source("foldr:x", sources.Needs())
  with pytest.raises(errors.EnhanceError, match="held_out"):
    sources.open_source("samples:heldout", sources.Needs())


def test_resize_comes_before_the_crop(tmp_path):
  _pictures(tmp_path, count=1, side=40)
  source = sources.open_source(
    f"folder:{tmp_path}", sources.Needs(3, (16, 16), (16, 16))
  )
  plain = sources.open_source(f"folder:{tmp_path}", sources.Needs(3, (16, 16)))
  expected = resize_uint8(plain[0], size=(16, 16))
  np.testing.assert_array_equal(source[0], expected)


def test_both_pipelines_give_the_same_batches(tmp_path):
  """So training has one distribution, whichever pipeline feeds it."""
  _pictures(tmp_path)
  grain = pipeline.open_loader(_config(tmp_path, pipeline="grain"))
  here = pipeline.open_loader(_config(tmp_path, pipeline="resident"))
  assert (grain.pipeline, here.pipeline) == ("grain", "resident")
  for a, b in zip(_crops(grain, 0, 6), _crops(here, 0, 6), strict=True):
    assert a.shape == (4, 16, 16, 3) and a.dtype == np.uint8
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["grain", "resident"])
def test_batches_are_a_function_of_seed_and_step(tmp_path, kind):
  _pictures(tmp_path)
  config = _config(tmp_path, pipeline=kind)
  loader = pipeline.open_loader(config)
  first = _crops(loader, 0, 8)
  np.testing.assert_array_equal(first[5:], _crops(loader, 5, 3))
  config.data.threads = 1
  np.testing.assert_array_equal(
    first, _crops(pipeline.open_loader(config), 0, 8)
  )
  config.seed = 4
  other = _crops(pipeline.open_loader(config), 0, 8)
  assert not np.array_equal(first, other)


def test_processes_share_the_batch_of_one(tmp_path):
  _pictures(tmp_path)
  loader = pipeline.open_loader(_config(tmp_path))
  whole = _take(loader.batches(2), 3)
  shares = [_take(loader.batches(2, p, 2), 3) for p in range(2)]
  for step in range(3):
    together = np.concatenate([shares[p][step]["hr"] for p in range(2)])
    together = sorted(x.tobytes() for x in together)
    assert together == sorted(x.tobytes() for x in whole[step]["hr"])


@pytest.mark.slow
def test_worker_processes_do_not_change_batches(tmp_path):
  _pictures(tmp_path)
  plain = pipeline.open_loader(_config(tmp_path))
  working = pipeline.open_loader(_config(tmp_path, workers=2))
  iterator = working.batches(3)
  try:
    for a, b in zip(
      _take(plain.batches(3), 3), _take(iterator, 3), strict=True
    ):
      np.testing.assert_array_equal(a["hr"], b["hr"])
  finally:
    iterator.close()


def test_epochs_see_every_picture_once(tmp_path):
  _pictures(tmp_path, count=4)
  loader = pipeline.open_loader(_config(tmp_path, pipeline="resident"))
  for batch in _take(loader.batches(0), 5):
    assert sorted(batch["picture"]) == [0, 1, 2, 3]


def test_draws_cover_every_corner_flip_and_turn():
  drawing = sampling.Drawing(crop=(14, 14), flip=True, turn=True)
  rng = np.random.default_rng(0)
  plans = [drawing.draw(16, 15, rng) for _ in range(400)]
  seen = {tuple(int(v) for v in plan.values()) for plan in plans}
  assert len(seen) == 3 * 2 * 2 * 4
  still = sampling.Drawing(crop=(14, 14), flip=False, turn=False)
  assert {still.draw(14, 14, rng)["turn"] for _ in range(50)} == {0}


def test_cut_equals_numpy():
  rng = np.random.default_rng(1)
  picture = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
  plan = {
    "picture": np.zeros(8, np.int32),
    "top": np.arange(8, dtype=np.int32) % 5,
    "left": np.arange(8, dtype=np.int32) % 7,
    "flip": np.arange(8, dtype=np.int32) // 4,
    "turn": np.arange(8, dtype=np.int32) % 4,
  }
  table = np.array([[0, 9, 11]], np.int32)
  cut = jax.jit(resident.cut, static_argnums=3)(
    picture.reshape(-1, 3), table, plan, (5, 5)
  )
  for i in range(8):
    crop = picture[plan["top"][i] :, plan["left"][i] :][:5, :5]
    crop = crop[:, ::-1] if plan["flip"][i] else crop
    np.testing.assert_array_equal(cut[i], np.rot90(crop, plan["turn"][i]))


def test_auto_is_resident_below_the_limit(tmp_path):
  _pictures(tmp_path)
  config = _config(tmp_path, pipeline="auto")
  assert pipeline.open_loader(config).pipeline == "resident"
  config.data.resident_limit_mb = 0
  assert pipeline.open_loader(config).pipeline == "grain"


def test_degrade_is_matlab_bicubic_on_8_bits():
  rng = np.random.default_rng(2)
  hr = rng.integers(0, 256, (2, 16, 24, 3), dtype=np.uint8)
  hr = np.cumsum(hr, axis=1, dtype=np.uint8) // 2
  operator = degrade.Resize(scale=4)
  lr = jax.jit(operator)(hr.astype(np.float32) / 255, jax.random.key(0))
  assert lr.shape == (2, 4, 6, 3) and lr.dtype == np.float32
  # MATLAB rounds between the passes as well: at most one level apart.
  reference = np.stack([resize_uint8(x, scale=1 / 4) for x in hr])
  levels = np.asarray(lr) * 255
  np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
  assert np.abs(levels - reference).max() <= 1.001
