"""Templates for the names of results."""

import string

from enhance_jax import errors

FIELDS = ("stem", "scale", "model", "suffix")
DEFAULT = "{stem}{suffix}"
_FORBIDDEN = frozenset('/\\\0:*?"<>|\n\r\t')


class Template:
  """A name such as "{stem}_x{scale}{suffix}", checked once.

  Attributes:
    fields: what it is made of, names of `FIELDS`.
  """

  def __init__(self, text: str):
    """Parses the text.

    Args:
      text: `FIELDS` in braces among other letters, with {stem} and, at the
        end, {suffix}; a suffix that is missing is added.

    Raises:
      EnhanceError: an unknown field, one with a format or an attribute, no
        {stem}, or letters that would lead into another folder.
    """
    self._text = text if text.endswith("{suffix}") else text + "{suffix}"
    try:
      parts = list(string.Formatter().parse(self._text))
    except ValueError as error:
      raise errors.EnhanceError(
        f"--name={text} is no template ({error}); wanted one such as "
        "{stem}_x{scale}{suffix}"
      ) from error
    for _, field, form, conversion in parts:
      if field is not None and field not in FIELDS:
        raise errors.EnhanceError(
          f"--name={text} has no field {{{field}}}; "
          f"{errors.nearest(field, FIELDS)}"
        )
      if form or conversion:
        raise errors.EnhanceError(
          f"--name={text}: field {{{field}}} takes no format; leave it plain"
        )
    self.fields = [field for _, field, _, _ in parts if field is not None]
    bad = sorted(_FORBIDDEN & set("".join(part[0] for part in parts)))
    if bad or text.startswith("."):
      raise errors.EnhanceError(
        f"--name={text} cannot be a file's name ({bad[0] if bad else '.'!r} is "
        "in its way); folders come from -o and the tree of the inputs"
      )
    if "stem" not in self.fields or self.fields.count("suffix") > 1:
      raise errors.EnhanceError(
        f"--name={text} wants {{stem}}, or all results would have one name, "
        "and {suffix} once, at the end"
      )

  def __str__(self) -> str:
    """As it was given, with its suffix."""
    return self._text

  def name(self, **fields: str) -> str:
    """The file's name; `fields` are those of `FIELDS` that it is made of.

    Letters of a field that no file's name has become "-".
    """
    safe = {
      key: "".join("-" if c in _FORBIDDEN else c for c in text)
      for key, text in fields.items()
      if key in ("scale", "model")
    }
    return self._text.format(**{**fields, **safe})
