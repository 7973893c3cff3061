"""What the page looks like."""

import dataclasses
from typing import Any

import gradio as gr

from enhance_jax import images
from enhance_jax.app import handlers
from enhance_jax.app.jobs import FORMATS, PREVIEW, Desk
from enhance_jax.app.networks import Network

TITLE = "Enhance a picture"
NOTE = """\
**The detail in a result is made up.** A network draws what such pictures
usually look like; what was really there it cannot know. Faces, number plates
and writing may come out sharp and still be wrong: a result is no evidence of
who or what was there.
"""
_RESULT = '<p class="empty">The result will be shown here.</p>'
_PREVIEW = (
  '<p class="empty">As soon as a picture is chosen, its middle is shown here '
  "enlarged, and follows the settings.</p>"
)
# All work waits in one line, and one piece is done at a time.
_WORK: dict[str, Any] = {"concurrency_id": "work", "concurrency_limit": 1}
_QUIET: dict[str, Any] = {"api_visibility": "private"}


def build(desk: Desk, example: str) -> gr.Blocks:
  """The page.

  Args:
    desk: does the work.
    example: Python that calls the page from a script, shown at the bottom.
  """
  does = handlers.Handlers(desk)
  with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
    gr.Markdown(f"# {TITLE}", elem_id="title")
    gr.Markdown(NOTE, elem_id="note")
    with gr.Row(equal_height=False):
      with gr.Column(scale=4, min_width=300):
        with gr.Tabs():
          with gr.Tab("One picture") as one_tab:
            picture = _upload("Drop, choose or paste a picture", "single")
          with gr.Tab("Several pictures") as many_tab:
            bound = desk.shelf.limits.files
            label = f"Drop or choose up to {bound} pictures"
            several = _upload(label, "multiple")
        settings = _settings(list(desk.networks))
      with gr.Column(scale=7, min_width=300):
        with gr.Column() as one_panel:
          _one(does, picture, settings)
        with gr.Column(visible=False) as many_panel:
          _many(does, several, settings)
    with gr.Accordion("From a script", open=False):
      gr.Code(example, language="python", show_label=False, interactive=False)
    panels = [one_panel, many_panel]
    for tab, shown in ((one_tab, one_panel), (many_tab, many_panel)):
      tab.select(
        lambda shown=shown: [gr.update(visible=p is shown) for p in panels],
        None,
        panels,
        queue=False,
        show_progress="hidden",
        **_QUIET,
      )
    page.unload(does.leave)
  return page


def _upload(label: str, count: str) -> gr.File:
  return gr.File(
    label=label,
    file_count=count,  # pyright: ignore[reportArgumentType]
    file_types=sorted(images.SUFFIXES),
    type="filepath",
    height=180,
    elem_id="picture" if count == "single" else "pictures",
  )


@dataclasses.dataclass(frozen=True)
class _Controls:
  """What a visitor chooses by, in the order in which it is handed on."""

  network: gr.Radio
  imagination: gr.Slider
  scale: gr.Slider
  consistent: gr.Checkbox
  uncertain: gr.Checkbox
  kind: gr.Dropdown

  def inputs(self, pictures: gr.File) -> list[Any]:
    """The pictures and all that was chosen."""
    fields = dataclasses.fields(self)
    return [pictures, *(getattr(self, field.name) for field in fields)]


def _settings(networks: list[Network]) -> _Controls:
  first = networks[0]
  network = gr.Radio(
    [(f"{one.name}: {one.line}", one.name) for one in networks],
    value=first.name,
    label="Network",
    elem_id="network",
  )
  imagination = gr.Slider(
    0,
    1,
    value=0,
    step=0.05,
    label="Faithful (0) to imagined (1)",
    info="Further to the right is sharper, and more of it is made up.",
    interactive=first.imagined is not None,
    buttons=[],
    elem_id="imagination",
  )
  scale = gr.Slider(
    1,
    8,
    value=first.scale,
    step=0.5,
    label="Enlargement of each side",
    buttons=[],
    elem_id="scale",
  )
  consistent = gr.Checkbox(
    label="Consistent",
    info="Made small again, the result is the picture you gave. Not for noisy "
    "or strongly compressed pictures.",
  )
  uncertain = gr.Checkbox(
    label="Uncertainty",
    info="Show how far each pixel may be from the truth.",
  )
  kind = gr.Dropdown(
    list(FORMATS), value="PNG", label="Format of the result", filterable=False
  )
  shown = {one.name: one for one in networks}

  def follow(name: str):
    has_pair = shown[name].imagined is not None
    return gr.update(value=0, interactive=has_pair), shown[name].scale

  network.change(
    follow,
    network,
    [imagination, scale],
    queue=False,
    show_progress="hidden",
    **_QUIET,
  )
  return _Controls(network, imagination, scale, consistent, uncertain, kind)


def _buttons(text: str, which: str) -> tuple[gr.Button, gr.Button]:
  start = gr.Button(
    text, variant="primary", min_width=120, elem_id=f"enhance{which}"
  )
  return start, gr.Button("Cancel", min_width=120, elem_id=f"cancel{which}")


def _one(
  does: handlers.Handlers,
  picture: gr.File,
  settings: _Controls,
) -> None:
  with gr.Row():
    start, stop = _buttons("Enhance", "")
  with gr.Tabs() as tabs:
    with gr.Tab("Live preview", id="preview"):
      preview = gr.HTML(_PREVIEW, elem_id="preview", min_height=90)
    with gr.Tab("Result", id="result"):
      comparison = gr.HTML(_RESULT, elem_id="comparison", min_height=90)
      result = gr.DownloadButton(
        "Download the result",
        variant="primary",
        visible=False,
        elem_id="download",
      )
      found = gr.DownloadButton(
        "Download the uncertainty", visible=False, elem_id="download-map"
      )
      with gr.Accordion("What was run", visible=False) as box:
        record = gr.HTML(elem_id="record")
  inputs = settings.inputs(picture)
  _select([start.click], tabs, "result")
  run = start.click(
    does.show,
    inputs,
    [comparison, result, found, record, box],
    show_progress_on=comparison,
    trigger_mode="once",
    **_WORK,
    **_QUIET,
  )
  stop.click(does.stop, None, None, queue=False, cancels=run, **_QUIET)
  changes = [
    picture.upload,
    settings.network.change,
    settings.imagination.release,
    settings.scale.release,
    settings.consistent.change,
  ]
  _select(changes, tabs, "preview")
  gr.on(
    changes,
    does.preview,
    inputs,
    preview,
    show_progress="minimal",
    trigger_mode="always_last",
    **_WORK,
    **_QUIET,
  )
  picture.clear(lambda: _PREVIEW, None, preview, queue=False, **_QUIET)
  _script(does, inputs)


def _select(triggers: list, tabs: gr.Tabs, name: str) -> None:
  gr.on(
    triggers,
    lambda: gr.update(selected=name),
    None,
    tabs,
    queue=False,
    show_progress="hidden",
    **_QUIET,
  )


def _script(does: handlers.Handlers, inputs: list) -> None:
  """The endpoint for scripts: a button that nobody sees."""
  file = gr.File(label="result", visible=False)
  found = gr.File(label="uncertainty", visible=False)
  record = gr.JSON(label="record", visible=False)
  gr.Button(visible=False).click(
    does.enhance,
    inputs,
    [file, found, record],
    api_name="enhance",
    api_description="Enlarges one picture; gives the file, a map of the "
    "uncertainty if it was asked for, and the record of what was run. The "
    f"page's live preview shows {PREVIEW} pixels of it.",
    **_WORK,
  )


def _many(
  does: handlers.Handlers,
  several: gr.File,
  settings: _Controls,
) -> None:
  with gr.Row():
    start, stop = _buttons("Enhance all", "-all")
  table = gr.HTML(
    '<p class="empty">What became of each picture will be shown here.</p>',
    elem_id="batch",
    min_height=90,
  )
  archive = gr.DownloadButton(
    "Download all (zip)",
    variant="primary",
    visible=False,
    elem_id="download-all",
  )
  run = start.click(
    does.show_all,
    settings.inputs(several),
    [table, archive],
    show_progress_on=table,
    trigger_mode="once",
    **_WORK,
    **_QUIET,
  )
  stop.click(does.stop, None, None, queue=False, cancels=run, **_QUIET)
