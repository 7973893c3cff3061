"""What the command says while it works."""

import sys

import pytest

from enhance_jax.upscaling import progress


@pytest.fixture
def clock(monkeypatch):
  class Clock:
    now = 0.0

  monkeypatch.setattr(progress.time, "perf_counter", lambda: Clock.now)
  return Clock


def test_what_is_left_goes_by_pixels(clock, capsys):
  show = progress.Progress(3, 1000)
  clock.now = 10.0
  show.done("a", 100)
  assert capsys.readouterr().out == "a, about 1 min 30 s left\n"
  show.skip(800)
  clock.now = 20.0
  show.line("error: b", error=True)
  show.done("c", 100)
  told = capsys.readouterr()
  assert told.out == "c\n" and told.err == "error: b\n"


def test_parts_are_for_terminals(clock, monkeypatch, capsys):
  quiet = progress.Progress(1, 100)
  clock.now = 5.0
  quiet.part("a: tile 1/4", 25)
  assert capsys.readouterr().out == ""
  monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
  clock.now = 0.0
  moving = progress.Progress(1, 100)
  clock.now = 5.0
  moving.part("a: tile 1/4", 25)
  assert capsys.readouterr().out == "\r\033[Ka: tile 1/4, about 15.0 s left"


@pytest.mark.parametrize(
  ("seconds", "words"),
  [(3.24, "3.2 s"), (245, "4 min 5 s"), (7620, "2 h 7 min")],
)
def test_durations(seconds, words):
  assert progress.duration(seconds) == words
