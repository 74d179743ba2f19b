// A rater's page. The server decides what comes next; this shows it, exactly, and tells the answer.

const page = document.getElementById("page");
const notice = document.getElementById("notice");
const SETTLE = 300; // ms in which a new pair takes no answer, so that no key counts twice
const GAP = 16;
const NARROW = 6; // between two pictures on a phone
const LEAST = { width: 320, height: 400 };

let study = {};
let loaded = new Map(); // pictures by key of their task, ready to be shown
let shown = { key: "", at: 0, looks: 0, kind: "" };
let told = new Set(); // which pages of words were read

const by = (id) => document.getElementById(id);

function open(name) {
  page.replaceChildren(by(name).content.cloneNode(true));
  for (const place of page.querySelectorAll("[data-text]")) place.textContent = study[place.dataset.text];
  for (const place of page.querySelectorAll("[data-if]")) place.hidden = !study[place.dataset.if];
  window.scrollTo(0, 0);
}

async function ask(address, body) {
  for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
    try {
      const answer = await fetch(address, {
        method: body === undefined ? "GET" : "POST",
        headers: body === undefined ? {} : { "content-type": "application/json", "x-study": study.word || "" },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      if (answer.status < 500 && answer.status !== 429) {
        notice.hidden = true;
        const found = await answer.json();
        if (!answer.ok) throw Object.assign(new Error(found.error || "The server refused."), { status: answer.status });
        return found;
      }
    } catch (error) {
      if (error.status) throw error;
    }
    notice.hidden = false; // the network or the server is away: nothing is lost, the same is sent again
    await new Promise((resume) => setTimeout(resume, wait));
  }
}

function trouble(error) {
  open("message");
  by("text").textContent = error.message;
  by("go").onclick = () => location.reload();
}

// --- the window -------------------------------------------------------------------------------

function layout(width = study.crop) {
  const room = document.documentElement.clientWidth - 16;
  const side = width / devicePixelRatio;
  if (study.reference === "middle" && 3 * side + 2 * GAP <= room) return "row";
  return 2 * side + NARROW <= room ? "pair" : "single";
}

function facts() {
  const touch = matchMedia("(pointer: coarse)").matches;
  const pinch = window.visualViewport ? visualViewport.scale : 1;
  // Beside a page at 100 % the window is as wide as the page, but for its frame.
  const zoom = touch || !outerWidth ? pinch : (pinch * outerWidth) / innerWidth;
  return {
    width: innerWidth,
    height: innerHeight,
    ratio: devicePixelRatio,
    zoom: Math.round(zoom * 100) / 100,
    touch,
    layout: layout(),
  };
}

function checkDisplay() {
  const now = facts();
  const side = study.crop / now.ratio;
  const large = now.width >= Math.max(LEAST.width, side) && now.height >= Math.max(LEAST.height, side + 150);
  const plain = Math.abs(now.zoom - 1) < 0.08;
  const exact = now.ratio >= 1;
  const say = (id, good, text) => {
    by(id).textContent = text;
    by(id).className = good ? "good" : "bad";
  };
  say("check-size", large, large ? `Window: ${now.width} × ${now.height}, large enough.`
    : `Window: ${now.width} × ${now.height}. Please make it larger, or turn the device.`);
  say("check-zoom", plain, plain ? "Zoom: 100 %."
    : `Zoom: about ${Math.round(now.zoom * 100)} %. Please set it to 100 % (Ctrl and 0, or ⌘ and 0), and close panels beside the page.`);
  say("check-pixels", exact, exact ? `Pixel ratio: ${Math.round(now.ratio * 100) / 100}. Pictures are shown pixel by pixel.`
    : "The page is shown smaller than its pixels. Please set the zoom to 100 %.");
  by("go").disabled = !(large && plain && exact);
  document.body.dataset.layout = now.layout;
  return now;
}

function showDisplay() {
  open("display");
  checkDisplay();
  by("go").onclick = async () => {
    by("go").disabled = true;
    try { show(await ask("/api/display", checkDisplay())); } catch (error) { trouble(error); }
  };
}

// --- pictures ---------------------------------------------------------------------------------

const SIDES = { plate: ["left"] };
const sides = (kind) => SIDES[kind] || ["left", "right", "reference"];

function load(task) {
  if (!loaded.has(task.key)) {
    loaded.set(task.key, Promise.all(sides(task.kind).map(async (side) => {
      for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
        const image = new Image();
        image.src = `/picture/${task.key}/${side}`;
        try {
          await image.decode();
          notice.hidden = true;
          return [side, image];
        } catch {
          notice.hidden = false;
          await new Promise((resume) => setTimeout(resume, wait));
        }
      }
    })).then(Object.fromEntries));
  }
  return loaded.get(task.key);
}

// One pixel of the picture on one pixel of the screen: CSS sizes divided by the ratio, and places
// rounded to whole pixels of the screen.
function fit(image, times = 1) {
  image.style.width = `${(times * image.naturalWidth) / devicePixelRatio}px`;
  image.style.height = `${(times * image.naturalHeight) / devicePixelRatio}px`;
}

function place() {
  const row = by("pictures");
  if (!row) {
    const image = by("left");
    // A plate is no picture to judge: on fine screens it is enlarged to be read at arm's length.
    if (image) { fit(image, Math.max(1, Math.floor(devicePixelRatio))); snap(image.parentElement, image); }
    return;
  }
  for (const image of row.querySelectorAll("img")) fit(image);
  const kind = layout(by("left").naturalWidth);
  const stage = page.firstElementChild;
  stage.dataset.layout = document.body.dataset.layout = kind;
  const side = by("left").naturalWidth / devicePixelRatio;
  const room = document.documentElement.clientWidth - 16;
  const gap = kind === "pair" && 2 * side + GAP > room ? NARROW : GAP;
  row.style.gap = `${Math.round(gap * devicePixelRatio) / devicePixelRatio}px`;
  snap(row);
}

function snap(row, inner) {
  row.style.marginLeft = row.style.marginTop = "0px";
  if (!inner) {
    const shownFigures = [...row.children].filter((figure) => figure.offsetWidth);
    const wide = shownFigures.at(-1).getBoundingClientRect().right - shownFigures[0].getBoundingClientRect().left;
    const free = (row.getBoundingClientRect().width - wide) / 2;
    row.style.marginLeft = `${Math.max(0, free)}px`;
  }
  const corner = (inner || [...row.children].find((figure) => figure.offsetWidth)).getBoundingClientRect();
  const off = (value) => (Math.round((value) * devicePixelRatio) - value * devicePixelRatio) / devicePixelRatio;
  const target = inner || row;
  target.style.position = "relative";
  target.style.left = `${off(corner.left + scrollX)}px`;
  target.style.top = `${off(corner.top + scrollY)}px`;
}

// --- tasks ------------------------------------------------------------------------------------

async function showTask(state) {
  const [task, next] = state.tasks;
  const images = await load(task);
  if (next) load(next);
  for (const key of loaded.keys()) if (key !== task.key && key !== next?.key) loaded.delete(key);
  open(task.kind === "plate" ? "plate" : "trial");
  for (const [side, image] of Object.entries(images)) {
    const old = by(side);
    image.id = side;
    image.alt = old.alt;
    image.draggable = false;
    old.replaceWith(image);
  }
  by("count").textContent = `${state.done + 1} of ${state.total}`;
  if (by("filled")) by("filled").style.width = `${(100 * state.done) / state.total}%`;
  if (task.kind === "plate") {
    for (const digit of "23456789") {
      const button = document.createElement("button");
      button.textContent = button.dataset.answer = digit;
      by("answers").append(button);
    }
  } else {
    await cover(images.reference);
    watchPictures();
    showTab("left");
  }
  place();
  for (const button of page.querySelectorAll("[data-answer]")) button.onclick = () => say(button.dataset.answer);
  requestAnimationFrame(() => {
    shown = { key: task.key, at: performance.now(), looks: 0, kind: task.kind };
    page.firstElementChild.dataset.ready = task.key;
  });
}

// The original lies over both copies, unseen until it is asked for: showing it takes no loading.
async function cover(reference) {
  for (const side of ["left", "right"]) {
    const over = new Image();
    over.src = reference.src;
    over.alt = "";
    over.className = "over";
    over.draggable = false;
    await over.decode();
    by(side).after(over);
  }
}

async function say(answer) {
  const now = performance.now();
  if (!shown.key || now - shown.at < SETTLE) return;
  const body = { key: shown.key, answer, response_ms: Math.round(now - shown.at), looks: shown.looks };
  shown = { key: "", at: 0, looks: 0, kind: "" };
  for (const button of page.querySelectorAll("button")) button.disabled = true;
  try { show(await ask("/api/answer", body)); } catch (error) { trouble(error); }
}

function watchPictures() {
  for (const side of ["left", "right"]) {
    by(`figure-${side}`).onpointerdown = (event) => { event.preventDefault(); look(true); };
  }
  by("look").onpointerdown = (event) => { event.preventDefault(); look(true); };
  page.oncontextmenu = (event) => { if (event.target.closest("figure, .look")) event.preventDefault(); };
  for (const tab of page.querySelectorAll("[data-show]")) tab.onclick = () => showTab(tab.dataset.show);
}

function look(on) {
  if (!by("pictures") || ("looking" in by("pictures").dataset) === on) return;
  by("pictures").toggleAttribute("data-looking", on);
  if (on) shown.looks += 1;
  by("look").classList.toggle("held", on);
}

function showTab(side) {
  for (const name of ["left", "reference", "right"]) by(`figure-${name}`).classList.toggle("shown", name === side);
  for (const tab of page.querySelectorAll("[data-show]")) tab.classList.toggle("shown", tab.dataset.show === side);
  if (side === "reference") shown.looks += 1;
  if (page.firstElementChild.dataset.layout === "single") place();
}

// --- what comes next --------------------------------------------------------------------------

function words(name, state) {
  open(name);
  if (by("count")) by("count").textContent = `${state.done} of ${state.total}`;
  for (const task of state.tasks) load(task);
  by("go").onclick = () => { told.add(`${name} ${state.done}`); show(state); };
}

function show(state) {
  const read = (name) => told.has(`${name} ${state.done}`);
  page.dataset.stage = state.stage;
  if (state.stage === "display") return showDisplay();
  if (state.stage === "screening" && state.done === 0 && !read("screening")) return words("screening", state);
  if (state.stage === "trials" && state.done === 0 && !read("trials")) return words("trials", state);
  if (state.pause && !read("pause")) return words("pause", state);
  if (state.stage === "done") {
    open("done");
    by("code").textContent = state.code;
    by("back-line").hidden = !study.back;
    if (study.back) by("back").href = study.back.replace("{code}", encodeURIComponent(state.code));
    return undefined;
  }
  if (state.stage === "rejected") return open("rejected");
  return showTask(state).catch(trouble);
}

function welcome() {
  open("welcome");
  by("consent").onchange = () => { by("begin").disabled = !by("consent").checked; };
  by("begin").onclick = async () => {
    by("begin").disabled = true;
    try {
      const crowd = study.crowd ? new URLSearchParams(location.search).get(study.crowd) : null;
      const begun = await ask("/api/begin", crowd ? { consent: true, crowd } : { consent: true });
      study.word = begun.word;
      show(await ask("/api/state", {}));
    } catch (error) { trouble(error); }
  };
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !shown.key) return;
  const keys = shown.kind === "plate"
    ? { n: "none", N: "none", ...Object.fromEntries([..."23456789"].map((digit) => [digit, digit])) }
    : { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie" };
  if (event.key === " " && shown.kind !== "plate") {
    event.preventDefault();
    if (!event.repeat) look(true);
  } else if (keys[event.key] && !event.repeat) {
    event.preventDefault();
    say(keys[event.key]);
  }
});
document.addEventListener("keyup", (event) => { if (event.key === " ") look(false); });
for (const end of ["pointerup", "pointercancel", "blur"]) window.addEventListener(end, () => look(false));
window.addEventListener("resize", () => { if (by("check-size")) checkDisplay(); else place(); });

async function start() {
  study = await ask("/api/study");
  document.title = study.title;
  document.body.toggleAttribute("data-touch", matchMedia("(pointer: coarse)").matches);
  document.body.dataset.layout = layout();
  if (!study.word) return welcome();
  try {
    return show(await ask("/api/state", {}));
  } catch (error) {
    if (error.status === 404) return welcome();
    throw error;
  }
}

start().catch(trouble);
