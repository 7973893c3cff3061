"""Temporary files of visitors: apart, unguessable, bounded, soon gone."""

import os
import stat
import time

import pytest

from enhance_jax import errors
from enhance_jax.app import shelf
from enhance_jax.app.limits import Limits


@pytest.fixture
def files():
  made = shelf.Shelf(Limits(disk_bytes=1000, keep_seconds=100))
  yield made
  made.close()


def result(files, session, kind="result", name="a.png"):
  folder, _ = files.begin(session, kind)
  (folder / name).write_bytes(b"x" * 10)
  return folder / name


def test_nobody_else_reads_the_folder_and_it_goes_at_the_end(files):
  assert stat.S_IMODE(files.root.stat().st_mode) == 0o700
  result(files, files.session("a"))
  files.close()
  assert not files.root.exists()


def test_folders_and_keys_are_long_random_and_not_the_visitors_words(files):
  a = result(files, files.session("../evil"))
  b = result(files, files.session("../evil"))
  assert a.parent.parent == b.parent.parent == files.root
  assert a.parent != b.parent
  assert min(len(p.parent.name) for p in (a, b)) == 32  # 128 bits
  key = files.publish(a)
  assert len(key) == 32 and key != files.publish(a)
  assert files.view(key) == a
  assert files.view("evil") is None


def test_sessions_are_apart(files):
  a, b = files.session("a"), files.session("b")
  assert files.session("a") is a is not b
  mine, theirs = result(files, a), result(files, b)
  key = files.publish(mine)
  files.end("a")
  assert not mine.exists() and theirs.exists()
  assert files.view(key) is None


def test_nameless_sessions_are_not_shared(files):
  assert files.session(None) is not files.session(None)


def test_old_results_go_for_new_ones_each_kind_apart(files):
  session = files.session("a")
  preview = result(files, session, "preview")
  made = [result(files, session) for _ in range(3)]
  assert [path.exists() for path in made] == [False, True, True]
  assert preview.exists()


def test_cancel_reaches_only_the_work_begun_last(files):
  session = files.session("a")
  _, first = files.begin(session, "result")
  _, second = files.begin(session, "result")
  files.cancel("a")
  files.cancel("b")
  files.cancel(None)
  assert second.is_set() and not first.is_set()
  _, third = files.begin(session, "result")
  assert not third.is_set()


def test_a_session_that_ends_is_cancelled(files):
  _, cancel = files.begin(files.session("a"), "result")
  files.end("a")
  assert cancel.is_set()


def test_full_shelf_takes_no_more_work(files):
  session = files.session("a")
  folder, _ = files.begin(session, "result")
  (folder / "large").write_bytes(b"x" * 1001)
  with pytest.raises(errors.EnhanceError, match="close pages that are done"):
    files.begin(session, "result")


def test_sweep_removes_what_was_not_used_for_long_and_nothing_else(files):
  old, new = files.session("old"), files.session("new")
  paths = {"old": result(files, old), "new": result(files, new)}
  old.seen = time.monotonic() - 101
  for name, age in (("upload-old", 101), ("upload-new", 50)):
    path = files.root / name / "photo.png"
    path.parent.mkdir()
    path.write_bytes(b"x")
    when = time.time() - age
    os.utime(path, (when, when))
    os.utime(path.parent, (when, when))
    paths[name] = path
  files.sweep()
  left = {name for name, path in paths.items() if path.exists()}
  assert left == {"new", "upload-new"}
  assert not paths["upload-old"].parent.exists()


def test_sweep_leaves_running_work_alone(files):
  session = files.session("a")
  path = result(files, session)
  when = time.time() - 1000
  os.utime(path, (when, when))
  os.utime(path.parent, (when, when))
  files.sweep()
  assert path.exists()
