"""Videos: no frame lost, times and colours kept, killed runs go on."""

import json

import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.inference import engine, sizes
from enhance_jax.video import film, pipes, probe, work
from tests import clips

pytestmark = clips.NEEDED


@pytest.fixture(scope="module")
def double():
  return engine.open_model("nearest", scale=2)


def enlarge(upscaler, source, target, **options):
  return film.upscale_video(upscaler, source, target, **options)


def check(source, target, frames):
  """Frames, their times and their pixels are the source's."""
  want, got = clips.seconds(source), clips.seconds(target)
  assert len(got) == len(want) == frames
  np.testing.assert_allclose(
    np.subtract(got, got[0]), np.subtract(want, want[0]), atol=2e-3
  )
  (luma, chroma), (large, large_chroma) = map(clips.planes, (source, target))
  small = clips.halved(large)
  assert small.shape == luma.shape
  assert clips.psnr(small, luma) > 45
  assert abs(small.mean() - luma.mean()) < 0.2
  np.testing.assert_allclose(large_chroma, chroma, atol=0.5)


def test_film_rate_audio_and_metadata_are_kept(tmp_path, double):
  source = clips.make(
    tmp_path / "in.mp4",
    *clips.TONE,
    *("-metadata", "title=Holiday", "-metadata", "comment=mine"),
    rate="24000/1001",
  )
  target = tmp_path / "new" / "out.mp4"
  calls = []
  outcome = enlarge(
    double, source, target, on_frame=lambda *call: calls.append(call), piece=8
  )
  assert (outcome.frames, outcome.size) == (20, (64, 96))
  assert calls[0] == (0, 20) and calls[-1] == (20, 20)
  assert calls == sorted(calls)
  check(source, target, 20)
  made = clips.stream(target)
  assert made["r_frame_rate"] == made["avg_frame_rate"] == "24000/1001"
  assert clips.audio_digest(target) == clips.audio_digest(source)
  assert clips.seconds(target, "a:0") == clips.seconds(source, "a:0")
  tags = clips.probe(target, "-show_format")["format"]["tags"]
  assert tags["title"] == "Holiday"
  assert json.loads(tags["comment"])["comment"] == "mine"
  record = film.inspect(target)
  assert (record["model"], record["scale"]) == ("nearest", 2)
  assert [path.name for path in target.parent.iterdir()] == ["out.mp4"]


@pytest.mark.slow
def test_an_enlarged_video_enlarged_again_knows_both_times(tmp_path, double):
  source = clips.make(tmp_path / "in.mkv", frames=2)
  once, twice = tmp_path / "once.mkv", tmp_path / "twice.mkv"
  enlarge(double, source, once)
  enlarge(engine.open_model("bicubic", scale=2), once, twice)
  record = film.inspect(twice)
  assert record["model"] == "bicubic"
  assert [one["model"] for one in record["earlier"]] == ["nearest"]
  with pytest.raises(errors.EnhanceError, match="carries no provenance"):
    film.inspect(source)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_rates_keep_every_time(tmp_path, double, suffix):
  drop = "select='gt(n,20)+not(mod(n,3))*gt(n,1)+eq(n,0)'"
  source = clips.make(
    tmp_path / f"in{suffix}", "-vf", drop, "-fps_mode", "vfr", frames=17
  )
  gaps = np.diff(clips.seconds(source))
  assert gaps.max() > 2 * gaps.min()
  outcome = enlarge(double, source, tmp_path / f"out{suffix}", piece=5)
  check(source, tmp_path / f"out{suffix}", 17)
  assert "variable frame rate" in " ".join(outcome.notes)


def test_a_turned_video_comes_out_upright_once(tmp_path, double):
  lying = clips.make(tmp_path / "lying.mp4", "-vf", "setsar=4/3", frames=6)
  source = tmp_path / "in.mp4"
  turn = ("-metadata:s:v:0", "rotate=90")
  clips.ffmpeg("-i", lying, "-c", "copy", *turn, source)
  if "side_data_list" not in clips.stream(source):
    # ffmpeg 6 and newer say it so.
    clips.ffmpeg("-display_rotation", 90, "-i", lying, "-c", "copy", source)
  target = tmp_path / "out.mp4"
  assert enlarge(double, source, target).size == (96, 64)
  check(source, target, 6)
  made = clips.stream(target)
  assert "side_data_list" not in made
  assert made["sample_aspect_ratio"] == "3:4"


@pytest.mark.slow
@pytest.mark.parametrize(
  ("tags", "range_", "matrix"),
  [
    (["bt709"] * 3, "tv", "bt709"),
    (["smpte170m"] * 3, "tv", "smpte170m"),
    (["bt709"] * 3, "pc", "bt709"),
    ([], None, "smpte170m"),
  ],
)
def test_colours_stay_and_are_said(tmp_path, double, tags, range_, matrix):
  options = []
  if tags:
    names = ("-colorspace", "-color_primaries", "-color_trc")
    options = [x for pair in zip(names, tags, strict=True) for x in pair]
    options += ["-color_range", range_]
    options += ["-vf", f"scale=out_color_matrix={matrix}:out_range={range_}"]
  source = clips.make(tmp_path / "in.mp4", *options, frames=3)
  outcome = enlarge(double, source, tmp_path / "out.mp4")
  check(source, tmp_path / "out.mp4", 3)
  made = clips.stream(tmp_path / "out.mp4")
  assert made["color_space"] == matrix
  assert made["color_range"] == (range_ or "tv")
  assert ("no colour tag" in " ".join(outcome.notes)) == (not tags)
  if tags:
    assert made["color_primaries"] == made["color_transfer"] == tags[0]


@pytest.mark.slow
def test_odd_sizes_and_any_size(tmp_path, double):
  source = clips.make(
    tmp_path / "in.mkv", "-vf", "scale=45:31", frames=3, video=clips.FFV1
  )
  enlarge(double, source, tmp_path / "even.mp4")
  made = clips.stream(tmp_path / "even.mp4")
  assert (made["width"], made["height"]) == (90, 62)
  assert made["pix_fmt"] == "yuv420p"
  outcome = enlarge(
    double, source, tmp_path / "odd.mp4", size=sizes.Size(width=67)
  )
  made = clips.stream(tmp_path / "odd.mp4")
  assert (made["width"], made["height"]) == (67, 46)
  assert made["pix_fmt"] == "yuv444p"
  assert "odd side" in " ".join(outcome.notes)


@pytest.mark.slow
def test_ten_bits_stay_ten_bits(tmp_path, double):
  deep = ("-c:v", "ffv1", "-pix_fmt", "yuv422p10le")
  source = clips.make(tmp_path / "in.mkv", frames=3, video=deep)
  enlarge(double, source, tmp_path / "out.mkv", codec="ffv1")
  assert clips.stream(tmp_path / "out.mkv")["pix_fmt"] == "yuv422p10le"
  check(source, tmp_path / "out.mkv", 3)


@pytest.mark.slow
def test_sound_that_begins_earlier_does_so_afterwards(tmp_path, double):
  picture = clips.make(tmp_path / "picture.mp4", frames=10)
  sound = tmp_path / "sound.m4a"
  clips.ffmpeg(*clips.TONE, "-t", 1, sound)
  source = tmp_path / "in.mkv"
  both = ("-map", "0:v", "-map", "1:a", "-c", "copy")
  clips.ffmpeg("-itsoffset", 0.4, "-i", picture, "-i", sound, *both, source)
  enlarge(double, source, tmp_path / "out.mkv")

  def lead(path):
    return clips.seconds(path)[0] - clips.seconds(path, "a:0")[0]

  assert lead(source) > 0.3
  assert abs(lead(tmp_path / "out.mkv") - lead(source)) < 2e-3


def test_an_interrupted_run_goes_on_and_ends_the_same(tmp_path, double):
  source = clips.make(tmp_path / "in.mp4", *clips.TONE, frames=40)
  enlarge(double, source, tmp_path / "whole.mp4", piece=9)
  target = tmp_path / "out.mp4"

  def stop(done, total):
    if done >= 20:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    enlarge(double, source, target, piece=9, on_frame=stop)
  folder = work.folder_of(target)
  assert not target.exists() and len(list(folder.glob("*.nut"))) >= 2
  assert not list(folder.glob("*.part"))
  # One finished piece rots meanwhile.
  rotten = folder / "000001.nut"
  rotten.write_bytes(rotten.read_bytes()[:-20])
  calls = []
  enlarge(
    double, source, target, piece=9, on_frame=lambda *call: calls.append(call)
  )
  assert 9 <= calls[0][0] < 40 and calls[0][0] % 9 == 0, "finished pieces count"
  assert target.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
  assert not folder.exists()


@pytest.mark.slow
def test_what_was_begun_otherwise_is_not_mixed(tmp_path, double):
  source = clips.make(tmp_path / "in.mp4", frames=12)
  target = tmp_path / "out.mp4"

  def stop(done, total):
    if done >= 8:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    enlarge(double, source, target, piece=4, on_frame=stop)
  with pytest.raises(errors.EnhanceError, match="codec was .*'16'.*'10'"):
    enlarge(double, source, target, piece=4, crf=10)
  enlarge(double, source, target, piece=4, crf=10, anew=True)
  check(source, target, 12)


def test_two_programs_do_not_make_one_file(tmp_path, double):
  target = tmp_path / "out.mp4"
  source = clips.make(tmp_path / "in.mp4", frames=2)
  with work.opened(target, {}, anew=False):
    with pytest.raises(errors.EnhanceError, match="another program is making"):
      enlarge(double, source, target)


@pytest.mark.slow
def test_a_lost_frame_is_an_error_and_no_file(tmp_path, double, monkeypatch):
  source = clips.make(tmp_path / "in.mp4", frames=5)
  real = probe.timestamps
  for wrong, message in (
    (lambda times: [*times, times[-1] + 512], "before frame 6 of 6"),
    (lambda times: times[:-1], "more frames than the 4"),
  ):
    monkeypatch.setattr(
      probe,
      "timestamps",
      lambda clip, tools, wrong=wrong: wrong(real(clip, tools)),
    )
    with pytest.raises(errors.EnhanceError, match=message):
      enlarge(double, source, tmp_path / "out.mp4", anew=True)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.slow
def test_streams_a_container_cannot_hold_are_said_first(tmp_path, double):
  subtitles = tmp_path / "words.srt"
  subtitles.write_text("1\n00:00:00,000 --> 00:00:00,500\nhello\n")
  source = clips.make(
    tmp_path / "in.mkv", *clips.TONE, "-i", subtitles, "-c:s", "srt", frames=15
  )
  with pytest.raises(errors.EnhanceError, match=r"\.mkv holds any"):
    enlarge(double, source, tmp_path / "out.webm", on_frame=pytest.fail)
  assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mkv", "words.srt"]
  enlarge(double, source, tmp_path / "out.mkv")
  assert clips.stream(tmp_path / "out.mkv", "s:0")["codec_name"] == "subrip"
  assert clips.audio_digest(tmp_path / "out.mkv") == clips.audio_digest(source)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    (
      {"video": (*clips.FFV1, "-vf", "setfield=tff")},
      "is interlaced",
    ),
    (
      {"video": ("-c:v", "ffv1", "-pix_fmt", "yuva420p")},
      "has transparency",
    ),
  ],
)
def test_kinds_that_would_come_out_wrong_are_refused(
  tmp_path, double, options, message
):
  source = clips.make(tmp_path / "in.mkv", frames=2, **options)
  with pytest.raises(errors.EnhanceError, match=message):
    enlarge(double, source, tmp_path / "out.mkv")


def test_what_is_no_video_is_named(tmp_path, double):
  broken, sound = tmp_path / "broken.mp4", tmp_path / "sound.mp4"
  broken.write_bytes(b"no video at all")
  clips.ffmpeg(*clips.TONE, "-t", "0.2", sound)
  for path, message in (
    (broken, r"broken\.mp4: ffprobe cannot read it"),
    (sound, "holds no video stream"),
    (tmp_path / "none.mp4", "does not exist"),
  ):
    with pytest.raises(errors.EnhanceError, match=message):
      enlarge(double, path, tmp_path / "out.mp4")
  good = clips.make(tmp_path / "in.mp4", frames=2)
  with pytest.raises(errors.EnhanceError, match="names no known container"):
    enlarge(double, good, tmp_path / "out.avi")


def test_without_ffmpeg_it_says_what_to_install(tmp_path, double, monkeypatch):
  monkeypatch.setenv("PATH", str(tmp_path))
  with pytest.raises(errors.EnhanceError, match="apt install ffmpeg"):
    enlarge(double, tmp_path / "in.mp4", tmp_path / "out.mp4")


def test_times_become_one_term_for_each_distance():
  assert pipes.when([0]) == "0"
  assert pipes.when([0, 3, 6, 9]) == "clip(N-0,0,3)*3"
  assert pipes.when([0, 2, 4, 9]) == "clip(N-0,0,2)*2+clip(N-2,0,1)*5"


def test_sums_of_rounded_pieces_do_not_drift(tmp_path):
  from fractions import Fraction

  # 24000/1001 frames a second: no piece is a whole number of microseconds.
  times = [1001 * i for i in range(7000)]
  parts = work.pieces(tmp_path, len(times), 7)
  listed = work.joined(tmp_path, parts, times, 1001 * 7000, Fraction(1, 24000))
  lines = listed.read_text().splitlines()
  durations = [float(x.split()[1]) for x in lines if x.startswith("duration")]
  assert len(durations) == 1000
  assert abs(sum(durations) - 7000 * 1001 / 24000) < 1e-5
