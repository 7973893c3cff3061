"""The guard: who may ask, for what, and how much they may send."""

import asyncio
import base64
import json

import pytest

pytest.importorskip("starlette", reason="the page's extra is not installed")

from enhance_jax.app import guard, shelf
from enhance_jax.app.limits import Limits

PAGE = {"host": "127.0.0.1:7860"}
JOIN = "/gradio_api/queue/join"
UPLOAD = "/gradio_api/upload"


@pytest.fixture
def files():
  made = shelf.Shelf(Limits(file_bytes=1000, json_bytes=500))
  yield made
  made.close()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
  monkeypatch.setattr(guard, "_PAUSE", 0.0)


async def echo(scope, receive, send):
  """The application: answers with the body it was given."""
  body, more = b"", True
  while more:
    message = await receive()
    body += message.get("body", b"")
    more = message.get("more_body", False)
  headers = [(b"seen-length", str(len(body)).encode())]
  headers += [
    (b"said-length", v) for k, v in scope["headers"] if k[-6:] == b"length"
  ]
  await send({"type": "http.response.start", "status": 200, "headers": headers})
  await send({"type": "http.response.body", "body": body})


def ask(files, path, method="GET", parts=(b"",), password=None, **headers):
  """(status, headers, body) of one request."""
  sent = []
  names = {name.replace("_", "-"): value for name, value in headers.items()}
  scope = {
    "type": "http",
    "method": method,
    "path": path,
    "query_string": b"",
    "headers": [
      (name.encode(), value.encode()) for name, value in (PAGE | names).items()
    ],
  }
  messages = [
    {"type": "http.request", "body": part, "more_body": i + 1 < len(parts)}
    for i, part in enumerate(parts)
  ]

  async def receive():
    return messages.pop(0)

  async def send(message):
    sent.append(message)

  asyncio.run(guard.Guard(echo, files, password)(scope, receive, send))
  found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
  return sent[0]["status"], found, b"".join(m.get("body", b"") for m in sent)


@pytest.mark.parametrize(
  "path", ["/", "/config", "/assets/index.js", "/view/abc", "/page/page.css"]
)
def test_what_the_page_needs_is_let_through_with_headers(files, path):
  status, headers, _ = ask(files, path)
  assert status == 200
  assert "default-src 'self'" in headers["content-security-policy"]
  assert "http" not in headers["content-security-policy"]
  assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
  "path",
  [
    "/gradio_api/proxy=https://example.com/",
    "/gradio_api/file=https://example.com/a.png",
    "/gradio_api/vibe-code",
    "/monitoring",
    "/login",
    "/docs",
    "/assets/../../../etc/passwd",
    "/etc/passwd",
  ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_nothing_else_is(files, path, method):
  status, _, body = ask(files, path, method)
  assert status == 403 and b"nothing here" in body


def test_files_come_from_the_pages_folder_only(files, tmp_path):
  inside = files.root / "a" / "photo.png"
  inside.parent.mkdir()
  inside.write_bytes(b"x")
  outside = tmp_path / "secret.txt"
  outside.write_text("secret")
  link = files.root / "link"
  link.symlink_to(outside)
  assert ask(files, f"/gradio_api/file={inside}")[0] == 200
  for path in (
    outside,
    link,
    "/etc/passwd",
    f"{files.root}/../{tmp_path.name}/secret.txt",
    f"{inside.parent}/../../../etc/passwd",
    inside.parent,
    "enhance_jax/errors.py",
    "a\0b",
  ):
    assert ask(files, f"/gradio_api/file={path}")[0] == 403, path


@pytest.mark.parametrize(
  ("headers", "status"),
  [
    ({"origin": "http://127.0.0.1:7860"}, 200),
    ({"origin": "https://127.0.0.1:7860"}, 200),
    ({"origin": "https://evil.example"}, 403),
    ({"origin": "http://127.0.0.1:7861"}, 403),
    ({"origin": "http://127.0.0.1"}, 403),
    ({"origin": "null"}, 403),
    ({"origin": ""}, 403),
    ({"sec_fetch_site": "same-origin"}, 200),
    ({"sec_fetch_site": "none"}, 200),
    ({"sec_fetch_site": "cross-site"}, 403),
    ({"sec_fetch_site": "same-site"}, 403),
    ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, 200),
    ({}, 200),
  ],
)
def test_other_sites_are_refused(files, headers, status):
  assert ask(files, "/", **headers)[0] == status


def test_other_sites_cannot_submit_a_form(files):
  crossing = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
  assert ask(files, UPLOAD, "POST", **crossing)[0] == 403


@pytest.mark.parametrize(
  ("given", "status"),
  [
    (b"any:correct horse battery", 200),
    (b":correct horse battery", 200),
    (b"any:correct horse", 401),
    (b"any:", 401),
    (b"correct horse battery", 401),
    (None, 401),
  ],
)
@pytest.mark.parametrize("path", ["/", UPLOAD, "/page/page.js", "/nowhere"])
def test_password_is_wanted_for_everything(files, path, given, status):
  headers = {}
  if given is not None:
    headers["authorization"] = f"Basic {base64.b64encode(given).decode()}"
  method = "POST" if path == UPLOAD else "GET"
  got, found, _ = ask(
    files, path, method, password="correct horse battery", **headers
  )
  if status == 401:
    assert found["www-authenticate"].startswith("Basic ")
  assert got == (403 if path == "/nowhere" and status == 200 else status)


@pytest.mark.parametrize("word", ["Basic", "Basic !!!", "Bearer YTpi", "", "é"])
def test_odd_credentials_are_wrong_ones(files, word):
  encoded = word.encode("latin-1").decode("latin-1")
  assert ask(files, "/", password="x" * 12, authorization=encoded)[0] == 401


def test_announced_bodies_are_refused_at_once(files):
  assert ask(files, UPLOAD, "POST", content_length="4000")[0] == 200
  assert ask(files, UPLOAD, "POST", content_length="4001")[0] == 413
  assert ask(files, JOIN, "POST", content_length="501")[0] == 413
  assert ask(files, UPLOAD, "POST", content_length="-1")[0] == 413


def test_unannounced_bodies_are_counted(files):
  """As with chunked encoding, which says no length beforehand."""
  parts = [b"x" * 500] * 8
  assert ask(files, UPLOAD, "POST", parts)[0] == 200
  assert ask(files, UPLOAD, "POST", [*parts, b"x"])[0] == 413
  assert ask(files, JOIN, "POST", [b'"' + b"x" * 500 + b'"'])[0] == 413


def test_uploads_end_when_the_shelf_is_full(files, monkeypatch):
  monkeypatch.setattr(files, "used_bytes", lambda: files.limits.disk_bytes + 1)
  status, _, body = ask(files, UPLOAD, "POST")
  assert status == 507 and b"temporary files" in body


def file_data(path):
  return {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}


def test_only_uploaded_pictures_are_named(files):
  inside = files.root / "photo.png"
  inside.write_bytes(b"x")
  body = json.dumps(file_data(str(inside)) | {"session_hash": "ä"}).encode()
  status, headers, got = ask(files, JOIN, "POST", [body[:9], body[9:]])
  assert status == 200
  assert json.loads(got) == json.loads(body)
  for path in (
    "/etc/passwd",
    "http://127.0.0.1:22/",
    "https://example.com/a.png",
    "file:///etc/passwd",
    str(files.root / ".." / "x"),
    7,
  ):
    body = json.dumps(file_data(path)).encode()
    status, _, got = ask(files, JOIN, "POST", [body])
    assert status == 400 and b"uploaded" in got, path


@pytest.mark.parametrize(
  "body",
  [
    b'{"data": [{"path": "/etc/passwd", "path": null}]}',
    b'{"data": [{"p\\u0061th": "/etc/passwd"}]}',
    b'{"data": {"x": [[{"path": "/etc/passwd"}]]}}',
  ],
)
def test_paths_cannot_hide(files, body):
  status, headers, got = ask(
    files, JOIN, "POST", [body], content_length=str(len(body))
  )
  if status == 200:  # Python's reading of a name given twice is passed on.
    assert b"passwd" not in got
    assert headers["said-length"] == headers["seen-length"]
  else:
    assert status == 400


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 400])
def test_what_is_no_json_is_refused(files, body):
  assert ask(files, JOIN, "POST", [body])[0] == 400


def test_web_sockets_are_closed(files):
  sent = []

  async def send(message):
    sent.append(message)

  asyncio.run(guard.Guard(echo, files, None)({"type": "websocket"}, None, send))
  assert [message["type"] for message in sent] == ["websocket.close"]
