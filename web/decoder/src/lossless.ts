/** Tiles and blocks of tiles kept without loss, as WebP files: docs/format.md, section 3. */
import { isAv1 } from "./av1.js";
import { type Header, Mode } from "./container.js";
import { PicoError } from "./errors.js";
import { type Area, type Piece, pieceOf } from "./pieces.js";

export interface LosslessImage extends Piece {
  /** A lossless WebP file of the area, opaque, for a browser or a library to decode. */
  readonly webp: Uint8Array<ArrayBuffer>;
}

const HEAD = 25; // bytes of a WebP file before what modes 3 and 4 keep of it ...
const CHUNK = 20; // ... and before its only chunk's data, which begin with these:
const SIGNATURE = 0x2f;

/**
 * What shows tile `index`, of mode 1 to 4, and the tiles that share its block. Whether its stream
 * is sound is left to the WebP decoder; where that fails, the tile is a `CorruptTile`.
 */
export function losslessImage(file: Uint8Array, header: Header, index: number): LosslessImage {
  const { mode } = header.tiles[index]!;
  if (mode === Mode.Learned || isAv1(mode)) {
    throw new RangeError(`tile ${index} has mode ${mode}, which is not lossless`);
  }
  const { area, tiles, data } = pieceOf(file, header, index);
  const isFile = mode === Mode.WebP || mode === Mode.WebPBlock;
  return { area, tiles, webp: webpOf(isFile ? streamIn(data, area, index) : data, area) };
}

/** The stream within a WebP file, less its first five bytes; the file must be of nothing else. */
function streamIn(data: Uint8Array, area: Area, index: number): Uint8Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const tag = (at: number): string => String.fromCharCode(...data.subarray(at, at + 4));
  const isPlain =
    data.length >= HEAD &&
    tag(0) === "RIFF" &&
    view.getUint32(4, true) === data.length - 8 &&
    tag(8) === "WEBP" &&
    tag(12) === "VP8L" &&
    paddedTo(CHUNK + view.getUint32(16, true)) === data.length &&
    data[CHUNK] === SIGNATURE;
  if (!isPlain) {
    throw new PicoError("CorruptTile", `tile ${index} is not a plain lossless WebP file`);
  }
  const end = CHUNK + view.getUint32(16, true);
  const bits = view.getUint32(CHUNK + 1, true);
  if (bits >>> 29 !== 0 || data.subarray(end).some((byte) => byte !== 0)) {
    throw new PicoError("CorruptTile", `tile ${index} is not a plain lossless WebP file`);
  }
  const [width, height] = [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
  if (width !== area.width || height !== area.height) {
    throw new PicoError(
      "CorruptTile",
      `tile ${index} has ${width}x${height} pixels for ${area.width}x${area.height}`,
    );
  }
  return data.subarray(HEAD, end);
}

function webpOf(stream: Uint8Array, { width, height }: Area): Uint8Array<ArrayBuffer> {
  const webp = new Uint8Array(paddedTo(HEAD + stream.length));
  const view = new DataView(webp.buffer);
  webp.set(new TextEncoder().encode("RIFF    WEBPVP8L"));
  view.setUint32(4, webp.length - 8, true);
  view.setUint32(16, HEAD - CHUNK + stream.length, true);
  webp[CHUNK] = SIGNATURE;
  view.setUint32(CHUNK + 1, (width - 1) | ((height - 1) << 14), true);
  webp.set(stream, HEAD);
  return webp;
}

function paddedTo(length: number): number {
  return length + (length % 2);
}
