/** What only a browser can do. */
import { PicoError } from "./errors.js";
import type { LosslessImage } from "./lossless.js";

/** The pixels of a lossless image, exactly, by the browser's own WebP decoder. */
export async function losslessPixels({ area, webp, tiles }: LosslessImage): Promise<ImageData> {
  const { width, height } = area;
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([webp], { type: "image/webp" }), {
      colorSpaceConversion: "none",
    });
  } catch {
    throw new PicoError("CorruptTile", `the WebP stream of tile ${tiles[0]} cannot be read`);
  }
  const context = new OffscreenCanvas(width, height).getContext("2d", { alpha: false })!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}
