// Pictures by several codecs at matched bytes, any two of them in a <pico-compare>; what there is
// to show is in #pictures. No dependencies: it works from disk.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const ORIGINAL = "original";
  const STYLES = {
    learned: { stroke: "#1fb598", fill: "#1fb59818", dash: "none" },
    lossless: { stroke: "#e89b1c", fill: "#e89b1c33", dash: "8 6" },
    AV1: { stroke: "#8a7bff", fill: "#8a7bff33", dash: "2 5" },
  };

  const { scenes, columns, live } = JSON.parse(document.getElementById("pictures").textContent);
  const root = document.querySelector(".pico-viewer");
  root.innerHTML = `
    <div class="row">
      <label>Picture <select id="scene"></select></label>
      <span class="rates" id="rates" role="group" aria-label="Size"></span>
      <label>Left <select id="left"></select></label>
      <label>Right <select id="right"></select></label>
    </div>
    <div class="frame"><pico-compare id="compare"></pico-compare></div>
    <div class="row">
      <button type="button" id="out" aria-label="Zoom out">−</button>
      <output class="zoom" id="zoom" aria-label="Zoom"></output>
      <button type="button" id="in" aria-label="Zoom in">+</button>
      <button type="button" id="fit">Fit</button>
      <button type="button" id="actual">1:1</button>
      <span class="spread"></span>
      <button type="button" id="flicker" aria-pressed="false">Flicker</button>
      <button type="button" id="parts" aria-pressed="false">Parts</button>
      <span id="live-row" hidden>
        <button type="button" id="live" aria-pressed="false">Decode here</button>
        <label id="dial-row" hidden>Realism <input type="range" id="dial" min="0" max="100" step="10" value="100"></label>
      </span>
    </div>
    <p class="note" id="note" role="status"></p>
    <div class="scroll" tabindex="0" role="region" aria-label="Bytes and metrics"><table id="table"></table></div>`;
  const by = (id) => root.querySelector(`#${id}`);
  const compare = by("compare");
  const state = { scene: Object.keys(scenes)[0], rate: 0, left: ORIGINAL, right: "" };
  let asked = 0;
  let codec = null;

  const scene = () => scenes[state.scene];
  const rate = () => scene().rates[Math.min(state.rate, scene().rates.length - 1)];
  const shownBy = (name) => rate().shown.find((shown) => shown.codec === name);

  function option(name) {
    const element = document.createElement("option");
    element.value = element.textContent = name;
    return element;
  }

  function fill(select, names, chosen) {
    select.replaceChildren(...names.map(option));
    select.value = names.includes(chosen) ? chosen : names[0];
  }

  function setUp() {
    fill(by("scene"), Object.keys(scenes), state.scene);
    const names = rate().shown.map((shown) => shown.codec);
    state.right ||= names[0];
    for (const side of ["left", "right"]) {
      fill(by(side), [ORIGINAL, ...names], state[side]);
      state[side] = by(side).value;
    }
    by("rates").replaceChildren(...scene().rates.map(({ title }, number) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = title;
      button.setAttribute("aria-pressed", String(number === state.rate));
      button.addEventListener("click", () => change({ rate: number }));
      return button;
    }));
    by("rates").hidden = scene().rates.length < 2;
  }

  function change(changes) {
    Object.assign(state, changes);
    setUp();
    void show();
  }

  function labelOf(name) {
    const shown = shownBy(name);
    return shown ? `${name}, ${shown.bytes.toLocaleString("en")} bytes` : name;
  }

  async function viewOf(side) {
    const shown = shownBy(state[side]);
    if (shown?.file && by("live").getAttribute("aria-pressed") === "true") return decoded(shown);
    const image = new Image();
    image.src = shown ? shown.source : scene().original;
    image.alt = "";
    await image.decode();
    return image;
  }

  async function decoded({ file }) {
    codec ??= await import(new URL(live, document.baseURI).href).then((pico) => {
      pico.configure({ assets: new URL("./", new URL(live, document.baseURI)) });
      return pico;
    });
    const bytes = await (await fetch(file)).blob();
    const start = performance.now();
    const picture = await codec.decode(bytes, { realism: by("dial").valueAsNumber / 100 });
    by("note").textContent = `Decoded in this page in ${Math.round(performance.now() - start)} ms.`;
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: picture.width, height: picture.height });
    canvas.getContext("2d").putImageData(picture, 0, 0);
    return canvas;
  }

  async function show() {
    const mine = ++asked;
    by("note").textContent = "";
    try {
      const [left, right] = await Promise.all([viewOf("left"), viewOf("right")]);
      if (mine !== asked) return;
      const { width, height } = scene();
      compare.show({
        width, height,
        left: { view: left, label: labelOf(state.left) },
        right: { view: right, label: labelOf(state.right) },
      });
      showParts();
    } catch (error) {
      by("note").textContent = `It cannot be shown: ${error.message}`;
    }
    showTable();
    const hasFile = ["left", "right"].some((side) => shownBy(state[side])?.file);
    by("live-row").hidden = !(live && hasFile && location.protocol.startsWith("http"));
    root.dataset.shown = String(mine); // for who waits
  }

  function showParts() {
    const shown = [shownBy(state.right), shownBy(state.left)].find((each) => each?.parts.length);
    by("parts").hidden = !shown;
    const isOn = by("parts").getAttribute("aria-pressed") === "true" && shown;
    compare.overlay = isOn ? drawn(shown.parts) : null;
    if (!isOn) return;
    by("note").textContent = Object.keys(STYLES).flatMap((coder) => {
      const own = shown.parts.filter((part) => part.coder === coder);
      const bytes = own.reduce((sum, part) => sum + part.bytes, 0);
      const count = own.length === 1 ? "1 part" : `${own.length} parts`;
      return own.length ? [`${coder}: ${count}, ${bytes.toLocaleString("en")} bytes`] : [];
    }).join("; ");
  }

  function drawn(parts) {
    const svg = document.createElementNS(SVG, "svg");
    for (const [name, value] of Object.entries({ width: scene().width, height: scene().height })) {
      svg.setAttribute(name, value);
    }
    for (const { top, left, width, height, coder } of parts) {
      const { stroke, fill: colour, dash } = STYLES[coder];
      const rect = document.createElementNS(SVG, "rect");
      const values = {
        x: left + 1, y: top + 1, width: Math.max(width - 2, 0), height: Math.max(height - 2, 0),
        fill: colour, stroke, "stroke-width": 3, "stroke-dasharray": dash,
        "vector-effect": "non-scaling-stroke",
      };
      for (const [name, value] of Object.entries(values)) rect.setAttribute(name, value);
      svg.append(rect);
    }
    return svg;
  }

  function cell(kind, text, className = "") {
    const element = document.createElement(kind);
    element.textContent = text;
    element.className = className;
    return element;
  }

  /** Infinity comes in words; null is what was not measured. */
  function numberOf(value) {
    return value === undefined || value === null ? null : Number(value);
  }

  function told(value) {
    return value === null ? "–" : Number.isFinite(value) ? value.toPrecision(4) : "∞";
  }

  function bestOf({ name, higher_is_better: isHigher }) {
    const values = rate().shown.map(({ metrics }) => numberOf(metrics[name])).filter((v) => v !== null);
    return isHigher ? Math.max(...values) : Math.min(...values);
  }

  function showTable() {
    const head = document.createElement("tr");
    const titles = ["Codec", "Setting", "Bytes", "Of the target", ...columns.map((c) => c.title)];
    head.append(...titles.map((title) => {
      const element = cell("th", title);
      element.scope = "col";
      return element;
    }), cell("td", ""));
    const rows = rate().shown.map((shown) => rowOf(shown));
    const [thead, tbody] = [document.createElement("thead"), document.createElement("tbody")];
    thead.append(head);
    tbody.append(...rows);
    by("table").replaceChildren(thead, tbody);
  }

  function rowOf({ codec: name, setting, bytes, metrics }) {
    const row = document.createElement("tr");
    const title = cell("th", name);
    title.scope = "row";
    row.append(title, cell("td", setting, "text"), cell("td", bytes.toLocaleString("en")));
    row.append(cell("td", `${((100 * bytes) / rate().target).toFixed(1)} %`));
    for (const column of columns) {
      const value = numberOf(metrics[column.name]);
      const isBest = value !== null && value === bestOf(column);
      row.append(cell("td", told(value), isBest ? "best" : ""));
    }
    const sides = document.createElement("td");
    for (const side of ["left", "right"]) {
      const button = cell("button", side);
      button.type = "button";
      button.setAttribute("aria-pressed", String(state[side] === name));
      button.setAttribute("aria-label", `${name} on the ${side}`);
      button.addEventListener("click", () => change({ [side]: name }));
      sides.append(button);
    }
    row.append(sides);
    return row;
  }

  function press(id, act) {
    by(id).addEventListener("click", act);
  }

  function toggle(id) {
    by(id).setAttribute("aria-pressed", String(by(id).getAttribute("aria-pressed") !== "true"));
  }

  by("scene").addEventListener("change", () => change({ scene: by("scene").value }));
  for (const side of ["left", "right"]) {
    by(side).addEventListener("change", () => change({ [side]: by(side).value }));
  }
  press("in", () => compare.zoomTo(compare.zoom * 1.5));
  press("out", () => compare.zoomTo(compare.zoom / 1.5));
  press("fit", () => compare.fit());
  press("actual", () => compare.zoomTo(1));
  press("flicker", () => (compare.flicker = !compare.flicker));
  press("parts", () => {
    toggle("parts");
    by("note").textContent = "";
    showParts();
  });
  press("live", () => {
    toggle("live");
    by("dial-row").hidden = by("live").getAttribute("aria-pressed") !== "true";
    void show();
  });
  by("dial").addEventListener("change", () => void show());
  compare.addEventListener("view", () => {
    by("zoom").textContent = `${Math.round(100 * compare.zoom)}%`;
    by("flicker").setAttribute("aria-pressed", String(compare.flicker));
  });
  change({});
})();
