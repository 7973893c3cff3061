"""Templates of results' names."""

import pytest

from enhance_jax import errors
from enhance_jax.upscaling import names


def test_a_template_is_filled():
  template = names.Template("{stem}_x{scale}{suffix}")
  assert template.fields == ["stem", "scale", "suffix"]
  name = template.name(stem="cat.1", scale="2.5", suffix=".png")
  assert name == "cat.1_x2.5.png"


def test_a_missing_suffix_is_added():
  template = names.Template("big {stem}")
  assert template.name(stem="a", suffix=".jpg") == "big a.jpg"
  assert names.Template(names.DEFAULT).name(stem="a", suffix=".png") == "a.png"


def test_names_of_networks_lead_nowhere():
  template = names.Template("{stem}-{model}")
  name = template.name(stem="a", model="../x, blend 0.5", suffix=".png")
  assert name == "a-..-x, blend 0.5.png"


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("{steam}{suffix}", 'did you mean "stem"'),
    ("{stem.__class__}", "has no field"),
    ("{stem[0]}", "has no field"),
    ("{0}", "has no field"),
    ("{stem!r}", "takes no format"),
    ("{stem:>99999999}", "takes no format"),
    ("{stem", "is no template"),
    ("out/{stem}", "cannot be a file's name"),
    ("../{stem}", "cannot be a file's name"),
    ("a\\{stem}", "cannot be a file's name"),
    (".{stem}", "cannot be a file's name"),
    ("all", "wants {stem}"),
    ("{stem}{suffix}{suffix}", "once"),
  ],
)
def test_what_is_no_name_is_refused(text, message):
  with pytest.raises(errors.EnhanceError, match=message):
    names.Template(text)
