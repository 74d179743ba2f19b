/** What only a browser can do. */
import { type Av1Image, toRgb } from "./av1.js";
import type { Piece } from "./container.js";
import { PicoError } from "./errors.js";
import type { LosslessImage } from "./lossless.js";

/** The pixels of a lossless image, exactly, by the browser's own WebP decoder. */
export async function losslessPixels(image: LosslessImage): Promise<ImageData> {
  return pixelsOf(image, image.webp, "WebP");
}

/**
 * The pixels of an AV1 image, exactly, by the browser's own AVIF decoder: it gives planes, since
 * the file says that they are colours. (So does Chromium's WebCodecs, for no gain.)
 */
export async function av1Pixels(image: Av1Image): Promise<ImageData> {
  const pixels = await pixelsOf(image, image.avif, "AVIF");
  toRgb(pixels.data);
  return pixels;
}

async function pixelsOf(
  { area: { width, height }, tiles }: Piece,
  file: Uint8Array<ArrayBuffer>,
  kind: "WebP" | "AVIF",
): Promise<ImageData> {
  const wrong = (what: string): PicoError =>
    new PicoError("CorruptTile", `the ${kind} file of tile ${tiles[0]} ${what}`);
  let bitmap: ImageBitmap;
  try {
    const blob = new Blob([file], { type: `image/${kind.toLowerCase()}` });
    bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  } catch {
    throw wrong("cannot be read");
  }
  if (bitmap.width !== width || bitmap.height !== height) {
    throw wrong(`has ${bitmap.width}x${bitmap.height} pixels for ${width}x${height}`);
  }
  // In memory rather than in a GPU, which might round.
  const settings = { alpha: false, willReadFrequently: true };
  const context = new OffscreenCanvas(width, height).getContext("2d", settings)!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}
