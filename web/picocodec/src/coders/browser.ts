/** What only a browser can do. */
import type { Piece } from "../format/container.js";
import { CorruptTile, type PicoError } from "../errors.js";
import type { Area } from "../format/tiles.js";
import { copyPixels, emptyRaster, type Raster } from "../images/pixels.js";
import { type Av1Image, toRgb } from "./av1.js";
import { type LosslessImage, streamOfWebp } from "./lossless.js";

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
    new CorruptTile(`the ${kind} file of tile ${tiles[0]} ${what}`);
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

/**
 * The lossless WebP stream of an opaque area by the browser's own encoder; null in browsers whose
 * encoder is lossy, or that have none.
 */
export async function losslessStream(
  picture: Raster,
  area: Area,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const { width, height } = area;
  const part = emptyRaster(area);
  copyPixels(picture, part, area);
  for (let at = 3; at < part.data.length; at += 4) part.data[at] = 255;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true })!;
  context.putImageData(new ImageData(part.data, width, height), 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/webp", quality: 1 });
  return streamOfWebp(new Uint8Array(await blob.arrayBuffer()), width, height);
}
