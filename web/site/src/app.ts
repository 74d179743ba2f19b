/** The page: pictures dropped, shrunk or opened, compared and saved. */
import "../../../src/picolab/evaluation/viewer/compare.js";
import { Codec } from "../../picocodec/src/codec.js";
import type { Progress } from "../../picocodec/src/messages.js";
import { by, input } from "./elements.js";
import { drawParts, tellParts } from "./parts.js";
import { Peers } from "./peering.js";
import {
  look, type Made, openPicture, type Picture, type Rate, shrink, thumbnailOf,
} from "./pictures.js";
import { followTheme } from "./theme.js";
import { bytesIn, megapixels, renamed } from "./words.js";
import { zipOf } from "./zip.js";

/** Milliseconds that a slider must rest before the picture is made again. */
const REST = 350;
/** The smallest target, as a share of what was opened, and how many times that is the largest. */
const [LEAST_SHARE, SHARES] = [0.005, 100];
const OURS = "picocodec";

const compare = by<PicoCompare>("compare");
const codec = new Codec({ assets: "./" });
const peers = new Peers();
const pictures: Picture[] = [];
let current: Picture | null = null;
let stop: AbortController | null = null;
let resting = 0;

async function add(files: Iterable<File>): Promise<void> {
  tellError("");
  for (const file of files) {
    try {
      const picture = await openPicture(file);
      pictures.push(picture);
      addThumbnail(picture);
      if (!current) select(picture);
    } catch (error) {
      tellError(`${file.name}: ${wordsOf(error)}`);
    }
  }
  document.body.classList.toggle("working", pictures.length > 0);
  by("hero").hidden = pictures.length > 0;
  by("work").hidden = pictures.length === 0;
  by("save-all").hidden = pictures.length < 2;
  compare.fit();
  void makeNext();
}

function select(picture: Picture): void {
  current = picture;
  for (const each of pictures) {
    each.thumbnail.parentElement?.setAttribute("aria-pressed", String(each === picture));
  }
  by("name").textContent = picture.name;
  const isPhoto = picture.kind === "photo";
  for (const id of ["rate-group", "peer-group", "metadata-row"]) by(id).hidden = !isPhoto;
  by("save").textContent = isPhoto ? "Save .pico" : "Save PNG";
  refresh();
  void makeNext();
}

function rateFor(picture: Picture): Rate {
  return input("quality-row-shown").checked
    ? { quality: input("quality").valueAsNumber }
    : { targetSize: Math.max(1, Math.round(shareOfTarget() * picture.bytes)) };
}

function shareOfTarget(): number {
  return LEAST_SHARE * SHARES ** (input("target").valueAsNumber / 100);
}

/** What a picture is to be made with: changes where any of that changes. */
function keyOf(picture: Picture): string {
  if (picture.kind === "photo") {
    return JSON.stringify([rateFor(picture), input("metadata").checked]);
  }
  return input("realism").dataset.moved ?? "as recommended";
}

/** Makes the current picture if it is not as it is wanted, or else another that waits. */
async function makeNext(): Promise<void> {
  const wanting = [current, ...pictures].find(
    (picture) => picture && picture.key !== keyOf(picture),
  );
  if (stop || !wanting) return;
  const mine = (stop = new AbortController());
  const key = keyOf(wanting);
  try {
    const made = await make(wanting, mine);
    Object.assign(wanting, { made, key });
    showSize(wanting);
  } catch (error) {
    if (!mine.signal.aborted) {
      wanting.key = key; // another try would end alike
      tellError(`${wanting.name}: ${wordsOf(error)}`);
    }
  }
  if (stop === mine) stop = null;
  by("cover").hidden = true;
  refresh();
  if (!mine.signal.aborted) void makeNext();
}

async function make(picture: Picture, { signal }: AbortController): Promise<Made> {
  const work = {
    signal,
    onProgress: (progress: Progress) => tellProgress(progress, picture),
  };
  cover("Getting ready", picture);
  if (picture.kind === "photo") {
    return shrink(picture, codec, rateFor(picture), input("metadata").checked, work);
  }
  const moved = input("realism").dataset.moved;
  const made = await look(picture, codec, moved === undefined ? null : Number(moved), work);
  if (!picture.before && made.info.learnedTiles) {
    picture.made = made;
    refresh();
    picture.before = (await look(picture, codec, 0, work)).view;
  }
  return made;
}

function again(): void {
  tellSettings();
  clearTimeout(resting);
  resting = window.setTimeout(() => {
    stop?.abort();
    stop = null;
    void makeNext();
  }, REST);
}

/* What is seen. */

function refresh(): void {
  if (!current) return;
  const { made, width, height, kind, bytes } = current;
  by("facts").textContent =
    `${width} × ${height}, ${megapixels(width, height)}, ${bytesIn(bytes)}` +
    (made ? `, ${made.info.bpp.toFixed(2)} bits a pixel` : "");
  by("dial-group").hidden = kind === "photo" || !made?.info.learnedTiles;
  input("save", HTMLButtonElement).disabled = !made;
  showResult(current);
  void showPictures(current);
  showParts();
  tellSettings();
}

function showResult({ made, kind, bytes }: Picture): void {
  const size = kind === "pico" ? bytes : made?.file.length;
  by("size").textContent = size === undefined ? "–" : bytesIn(size);
  by("weights").hidden = kind === "pico";
  if (kind === "pico" || size === undefined) {
    by("saved").textContent = kind === "pico" && made ? `Made with ${made.info.model}` : "";
    return;
  }
  const share = size / bytes;
  by("weights").style.setProperty("--part", `${Math.min(100, 100 * share)}%`);
  const percent = document.createElement("strong");
  percent.textContent =
    share < 1 ? `${(100 * (1 - share)).toFixed(share < 0.1 ? 1 : 0)}% smaller` : "not smaller";
  by("saved").replaceChildren(percent, ` than ${bytesIn(bytes)}`);
}

async function showPictures(picture: Picture): Promise<void> {
  const { made, width, height } = picture;
  const peer = document.querySelector<HTMLInputElement>("input[name=peer]:checked")!.value;
  const hint = by("peer-hint");
  hint.textContent = "";
  let left = { view: beforeOf(picture), label: "Original" };
  if (picture.kind === "pico") left.label = picture.before ? "Closest pixels" : "";
  if (made && picture.kind === "photo" && (peer === "jpeg" || peer === "webp")) {
    const name = peer === "jpeg" ? "JPEG" : "WebP";
    hint.textContent = `Making ${name} of as many bytes…`;
    const found = await peers.at(picture, `image/${peer}`, made.file.length);
    if (current !== picture || picture.made !== made) return;
    hint.textContent = found
      ? `${name} by this browser at quality ${found.quality}: ${bytesIn(found.size)}` +
        (found.size > made.file.length ? ", the least it can." : ", the same bytes or fewer.")
      : `This browser makes no ${name}.`;
    if (found) left = { view: found.view, label: `${name} ${bytesIn(found.size)}` };
  }
  const label = made ? labelOf(picture, made) : "";
  const right = { view: made?.view ?? copyOf(left.view, picture), label };
  compare.show({ width, height, left, right });
}

function labelOf({ kind, before }: Picture, { file }: Made): string {
  if (kind === "photo") return `${OURS} ${bytesIn(file.length)}`;
  return before ? `Realism ${input("realism").value}` : OURS;
}

function beforeOf(picture: Picture): HTMLElement {
  return picture.before ?? copyOf(picture.made?.view ?? null, picture);
}

/** A view is in one place only: a copy for the other side, until there is more to show. */
function copyOf(view: HTMLElement | null, { width, height }: Picture): HTMLElement {
  const copy = document.createElement("canvas");
  if (view instanceof HTMLCanvasElement || view instanceof HTMLImageElement) {
    Object.assign(copy, { width, height });
    copy.getContext("2d")!.drawImage(view, 0, 0, width, height);
  }
  return copy;
}

function showParts(): void {
  const made = current?.made;
  const isOn = by("parts").getAttribute("aria-pressed") === "true" && made;
  compare.overlay = isOn ? drawParts(made.info) : null;
  by("legend").hidden = !isOn;
  if (isOn) by("legend").replaceChildren(...tellParts(made.info));
}

function tellSettings(): void {
  const isQuality = input("quality-row-shown").checked;
  by("quality-row").hidden = !isQuality;
  by("target-row").hidden = isQuality;
  by("quality-value").textContent = input("quality").value;
  by("realism-value").textContent = input("realism").value;
  const target = shareOfTarget() * (current?.bytes ?? 0);
  by("target-value").textContent = bytesIn(Math.round(target));
  input("target").setAttribute("aria-valuetext", by("target-value").textContent ?? "");
}

/* Pictures side by side below. */

function addThumbnail(picture: Picture): void {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "thumb";
  button.title = picture.name;
  button.setAttribute("aria-label", picture.name);
  button.setAttribute("aria-pressed", "false");
  button.append(picture.thumbnail, document.createElement("span"));
  button.addEventListener("click", () => select(picture));
  by("strip").append(button);
}

function showSize({ thumbnail, made, kind, width, height }: Picture): void {
  if (!made) return;
  const label = thumbnail.parentElement?.querySelector("span");
  if (label) label.textContent = bytesIn(made.file.length);
  if (kind === "pico") thumbnailOf(made.view, width, height, thumbnail as HTMLCanvasElement);
}

function remove(): void {
  if (!current) return;
  stop?.abort();
  stop = null;
  const index = pictures.indexOf(current);
  current.thumbnail.parentElement?.remove();
  if (current.before instanceof HTMLImageElement) URL.revokeObjectURL(current.before.src);
  pictures.splice(index, 1);
  current = null;
  input("save", HTMLButtonElement).disabled = true;
  const next = pictures[Math.min(index, pictures.length - 1)];
  if (next) select(next);
  void add([]);
}

/* What goes on. */

const fetched = new Map<string, number>();

function cover(words: string, picture: Picture): void {
  const isSeen = picture === current;
  by("cover").hidden = false;
  by("cover").classList.toggle("over", picture.made !== null || !isSeen);
  by("doing").textContent = isSeen ? words : `${picture.name}: ${words.toLowerCase()}`;
  by("doing-more").textContent = "";
  by("progress").removeAttribute("value");
}

function tellProgress({ phase, done, total, file }: Progress, picture: Picture): void {
  if (phase === "download") {
    fetched.set(file ?? "", done);
    const sum = [...fetched.values()].reduce((all, bytes) => all + bytes, 0);
    cover("Fetching the networks", picture);
    by("doing-more").textContent = `${bytesIn(sum)}, this once`;
    return;
  }
  cover(phase === "encode" ? "Encoding" : "Decoding", picture);
  by("doing-more").textContent = total > 1 ? `${done} of ${total} tiles` : "";
  by("progress").setAttribute("max", String(total));
  by("progress").setAttribute("value", String(done));
}

function tellError(words: string): void {
  by("error").textContent = words;
  by("error").hidden = words === "";
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/* Saving. */

function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function save(): Promise<void> {
  const made = current?.made;
  if (!current || !made) return;
  if (current.kind === "photo") {
    download(new Blob([made.file], { type: "image/pico" }), renamed(current.name, "pico"));
    return;
  }
  const { name } = current;
  made.view.toBlob((blob) => blob && download(blob, renamed(name, "png")), "image/png");
}

function saveAll(): void {
  const taken = new Map<string, number>();
  const entries = pictures.flatMap(({ name, made, kind }) => {
    if (!made || kind !== "photo") return [];
    const plain = renamed(name, "pico");
    const count = taken.get(plain) ?? 0;
    taken.set(plain, count + 1);
    const own = count ? plain.replace(/\.pico$/, `-${count + 1}.pico`) : plain;
    return [{ name: own, data: made.file }];
  });
  if (entries.length) download(zipOf(entries), "pictures.zip");
}

/* Listening. */

function listenToFiles(): void {
  const files = input("files");
  for (const id of ["choose", "add"]) by(id).addEventListener("click", () => files.click());
  files.addEventListener("change", () => {
    void add([...(files.files ?? [])]);
    files.value = "";
  });
  for (const button of document.querySelectorAll<HTMLElement>("[data-sample]")) {
    button.addEventListener("click", async () => {
      const url = button.dataset.sample!;
      const response = await fetch(url);
      const blob = await response.blob();
      void add([new File([blob], url.split("/").at(-1)!, { type: blob.type })]);
    });
  }
  let inside = 0;
  const veil = (change: number): void => {
    inside = Math.max(0, inside + change);
    by("veil").hidden = inside === 0;
  };
  addEventListener("dragenter", () => veil(1));
  addEventListener("dragleave", () => veil(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    veil(-inside);
    void add([...(event.dataTransfer?.files ?? [])]);
  });
  addEventListener("paste", (event) => void add([...(event.clipboardData?.files ?? [])]));
}

function listenToSettings(): void {
  for (const id of ["quality", "target", "metadata"]) by(id).addEventListener("input", again);
  input("realism").addEventListener("input", () => {
    input("realism").dataset.moved = String(input("realism").valueAsNumber / 100);
    again();
  });
  for (const radio of document.querySelectorAll("input[name=rate]")) {
    radio.addEventListener("change", again);
  }
  for (const radio of document.querySelectorAll("input[name=peer]")) {
    radio.addEventListener("change", refresh);
  }
  by("cancel").addEventListener("click", () => {
    stop?.abort();
    stop = null;
    by("cover").hidden = true;
  });
  by("save").addEventListener("click", () => void save());
  by("save-all").addEventListener("click", saveAll);
  by("remove").addEventListener("click", remove);
}

function listenToView(): void {
  const press = (id: string, act: () => void): void => by(id).addEventListener("click", act);
  press("zoom-in", () => compare.zoomTo(compare.zoom * 1.5));
  press("zoom-out", () => compare.zoomTo(compare.zoom / 1.5));
  press("fit", () => compare.fit());
  press("actual", () => compare.zoomTo(1));
  press("flicker", () => (compare.flicker = !compare.flicker));
  press("parts", () => {
    const isOn = by("parts").getAttribute("aria-pressed") === "true";
    by("parts").setAttribute("aria-pressed", String(!isOn));
    showParts();
  });
  compare.addEventListener("view", () => {
    by("zoom").textContent = `${Math.round(100 * compare.zoom)}%`;
    by("flicker").setAttribute("aria-pressed", String(compare.flicker));
  });
}

async function stayOffline(): Promise<void> {
  try {
    await navigator.serviceWorker.register("sw.js");
    await navigator.serviceWorker.ready;
    by("offline").textContent = "Works offline.";
    document.documentElement.dataset.offline = "ready";
  } catch {
    // Not in private windows, nor where the page is not secure: it works all the same.
  }
}

followTheme(by("theme"));
listenToFiles();
listenToSettings();
listenToView();
tellSettings();
void stayOffline();
