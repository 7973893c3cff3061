"""What the page offers: pairs are found, names are kept apart."""

import pytest

from enhance_jax import errors
from enhance_jax.app import networks
from enhance_jax.zoo import bundled
from tests import app_networks


@pytest.fixture(autouse=True)
def nothing_bundled(monkeypatch, tmp_path):
  (tmp_path / "bundled").mkdir()
  monkeypatch.setattr(bundled, "FOLDER", tmp_path / "bundled")


def offered(files):
  return [
    (one.name, one.imagined is not None, one.scale)
    for one in networks.Networks([str(file) for file in files])
  ]


def test_an_imagining_network_joins_the_faithful_one_before_it(tmp_path):
  a, b = app_networks.pair(tmp_path)
  assert offered([a, b]) == [("tiny", True, 2)]
  assert offered([b, a]) == [("tiny_imagined", False, 2), ("tiny", False, 2)]
  assert offered([a, b, b]) == [("tiny", True, 2), ("tiny_imagined", False, 2)]


def test_other_architectures_stay_alone(tmp_path):
  a, _ = app_networks.pair(tmp_path)
  other = app_networks.save(tmp_path / "wide", True, width=6)
  assert offered([a, other]) == [("tiny", False, 2), ("wide", False, 2)]


def test_equal_names_are_told_apart(tmp_path):
  (tmp_path / "other").mkdir()
  a = app_networks.save(tmp_path / "tiny", False)
  b = app_networks.save(tmp_path / "other" / "tiny", False, scale=4)
  assert offered([a, b]) == [("tiny", False, 2), ("tiny (2)", False, 4)]


def test_those_asked_for_come_first_and_then_the_default(tmp_path):
  for name, generative, scale in (
    ("compact_x2", False, 2),
    ("compact_x4", False, 4),
    ("compact_x4_gan", True, 4),
    ("aaa_x4", False, 4),
  ):
    app_networks.save(bundled.FOLDER / name, generative, scale=scale)
  assert offered([app_networks.pair(tmp_path)[0]]) == [
    ("tiny", False, 2),
    ("compact_x4", True, 4),
    ("aaa_x4", False, 4),
    ("compact_x2", False, 2),
  ]


def test_descriptions_say_what_is_imagined(tmp_path):
  a, b = app_networks.pair(tmp_path)
  lines = [one.line for one in networks.Networks([a, b, b, a])]
  assert lines[0] == "x2, of middle size; can imagine detail"
  assert lines[1] == "x2, of middle size; imagines detail"
  assert lines[2] == "x2, of middle size"


def test_engines_follow_the_slider(tmp_path):
  offers = networks.Networks(app_networks.pair(tmp_path))
  ends = [offers.engine("tiny", x, consistent=False) for x in (0.0, 1.0)]
  assert [one.generative for one in ends] == [False, True]
  half = offers.engine("tiny", 0.5, consistent=True)
  assert half.settings == {"blend": 0.5, "consistent": True}
  assert half.generative


def test_refusals_name_what_helps(tmp_path):
  a, b = app_networks.pair(tmp_path)
  with pytest.raises(errors.EnhanceError, match="--models FILE.safetensors"):
    networks.Networks()
  with pytest.raises(errors.EnhanceError, match="does not exist"):
    networks.Networks([str(tmp_path / "none.safetensors")])
  offers = networks.Networks([b])
  with pytest.raises(errors.EnhanceError, match='did you mean "tiny_imagined"'):
    offers.engine("tiny_imagine", 0.0, consistent=False)
  with pytest.raises(errors.EnhanceError, match="only a pair"):
    offers.engine("tiny_imagined", 0.5, consistent=False)
