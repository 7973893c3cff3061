"""A report as blocks, written as Markdown and as one HTML file."""

import base64
import dataclasses
import html
import pathlib
import re
from collections.abc import Collection, Sequence

from enhance_jax import zoo

PICTURES = "pictures"


class Strong(str):
  """A cell that stands out."""


@dataclasses.dataclass(frozen=True)
class Heading:
  """A heading: level 2 for a part, 3 for a section in it."""

  level: int
  text: str


@dataclasses.dataclass(frozen=True)
class Text:
  """A paragraph."""

  text: str


@dataclasses.dataclass(frozen=True)
class Table:
  """A table.

  Attributes:
    columns: their headings.
    rows: of cells, each as long as `columns`.
    caption: above the table: what it shows, and how it was measured.
    numbers: which columns hold numbers: they are aligned right.
    folded: what opens it, where it is folded away at first.
  """

  columns: Sequence[str]
  rows: Sequence[Sequence[str]]
  caption: str = ""
  numbers: Collection[int] = ()
  folded: str = ""


@dataclasses.dataclass(frozen=True)
class Picture:
  """A picture.

  Attributes:
    file: its name in the folder of pictures.
    data: PNG.
    alt: what there is to see, for those who do not see it.
    dark: PNG for dark pages; empty: `data` serves both.
  """

  file: str
  data: bytes
  alt: str
  dark: bytes = b""


Block = Heading | Text | Table | Picture


def write(
  folder: pathlib.Path, title: str, blocks: Sequence[Block]
) -> list[pathlib.Path]:
  """Writes report.html, which needs no other file, report.md and its pictures.

  Returns:
    the paths of the two reports.

  Raises:
    EnhanceError: they cannot be written.
  """
  for block in blocks:
    if isinstance(block, Picture):
      zoo.write_atomic(folder / PICTURES / block.file, block.data)
  written = []
  for name, text in (
    ("report.html", to_html(title, blocks)),
    ("report.md", to_markdown(title, blocks)),
  ):
    written.append(folder / name)
    zoo.write_atomic(written[-1], text.encode())
  return written


def file_name(*parts: str) -> str:
  """A plain file name of a PNG picture out of names of any kind."""
  words = (re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in parts)
  return "-".join(word for word in words if word) + ".png"


def to_markdown(title: str, blocks: Sequence[Block]) -> str:
  """The report as Markdown; its pictures lie in a folder beside it."""
  parts = [f"# {_plain(title)}"]
  for block in blocks:
    match block:
      case Heading():
        parts.append(f"{'#' * block.level} {_plain(block.text)}")
      case Text():
        parts.append(_plain(block.text))
      case Picture():
        parts.append(f"![{_plain(block.alt)}]({PICTURES}/{block.file})")
      case Table():
        parts.append(_markdown_table(block))
  return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
  marks = [
    "---:" if index in table.numbers else "---"
    for index in range(len(table.columns))
  ]
  rows = [
    " | ".join(
      f"**{_plain(cell)}**" if isinstance(cell, Strong) else _plain(cell)
      for cell in row
    )
    for row in (table.columns, marks, *table.rows)
  ]
  lines = "\n".join(f"| {row} |" for row in rows)
  if table.caption:
    lines = f"{_plain(table.caption)}\n\n{lines}"
  if table.folded:
    opener = f"<summary>{html.escape(table.folded)}</summary>"
    return f"<details>{opener}\n\n{lines}\n\n</details>"
  return lines


def _plain(text: str) -> str:
  """Text in which Markdown sees no marks of its own."""
  return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


def to_html(title: str, blocks: Sequence[Block]) -> str:
  """The report as one HTML file that asks for nothing else."""
  parts = [f"<h1>{html.escape(title)}</h1>"]
  heads = [b for b in blocks if isinstance(b, Heading) and b.level == 2]
  if len(heads) > 1:
    links = " ".join(
      f'<a href="#part{index}">{html.escape(head.text)}</a>'
      for index, head in enumerate(heads)
    )
    parts.append(f'<nav aria-label="Parts">{links}</nav>')
  part = 0
  for block in blocks:
    match block:
      case Heading():
        mark = f' id="part{part}"' if block.level == 2 else ""
        part += block.level == 2
        text = html.escape(block.text)
        parts.append(f"<h{block.level}{mark}>{text}</h{block.level}>")
      case Text():
        parts.append(f"<p>{html.escape(block.text)}</p>")
      case Picture():
        parts.append(_html_picture(block))
      case Table():
        parts.append(_html_table(block))
  body = "\n".join(parts)
  return _PAGE.format(title=html.escape(title), style=_STYLE, body=body)


def _html_picture(picture: Picture) -> str:
  light, dark = (
    "data:image/png;base64," + base64.b64encode(data).decode()
    for data in (picture.data, picture.dark)
  )
  source = (
    f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
    if picture.dark
    else ""
  )
  image = f'<img src="{light}" alt="{html.escape(picture.alt)}">'
  return f"<figure><picture>{source}{image}</picture></figure>"


def _html_table(table: Table) -> str:
  def row(cells: Sequence[str], tag: str) -> str:
    out = []
    for index, cell in enumerate(cells):
      kind = ' class="n"' if index in table.numbers else ""
      text = html.escape(cell)
      text = f"<strong>{text}</strong>" if isinstance(cell, Strong) else text
      scope = ' scope="col"' if tag == "th" else ""
      out.append(f"<{tag}{kind}{scope}>{text}</{tag}>")
    return f"<tr>{''.join(out)}</tr>"

  caption = html.escape(table.caption)
  label = html.escape(table.caption or table.folded or table.columns[0])
  lines = [
    f"<p>{caption}</p>" if caption else "",
    # A region that scrolls must be reachable by keyboard and have a name.
    f'<div class="wide" tabindex="0" role="region" aria-label="{label}">',
    f"<table><thead>{row(table.columns, 'th')}</thead><tbody>",
    *(row(cells, "td") for cells in table.rows),
    "</tbody></table></div>",
  ]
  text = "\n".join(lines)
  if table.folded:
    opener = f"<summary>{html.escape(table.folded)}</summary>"
    return f"<details>{opener}{text}</details>"
  return text


_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #fff;
  --soft: #5a5a5a; --line: #d4d4d4; --band: #f4f5f7; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6;
  --paper: #16181c; --soft: #a9adb4; --line: #3a3d44; --band: #1f2228;
  --link: #7db8f5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem 1.25rem 4rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem; }
h3 { margin-top: 2rem; }
p { max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
.wide { overflow-x: auto; margin: .5rem 0 1.5rem; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .3rem .75rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); max-width: 26rem; }
td:first-child { min-width: 8rem; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
.n { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
tbody tr:hover { background: var(--band); }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; }
summary { cursor: pointer; color: var(--link); }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
