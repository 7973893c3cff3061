"""What is shown: nothing a visitor sent becomes markup, large is made small."""

import html.parser

import numpy as np
import pytest

from enhance_jax import images
from enhance_jax.app import shelf, views
from enhance_jax.app.limits import Limits

EVIL = "\"><script>alert(1)</script>'&.png"


class Tags(html.parser.HTMLParser):
  """Collects elements and their attributes."""

  def __init__(self, text):
    super().__init__()
    self.found = []
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self.found.append((tag, dict(attrs)))


def test_names_do_not_become_markup():
  shown = views.Shown("k1", "k2", None, (40, 50), False)
  (only,) = Tags(views.comparison(shown, EVIL, EVIL)).found
  assert only[0] == "enhance-comparison"
  assert only[1]["name"] == only[1]["caption"] == EVIL
  assert (only[1]["before"], only[1]["overlay"]) == ("/view/k1", "")
  assert (only[1]["width"], only[1]["height"]) == ("50", "40")
  record = {"picture": EVIL, EVIL: {EVIL: [EVIL, True]}}
  tags = [tag for tag, _ in Tags(views.table(record)).found]
  assert set(tags) == {"dl", "dt", "dd"}
  rows = [{"picture": EVIL, "error": EVIL}]
  tags = [tag for tag, _ in Tags(views.batch_table(rows)).found]
  assert "script" not in tags


def test_records_tell_the_best_known_first():
  text = views.table({"odd_one": 1, "generative": False, "picture": "a.png"})
  order = [text.index(x) for x in ("a.png", "Imagines", "no<", "odd one")]
  assert order == sorted(order)


def test_batches_count():
  rows = [
    {"picture": "a", "pixels": "1 x 1", "seconds": 0.1},
    {"picture": "b", "error": "broken"},
  ]
  text = views.batch_table(rows)
  assert "1 of 2 pictures enlarged" in text and "failed: broken" in text


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_large_pictures_are_shown_smaller(tmp_path, monkeypatch, dtype):
  monkeypatch.setattr(views, "_MOST", 32)
  files = shelf.Shelf(Limits())
  level = np.iinfo(dtype).max // 2
  small, large = (
    images.Picture(np.full(shape, level, dtype))
    for shape in ((8, 16, 1), (20, 64, 1))
  )
  shown = views.write(files, tmp_path, small, large, large)
  sizes = [
    images.picture_size(files.view(key))
    for key in (shown.before, shown.after, shown.overlay)
  ]
  assert sizes == [(8, 16), (10, 32), (10, 32)]
  assert shown.reduced and shown.size == (20, 64)
  assert "the file has all" in views.comparison(shown, "a", "b")
  pixels = images.read_picture(files.view(shown.after)).pixels
  assert np.abs(pixels.astype(int) - 127).max() <= 1
  files.close()
