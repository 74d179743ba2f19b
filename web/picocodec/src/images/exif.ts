/** The orientation in EXIF (CIPA DC-008), and pixels turned by it. */
import type { Raster } from "./pixels.js";

const ORIENTATION = 274;
const SHORT = 3;
const LONG = 4;

/** 1 to 8 as EXIF numbers them; 1, upright, where it says nothing or is broken. */
export function orientationOf(exif: Uint8Array | null): number {
  if (!exif || exif.length < 8) return 1;
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  const order = String.fromCharCode(exif[0]!, exif[1]!);
  if (order !== "II" && order !== "MM") return 1;
  const little = order === "II";
  const start = view.getUint32(4, little);
  if (view.getUint16(2, little) !== 42 || start + 2 > exif.length) return 1;
  const count = view.getUint16(start, little);
  for (let i = 0; i < count; i++) {
    const at = start + 2 + 12 * i;
    if (at + 12 > exif.length) return 1;
    if (view.getUint16(at, little) !== ORIENTATION) continue;
    const kind = view.getUint16(at + 2, little);
    const value =
      kind === SHORT ? view.getUint16(at + 8, little)
      : kind === LONG ? view.getUint32(at + 8, little)
      : 1;
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** A whole picture as it is to be seen. */
export function turned({ area, data }: Raster, orientation: number): Raster {
  if (orientation === 1) return { area, data };
  const swaps = orientation >= 5;
  const [width, height] = swaps ? [area.height, area.width] : [area.width, area.height];
  const from = new Uint32Array(data.buffer, data.byteOffset, data.length / 4);
  const to = new Uint32Array(from.length);
  const upsideDown = [3, 4, 7, 8].includes(orientation);
  const mirrored = [2, 3, 6, 7].includes(orientation);
  for (let row = 0; row < height; row++) {
    const r = upsideDown ? height - 1 - row : row;
    for (let column = 0; column < width; column++) {
      const c = mirrored ? width - 1 - column : column;
      to[row * width + column] = from[swaps ? c * area.width + r : r * area.width + c]!;
    }
  }
  return {
    area: { top: 0, left: 0, height, width },
    data: new Uint8ClampedArray(to.buffer),
  };
}
