"""What every request must pass before the page's own code sees it.

Gradio offers more routes than this page needs, among them some that fetch
addresses of the internet. So only the routes that are needed are let through,
files only from the page's own folder, and bodies only up to their bound.
"""

import asyncio
import base64
import binascii
import json
import pathlib
import secrets
import urllib.parse
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from enhance_jax import errors
from enhance_jax.app.shelf import Shelf

_FILE = "/gradio_api/file="
_UPLOAD = "/gradio_api/upload"
_READ = ("GET", "HEAD")
_PAGES = frozenset(
  {
    "/",
    "/config",
    "/favicon.ico",
    "/manifest.json",
    "/theme.css",
    "/gradio_api/app_id",
    "/gradio_api/info",
    "/gradio_api/queue/data",
    "/gradio_api/startup-events",
    "/gradio_api/upload_progress",
  }
)
_FOLDERS = (
  "/assets/",
  "/page/",
  "/static/",
  "/svelte/",
  "/view/",
  "/gradio_api/call/enhance/",
  "/gradio_api/heartbeat/",
)
_CALLS = frozenset(
  {
    "/gradio_api/call/enhance",
    "/gradio_api/cancel",
    "/gradio_api/queue/join",
    "/gradio_api/reset",
    "/gradio_api/run/predict",
  }
)
# What a browser may load into the page: nothing from elsewhere. Gradio puts
# its settings inline and compiles its templates, hence the two words "unsafe".
_POLICY = (
  "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
  "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
  "font-src 'self' data:; object-src 'none'; base-uri 'self'; "
  "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
  "Content-Security-Policy": _POLICY,
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
}
# What one wrong password costs whoever guesses.
_PAUSE = 1.0


class Guard:
  """ASGI middleware: origin, password, routes, sizes, headers."""

  def __init__(self, app: ASGIApp, shelf: Shelf, password: str | None):
    """Wraps an application.

    Args:
      app: what is protected.
      shelf: whose folder is the only one that files come from.
      password: wanted with every request (HTTP Basic, any user name), or None.
    """
    self._app = app
    self._shelf = shelf
    self._password = password

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    """Lets a request through, or answers it with a refusal."""
    if scope["type"] == "lifespan":
      return await self._app(scope, receive, send)
    if scope["type"] != "http":
      # The page uses no web sockets.
      return await send({"type": "websocket.close", "code": 1008})
    try:
      await self._check(scope)
      receive = await self._body(scope, receive)
      return await self._app(scope, receive, _with_headers(send))
    except HTTPException as refusal:
      response = PlainTextResponse(
        f"{refusal.detail}\n", refusal.status_code, refusal.headers
      )
      return await response(scope, receive, _with_headers(send))

  async def _check(self, scope: Scope) -> None:
    headers = Headers(scope=scope)
    if not _same_origin(scope["method"], headers):
      raise HTTPException(403, "requests from other sites are refused")
    if self._password is not None and not _knows(self._password, headers):
      await asyncio.sleep(_PAUSE)
      ask = {"WWW-Authenticate": 'Basic realm="enhance_jax", charset="UTF-8"'}
      raise HTTPException(401, "the password of this page is wanted", ask)
    if not self._is_open(scope["method"], scope["path"]):
      raise HTTPException(403, "there is nothing here for you")

  def _is_open(self, method: str, path: str) -> bool:
    if method == "POST":
      return path in _CALLS or path == _UPLOAD
    if method not in _READ:
      return False
    if path.startswith(_FILE):
      return self._is_inside(path.removeprefix(_FILE))
    if ".." in path.split("/"):
      return False
    return path in _PAGES or path.startswith(_FOLDERS)

  def _is_inside(self, text: str) -> bool:
    """Whether a path leads to a file of the page's own folder."""
    try:
      path = pathlib.Path(text).resolve()
    except (OSError, ValueError):
      return False
    return path.is_relative_to(self._shelf.root) and path.is_file()

  async def _body(self, scope: Scope, receive: Receive) -> Receive:
    """The request's body, counted, and checked where it is JSON."""
    limits = self._shelf.limits
    is_upload = scope["path"] == _UPLOAD
    bound = limits.request_bytes if is_upload else limits.json_bytes
    length = Headers(scope=scope).get("content-length", "0")
    if not length.isdecimal() or int(length) > bound:
      raise _too_large(bound)
    counted = _counted(receive, bound)
    if scope["method"] != "POST":
      return counted
    if is_upload:
      try:
        await asyncio.to_thread(self._shelf.check_room)
      except errors.EnhanceError as error:
        raise HTTPException(507, str(error)) from error
      return counted
    return await self._checked(scope, counted)

  async def _checked(self, scope: Scope, receive: Receive) -> Receive:
    """Refuses JSON that names files from elsewhere, addresses among them.

    What was checked is what is passed on: it is written anew.
    """
    text = await Request(scope, receive).body()
    try:
      content = json.loads(text)
    except (ValueError, RecursionError) as error:
      raise HTTPException(400, "the request's body is not JSON") from error
    if not all(self._is_inside(path) for path in _paths(content)):
      raise HTTPException(
        400, "a picture has to be uploaded; paths and addresses are refused"
      )
    body = json.dumps(content).encode()
    MutableHeaders(scope=scope)["content-length"] = str(len(body))
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
      return messages.pop() if messages else await receive()

    return again


def _same_origin(method: str, headers: Mapping[str, str]) -> bool:
  """Whether a request comes from this page, or from no page at all."""
  origin = headers.get("origin")
  if origin is not None:
    parts = urllib.parse.urlsplit(origin)
    return parts.netloc == headers.get("host") and parts.scheme in (
      "http",
      "https",
    )
  site = headers.get("sec-fetch-site", "none")
  # Following a link to the page is no danger; using it from elsewhere is.
  opened = headers.get("sec-fetch-mode") == "navigate" and method == "GET"
  return site in ("none", "same-origin") or opened


def _knows(password: str, headers: Mapping[str, str]) -> bool:
  kind, _, encoded = headers.get("authorization", "").partition(" ")
  try:
    given = base64.b64decode(encoded, validate=True).partition(b":")[2]
  except (binascii.Error, ValueError):
    return False
  right = secrets.compare_digest(given, password.encode())
  return kind.lower() == "basic" and right


def _too_large(bound: int) -> HTTPException:
  return HTTPException(413, f"more than {bound / 2**20:g} MiB are refused")


def _counted(receive: Receive, bound: int) -> Receive:
  """A body may say nothing of its length, or lie."""
  seen = 0

  async def counted() -> Message:
    nonlocal seen
    message = await receive()
    seen += len(message.get("body", b""))
    if seen > bound:
      raise _too_large(bound)
    return message

  return counted


def _paths(content: Any) -> list[str]:
  """The paths of all file descriptions in a request."""
  if isinstance(content, list):
    return [path for part in content for path in _paths(part)]
  if not isinstance(content, dict):
    return []
  found = [path for part in content.values() for path in _paths(part)]
  if "path" in content and content["path"] is not None:
    found.append(str(content["path"]))
  return found


def _with_headers(send: Send) -> Send:
  async def sending(message: Message) -> None:
    if message["type"] == "http.response.start":
      MutableHeaders(scope=message).update(_HEADERS)
    await send(message)

  return sending
