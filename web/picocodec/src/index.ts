/**
 * .pico pictures in the browser: `decode`, `encode`, `readInfo`. The work is done in a worker of
 * this package, which fetches the networks when they are first needed.
 */
import { Codec } from "./codec.js";
import type { DecodeOptions, EncodeOptions, Settings } from "./codec.js";
import type { Decoded } from "./messages.js";
import type { Source } from "./images/reading.js";

export { Codec, type DecodeOptions, type EncodeOptions, type Settings } from "./codec.js";
export * from "./errors.js";
export type { Source } from "./images/reading.js";
export { type Info, readInfo } from "./info.js";
export type { Backend, Decoded, Gpu, Progress } from "./messages.js";

let settings: Settings = {};
let shared: Codec | null = null;

/** Says where the package's files lie and how many threads it may use; before the first picture. */
export function configure(chosen: Settings): void {
  settings = chosen;
  shared?.close();
  shared = null;
}

function codec(): Codec {
  return (shared ??= new Codec(settings));
}

/** The pixels of a .pico file, upright and in sRGB unless the options say otherwise. */
export async function decode(
  file: Uint8Array | ArrayBuffer | Blob,
  options: DecodeOptions = {},
): Promise<ImageData> {
  const { data, width, height } = await codec().decode(file, options);
  return new ImageData(data, width, height);
}

/** The same with what else the file has: profile, EXIF, XMP. */
export async function decodePicture(
  file: Uint8Array | ArrayBuffer | Blob,
  options: DecodeOptions = {},
): Promise<Decoded> {
  return codec().decode(file, options);
}

/** The .pico file of a picture. */
export async function encode(
  source: Source,
  options: EncodeOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  return codec().encode(source, options);
}
