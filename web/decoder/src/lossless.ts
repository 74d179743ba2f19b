/** Tiles and blocks of tiles kept without loss, as WebP files: docs/format.md, section 3. */
import { BLOCK, type Header, Mode, tileData } from "./container.js";
import { PicoError } from "./errors.js";

/** Part of a picture, in pixels. */
export interface Area {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

export interface LosslessImage {
  readonly area: Area;
  /** The numbers of the tiles that lie in it, in rising order. */
  readonly tiles: readonly number[];
  /** A lossless WebP file of the area, opaque, for a browser or a library to decode. */
  readonly webp: Uint8Array<ArrayBuffer>;
}

const HEAD = 25; // bytes of a WebP file before what modes 3 and 4 keep of it ...
const CHUNK = 20; // ... and before its only chunk's data, which begin with these:
const SIGNATURE = 0x2f;
const JOINED: readonly number[] = [Mode.WebPBlock, Mode.Block];

/**
 * What shows tile `index`, of any mode but 0, and the tiles that share its block. Whether its
 * stream is sound is left to the WebP decoder; where that fails, the tile is a `CorruptTile`.
 */
export function losslessImage(file: Uint8Array, header: Header, index: number): LosslessImage {
  const { mode } = header.tiles[index]!;
  if (mode === Mode.Learned) throw new RangeError(`tile ${index} is not lossless, but symbols`);
  const tiles = JOINED.includes(mode) ? blockAround(header, index) : [index];
  const first = header.tiles[tiles[0]!]!;
  const last = header.tiles[tiles.at(-1)!]!;
  const area = {
    top: first.top,
    left: first.left,
    height: last.top + last.height - first.top,
    width: last.left + last.width - first.left,
  };
  const data = tileData(file, header, tiles[0]!);
  const isFile = mode === Mode.WebP || mode === Mode.WebPBlock;
  return { area, tiles, webp: webpOf(isFile ? streamIn(data, area, index) : data, area) };
}

/** The tiles of the block of tile `index`, all of one mode and the first with all the data. */
function blockAround(header: Header, index: number): number[] {
  const columns = header.columns;
  const rows = header.tiles.length / columns;
  const row = Math.floor(index / columns / BLOCK) * BLOCK;
  const column = Math.floor((index % columns) / BLOCK) * BLOCK;
  const members: number[] = [];
  for (let r = row; r < Math.min(row + BLOCK, rows); r++) {
    for (let c = column; c < Math.min(column + BLOCK, columns); c++) members.push(r * columns + c);
  }
  for (const member of members) {
    const { mode, length, crc } = header.tiles[member]!;
    if (mode !== header.tiles[index]!.mode) {
      throw new PicoError("CorruptTile", `tile ${member} is of another mode than its block`);
    }
    if (member !== members[0] && (length !== 0 || crc !== 0)) {
      throw new PicoError("CorruptTile", `tile ${member} has data beside its block's`);
    }
  }
  return members;
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
