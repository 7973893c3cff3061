"""The server: one application, bound and guarded."""

import contextlib
import logging
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from enhance_jax import errors
from enhance_jax.app.limits import Limits
from enhance_jax.app.shelf import Shelf

LOOPBACK = ("127.0.0.1", "localhost")
_ASSETS = pathlib.Path(__file__).parent / "assets"
_EVERYWHERE = ("0.0.0.0", "::")
# Seconds between two looks for files that nobody uses any more.
_SWEEP = 60.0

EXAMPLE = """\
from gradio_client import Client, handle_file

page = Client("{address}")
file, uncertainty, record = page.predict(
  handle_file("photo.jpg"), network="{network}", api_name="/enhance"
)
print(file, record)
"""


def serve(
  models: list[str],
  host: str,
  port: int,
  password: str | None,
  limits: Limits,
) -> None:
  """Serves the page until it is interrupted.

  Args:
    models: files of networks besides the bundled ones.
    host: to bind to; other than loopback only with a password.
    port: to bind to.
    password: that visitors must know, or None.
    limits: bounds of uploads, results and temporary files.

  Raises:
    EnhanceError: Gradio is missing, no network, or a host without password.
  """
  if host not in LOOPBACK and password is None:
    raise errors.EnhanceError(
      f"--host={host} would let others on the network in; also set a password: "
      "--password-file=FILE, or the variable ENHANCE_PASSWORD"
    )
  # Uvicorn ends by raising the signal it got once more; files go first.
  signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
  with shelf(limits) as files:
    application = build(models, files, host, port, password)
    import uvicorn

    shown = "127.0.0.1" if host in LOOPBACK else host
    print(f"The page is at http://{shown}:{port}/ (Ctrl-C ends it)", flush=True)
    uvicorn.run(
      application,
      host=host,
      port=port,
      log_level="warning",
      access_log=False,
      server_header=False,
      limit_concurrency=limits.connections,
      timeout_graceful_shutdown=3,
    )


@contextlib.contextmanager
def shelf(limits: Limits) -> Iterator[Shelf]:
  """A shelf that is swept now and then, and removed at the end."""
  files, ended = Shelf(limits), threading.Event()

  def sweep() -> None:
    while not ended.wait(min(_SWEEP, limits.keep_seconds)):
      files.sweep()

  sweeper = threading.Thread(target=sweep, name="sweep", daemon=True)
  sweeper.start()
  try:
    yield files
  finally:
    ended.set()
    sweeper.join()
    files.close()


def build(
  models: list[str], files: Shelf, host: str, port: int, password: str | None
) -> Any:
  """The ASGI application.

  Args:
    models: files of networks besides the bundled ones.
    files: where temporary files go; becomes Gradio's folder for the process.
    host: that it will be bound to.
    port: that it will be bound to.
    password: that visitors must know, or None.

  Raises:
    EnhanceError: Gradio is missing, or there is no network.
  """
  gr = _import_gradio(files.root)
  import fastapi
  from starlette.middleware.trustedhost import TrustedHostMiddleware

  from enhance_jax.app import guard, jobs, networks, page

  desk = jobs.Desk(networks.Networks(models), files)
  shown = "127.0.0.1" if host in LOOPBACK else host
  example = EXAMPLE.format(
    address=f"http://{shown}:{port}", network=next(iter(desk.networks)).name
  )
  blocks = page.build(desk, example)
  limits = files.limits
  # Closed: nobody gets past the line of those who wait.
  blocks.queue(
    max_size=limits.waiting, default_concurrency_limit=1, api_open=False
  )
  application = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
  _add_routes(application, files)
  gr.mount_gradio_app(
    application,
    blocks,
    path="/",
    server_name=host,
    server_port=port,
    footer_links=[],
    run_history=False,
    allowed_paths=[],
    show_error=False,
    max_file_size=limits.file_bytes,
    ssr_mode=False,
    enable_monitoring=False,
    pwa=False,
    mcp_server=False,
    theme=_theme(gr),
    css_paths=_ASSETS / "page.css",
    head='<script src="/page/page.js" type="module"></script>',
  )
  application.add_middleware(guard.Guard, shelf=files, password=password)
  # With a password, a name that was bent to this machine is of no use.
  hosts = ["*"] if host in _EVERYWHERE else sorted({*LOOPBACK, host})
  application.add_middleware(
    TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False
  )
  return application


def _import_gradio(folder: pathlib.Path) -> Any:
  """Gradio with everything off that asks the internet.

  It reads these variables while it is imported.
  """
  os.environ.update(
    GRADIO_ANALYTICS_ENABLED="False",
    GRADIO_TEMP_DIR=str(folder),
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_OFFLINE="1",
  )
  try:
    import gradio
  except ImportError as error:
    raise errors.EnhanceError(
      f"the page needs Gradio ({error}); install it, in the project's folder: "
      "pip install '.[app]'"
    ) from error
  logging.getLogger("httpx").setLevel(logging.WARNING)
  return gradio


def _theme(gr: Any) -> Any:
  """System fonts, and colours that are 4.5 to 1 or more against each other."""
  theme = gr.themes.Default(
    primary_hue="blue",
    secondary_hue="blue",
    neutral_hue="gray",
    font=["system-ui", "sans-serif"],
    font_mono=["monospace"],
  )
  return theme.set(
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
    block_label_text_color="*neutral_700",
    block_label_text_color_dark="*neutral_200",
    block_title_text_color="*neutral_700",
    block_title_text_color_dark="*neutral_200",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_800",
    color_accent="*primary_700",
    input_placeholder_color="*neutral_600",
    input_placeholder_color_dark="*neutral_300",
  )


def _add_routes(application: Any, files: Shelf) -> None:
  import fastapi
  from fastapi.responses import FileResponse

  kept = {path.name: path for path in _ASSETS.iterdir()}

  @application.api_route("/page/{name}", methods=["GET", "HEAD"])
  def asset(name: str):
    if name not in kept:
      raise fastapi.HTTPException(404)
    return FileResponse(kept[name], headers={"Cache-Control": "no-cache"})

  @application.api_route("/view/{key}", methods=["GET", "HEAD"])
  def view(key: str):
    path = files.view(key)
    if path is None:
      raise fastapi.HTTPException(404)
    return FileResponse(path, headers={"Cache-Control": "private, no-store"})
