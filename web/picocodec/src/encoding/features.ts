/** Every cheap look at a tile's pixels: what tells which ways of coding it are worth a try. */
import type { Area } from "../format/tiles.js";
import { indexOf, type Raster } from "../images/pixels.js";

/** Of all pixels, those that equal their left neighbour: noise leaves a photo far fewer. */
const FLAT_SHARE = 0.3;
/** Pixels that equal neither neighbour, for each byte that drawing may take. */
const MOST_NOVEL = 4;

export interface Look {
  /** Whether it looks drawn rather than photographed. */
  readonly drawn: boolean;
  /** log2 of how much brightness differs between neighbours, in steps of 255; at least -4. */
  readonly gradient: number;
}

/** Whether pixels at two positions of `data` have the same colours. */
function isSame(data: ArrayLike<number>, a: number, b: number): boolean {
  return data[a] === data[b] && data[a + 1] === data[b + 1] && data[a + 2] === data[b + 2];
}

export function lookAt(picture: Raster, tile: Area): Look {
  const { data } = picture;
  const { height, width } = tile;
  let [equal, across, down] = [0, 0, 0];
  let above = new Uint8Array(width);
  for (let row = 0; row < height; row++) {
    const brightness = new Uint8Array(width);
    let at = indexOf(picture, tile.top + row, tile.left);
    for (let column = 0; column < width; column++, at += 4) {
      const value =
        (19595 * data[at]! + 38470 * data[at + 1]! + 7471 * data[at + 2]! + 0x8000) >> 16;
      brightness[column] = value;
      if (row) down += Math.abs(value - above[column]!);
      if (!column) continue;
      across += Math.abs(value - brightness[column - 1]!);
      if (isSame(data, at, at - 4)) equal++;
    }
    above = brightness;
  }
  const steps =
    (width > 1 ? across / (height * (width - 1)) : 0) +
    (height > 1 ? down / ((height - 1) * width) : 0);
  return {
    drawn: width > 1 && equal >= FLAT_SHARE * height * (width - 1),
    gradient: Math.log2(Math.max(steps, 1 / 16)),
  };
}

/** Whether there is no hope to draw pixels in `most` bytes: a cheap test before a dear one. */
export function isTooRich(picture: Raster, tile: Area, most: number): boolean {
  const { data, area } = picture;
  let novel = 0;
  for (let row = 1; row < tile.height; row++) {
    let at = indexOf(picture, tile.top + row, tile.left + 1);
    for (let column = 1; column < tile.width; column++, at += 4) {
      if (!isSame(data, at, at - 4) && !isSame(data, at, at - 4 * area.width)) novel++;
    }
  }
  return novel > MOST_NOVEL * most;
}
