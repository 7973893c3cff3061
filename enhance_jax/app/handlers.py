"""What the page's buttons call: from Gradio's values to jobs and back."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import gradio as gr

from enhance_jax import errors
from enhance_jax.app import views
from enhance_jax.app.jobs import PREVIEW, Desk, OnStep, Settings
from enhance_jax.app.shelf import CancelledError

# How long a message stays.
_SECONDS = 30.0
_log = logging.getLogger(__name__)


class Handlers:
  """One method an event; arguments are named as scripts name them."""

  def __init__(self, desk: Desk):
    """Takes who does the work."""
    self._desk = desk

  def preview(
    self,
    picture: str | None,
    network: str,
    imagination: float,
    scale: float,
    consistent: bool,
    uncertainty: bool,
    format: str,
    request: gr.Request,
  ) -> Any:
    """The middle of the picture under the present settings."""
    if picture is None:
      return gr.skip()
    chosen = Settings(
      network, imagination, scale, consistent, uncertainty, format
    )
    with _telling():
      session = self._desk.shelf.session(request.session_hash)
      shown = self._desk.preview(session, picture, chosen)
    text = f"Live preview: the middle {PREVIEW} pixels of the picture."
    return views.comparison(shown, "the middle of the picture", text)

  def show(
    self,
    picture: str | None,
    network: str,
    imagination: float,
    scale: float,
    consistent: bool,
    uncertainty: bool,
    format: str,
    request: gr.Request,
    progress=gr.Progress(),  # noqa: B008  Gradio finds it as a default.
  ) -> Any:
    """Comparison, download, download of the map, record, its box."""
    try:
      chosen = Settings(
        network, imagination, scale, consistent, uncertainty, format
      )
      made = self._enhanced(picture, chosen, request, progress, show=True)
    except CancelledError:
      return gr.skip()
    assert made.shown is not None
    name = made.record["picture"]
    found = str(made.map) if made.map else None
    return [
      views.comparison(made.shown, name, f"{name}: {made.record['pixels']}."),
      gr.update(
        value=str(made.file), label=f"Download {made.file.name}", visible=True
      ),
      gr.update(value=found, visible=found is not None),
      views.table(made.record),
      gr.update(visible=True),
    ]

  def enhance(
    self,
    picture: str | None,
    network: str,
    imagination: float,
    scale: float,
    consistent: bool,
    uncertainty: bool,
    format: str,
    request: gr.Request,
    progress=gr.Progress(),  # noqa: B008  Gradio finds it as a default.
  ) -> list[Any]:
    """File, uncertainty, record; for scripts."""
    try:
      chosen = Settings(
        network, imagination, scale, consistent, uncertainty, format
      )
      made = self._enhanced(picture, chosen, request, progress, show=False)
    except CancelledError as error:
      raise gr.Error("cancelled", print_exception=False) from error
    return [str(made.file), str(made.map) if made.map else None, made.record]

  def _enhanced(
    self,
    picture: str | None,
    chosen: Settings,
    request: gr.Request,
    progress: Any,
    *,
    show: bool,
  ) -> Any:
    with _telling():
      session = self._desk.shelf.session(request.session_hash)
      return self._desk.enhance(
        session, _wanted(picture), chosen, _reporting(progress), show=show
      )

  def show_all(
    self,
    pictures: list[str] | None,
    network: str,
    imagination: float,
    scale: float,
    consistent: bool,
    uncertainty: bool,
    format: str,
    request: gr.Request,
    progress=gr.Progress(),  # noqa: B008  Gradio finds it as a default.
  ) -> Any:
    """Table of the pictures, download of all."""
    try:
      with _telling():
        if not pictures:
          raise errors.EnhanceError("there are no pictures yet; choose some")
        session = self._desk.shelf.session(request.session_hash)
        archive, records = self._desk.enhance_all(
          session,
          pictures,
          Settings(
            network, imagination, scale, consistent, uncertainty, format
          ),
          _reporting(progress),
        )
    except CancelledError:
      return gr.skip()
    path = str(archive) if archive else None
    return [
      views.batch_table(records),
      gr.update(value=path, visible=path is not None),
    ]

  def stop(self, request: gr.Request) -> None:
    """Ends the visitor's work at its next tile."""
    self._desk.shelf.cancel(request.session_hash)

  def leave(self, request: gr.Request) -> None:
    """The visitor closed the page: nothing of theirs is kept."""
    self._desk.shelf.end(request.session_hash)


def _wanted(picture: str | None) -> str:
  if picture is None:
    raise errors.EnhanceError("there is no picture yet; choose one")
  return picture


def _reporting(progress: gr.Progress) -> OnStep:
  def report(share: float, what: str) -> None:
    progress(share, desc=what)

  return report


@contextlib.contextmanager
def _telling() -> Iterator[None]:
  """Tells the visitor what is wrong, and no more than concerns them."""
  try:
    yield
  except errors.EnhanceError as error:
    raise gr.Error(
      str(error), duration=_SECONDS, print_exception=False
    ) from error
  except CancelledError:
    raise
  except Exception as error:
    _log.exception("the page failed")
    raise gr.Error(
      "something went wrong that should not; the terminal that the page was "
      "started from says what",
      duration=_SECONDS,
      print_exception=False,
    ) from error
