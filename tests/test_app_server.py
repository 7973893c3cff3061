"""The running page over HTTP: its API, and what it refuses."""

import base64
import json
import pathlib
import select
import socket
import time

import numpy as np
import pytest

from enhance_jax import images
from enhance_jax.inference import provenance
from tests import app_networks, app_server, picture_samples

MISSING = "the page's extra is not installed"
gradio_client = pytest.importorskip("gradio_client", reason=MISSING)
httpx = pytest.importorskip("httpx", reason=MISSING)
pytest.importorskip("gradio", reason=MISSING)

pytestmark = pytest.mark.slow
PASSWORD = "correct horse battery"
PART = (
  b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n'
  b"Content-Type: image/png\r\n\r\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
  folder = tmp_path_factory.mktemp("server")
  flags = ["--max-megabytes=1", "--max-megapixels=1", "--models"]
  with app_server.serving(folder, flags + app_networks.pair(folder)) as page:
    yield page
    assert page.reached() == set()
  # Stopped: nothing is left of anybody.
  assert list(page.temporary.iterdir()) == []


@pytest.fixture
def http(server):
  with httpx.Client(base_url=server.address, timeout=60) as client:
    yield client


@pytest.fixture
def client(server, tmp_path):
  page = gradio_client.Client(
    server.address, verbose=False, download_files=str(tmp_path)
  )
  yield page
  page.close()


def enhance(client, path, **changes):
  return client.predict(
    gradio_client.handle_file(str(path)), **changes, api_name="/enhance"
  )


def upload(http, path):
  files = {"files": (path.name, path.read_bytes())}
  return http.post("/gradio_api/upload", files=files)


def call(http, picture):
  """The end of one call without Gradio's client, as its stream has it."""
  data = [picture, "tiny", 0, 2, False, False, "PNG"]
  joined = http.post("/gradio_api/call/enhance", json={"data": data})
  if joined.status_code != 200:
    return joined.status_code, joined.text
  event = joined.json()["event_id"]
  return 200, http.get(f"/gradio_api/call/enhance/{event}").text


def test_a_script_gets_the_file_whole(client, tmp_path):
  path = app_networks.photo(tmp_path / "photo.png", dtype=np.uint16)
  file, uncertainty, record = enhance(
    client, path, imagination=0.5, consistent=True
  )
  result = images.read_picture(file)
  assert pathlib.Path(file).name == "photo-x2.png"
  assert result.pixels.shape == (40, 48, 3)
  assert result.pixels.dtype == np.uint16
  assert result.icc == picture_samples.ICC
  told = provenance.inspect(file)
  assert told["settings"]["blend"] == 0.5
  assert record["weights_sha256"] == told["weights_sha256"]
  assert uncertainty is None


def test_defaults_need_only_a_picture(client, tmp_path):
  path = app_networks.photo(tmp_path / "photo.jpg")
  _, _, record = enhance(client, path)
  assert record["model"].startswith("tiny")


def test_only_what_scripts_need_is_announced(http):
  found = http.get("/gradio_api/info").json()
  assert list(found["named_endpoints"]) == ["/enhance"]
  assert found["unnamed_endpoints"] == {}


@pytest.mark.parametrize(
  "changes",
  [
    {"network": "../../evil"},
    {"scale": 64},
    {"imagination": 1e9},
    {"imagination": "x"},
    {"format": "SVG"},
  ],
)
def test_odd_settings_are_refused(client, tmp_path, changes):
  path = app_networks.photo(tmp_path / "photo.png")
  with pytest.raises(Exception) as info:  # noqa: B017, PT011  Gradio's own.
    enhance(client, path, **changes)
  assert "AppError" in type(info.value).__name__ or "rror" in str(info.value)


def test_bombs_and_broken_files_are_told_by_name(client, server, tmp_path):
  bomb = app_networks.bomb(tmp_path / "bomb.png")
  with pytest.raises(Exception, match="bomb.png: 40000x40000"):
    enhance(client, bomb)
  broken = tmp_path / "broken.png"
  broken.write_bytes(b"no picture at all")
  with pytest.raises(Exception, match="broken.png: not a picture") as info:
    enhance(client, broken)
  assert str(server.temporary) not in str(info.value)


def test_wrong_hosts_are_refused(http):
  """A name that was bent to this address, as DNS rebinding does."""
  port = http.base_url.port
  for host, status in (
    ("evil.example", 400),
    (f"evil.example:{port}", 400),
    (f"127.0.0.1:{port}", 200),
    (f"localhost:{port}", 200),
  ):
    assert http.get("/config", headers={"Host": host}).status_code == status


def test_other_sites_cannot_upload(http, tmp_path):
  path = app_networks.photo(tmp_path / "photo.png")
  for origin, status in (
    ("https://evil.example", 403),
    ("null", 403),
    (str(http.base_url).rstrip("/"), 200),
  ):
    http.headers["Origin"] = origin
    assert upload(http, path).status_code == status


def test_no_file_of_the_machine_is_read(http, server):
  source = pathlib.Path(app_server.__file__)
  for path in (
    "/etc/passwd",
    "//etc/passwd",
    "../../../../etc/passwd",
    "..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2Fetc%2Fpasswd",
    str(source),
    "tests/app_server.py",
    f"{server.temporary}/../log",
    "file:///etc/passwd",
    "http://127.0.0.1:9/",
    "https://example.com/",
  ):
    for route in ("/gradio_api/file=", "/file=", "/gradio_api/file/"):
      answer = http.get(f"{route}{path}")
      assert answer.status_code in (403, 404), (route, path)
  for path in (
    "/view/..%2f..%2fetc%2fpasswd",
    "/page/..%2f__main__.py",
    "/page/../__main__.py",
    "/gradio_api/proxy=http://example.com/",
    "/static/..%2f..%2f..%2fetc%2fpasswd",
  ):
    assert http.get(path).status_code in (403, 404), path


def test_no_path_or_address_goes_in(http, tmp_path):
  secret = app_networks.photo(tmp_path / "secret.png")
  for path in (
    str(secret),
    "/etc/passwd",
    "file:///etc/passwd",
    "http://127.0.0.1:22/",
    "http://169.254.169.254/latest/",
    "https://example.com/photo.png",
  ):
    picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
    status, text = call(http, picture)
    assert status == 400 and "uploaded" in text, path
  status, text = call(http, "https://example.com/photo.png")
  assert "event: error" in text


def test_uploaded_names_cannot_climb(http, server):
  files = {"files": ("../../../climbed.png", b"x")}
  answer = http.post("/gradio_api/upload", files=files)
  (path,) = answer.json()
  assert pathlib.Path(path).resolve().is_relative_to(server.temporary)
  assert pathlib.Path(path).name == "climbed.png"


def test_one_file_may_be_so_large(http):
  files = {"files": ("large.png", b"x" * (1 << 20))}
  assert http.post("/gradio_api/upload", files=files).status_code == 200
  files = {"files": ("large.png", b"x" * ((1 << 20) + 1))}
  assert http.post("/gradio_api/upload", files=files).status_code == 413


@pytest.mark.parametrize(
  ("path", "kind", "part", "bound"),
  [
    ("upload", "multipart/form-data; boundary=b", PART, 8 << 20),
    ("queue/join", "application/json", b'"', 1 << 20),
  ],
)
def test_chunks_are_counted(http, path, kind, part, bound):
  """Bodies of unknown length, which would never end by themselves."""
  port = http.base_url.port
  head = (
    f"POST /gradio_api/{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    f"Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
  )
  block = b"10000\r\n" + b"x" * (1 << 16) + b"\r\n"
  sent, answer = 0, b""
  with socket.create_connection(("127.0.0.1", port), timeout=30) as stream:
    stream.sendall(head.encode() + b"%x\r\n%s\r\n" % (len(part), part))
    while not answer and sent < 2 * bound:
      stream.sendall(block)
      sent += 1 << 16
      if select.select([stream], [], [], 0.01)[0]:
        answer = stream.recv(4096)
  assert answer.split()[1] == b"413"
  assert sent < bound


def test_nobody_gets_past_the_line(http):
  """Calls that would skip the queue are refused by Gradio itself."""
  body = {"data": [None, "tiny", 0, 2, False, False, "PNG"], "fn_index": 0}
  for index in range(12):
    answer = http.post(
      "/gradio_api/run/predict", json={**body, "fn_index": index}
    )
    assert "enhance_jax-page" not in answer.text
  assert http.post("/gradio_api/run/enhance", json=body).status_code == 403


def test_visitors_do_not_see_each_other(server, tmp_path):
  """The same name, other pixels, at the same time."""
  clients, jobs, paths = [], [], []
  for i in range(2):
    folder = tmp_path / str(i)
    folder.mkdir()
    path = folder / "photo.png"
    level = np.full((16, 16 + i, 3), 40 + 120 * i, np.uint8)
    images.write_picture(path, images.Picture(level))
    paths.append(path)
    clients.append(
      gradio_client.Client(
        server.address, verbose=False, download_files=str(folder)
      )
    )
  for client, path in zip(clients, paths, strict=True):
    picture = gradio_client.handle_file(str(path))
    jobs.append(client.submit(picture, api_name="/enhance"))
  widths, means = [], []
  for job in jobs:
    pixels = images.read_picture(job.result(timeout=120)[0]).pixels
    widths.append(pixels.shape[1])
    means.append(pixels.mean())
  assert widths == [32, 34]
  assert means[1] > means[0] + 20
  for client in clients:
    client.close()


def test_results_go_when_the_visitor_does(server, tmp_path):
  client = gradio_client.Client(
    server.address, verbose=False, download_files=str(tmp_path)
  )
  enhance(client, app_networks.photo(tmp_path / "brief.png"))

  def results():
    return list(server.temporary.glob("enhance_jax-page-*/*/brief-x2.png"))

  assert len(results()) == 1
  client.close()
  end = time.monotonic() + 30
  while results() and time.monotonic() < end:
    time.sleep(0.2)
  assert results() == []


def test_password(tmp_path):
  flags = ["--models", *app_networks.pair(tmp_path)]
  photo = app_networks.photo(tmp_path / "photo.png")
  word = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
  with app_server.serving(tmp_path, flags, ENHANCE_PASSWORD=PASSWORD) as server:
    with httpx.Client(base_url=server.address, timeout=60) as http:
      for path in ("/", "/config", "/theme.css", "/page/page.js"):
        assert http.get(path).status_code == 401, path
      assert upload(http, photo).status_code == 401
      http.headers["Authorization"] = f"Basic {word}"
      assert json.loads(http.get("/config").text)["title"]
    client = gradio_client.Client(
      server.address,
      headers={"Authorization": f"Basic {word}"},
      verbose=False,
      download_files=str(tmp_path),
    )
    assert enhance(client, photo)[2]["picture"] == "photo.png"
    client.close()
    assert server.reached() == set()
