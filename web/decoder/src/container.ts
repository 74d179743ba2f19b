/** Bytes to structure: docs/format.md, sections 1 to 5. */
import { crc16, crc32 } from "./checksums.js";
import { PicoError } from "./errors.js";

const SIGNATURE = [0x8a, 0x50, 0x49, 0x43];
const TILE = 504;
const TILE_EXTRA = 64;
/** Pixels that a tile shares with its neighbours, on each side. */
export const MARGIN = 4;
const MAX_SIDE = 2 ** 20;
const MAX_TILES = 2 ** 16;
const MAX_TILE_BYTES = 2 ** 24;
const MAX_CHUNKS = 64;
const MAX_CHUNK_BYTES = 2 ** 26;

export const MAX_PIXELS = 2 ** 28;

/** Tiles to a side of a block. */
export const BLOCK = 4;

/** How a tile is coded: section 3. */
export const Mode = {
  Learned: 0, WebP: 1, WebPBlock: 2, Lossless: 3, Block: 4, Av1: 5, Av1Block: 6,
  Av1Photo: 7,
} as const;

/** What a tile owns, in pixels, and where its data lies in the file. */
export interface Tile {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
  /** Thousandths. */
  readonly level: number;
  readonly mode: number;
  readonly offset: number;
  readonly length: number;
  readonly crc: number;
}

export interface Chunk {
  readonly type: string;
  readonly offset: number;
  readonly length: number;
  readonly crc: number;
}

export interface Header {
  readonly width: number;
  readonly height: number;
  /** Thousandths. */
  readonly level: number;
  /** `name.vN` */
  readonly model: string;
  /** First four bytes of the model's fingerprint, in hexadecimal. */
  readonly check: string;
  readonly gray: boolean;
  /** Whether learned tiles fade into each other: section 4 of the format, the caller's affair. */
  readonly faded: boolean;
  /** 0 to 255 for 0 to 1; null where the file recommends none. */
  readonly realism: number | null;
  readonly tiles: readonly Tile[];
  /** Of tiles. */
  readonly columns: number;
  readonly chunks: readonly Chunk[];
}

/** Rows and columns of z, rows and columns of y, and how many of the latter are coded. */
export interface Grid {
  readonly zRows: number;
  readonly zColumns: number;
  readonly yRows: number;
  readonly yColumns: number;
  readonly usedRows: number;
  readonly usedColumns: number;
}

export function gridOf(tile: Tile): Grid {
  const zRows = Math.ceil((tile.height + 2 * MARGIN) / 64);
  const zColumns = Math.ceil((tile.width + 2 * MARGIN) / 64);
  return {
    zRows,
    zColumns,
    yRows: 4 * zRows,
    yColumns: 4 * zColumns,
    usedRows: Math.ceil((tile.height + 2 * MARGIN) / 16),
    usedColumns: Math.ceil((tile.width + 2 * MARGIN) / 16),
  };
}

/** The header of a whole file, checked with the file's length. Throws `PicoError`. */
export function readHeader(file: Uint8Array, maxPixels = MAX_PIXELS): Header {
  // A file cut within its signature is a truncated one.
  if (file.length === 0 || SIGNATURE.some((byte, i) => i < file.length && file[i] !== byte)) {
    throw new PicoError("NotAPicoFile", "the signature of a .pico file is not there");
  }
  const cursor = new Cursor(file, SIGNATURE.length);
  const version = cursor.byte();
  if (version !== 1) throw new PicoError("UnsupportedVersion", `format version ${version}`);
  const flags = cursor.byte();
  if (flags > 31) throw new PicoError("CorruptHeader", `unknown flags ${flags}`);
  const width = cursor.varint() + 1;
  const height = cursor.varint() + 1;
  if (Math.max(width, height) > MAX_SIDE) {
    throw new PicoError("CorruptHeader", `a picture of ${width}x${height} pixels`);
  }
  if (width * height > maxPixels) {
    throw new PicoError("LimitExceeded", `${width}x${height} pixels, more than ${maxPixels}`);
  }
  const [rows, columns] = [[...spans(height)], [...spans(width)]];
  if (rows.length * columns.length > MAX_TILES) {
    throw new PicoError("CorruptHeader", `${rows.length * columns.length} tiles`);
  }
  const level = cursor.level();
  const name = ascii(cursor.take(cursor.byte()));
  if (!/^[a-z][a-z0-9-]{0,15}$/.test(name)) {
    throw new PicoError("CorruptHeader", "the name of the model is none");
  }
  const model = `${name}.v${cursor.byte()}`;
  const check = Array.from(cursor.take(4), (b) => b.toString(16).padStart(2, "0")).join("");
  const realism = flags & 2 ? cursor.byte() : null;

  // Offsets are relative to the header's end until that is known.
  let offset = 0;
  const tiles: Tile[] = [];
  for (const [top, tileHeight] of rows) {
    for (const [left, tileWidth] of columns) {
      const mode = flags & 1 ? cursor.byte() : 0;
      const tileLevel = flags & 1 ? cursor.level() : level;
      const length = cursor.varint();
      if (length > MAX_TILE_BYTES) {
        throw new PicoError("CorruptHeader", `tile ${tiles.length} of ${length} bytes`);
      }
      const crc = cursor.uint(4);
      tiles.push({
        top, left, height: tileHeight, width: tileWidth, level: tileLevel, mode, offset, length, crc,
      });
      offset += length;
    }
  }
  const chunks: Chunk[] = [];
  const count = flags & 4 ? cursor.varint() : 0;
  if (count > MAX_CHUNKS) throw new PicoError("CorruptHeader", `${count} chunks`);
  for (let i = 0; i < count; i++) {
    const type = ascii(cursor.take(4));
    const length = cursor.varint();
    if (length > MAX_CHUNK_BYTES) {
      throw new PicoError("CorruptHeader", `chunk ${type} of ${length} bytes`);
    }
    chunks.push({ type, offset, length, crc: cursor.uint(4) });
    offset += length;
  }
  const computed = crc16(file.subarray(0, cursor.at));
  if (cursor.uint(2) !== computed) {
    throw new PicoError("CorruptHeader", "the header does not match its checksum");
  }
  for (const { type } of chunks) {
    if (!/^[A-Za-z ]{4}$/.test(type)) throw new PicoError("CorruptHeader", "a chunk of no type");
    if (/^[A-Z]/.test(type)) throw new PicoError("UnsupportedVersion", `chunk ${type}`);
  }
  const start = cursor.at;
  if (file.length < start + offset) {
    throw new PicoError("Truncated", `the file ends after ${file.length} of ${start + offset} bytes`);
  }
  if (file.length > start + offset) {
    throw new PicoError("CorruptHeader", "bytes follow the end of the file");
  }
  return {
    width, height, level, model, check, gray: (flags & 8) !== 0, faded: (flags & 16) !== 0, realism,
    columns: columns.length,
    tiles: tiles.map((tile) => ({ ...tile, offset: start + tile.offset })),
    chunks: chunks.map((chunk) => ({ ...chunk, offset: start + chunk.offset })),
  };
}

/** The data of tile `index`, its checksum verified. */
export function tileData(file: Uint8Array, header: Header, index: number): Uint8Array {
  const { mode, offset, length, crc } = header.tiles[index]!;
  if (mode > Mode.Av1Photo) {
    throw new PicoError("UnsupportedVersion", `tile ${index} has mode ${mode}`);
  }
  const data = file.subarray(offset, offset + length);
  if (crc32(data) !== crc) {
    throw new PicoError("CorruptTile", `tile ${index} does not match its checksum`);
  }
  return data;
}

/** The data of every chunk by type, as it is stored, checksums verified. */
export function chunkData(file: Uint8Array, header: Header): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const { type, offset, length, crc } of header.chunks) {
    const data = file.subarray(offset, offset + length);
    if (found.has(type)) throw new PicoError("CorruptChunk", `${type} appears twice`);
    if (crc32(data) !== crc) {
      throw new PicoError("CorruptChunk", `${type} does not match its checksum`);
    }
    found.set(type, data);
  }
  return found;
}

/** Start and length of each tile along a side. */
function* spans(side: number): Generator<[start: number, length: number]> {
  const count = Math.max(1, Math.ceil((side - TILE_EXTRA) / TILE));
  for (let i = 0; i < count; i++) {
    yield [i * TILE, i < count - 1 ? TILE : side - i * TILE];
  }
}

function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

class Cursor {
  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
  ) {}

  take(count: number): Uint8Array {
    if (this.at + count > this.bytes.length) {
      throw new PicoError("Truncated", "the file ends within its header");
    }
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  byte(): number {
    return this.take(1)[0]!;
  }

  /** A little-endian integer of `count` bytes. */
  uint(count: number): number {
    return this.take(count).reduceRight((value, byte) => 256 * value + byte, 0);
  }

  level(): number {
    const level = this.uint(2);
    if (level > 1000) throw new PicoError("CorruptHeader", `level ${level} of 1000`);
    return level;
  }

  varint(): number {
    let value = 0;
    for (let i = 0; i < 5; i++) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** (7 * i); // 35 bits do not fit bitwise operators
      if (byte < 0x80) {
        if (byte === 0 && i > 0) break;
        return value;
      }
    }
    throw new PicoError("CorruptHeader", "a number is not in its shortest form");
  }
}
