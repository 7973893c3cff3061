// <enhance-comparison before after overlay width height name caption>: two
// pictures of one size, one over the other, and a divider between them that
// mouse, finger and keyboard move. Own code: Gradio's slider knows no keyboard.

const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8, 12, 16];
const STEPS = {
  ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2,
  PageDown: -10, PageUp: 10, Home: -100, End: 100,
};
const KEYS_HELP =
  "Arrow keys move the divider, Home and End take it to a side, " +
  "plus and minus zoom, 0 fits.";

const STYLE = `
  :host { display: block; color: var(--body-text-color, #1f2937); }
  figure { margin: 0; }
  .frame {
    position: relative; overflow: hidden; border-radius: 8px;
    border: 1px solid var(--border-color-primary, #d1d5db);
    background: var(--background-fill-secondary, #f3f4f6);
  }
  .view { overflow: auto; max-height: 75vh; outline-offset: -4px; }
  .stage {
    position: relative; margin: 0 auto; touch-action: pan-y;
    background: repeating-conic-gradient(#8c8c8c 0 25%, #a6a6a6 0 50%)
      0 0 / 20px 20px;
  }
  .zoomed .stage { cursor: grab; touch-action: pan-x pan-y; }
  .stage img {
    position: absolute; inset: 0; width: 100%; height: 100%; margin: 0;
    max-width: none; user-select: none; -webkit-user-drag: none;
  }
  .handle {
    position: absolute; top: 0; bottom: 0; width: 44px; margin-left: -22px;
    cursor: ew-resize; touch-action: none; border: 0; padding: 0;
  }
  .handle::before {
    content: ""; position: absolute; inset: 0 auto; left: 20px; width: 4px;
    background: #fff; box-shadow: 0 0 0 1px #111827;
  }
  .handle::after {
    content: "\\2194"; position: absolute; left: 4px; top: calc(50% - 18px);
    width: 36px; height: 36px; border-radius: 50%; background: #fff;
    box-shadow: 0 0 0 2px #111827; color: #111827;
    font: 700 20px/36px system-ui, sans-serif; text-align: center;
  }
  .tag {
    position: absolute; top: 8px; padding: 2px 8px; border-radius: 4px;
    background: rgb(17 24 39 / 85%); color: #fff; pointer-events: none;
    font: 600 13px/1.5 system-ui, sans-serif;
  }
  .tag.before { left: 8px; }
  .tag.after { right: 8px; }
  :focus-visible { outline: 3px solid #1d4ed8; box-shadow: 0 0 0 6px #fff; }
  .handle:focus-visible { outline-offset: -2px; }
  .bar {
    display: flex; flex-wrap: wrap; gap: 6px; align-items: center;
    margin-top: 8px; font: 14px/1.4 system-ui, sans-serif;
  }
  .bar button {
    min-width: 44px; min-height: 40px; padding: 0 12px; border-radius: 6px;
    border: 1px solid #6b7280; background: #fff; color: #111827;
    font: 600 14px system-ui, sans-serif; cursor: pointer;
  }
  .bar button:disabled { color: #6b7280; cursor: default; }
  .bar label { display: inline-flex; gap: 6px; align-items: center;
    min-height: 40px; margin-left: 6px; }
  .bar input { width: 20px; height: 20px; }
  output { min-width: 5em; }
  figcaption { margin-top: 4px; font: 14px/1.4 system-ui, sans-serif; }
  .broken { padding: 24px; background: #fff; color: #991b1b; }
  [hidden] { display: none !important; }
`;

const MARKUP = `
  <figure role="group">
    <div class="frame">
      <div class="view" tabindex="-1">
        <div class="stage">
          <img class="before"><img class="after"><img class="overlay" hidden>
        </div>
      </div>
      <span class="tag before" aria-hidden="true">Before</span>
      <span class="tag after" aria-hidden="true">After</span>
      <div class="handle" role="slider" tabindex="0"
        aria-orientation="horizontal" aria-valuemin="0" aria-valuemax="100"
        aria-label="Divider between before and after"></div>
      <p class="broken" role="alert" hidden>The pictures are no longer there;
        enhance the picture again.</p>
    </div>
    <div class="bar">
      <button type="button" class="out" aria-label="Zoom out">&minus;</button>
      <button type="button" class="in" aria-label="Zoom in">+</button>
      <button type="button" class="fit">Fit</button>
      <button type="button" class="pixels" title="One pixel of the result on
        one of the screen">1 : 1</button>
      <output aria-live="polite"></output>
      <label hidden><input type="checkbox" class="show"> Show the uncertainty
      </label>
    </div>
    <figcaption></figcaption>
  </figure>`;

class Comparison extends HTMLElement {
  static observedAttributes = ["before", "after", "overlay", "caption"];

  connectedCallback() {
    if (!this.shadowRoot) this.#build();
    this.#fill();
  }

  attributeChangedCallback() {
    if (this.shadowRoot) this.#fill();
  }

  disconnectedCallback() {
    this.resizes?.disconnect();
  }

  #find(selector) {
    return this.shadowRoot.querySelector(selector);
  }

  #build() {
    this.attachShadow({ mode: "open" });
    const style = document.createElement("style");
    style.textContent = STYLE;
    const body = document.createElement("template");
    body.innerHTML = MARKUP;
    this.shadowRoot.append(style, body.content);
    this.share = 0.5;
    this.zoom = 1;
    for (const [name, selector] of Object.entries({
      view: ".view", stage: ".stage", handle: ".handle", after: "img.after",
      overlay: "img.overlay", show: ".show", label: "output",
    })) this[name] = this.#find(selector);
    this.#find("figure").addEventListener("keydown", (e) => this.#key(e));
    this.#find(".out").onclick = () => this.#step(-1);
    this.#find(".in").onclick = () => this.#step(1);
    this.#find(".fit").onclick = () => this.#setZoom(1);
    this.#find(".pixels").onclick = () =>
      this.#setZoom(1 / (this.#fit() * devicePixelRatio));
    this.show.onchange = () => this.#draw();
    this.view.addEventListener("scroll", () => this.#draw());
    this.stage.addEventListener("dblclick", (e) =>
      this.#setZoom(this.zoom > 1 ? 1 : 3, e));
    this.stage.addEventListener("wheel", (e) => this.#wheel(e), {
      passive: false,
    });
    this.#drag(this.handle, false);
    this.#drag(this.stage, true);
  }

  #fill() {
    const name = this.getAttribute("name") ?? "";
    const texts = {
      before: `Before: ${name}`,
      after: `After: ${name}, enlarged`,
      overlay: `Uncertainty of the enlarged ${name}`,
    };
    const gone = this.#find(".broken");
    gone.hidden = true;
    for (const [kind, text] of Object.entries(texts)) {
      const image = this.#find(`img.${kind}`);
      image.onerror = () => { gone.hidden = false; };
      image.alt = text;
      image.draggable = false;
      const source = this.getAttribute(kind);
      if (source) image.src = source;
      else image.removeAttribute("src");
    }
    this.#find("label").hidden = !this.getAttribute("overlay");
    this.#find("figure").setAttribute(
      "aria-label", `Before and after of ${name}. ${KEYS_HELP}`);
    this.#find("figcaption").textContent = this.getAttribute("caption") ?? "";
    this.width = Number(this.getAttribute("width")) || 1;
    this.height = Number(this.getAttribute("height")) || 1;
    this.resizes?.disconnect();
    this.resizes = new ResizeObserver(() => this.#layout());
    this.resizes.observe(this);
    this.#layout();
  }

  // Screen pixels per pixel of the result when the whole of it is shown.
  #fit() {
    const room = this.clientWidth - 2;
    return Math.min(1, room / this.width, (0.75 * innerHeight) / this.height);
  }

  #layout() {
    if (this.clientWidth === 0) return;
    const fit = this.#fit();
    const px = (n) => `${Math.max(1, Math.round(n * fit * this.zoom))}px`;
    this.stage.style.width = px(this.width);
    this.stage.style.height = px(this.height);
    // Zooming must not change the height of the frame.
    this.view.style.height = `${Math.round(this.height * fit)}px`;
    this.#find(".frame").classList.toggle("zoomed", this.zoom > 1);
    this.view.tabIndex = this.zoom > 1 ? 0 : -1;
    this.#find(".out").disabled = this.zoom <= 1;
    this.#find(".in").disabled = this.zoom >= ZOOMS.at(-1);
    const percent = Math.round(100 * fit * this.zoom);
    this.label.textContent = `${percent} %`;
    this.#draw();
  }

  // The part of the stage that can be seen: [left, right] in the frame.
  #seen() {
    const left = Math.max(0, this.stage.offsetLeft - this.view.scrollLeft);
    const right = this.stage.offsetLeft - this.view.scrollLeft +
      this.stage.offsetWidth;
    return [left, Math.min(this.view.clientWidth, right)];
  }

  #draw() {
    const [left, right] = this.#seen();
    const x = left + this.share * (right - left);
    const cut = x - this.stage.offsetLeft + this.view.scrollLeft;
    const clip = `inset(0 0 0 ${cut}px)`;
    this.overlay.hidden = !this.show.checked || !this.getAttribute("overlay");
    this.after.style.clipPath = clip;
    this.overlay.style.clipPath = clip;
    this.handle.style.left = `${x}px`;
    const percent = Math.round(100 * this.share);
    this.handle.setAttribute("aria-valuenow", percent);
    this.handle.setAttribute(
      "aria-valuetext", `${percent} % before, ${100 - percent} % after`);
  }

  #setShare(share) {
    this.share = Math.min(1, Math.max(0, share));
    this.#draw();
  }

  #step(by) {
    const larger = ZOOMS.find((z) => z > this.zoom * 1.001);
    const smaller = ZOOMS.findLast((z) => z < this.zoom / 1.001);
    this.#setZoom((by > 0 ? larger : smaller) ?? this.zoom);
  }

  // Keeps the point under the event, or the middle, where it is.
  #setZoom(zoom, event) {
    const box = this.view.getBoundingClientRect();
    const x = event ? event.clientX - box.left : box.width / 2;
    const y = event ? event.clientY - box.top : box.height / 2;
    const fraction = (at, scroll, offset, size) => (at + scroll - offset) / size;
    const fx = fraction(x, this.view.scrollLeft, this.stage.offsetLeft,
      this.stage.offsetWidth);
    const fy = fraction(y, this.view.scrollTop, 0, this.stage.offsetHeight);
    this.zoom = Math.min(ZOOMS.at(-1), Math.max(1, zoom));
    this.#layout();
    this.view.scrollLeft = fx * this.stage.offsetWidth - x;
    this.view.scrollTop = fy * this.stage.offsetHeight - y;
    this.#draw();
  }

  #wheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.#setZoom(this.zoom * Math.exp(-event.deltaY / 200), event);
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const onHandle = this.shadowRoot.activeElement === this.handle;
    if (onHandle && event.key in STEPS) {
      this.#setShare(this.share + STEPS[event.key] / 100);
    } else if (event.key === "+" || event.key === "=") {
      this.#step(1);
    } else if (event.key === "-") {
      this.#step(-1);
    } else if (event.key === "0") {
      this.#setZoom(1);
    } else {
      return;
    }
    event.preventDefault();
  }

  #drag(element, isStage) {
    let last = null;
    element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      // Fingers scroll a zoomed picture by themselves.
      if (isStage && this.zoom > 1 && event.pointerType !== "mouse") return;
      last = event;
      element.setPointerCapture(event.pointerId);
      if (!isStage) this.handle.focus();
    });
    element.addEventListener("pointermove", (event) => {
      if (last === null) return;
      if (isStage && this.zoom > 1) {
        this.view.scrollLeft -= event.clientX - last.clientX;
        this.view.scrollTop -= event.clientY - last.clientY;
      } else {
        const [left, right] = this.#seen();
        const x = event.clientX - this.view.getBoundingClientRect().left;
        this.#setShare((x - left) / Math.max(1, right - left));
      }
      last = event;
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      element.addEventListener(end, () => { last = null; });
    }
  }
}

customElements.define("enhance-comparison", Comparison);
