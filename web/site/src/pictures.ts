/** A picture on the page: what was opened, and what was made of it. */
import type { Codec } from "../../picocodec/src/codec.js";
import { type Info, readInfo } from "../../picocodec/src/info.js";
import type { Decoded, Progress } from "../../picocodec/src/messages.js";

/** A .pico file and what it shows. */
export interface Made {
  readonly file: Uint8Array<ArrayBuffer>;
  readonly info: Info;
  readonly view: HTMLCanvasElement;
}

export type Rate = { readonly quality: number } | { readonly targetSize: number };

/** A photo, to be shrunk; or a .pico file, to be looked at. */
export interface Picture {
  readonly name: string;
  readonly kind: "photo" | "pico";
  /** Of what was opened. */
  readonly bytes: number;
  readonly blob: Blob;
  readonly width: number;
  readonly height: number;
  /** A photo as the browser shows it; a .pico file at realism 0, once that was asked for. */
  before: HTMLElement | null;
  made: Made | null;
  /** What `made` was made with, so that nothing is made twice. */
  key: string;
  readonly thumbnail: HTMLElement;
}

export interface Work {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

const SIGNATURE = [0x8a, 0x50, 0x49, 0x43];
const THUMBNAIL = 152; // pixels

/** Opens whatever it is; throws an error for people to read. */
export async function openPicture(file: File): Promise<Picture> {
  const start = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  const isPico = SIGNATURE.every((byte, i) => start[i] === byte);
  const shared = { name: file.name, bytes: file.size, blob: file, made: null, key: "" };
  if (isPico || file.name.toLowerCase().endsWith(".pico")) {
    const info = await readInfo(new Uint8Array(await file.arrayBuffer()));
    const [width, height] =
      info.orientation >= 5 ? [info.height, info.width] : [info.width, info.height];
    const thumbnail = document.createElement("canvas");
    return { ...shared, kind: "pico", width, height, before: null, thumbnail };
  }
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error("This browser cannot read it as a picture.");
  }
  const { width, height } = bitmap;
  const thumbnail = thumbnailOf(bitmap, width, height);
  bitmap.close();
  const before = new Image();
  before.src = URL.createObjectURL(file);
  before.alt = "";
  await before.decode();
  return { ...shared, kind: "photo", width, height, before, thumbnail };
}

/** Encodes a photo, then decodes what became of it. */
export async function shrink(
  picture: Picture,
  codec: Codec,
  rate: Rate,
  metadata: boolean,
  work: Work,
): Promise<Made> {
  const file = await codec.encode(picture.blob, { ...rate, metadata, ...work });
  return { file, info: await readInfo(file), view: canvasOf(await codec.decode(file, work)) };
}

/** Decodes a .pico file. */
export async function look(
  picture: Picture,
  codec: Codec,
  realism: number | null,
  work: Work,
): Promise<Made> {
  const file = new Uint8Array(await picture.blob.arrayBuffer());
  const info = await readInfo(file);
  const options = realism === null ? work : { ...work, realism };
  return { file, info, view: canvasOf(await codec.decode(file, options)) };
}

export function canvasOf({ data, width, height }: Decoded): HTMLCanvasElement {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d")!.putImageData(new ImageData(data, width, height), 0, 0);
  return canvas;
}

/** Draws a small picture into a canvas that is there already, or into a new one. */
export function thumbnailOf(
  source: CanvasImageSource,
  width: number,
  height: number,
  into = document.createElement("canvas"),
): HTMLCanvasElement {
  const scale = THUMBNAIL / Math.min(width, height);
  into.width = Math.min(THUMBNAIL * 2, Math.max(1, Math.round(width * scale)));
  into.height = Math.min(THUMBNAIL * 2, Math.max(1, Math.round(height * scale)));
  into.getContext("2d")!.drawImage(source, 0, 0, into.width, into.height);
  return into;
}
