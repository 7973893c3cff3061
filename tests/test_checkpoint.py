"""Checkpoints: whole or set aside, never silently wrong."""

import gc
import pathlib
import resource
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import checkpoint, errors

pytestmark = pytest.mark.filterwarnings(
  "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def _collect():
  """Orbax leaves futures of its failed reads behind: they end here."""
  yield
  gc.collect()


def _state(seed: int, width: int = 300):
  key = jax.random.key(seed)
  return {
    "params": {"kernel": jax.random.normal(key, (width, width))},
    "empty": {},
    "none": None,
    "step": jnp.int32(seed),
  }


def _template(state):
  return lambda step: jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
    state,
  )


def _open(folder: pathlib.Path, **options) -> checkpoint.Checkpoints:
  return checkpoint.Checkpoints(folder / "checkpoints", **options)


def _save(folder, steps, **options):
  saved = _open(folder, **options)
  for step in steps:
    saved.save(step, _state(step), {"note": step}, score=float(-step))
  saved.close()


def _restore(folder):
  return _open(folder).restore(_template(_state(0)))


def _assert_step(restored, step):
  assert restored.step == step and restored.meta["note"] == step
  jax.tree.map(np.testing.assert_array_equal, restored.state, _state(step))


def _data_files(folder: pathlib.Path, step: int) -> list[pathlib.Path]:
  state = folder / "checkpoints" / str(step) / "state"
  files = [p for p in state.rglob("*") if p.is_file()]
  return sorted(files, key=lambda p: p.stat().st_size)


def test_restores_what_was_saved_with_its_record(tmp_path):
  assert _restore(tmp_path) is None
  _save(tmp_path, [3, 5])
  _assert_step(_restore(tmp_path), 5)


def test_donated_state_is_saved_as_it_was(tmp_path):
  saved = _open(tmp_path)
  state = _state(1)
  expected = jax.device_get(state)
  saved.save(1, state, {}, None)
  jax.jit(lambda s: jax.tree.map(lambda x: x * 0, s), donate_argnums=0)(state)
  saved.close()
  restored = _restore(tmp_path)
  jax.tree.map(np.testing.assert_array_equal, restored.state, expected)


def test_keeps_the_last_and_the_best_also_after_reopening(tmp_path):
  """NaN is no score: Orbax alone would keep the NaN and drop a good one."""
  saved = _open(tmp_path, keep_last=2, keep_best=1)
  for step, score in [(1, 20.0), (2, 30.0), (3, float("nan")), (4, 25.0)]:
    saved.save(step, _state(step), {}, score)
  saved.close()
  saved = _open(tmp_path, keep_last=2, keep_best=1)
  saved.save(5, _state(5), {}, None)
  saved.wait()
  assert saved.steps() == [2, 4, 5] and saved.best_step() == 2
  saved.close()


def _flip_bit(path: pathlib.Path) -> None:
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)


def _truncate(path: pathlib.Path) -> None:
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("harm", [_flip_bit, _truncate, pathlib.Path.unlink])
def test_damage_falls_back_to_the_step_before(tmp_path, harm, caplog):
  _save(tmp_path, [1, 2])
  harm(_data_files(tmp_path, 2)[-1])
  _assert_step(_restore(tmp_path), 1)
  assert "CHECKPOINT 2 IS DAMAGED" in caplog.text
  assert (tmp_path / "checkpoints.damaged" / "2").is_dir()
  _save(tmp_path, [2])
  _assert_step(_restore(tmp_path), 2)


def test_an_empty_newest_step_falls_back(tmp_path, caplog):
  _save(tmp_path, [1])
  (tmp_path / "checkpoints" / "2").mkdir()
  _assert_step(_restore(tmp_path), 1)
  assert "DAMAGED" in caplog.text


def test_a_damaged_record_falls_back(tmp_path):
  _save(tmp_path, [1, 2])
  records = [
    p
    for p in (tmp_path / "checkpoints" / "2" / "meta").rglob("*")
    if p.is_file()
  ]
  for path in records:
    path.write_text("{")
  _assert_step(_restore(tmp_path), 1)


def test_nothing_whole_is_an_error(tmp_path):
  _save(tmp_path, [1])
  _flip_bit(_data_files(tmp_path, 1)[-1])
  with pytest.raises(errors.EnhanceError, match="none of the checkpoints"):
    _restore(tmp_path)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (
      {"params": {"kernel": jnp.zeros((4, 4))}},
      r"kernel'\]: saved float32\[300,300\], wanted float32\[4,4\]",
    ),
    (
      {"params": {"kernel": jnp.zeros((300, 300), jnp.bfloat16)}},
      r"saved float32\[300,300\], wanted bfloat16\[300,300\]",
    ),
    (
      {"more": jnp.zeros(3)},
      r"'more'\]: saved nothing, wanted float32\[3\]",
    ),
  ],
)
def test_another_template_is_a_readable_error(tmp_path, change, message):
  """Orbax alone casts another dtype silently."""
  _save(tmp_path, [1])
  with pytest.raises(errors.EnhanceError, match=message):
    _open(tmp_path).restore(_template({**_state(0), **change}))
  _assert_step(_restore(tmp_path), 1)


def test_a_place_that_cannot_be_written(tmp_path):
  (tmp_path / "file").touch()
  with pytest.raises(errors.EnhanceError, match="cannot be written"):
    _open(tmp_path / "file")


def test_a_full_disk_is_noticed_before_anything_is_written(
  tmp_path, monkeypatch
):
  saved = _open(tmp_path)
  saved.save(1, _state(1), {"note": 1}, None)
  saved.wait()
  usage = shutil.disk_usage(tmp_path)._replace(free=300_000)
  monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
  with pytest.raises(errors.EnhanceError, match="needs 2 MiB; 0 MiB free"):
    saved.save(2, _state(2), {"note": 2}, None)
  monkeypatch.undo()
  assert saved.steps() == [1]
  saved.close()
  _assert_step(_restore(tmp_path), 1)


def test_a_write_that_fails_is_an_error_and_older_steps_stay(tmp_path):
  """As on a full disk: writes beyond a size are refused by the system."""
  saved = _open(tmp_path)
  saved.save(1, _state(1), {"note": 1}, None)
  saved.wait()
  before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  try:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    with pytest.raises(errors.EnhanceError, match="safe: 1; make room"):
      saved.save(2, _state(2), {"note": 2}, None)
      saved.wait()
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)
  _assert_step(_restore(tmp_path), 1)
