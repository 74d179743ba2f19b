/** Samples of another colour space, shown: the browser's own colour management, by way of a PNG. */
import type { Raster } from "./pixels.js";
import { chunkBytes } from "./png.js";
import { deflate } from "./zlib.js";

/** Rows that are converted at once. */
const ROWS = 512;
const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const RGBA = 6;

/** The same pixels in sRGB; unchanged where the browser does not take the profile. */
export async function toSrgb(
  picture: Raster,
  icc: Uint8Array<ArrayBuffer>,
  isGray: boolean,
): Promise<Raster> {
  // A gray profile would be refused beside colours; its curve is near enough to sRGB's.
  if (isGray) return picture;
  const { height, width } = picture.area;
  const name = new TextEncoder().encode("icc\0\0");
  const profile = await deflate(icc);
  const iccp = new Uint8Array(name.length + profile.length);
  iccp.set(name);
  iccp.set(profile, name.length);
  const data = new Uint8ClampedArray(picture.data.length);
  const canvas = new OffscreenCanvas(width, Math.min(ROWS, height));
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  for (let top = 0; top < height; top += ROWS) {
    const rows = Math.min(ROWS, height - top);
    const png = await pngOf(picture.data, width, top, rows, iccp);
    const bitmap = await createImageBitmap(png);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    data.set(context.getImageData(0, 0, width, rows).data, 4 * width * top);
  }
  return { area: picture.area, data };
}

async function pngOf(
  data: Uint8ClampedArray,
  width: number,
  top: number,
  rows: number,
  iccp: Uint8Array,
): Promise<Blob> {
  const stride = 4 * width;
  const samples = new Uint8Array(rows * (stride + 1)); // each row behind a filter that does nothing
  for (let row = 0; row < rows; row++) {
    const start = (top + row) * stride;
    samples.set(data.subarray(start, start + stride), row * (stride + 1) + 1);
  }
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, rows);
  header.setUint8(8, 8);
  header.setUint8(9, RGBA);
  const chunks = [
    { type: "IHDR", data: new Uint8Array(header.buffer) },
    { type: "iCCP", data: iccp },
    { type: "IDAT", data: await deflate(samples) },
    { type: "IEND", data: new Uint8Array() },
  ];
  return new Blob([SIGNATURE, ...chunks.map(chunkBytes)], { type: "image/png" });
}
