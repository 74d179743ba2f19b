/** Pixels in memory: RGBA bytes, and the networks' canvases of floats. */
import { type Area, common, MARGIN, Z_STEP } from "../format/tiles.js";
import type { Floats } from "../model/tensors.js";

/** Red, green, blue and alpha of what `area` has of a picture, as `ImageData` holds them. */
export interface Raster {
  readonly area: Area;
  readonly data: Uint8ClampedArray<ArrayBuffer>;
}

/** An opaque, black one. */
export function emptyRaster(area: Area): Raster {
  const data = new Uint8ClampedArray(4 * area.width * area.height);
  new Uint32Array(data.buffer).fill(new Uint32Array(Uint8Array.of(0, 0, 0, 255).buffer)[0]!);
  return { area, data };
}

/** Copies what `part` of a picture has in both. */
export function copyPixels(from: Raster, to: Raster, part: Area): void {
  const shared = common(part, common(from.area, to.area));
  for (let row = 0; row < shared.height; row++) {
    const start = indexOf(from, shared.top + row, shared.left);
    const rgba = from.data.subarray(start, start + 4 * Math.max(shared.width, 0));
    to.data.set(rgba, indexOf(to, shared.top + row, shared.left));
  }
}

/** Where a pixel of the picture lies in a raster. */
export function indexOf({ area }: Raster, row: number, column: number): number {
  return 4 * ((row - area.top) * area.width + column - area.left);
}

/**
 * A value of 0 to 1, for an array that clamps: it rounds halves to the even byte, as Python does,
 * and makes 0 of what is not a number.
 */
export function toByte(value: number): number {
  return Math.fround(value * 255);
}

/**
 * Writes what a tile owns of its decoded canvas `[1, 3, H, W]`, which begins `margin` pixels before
 * it, to a raster.
 */
export function paintCanvas(canvas: Floats, tile: Area, margin: number, to: Raster): void {
  const [height, width] = [canvas.shape[2]!, canvas.shape[3]!];
  const plane = height * width;
  const shared = common(tile, to.area);
  for (let row = shared.top; row < shared.top + shared.height; row++) {
    let from = (row - tile.top + margin) * width + shared.left - tile.left + margin;
    let at = indexOf(to, row, shared.left);
    for (let column = 0; column < shared.width; column++, from++, at += 4) {
      to.data[at] = toByte(canvas.data[from]!);
      to.data[at + 1] = toByte(canvas.data[from + plane]!);
      to.data[at + 2] = toByte(canvas.data[from + 2 * plane]!);
    }
  }
}

/**
 * What the networks see of a tile, `[1, 3, H, W]` of 0 to 1: the tile with its margin, its last row
 * and column repeated up to whole positions of z. Beyond the picture its outermost pixels repeat.
 */
export function canvasOf(picture: Raster, tile: Area): Floats {
  const height = Z_STEP * Math.ceil((tile.height + 2 * MARGIN) / Z_STEP);
  const width = Z_STEP * Math.ceil((tile.width + 2 * MARGIN) / Z_STEP);
  const data = new Float32Array(3 * height * width);
  const { area } = picture;
  const columns = Int32Array.from({ length: width }, (_, c) =>
    4 * within(tile.left - MARGIN + Math.min(c, tile.width + 2 * MARGIN - 1), area.width),
  );
  let at = 0;
  for (let channel = 0; channel < 3; channel++) {
    for (let r = 0; r < height; r++) {
      const row = within(tile.top - MARGIN + Math.min(r, tile.height + 2 * MARGIN - 1), area.height);
      const start = indexOf(picture, row, 0) + channel;
      for (let c = 0; c < width; c++) data[at++] = picture.data[start + columns[c]!]! / 255;
    }
  }
  return { data, shape: [1, 3, height, width] };
}

function within(position: number, length: number): number {
  return Math.min(Math.max(position, 0), length - 1);
}

/** Replaces the colours of a part by the mean of each pixel's three. */
export function makeGray(raster: Raster, part: Area): void {
  const shared = common(part, raster.area);
  const { data } = raster;
  for (let row = shared.top; row < shared.top + shared.height; row++) {
    const start = indexOf(raster, row, shared.left);
    for (let at = start; at < start + 4 * shared.width; at += 4) {
      // A sum of three bytes is never half way between two multiples of three.
      const mean = Math.round((data[at]! + data[at + 1]! + data[at + 2]!) / 3);
      data[at] = data[at + 1] = data[at + 2] = mean;
    }
  }
}
