/** Pictures of fewer pixels: means of squares. */
import type { Raster } from "../images/pixels.js";

/**
 * Means of `factor` by `factor` pixels, colours weighted by their alpha; of fewer at the right and
 * at the bottom. Its area's corner is the picture's, divided.
 */
export function reduced({ area, data }: Raster, factor: number): Raster {
  const height = Math.ceil(area.height / factor);
  const width = Math.ceil(area.width / factor);
  const out = new Uint8ClampedArray(4 * width * height);
  let at = 0;
  for (let row = 0; row < height; row++) {
    const lowest = Math.min((row + 1) * factor, area.height);
    for (let column = 0; column < width; column++, at += 4) {
      const last = Math.min((column + 1) * factor, area.width);
      let [red, green, blue, alpha] = [0, 0, 0, 0];
      for (let r = row * factor; r < lowest; r++) {
        for (let c = column * factor; c < last; c++) {
          const from = 4 * (r * area.width + c);
          const weight = data[from + 3]!;
          red += weight * data[from]!;
          green += weight * data[from + 1]!;
          blue += weight * data[from + 2]!;
          alpha += weight;
        }
      }
      const count = (lowest - row * factor) * (last - column * factor);
      out[at] = alpha && Math.floor(red / alpha + 0.5);
      out[at + 1] = alpha && Math.floor(green / alpha + 0.5);
      out[at + 2] = alpha && Math.floor(blue / alpha + 0.5);
      out[at + 3] = Math.floor(alpha / count + 0.5);
    }
  }
  const corner = { top: Math.floor(area.top / factor), left: Math.floor(area.left / factor) };
  return { area: { ...corner, height, width }, data: out };
}
