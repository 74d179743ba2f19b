/** Whatever holds a picture in a browser, to its pixels and metadata. */
import { UnsupportedImage } from "../errors.js";
import { openContainer } from "./containers.js";
import { type Metadata, NO_METADATA } from "./metadata.js";
import type { Raster } from "./pixels.js";
import type { AlphaPixels } from "./png.js";

/** What can be encoded; a `File` is a `Blob`, too. */
export type Source = ImageData | ImageBitmap | Blob;

export interface Picture extends Metadata {
  readonly raster: Raster;
}

/** Rows that are read from a canvas at once, so that there is no second copy of a large picture. */
const ROWS = 256;

/**
 * Files of JPEG, PNG and WebP keep their samples, profile, EXIF and XMP; of all else the browser
 * gives upright pixels in sRGB. Throws `UnsupportedImage` for what it cannot read.
 */
export async function readPicture(source: Source): Promise<Picture> {
  if (source instanceof ImageData) {
    const area = { top: 0, left: 0, height: source.height, width: source.width };
    const data = source.data as Uint8ClampedArray<ArrayBuffer>;
    return { raster: { area, data }, ...NO_METADATA };
  }
  if (source instanceof ImageBitmap) return { raster: rasterOf(source), ...NO_METADATA };
  const opened = await openContainer(new Uint8Array(await source.arrayBuffer()));
  if (!opened) return { raster: rasterOf(await bitmapOf(source, "default")), ...NO_METADATA };
  const { metadata, pixels, opaque } = opened;
  if (pixels) return { raster: rasterOfPixels(pixels), ...metadata };
  const blob = (file: Uint8Array<ArrayBuffer>): Blob => new Blob([file], { type: source.type });
  const raster = rasterOf(await bitmapOf(blob(opened.file), metadata.icc ? "none" : "default"));
  if (opaque) {
    // Anything but "none" makes Chromium weigh by the alpha that the file says it has not.
    const { data } = rasterOf(await bitmapOf(blob(opaque), "none"), false);
    for (let at = 3; at < data.length; at += 4) data[at] = raster.data[at]!;
    raster.data.set(data);
  }
  return { raster, ...metadata };
}

function rasterOfPixels({ width, height, channels, samples }: AlphaPixels): Raster {
  const area = { top: 0, left: 0, height, width };
  if (channels === 4) return { area, data: new Uint8ClampedArray(samples.buffer) };
  const data = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < width * height; i++) {
    data.fill(samples[2 * i]!, 4 * i, 4 * i + 3);
    data[4 * i + 3] = samples[2 * i + 1]!;
  }
  return { area, data };
}

async function bitmapOf(file: Blob, conversion: ColorSpaceConversion): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file, { colorSpaceConversion: conversion });
  } catch {
    throw new UnsupportedImage(
      `this browser cannot read the picture${file.type ? ` (${file.type})` : ""}: ` +
        "it is damaged, or of a kind that it does not know",
    );
  }
}

function rasterOf(bitmap: ImageBitmap, alpha = true): Raster {
  const { height, width } = bitmap;
  const data = new Uint8ClampedArray(4 * width * height);
  const canvas = new OffscreenCanvas(width, Math.min(height, ROWS));
  const context = canvas.getContext("2d", { alpha, willReadFrequently: true })!;
  for (let top = 0; top < height; top += ROWS) {
    const rows = Math.min(ROWS, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -top);
    data.set(context.getImageData(0, 0, width, rows).data, 4 * width * top);
  }
  bitmap.close();
  return { area: { top: 0, left: 0, height, width }, data };
}
