/**
 * A script for pages without a build step:
 *
 *     <script type="module" src=".../pico-image.js"></script>
 *     <img data-pico="photo.pico" alt="..." width="1200" height="800">
 *
 * Each such picture is shown when it comes near the window: first at an eighth of its sides where
 * the file's model has a preview, then whole. `data-pico-realism` is 0 to 1. The element gets
 * `picoload` and `picoerror` events; `alt` and what `src` shows are left where a file cannot be read.
 */
import { Codec } from "./codec.js";
import { readInfo } from "./info.js";
import type { Decoded } from "./messages.js";

/** Pixels from which on a preview comes before the picture: smaller ones are there at once. */
const PREVIEW_FROM = 600_000;
const PREVIEW_SCALE = 1 / 8;
const NEAR = "400px";

let codec: Codec | null = null;
const seen = new WeakSet<HTMLImageElement>();
const nearby = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      nearby.unobserve(target);
      void show(target as HTMLImageElement);
    }
  },
  { rootMargin: NEAR },
);

async function show(image: HTMLImageElement): Promise<void> {
  try {
    const url = new URL(image.dataset.pico!, document.baseURI);
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url} cannot be fetched: the server says ${response.status}`);
    const file = new Uint8Array(await response.arrayBuffer());
    codec ??= new Codec();
    const realism = image.dataset.picoRealism;
    const options = realism === undefined ? {} : { realism: Number(realism) };
    const { width, height } = await readInfo(file);
    if (width * height >= PREVIEW_FROM) {
      await place(image, await codec.decode(file, { scale: PREVIEW_SCALE }));
      image.dispatchEvent(new CustomEvent("picopreview", { bubbles: true }));
    }
    await place(image, await codec.decode(file, options));
    image.dispatchEvent(new CustomEvent("picoload", { bubbles: true }));
  } catch (error) {
    console.error(error);
    image.dispatchEvent(new CustomEvent("picoerror", { bubbles: true, detail: error }));
  }
}

async function place(image: HTMLImageElement, { data, width, height }: Decoded): Promise<void> {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d")!.putImageData(new ImageData(data, width, height), 0, 0);
  const before = image.src;
  image.src = URL.createObjectURL(await canvas.convertToBlob());
  await image.decode();
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
}

function find(): void {
  for (const image of document.querySelectorAll<HTMLImageElement>("img[data-pico]")) {
    if (seen.has(image)) continue;
    seen.add(image);
    nearby.observe(image);
  }
}

new MutationObserver(find).observe(document, { childList: true, subtree: true });
find();
