"""The page in a real browser: seen, used by mouse, finger and keyboard."""

import os
import re
import shutil

import numpy as np
import pytest

from enhance_jax import images
from enhance_jax.inference import provenance
from tests import app_networks, app_server, picture_samples

MISSING = "the page's extra is not installed"
pytest.importorskip("gradio", reason=MISSING)
sync_api = pytest.importorskip(
  "playwright.sync_api", reason="Playwright drives the browser"
)
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(not CHROMIUM, reason="there is no chromium to drive"),
]
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
WAIT = 60_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
  folder = tmp_path_factory.mktemp("server")
  flags = ["--max-megabytes=1", "--max-megapixels=40", "--models"]
  with app_server.serving(folder, flags + app_networks.pair(folder)) as page:
    yield page
    assert page.reached() == set()


@pytest.fixture(scope="module")
def chromium():
  with sync_api.sync_playwright() as driver:
    browser = driver.chromium.launch(
      executable_path=CHROMIUM, args=["--no-sandbox"]
    )
    yield browser
    browser.close()


@pytest.fixture
def visit(chromium, server):
  """Opens the page anew; in the end, nothing may have left the machine."""
  contexts, asked, wrong = [], [], []

  def opening(viewport=DESKTOP, **options):
    context = chromium.new_context(viewport=viewport, **options)
    contexts.append(context)
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
      "console",
      lambda message: message.type == "error" and wrong.append(message.text),
    )
    page.goto(server.address)
    page.wait_for_selector("#enhance")
    # The page's own script may come after Gradio's.
    page.wait_for_function("!!customElements.get('enhance-comparison')")
    return page

  opening.wrong = wrong
  yield opening
  for context in contexts:
    context.close()
  own = (server.address + "/", "data:", "blob:" + server.address)
  assert [url for url in asked if not url.startswith(own)] == []
  assert len(asked) > 20
  assert wrong == []


@pytest.fixture
def photo(tmp_path):
  return app_networks.photo(tmp_path / "photo.png", 60, 90)


def choose(page, path, place="#picture"):
  page.set_input_files(f"{place} input[type=file]", path)


def enhance(page, path):
  """Uploads and enlarges; the comparison's divider."""
  choose(page, path)
  page.wait_for_selector("#preview enhance-comparison")
  page.click("#enhance")
  page.wait_for_selector("#comparison enhance-comparison")
  return page.locator("#comparison enhance-comparison [role=slider]")


def value(slider):
  return int(slider.get_attribute("aria-valuenow"))


def clip(page, place="#comparison"):
  """Pixels that are cut off the left side of what comes after."""
  style = page.locator(f"{place} img.after").evaluate("e => e.style.clipPath")
  return float(style.split()[-1].rstrip("px)"))


def test_upload_slider_and_download(visit, tmp_path):
  page = visit()
  assert "no evidence" in page.inner_text("#note")
  for word in ("Faces", "number plates", "made up"):
    assert word in page.inner_text("#note")
  path = app_networks.photo(tmp_path / "deep.png", 30, 40, np.uint16)
  choose(page, path)
  page.wait_for_selector("#preview enhance-comparison")
  first = page.get_attribute("#preview enhance-comparison", "after")
  page.fill("#imagination input[type=number]", "1")
  page.press("#imagination input[type=number]", "Tab")
  page.wait_for_selector(f"#preview enhance-comparison:not([after='{first}'])")
  page.click("#enhance")
  page.wait_for_selector("#comparison enhance-comparison")
  record = page.inner_text("#record")
  for word in ("tiny, blend 1", "LR-PSNR", "blend: 1", "Imagines detail\nyes"):
    assert word in record, record
  with page.expect_download() as got:
    page.click("#download")
  assert got.value.suggested_filename == "deep-x2.png"
  target = tmp_path / "got.png"
  got.value.save_as(target)
  result = images.read_picture(target)
  assert result.pixels.dtype == np.uint16
  assert result.pixels.shape == (60, 80, 3)
  assert result.icc == picture_samples.ICC
  told = provenance.inspect(target)
  assert told["generative"] is True
  assert told["weights_sha256"] in record


def test_comparison_by_keyboard(visit, photo):
  page = visit()
  slider = enhance(page, photo)
  slider.focus()
  assert value(slider) == 50
  middle = clip(page)
  width = page.locator("#comparison .stage").evaluate("e => e.offsetWidth")
  assert abs(middle - width / 2) <= 1
  for key, expected in (
    ("ArrowRight", 52),
    ("ArrowUp", 54),
    ("ArrowLeft", 52),
    ("PageDown", 42),
    ("End", 100),
    ("ArrowRight", 100),
    ("Home", 0),
    ("PageUp", 10),
  ):
    page.keyboard.press(key)
    assert value(slider) == expected
  assert abs(clip(page) - 0.1 * width) <= 1
  assert slider.get_attribute("aria-valuetext") == "10 % before, 90 % after"
  page.keyboard.press("+")
  page.keyboard.press("+")
  stage = page.locator("#comparison .stage")
  assert abs(stage.evaluate("e => e.offsetWidth") - 2 * width) <= 2
  page.keyboard.press("0")
  assert stage.evaluate("e => e.offsetWidth") == width
  alts = page.locator("#comparison enhance-comparison img").evaluate_all(
    "all => all.map(e => e.alt)"
  )
  assert alts[:2] == ["Before: photo.png", "After: photo.png, enlarged"]


def test_comparison_is_reached_by_tab(visit, photo):
  page = visit()
  slider = enhance(page, photo)
  page.focus("#cancel")
  for _ in range(8):
    page.keyboard.press("Tab")
    if slider.evaluate("e => e === e.getRootNode().activeElement"):
      return
  pytest.fail("the divider cannot be reached")


def test_comparison_by_mouse_zooms_and_moves(visit, photo):
  page = visit()
  slider = enhance(page, photo)
  box = page.locator("#comparison .stage").bounding_box()
  page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
  page.mouse.down()
  page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 20)
  page.mouse.up()
  assert abs(value(slider) - 25) <= 1
  page.click("#comparison button.in")
  page.click("#comparison button.in")
  view = page.locator("#comparison .view")
  before = view.evaluate("e => e.scrollLeft")
  assert page.locator("#comparison .stage").bounding_box()["width"] == (
    pytest.approx(2 * box["width"], abs=2)
  )
  page.locator("#comparison button.fit").click()
  assert value(slider) == 25
  assert before >= 0


def test_pictures_are_shown_and_fit_each_other(visit, photo):
  page = visit()
  enhance(page, photo)
  page.wait_for_function(
    "() => [...document.querySelector('#comparison enhance-comparison')"
    ".shadowRoot.querySelectorAll('img.before, img.after')]"
    ".every(e => e.complete && e.naturalWidth)"
  )
  sizes = page.locator(
    "#comparison img.before, #comparison img.after"
  ).evaluate_all("all => all.map(e => [e.naturalWidth, e.naturalHeight])")
  assert sizes == [[90, 60], [180, 120]]


def test_bad_and_huge_files_are_told(visit, tmp_path, photo):
  page = visit()
  bad = tmp_path / "bad.png"
  bad.write_bytes(b"no picture at all")
  choose(page, bad)
  page.get_by_text("bad.png: not a picture in a known format").wait_for()
  page.click('#picture button[aria-label="Clear"]')
  choose(page, app_networks.bomb(tmp_path / "bomb.png"))
  page.get_by_text("bomb.png: 40000x40000 pixels").first.wait_for()
  page.click('#picture button[aria-label="Clear"]')
  huge = tmp_path / "huge.png"
  huge.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * (2 << 20))
  choose(page, huge)
  page.get_by_text(re.compile("maximum.*size", re.I)).first.wait_for()
  page.reload()
  page.wait_for_selector("#enhance")
  page.click("#enhance")
  page.get_by_text("there is no picture yet").wait_for()
  enhance(page, photo)
  # What the browser itself says of refused requests.
  visit.wrong[:] = [x for x in visit.wrong if "413" not in x]


def test_cancel(visit, tmp_path, photo):
  page = visit()
  path = tmp_path / "large.png"
  images.write_picture(
    path, images.Picture(np.zeros((3000, 3000, 3), np.uint8))
  )
  choose(page, path)
  page.wait_for_selector("#preview enhance-comparison")
  page.click("#enhance")
  tiles = page.locator(".progress-level-inner", has_text="Tile")
  tiles.wait_for()
  page.click("#cancel")
  tiles.wait_for(state="detached")
  page.click('#picture button[aria-label="Clear"]')
  assert page.locator(".toast-body").all_inner_texts() == []
  assert "will be shown here" in page.inner_text("#comparison")
  enhance(page, photo)
  assert "photo.png" in page.inner_text("#record")


def test_pasting(visit, photo):
  page = visit()
  data = list(photo.read_bytes())
  page.evaluate(
    """data => {
      const file = new File([new Uint8Array(data)], "pasted.png",
        {type: "image/png"});
      const clipboardData = new DataTransfer();
      clipboardData.items.add(file);
      document.dispatchEvent(new ClipboardEvent("paste", {clipboardData}));
    }""",
    data,
  )
  page.wait_for_selector("#preview enhance-comparison")
  assert "pasted" in page.inner_text("#picture")


def test_several_pictures(visit, tmp_path, photo):
  page = visit()
  page.get_by_role("tab", name="Several pictures").click()
  bad = tmp_path / "bad.png"
  bad.write_bytes(b"no picture at all")
  choose(page, [photo, bad], "#pictures")
  # Gradio shows stem and suffix apart.
  page.locator("#pictures", has_text="bad").wait_for()
  page.click("#enhance-all")
  page.get_by_text("1 of 2 pictures enlarged").wait_for()
  assert "failed: bad.png: not a picture" in page.inner_text("#batch")
  with page.expect_download() as got:
    page.click("#download-all")
  assert got.value.suggested_filename == "enhanced.zip"


def test_two_users_at_once(visit, tmp_path):
  pages, names = [visit(), visit()], ["mine.png", "yours.png"]
  for i, (page, name) in enumerate(zip(pages, names, strict=True)):
    choose(page, app_networks.photo(tmp_path / name, 40, 40 + 10 * i))
  for page in pages:
    page.wait_for_selector("#preview enhance-comparison")
  for page in pages:
    page.click("#enhance")
  keys = []
  for page, name in zip(pages, names, strict=True):
    page.wait_for_selector("#comparison enhance-comparison")
    record = page.inner_text("#record")
    assert name in record
    assert not any(other in record for other in names if other != name)
    keys.append(page.get_attribute("#comparison enhance-comparison", "after"))
  assert keys[0] != keys[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone(visit, photo, scheme):
  page = visit(PHONE, has_touch=True, is_mobile=True, color_scheme=scheme)
  enhance(page, photo)
  assert page.evaluate("document.documentElement.scrollWidth") == 390
  boxes = [
    page.locator(place).bounding_box()
    for place in ("#enhance", "#cancel", "#download", "#comparison .handle")
  ]
  for box in boxes:
    assert box["x"] >= 0 and box["x"] + box["width"] <= 391
    assert min(box["width"], box["height"]) >= 40
  assert boxes[0]["y"] == boxes[1]["y"]
  slider = page.locator("#comparison [role=slider]")
  stage = page.locator("#comparison .stage").bounding_box()
  page.touchscreen.tap(stage["x"] + stage["width"] / 2, stage["y"] + 10)
  assert 0 <= value(slider) <= 100


CONTRASTS = """() => {
  const lum = c => {
    const [r, g, b] = c.map(v => v / 255).map(
      v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const parse = t => (t.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const back = e => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0.5) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const e of document.querySelectorAll("main *")) {
    const own = [...e.childNodes].some(
      n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.offsetParent || e.closest("[disabled]")) continue;
    const a = lum(parse(getComputedStyle(e).color).slice(0, 3));
    const b = lum(back(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) low.push([e.textContent.trim().slice(0, 30), ratio]);
  }
  return low;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(visit, photo, scheme):
  """4.5 to 1 is WCAG 2's bound for text."""
  page = visit(color_scheme=scheme)
  assert page.evaluate(CONTRASTS) == []
  enhance(page, photo)
  assert page.evaluate(CONTRASTS) == []


def test_the_example_for_scripts_is_about_this_page(visit, server):
  page = visit()
  page.get_by_text("From a script").click()
  code = page.locator(".cm-content")
  code.wait_for()
  text = code.inner_text()
  assert server.address in text and 'network="tiny"' in text
