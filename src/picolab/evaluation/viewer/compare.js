// Two pictures in one frame: a slider between them, flicker, zoom and pan to the pixel.
//
//   <pico-compare></pico-compare>
//   element.show({ width, height, left: { view, label }, right: { view, label } });
//
// `view` is an image or canvas of width x height pixels. For mouse, touch and keyboard; no
// dependencies, and no build: pages from files use it as it is.
(() => {
  const MOST_ZOOM = 32;
  const STEP = 2; // percent that an arrow key moves the slider
  const GRIP = 28; // pixels from the slider's line where a drag takes hold of it
  const FLICKER = 550; // milliseconds that either picture is seen
  const PIXELATED_FROM = 2; // device pixels to a pixel of the picture

  const MARKUP = `
    <style>
      :host { display: block; position: relative; overflow: hidden; touch-action: none;
        user-select: none; -webkit-user-select: none; contain: strict; }
      .stage { position: absolute; inset: 0; outline-offset: -3px; cursor: ew-resize; }
      .stage.zoomed { cursor: grab; } .stage.panning { cursor: grabbing; }
      .stage:focus-visible { outline: 3px solid var(--compare-focus, #4c8dff); }
      .pane { position: absolute; inset: 0; overflow: hidden; pointer-events: none; }
      .pane > * { position: absolute; left: 0; top: 0; transform-origin: 0 0; max-width: none;
        margin: 0; }
      .left { clip-path: inset(0 calc(100% - var(--split)) 0 0); }
      .right { clip-path: inset(0 0 0 var(--split)); }
      .flicker .left { clip-path: none; } .flicker .right { clip-path: none; }
      .flicker .hidden, .flicker .line { visibility: hidden; }
      .line { position: absolute; top: 0; bottom: 0; left: var(--split); width: 2px;
        margin-left: -1px; background: #fff; box-shadow: 0 0 0 1px #0006; pointer-events: none; }
      .knob { position: absolute; top: 50%; left: 50%; width: 44px; height: 44px; margin: -22px;
        border: 0; border-radius: 50%; background: #fff; color: #222; box-shadow: 0 1px 6px #0007;
        display: grid; place-items: center; pointer-events: auto; cursor: ew-resize; }
      .knob:focus-visible { outline: 3px solid var(--compare-focus, #4c8dff); outline-offset: 2px; }
      .label { position: absolute; top: 10px; max-width: calc(50% - 20px); padding: 4px 10px;
        border-radius: 999px; background: #111c; color: #fff; font: 500 13px/1.4 system-ui, sans-serif;
        white-space: nowrap; overflow: hidden; text-overflow: ellipsis; pointer-events: none; }
      .label.l { left: 10px; } .label.r { right: 10px; } .label:empty { display: none; }
      .flicker .label.hidden { visibility: hidden; }
    </style>
    <div class="stage" tabindex="0" role="group" aria-roledescription="comparison">
      <div class="pane left"></div><div class="pane right"></div><div class="pane over"></div>
      <div class="line"><div class="knob" tabindex="0" role="slider" aria-label="Divider"
        aria-orientation="horizontal" aria-valuemin="0" aria-valuemax="100">
        <svg width="22" height="14" viewBox="0 0 22 14" fill="none" stroke="currentColor"
          stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
          <path d="M7 1 1 7l6 6M15 1l6 6-6 6"/></svg></div></div>
      <span class="label l"></span><span class="label r"></span>
    </div>`;

  class Compare extends HTMLElement {
    #width = 1;
    #height = 1;
    #scale = 1; // CSS pixels to a pixel of the picture
    #x = 0; // where the picture's corner lies
    #y = 0;
    #isFit = true;
    #split = 50;
    #timer = 0;
    #pointers = new Map();
    #drag = null;

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open" });
      root.innerHTML = MARKUP;
      const find = (selector) => root.querySelector(selector);
      this.stage = find(".stage");
      this.knob = find(".knob");
      this.panes = { left: find(".left"), right: find(".right"), over: find(".over") };
      this.labels = { left: find(".label.l"), right: find(".label.r") };
      new ResizeObserver(() => (this.#isFit ? this.fit() : this.#place())).observe(this);
      this.#listen();
      this.split = 50;
    }

    /** Shows two pictures of the same size; the place and zoom stay if that is the same as before. */
    show({ width, height, left, right }) {
      const isAnother = width !== this.#width || height !== this.#height;
      [this.#width, this.#height] = [width, height];
      for (const [side, layer] of Object.entries({ left, right })) {
        this.panes[side].replaceChildren(layer.view);
        layer.view.setAttribute("aria-hidden", "true");
        layer.view.style.width = `${width}px`;
        layer.view.style.height = `${height}px`;
        this.labels[side].textContent = layer.label;
      }
      this.stage.setAttribute(
        "aria-label",
        `${left.label}, on the left, and ${right.label}, on the right. Keys: plus and minus zoom, ` +
          "0 fits, 1 shows every pixel, arrows move, F flickers.",
      );
      if (isAnother || this.#isFit) this.fit();
      else this.#place();
    }

    /** An element of the picture's size over both, such as an SVG of its parts; null for none. */
    set overlay(element) {
      this.panes.over.replaceChildren(...(element ? [element] : []));
      this.#place();
    }

    /** Where the slider is, in percent of the frame. */
    get split() {
      return this.#split;
    }

    set split(percent) {
      this.#split = Math.min(Math.max(percent, 0), 100);
      this.stage.style.setProperty("--split", `${this.#split}%`);
      this.knob.setAttribute("aria-valuenow", String(Math.round(this.#split)));
    }

    /** Device pixels to a pixel of the picture. */
    get zoom() {
      return this.#scale * devicePixelRatio;
    }

    /** Whether both are shown in turns in place of side by side. */
    get flicker() {
      return this.#timer !== 0;
    }

    set flicker(on) {
      if (on === this.flicker) return;
      clearInterval(this.#timer);
      this.#timer = on ? setInterval(() => this.#turn(), FLICKER) : 0;
      this.stage.classList.toggle("flicker", on);
      for (const part of [this.panes.right, this.labels.right]) part.classList.toggle("hidden", on);
      for (const part of [this.panes.left, this.labels.left]) part.classList.remove("hidden");
      this.#tell();
    }

    #turn() {
      for (const parts of [this.panes, this.labels]) {
        parts.left.classList.toggle("hidden");
        parts.right.classList.toggle("hidden");
      }
    }

    /** The whole picture, as large as the frame has room for; small ones at most three times. */
    fit() {
      this.#isFit = true;
      const { clientWidth, clientHeight } = this;
      this.#scale = Math.min(clientWidth / this.#width, clientHeight / this.#height);
      const most = 3 / devicePixelRatio;
      this.#scale = Math.min(this.#scale, Math.max(most, 1 / devicePixelRatio));
      this.#x = (clientWidth - this.#scale * this.#width) / 2;
      this.#y = (clientHeight - this.#scale * this.#height) / 2;
      this.#place();
    }

    /** So many device pixels to a pixel, about a point of the frame: its middle if not told. */
    zoomTo(zoom, x = this.clientWidth / 2, y = this.clientHeight / 2) {
      const least = Math.min(this.clientWidth / this.#width, this.clientHeight / this.#height) / 2;
      const wanted = Math.min(zoom, MOST_ZOOM) / devicePixelRatio;
      const scale = Math.max(wanted, Math.min(least, 1 / devicePixelRatio));
      this.#x = x - ((x - this.#x) * scale) / this.#scale;
      this.#y = y - ((y - this.#y) * scale) / this.#scale;
      this.#scale = scale;
      this.#isFit = false;
      this.#place();
    }

    panBy(x, y) {
      this.#x += x;
      this.#y += y;
      this.#isFit = false;
      this.#place();
    }

    #place() {
      // Some of the picture always stays in the frame.
      const keep = (offset, size, frame) =>
        size <= frame
          ? Math.min(Math.max(offset, 0), frame - size)
          : Math.min(Math.max(offset, frame - size), 0);
      this.#x = keep(this.#x, this.#scale * this.#width, this.clientWidth);
      this.#y = keep(this.#y, this.#scale * this.#height, this.clientHeight);
      // On whole pixels of the screen, so that nothing is smoothed where none has to be.
      const [x, y] = [this.#x, this.#y].map((v) => Math.round(v * devicePixelRatio) / devicePixelRatio);
      const move = `translate(${x}px, ${y}px) scale(${this.#scale})`;
      for (const pane of Object.values(this.panes)) {
        const view = pane.firstElementChild;
        if (!view) continue;
        view.style.transform = move;
        view.style.imageRendering = this.zoom >= PIXELATED_FROM ? "pixelated" : "auto";
      }
      this.stage.classList.toggle("zoomed", !this.#isFit);
      this.#tell();
    }

    #tell() {
      this.dispatchEvent(new CustomEvent("view", { bubbles: true }));
    }

    #listen() {
      const { stage } = this;
      stage.addEventListener("wheel", (event) => {
        event.preventDefault();
        const { x, y } = this.#at(event);
        this.zoomTo(this.zoom * 2 ** (-event.deltaY / (event.ctrlKey ? 60 : 240)), x, y);
      }, { passive: false });
      stage.addEventListener("dblclick", (event) => {
        const { x, y } = this.#at(event);
        if (this.#isFit) this.zoomTo(Math.max(1, 2 * this.zoom), x, y);
        else this.fit();
      });
      stage.addEventListener("keydown", (event) => this.#key(event));
      stage.addEventListener("pointerdown", (event) => this.#press(event));
      stage.addEventListener("pointermove", (event) => this.#moved(event));
      for (const end of ["pointerup", "pointercancel"]) {
        stage.addEventListener(end, (event) => this.#release(event));
      }
    }

    #at(event) {
      const box = this.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    }

    #press(event) {
      if (event.button !== 0) return;
      this.stage.setPointerCapture(event.pointerId);
      const at = this.#at(event);
      this.#pointers.set(event.pointerId, at);
      if (this.#pointers.size === 2) this.#drag = "pinch";
      else {
        const line = (this.#split / 100) * this.clientWidth;
        const isHeld = this.#isFit || Math.abs(at.x - line) < GRIP;
        this.#drag = isHeld && !this.flicker ? "split" : "pan";
        if (this.#drag === "split") this.split = (100 * at.x) / this.clientWidth;
      }
      this.stage.classList.toggle("panning", this.#drag === "pan");
    }

    #moved(event) {
      const before = this.#pointers.get(event.pointerId);
      if (!before) return;
      const at = this.#at(event);
      if (this.#drag === "split") this.split = (100 * at.x) / this.clientWidth;
      else if (this.#drag === "pan") this.panBy(at.x - before.x, at.y - before.y);
      else if (this.#drag === "pinch") this.#pinch(event.pointerId, before, at);
      this.#pointers.set(event.pointerId, at);
    }

    #pinch(id, before, at) {
      const [other] = [...this.#pointers].filter(([key]) => key !== id).map(([, place]) => place);
      if (!other) return;
      const distance = (a) => Math.hypot(a.x - other.x, a.y - other.y) || 1;
      const [x, y] = [(at.x + other.x) / 2, (at.y + other.y) / 2];
      this.zoomTo((this.zoom * distance(at)) / distance(before), x, y);
      this.panBy((at.x - before.x) / 2, (at.y - before.y) / 2);
    }

    #release(event) {
      this.#pointers.delete(event.pointerId);
      this.#drag = this.#pointers.size ? "pan" : null;
      this.stage.classList.remove("panning");
    }

    #key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const onKnob = event.composedPath()[0] === this.knob;
      const far = event.shiftKey ? 5 : 1;
      const move = (x, y) => this.panBy(40 * far * x, 40 * far * y);
      const slide = (by) => (this.split = this.#split + STEP * far * by);
      const keys = {
        ArrowLeft: () => (onKnob ? slide(-1) : move(1, 0)),
        ArrowRight: () => (onKnob ? slide(1) : move(-1, 0)),
        ArrowUp: () => (onKnob ? slide(1) : move(0, 1)),
        ArrowDown: () => (onKnob ? slide(-1) : move(0, -1)),
        Home: () => (this.split = 0),
        End: () => (this.split = 100),
        "+": () => this.zoomTo(this.zoom * 1.5),
        "=": () => this.zoomTo(this.zoom * 1.5),
        "-": () => this.zoomTo(this.zoom / 1.5),
        0: () => this.fit(),
        1: () => this.zoomTo(1),
        f: () => (this.flicker = !this.flicker),
        F: () => (this.flicker = !this.flicker),
      };
      const act = keys[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    }
  }

  customElements.define("pico-compare", Compare);
})();
