/** What texture is made of, the same in every decoder: docs/format.md, section 8. */
import type { Floats } from "./tensors.js";

/** Pixels to one position. */
export const STEP = 8;
const MEAN = 510; // of the sum of four random bytes ...
const DEVIATION = Math.sqrt(21845); // ... and the root of its variance

/**
 * About normal numbers of mean 0 and variance 1, `[1, channels, rows, columns]`, for the positions
 * from `top` and `left`, not negative, of the picture on.
 */
export function noise(
  channels: number,
  rows: number,
  columns: number,
  top: number,
  left: number,
): Floats {
  const data = new Float32Array(channels * rows * columns);
  let at = 0;
  for (let channel = 0; channel < channels; channel++) {
    const ofChannel = mix(channel + 1);
    for (let row = 0; row < rows; row++) {
      const ofRow = mix(ofChannel + top + row);
      for (let column = 0; column < columns; column++) {
        const h = mix(ofRow + left + column);
        const sum = (h & 0xff) + ((h >>> 8) & 0xff) + ((h >>> 16) & 0xff) + (h >>> 24);
        data[at++] = (sum - MEAN) / DEVIATION;
      }
    }
  }
  return { data, shape: [1, channels, rows, columns] };
}

/** A hash, modulo 2^32. */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}
