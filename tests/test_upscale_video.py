"""The command upscale with videos, as a user meets it."""

import json
import pathlib
import subprocess
import sys
import time

import pytest

from enhance_jax import errors, upscale
from enhance_jax.video import work
from tests import clips
from tests.command_files import read, scene, write

NEAREST = ["--model=nearest", "--scale=2"]
ROOT = pathlib.Path(__file__).parent.parent

pytestmark = clips.NEEDED


def test_pictures_and_videos_go_into_one_folder(tmp_path, capsys):
  folder, out = tmp_path / "in", tmp_path / "out"
  write(folder / "a.png", scene(6, 8))
  film = clips.make(folder / "film.avi", frames=4, video=clips.FFV1)
  (folder / "broken.mp4").write_bytes(b"no video")
  report = tmp_path / "r.json"
  command = [str(folder), f"{folder}/*.avi", f"{folder}/broken.mp4"]
  command += ["-o", str(out), *NEAREST, f"--report={report}", "--crf=20"]
  assert upscale.main(command) == 1
  told = capsys.readouterr()
  assert "videos in folders are left out (2," in told.out
  assert "film.avi: 4 frames, 48x32 -> 96x64 in " in told.out
  assert "note: no colour tag" in told.out
  assert "broken.mp4: ffprobe cannot read it" in told.err
  assert sorted(path.name for path in out.iterdir()) == ["a.png", "film.mkv"]
  assert read(out / "a.png").shape == (12, 16, 3)
  files = json.loads(report.read_text())["files"]
  assert [one["status"] for one in files] == ["ok", "ok", "failed"]
  assert files[1]["frames"] == 4 and files[1]["output_size"] == [96, 64]
  assert (
    upscale.main([str(film), "-o", str(out), *NEAREST, "--skip-existing"]) == 0
  )
  assert "already there" in capsys.readouterr().out
  command = [str(film), "-o", str(out), "--model=nearest", "--scale=3"]
  assert upscale.main([*command, "--skip-existing"]) == 1
  assert "is 96x64 pixels, wanted 144x96" in capsys.readouterr().err
  assert upscale.main([f"--inspect={out / 'film.mkv'}"]) == 0
  assert json.loads(capsys.readouterr().out)["model"] == "nearest"


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["in.mp4", "-o", "out.png"], "is a video and -o out.png names a picture"),
    (["a.png", "-o", "out.mp4"], "is a picture and -o out.mp4 names a video"),
    (["in.mp4", "-o", "in.mp4"], "would overwrite the input"),
  ],
)
def test_names_that_do_not_fit_are_refused(
  tmp_path, monkeypatch, arguments, message
):
  monkeypatch.chdir(tmp_path)
  write(tmp_path / "a.png", scene(6, 8))
  clips.make(tmp_path / "in.mp4", frames=2)
  with pytest.raises(errors.EnhanceError, match=message):
    upscale.main([*arguments, *NEAREST])


def test_without_ffmpeg_nothing_is_begun(tmp_path, monkeypatch):
  write(tmp_path / "a.png", scene(6, 8))
  clips.make(tmp_path / "in.mp4", frames=2)
  monkeypatch.setenv("PATH", str(tmp_path))
  inputs = [str(tmp_path / "a.png"), str(tmp_path / "in.mp4")]
  with pytest.raises(errors.EnhanceError, match="install ffmpeg"):
    upscale.main([*inputs, "-o", str(tmp_path / "out"), *NEAREST])
  assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_killed_command_goes_on_and_ends_the_same(tmp_path):
  source = clips.make(tmp_path / "in.mp4", *clips.TONE, frames=240)
  target = tmp_path / "out.mp4"
  command = [sys.executable, "-m", "enhance_jax.upscale", str(source), *NEAREST]
  running = subprocess.Popen([*command, "-o", str(target)], cwd=ROOT)
  folder = work.folder_of(target)
  while running.poll() is None and not list(folder.glob("0*.json")):
    time.sleep(0.01)
  running.kill()
  assert running.wait() == -9, "it was to be killed before it ended"
  assert not target.exists()
  assert upscale.main([str(source), "-o", str(target), *NEAREST]) == 0
  whole = tmp_path / "whole.mp4"
  assert upscale.main([str(source), "-o", str(whole), *NEAREST]) == 0
  assert target.read_bytes() == whole.read_bytes()
  assert len(clips.seconds(target)) == 240
  assert not folder.exists()
