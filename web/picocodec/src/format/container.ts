/** Bytes to structure: docs/format.md, sections 1 to 5. */
import { crc16, crc32 } from "./checksums.js";
import {
  CorruptChunk, CorruptHeader, CorruptTile, LimitExceeded, NotAPicoFile, type PicoError, Truncated,
  UnsupportedVersion,
} from "../errors.js";
import { type Area, MARGIN, type Span, spans } from "./tiles.js";

const SIGNATURE = [0x8a, 0x50, 0x49, 0x43];
export const MAX_SIDE = 2 ** 20;
const MAX_TILES = 2 ** 16;
const MAX_PIECE_BYTES = 2 ** 24;
const MAX_CHUNKS = 64;
export const MAX_CHUNK_BYTES = 2 ** 26;

export const MAX_PIXELS = 2 ** 28;

/** How a piece is coded: section 3. */
export const Coder = { Learned: 0, Lossless: 1, Av1: 2 } as const;

/** A tile, or a few tiles that are coded as one, and where its payload lies in the file. */
export interface Piece {
  readonly coder: number;
  /** Thousandths. */
  readonly level: number;
  /** What its tiles own. */
  readonly own: Area;
  /** What its payload covers: the same, or 4 pixels more on each side, beyond the edges, too. */
  readonly area: Area;
  readonly hasMargin: boolean;
  /** The numbers of its tiles, in rising order. */
  readonly tiles: readonly number[];
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
  /** 0 to 255 for 0 to 1; null where the file recommends none. */
  readonly realism: number | null;
  readonly pieces: readonly Piece[];
  /** Of tiles. */
  readonly rows: number;
  readonly columns: number;
  readonly chunks: readonly Chunk[];
}

/** The header of a whole file, checked with the file's length. Throws `PicoError`. */
export function readHeader(file: Uint8Array, maxPixels = MAX_PIXELS): Header {
  // A file cut within its signature is a truncated one.
  if (file.length === 0 || SIGNATURE.some((byte, i) => i < file.length && file[i] !== byte)) {
    throw new NotAPicoFile("the signature of a .pico file is not there");
  }
  const cursor = new Cursor(file, SIGNATURE.length);
  const version = cursor.byte();
  if (version !== 2) throw new UnsupportedVersion(`format version ${version}`);
  const first = cursor.byte();
  const flags = first & 15;
  if (flags > 7) throw new CorruptHeader(`unknown flags ${flags}`);
  const width = cursor.varint() + 1;
  const height = cursor.varint() + 1;
  if (Math.max(width, height) > MAX_SIDE) {
    throw new CorruptHeader(`a picture of ${width}x${height} pixels`);
  }
  if (width * height > maxPixels) {
    throw new LimitExceeded(`${width}x${height} pixels, more than ${maxPixels}`);
  }
  const [rows, columns] = [spans(height), spans(width)];
  if (rows.length * columns.length > MAX_TILES) {
    throw new CorruptHeader(`${rows.length * columns.length} tiles`);
  }
  const level = cursor.level();
  const name = ascii(cursor.take((first >> 4) + 1));
  if (!/^[a-z][a-z0-9-]{0,15}$/.test(name)) {
    throw new CorruptHeader("the name of the model is none");
  }
  const model = `${name}.v${cursor.byte()}`;
  const check = Array.from(cursor.take(4), (b) => b.toString(16).padStart(2, "0")).join("");
  const realism = flags & 2 ? cursor.byte() : null;

  // Offsets are relative to the header's end until that is known.
  let offset = 0;
  const pieces: Piece[] = [];
  const covered: boolean[] = Array(rows.length * columns.length).fill(false);
  for (let at = 0; at >= 0; at = covered.indexOf(false, at)) {
    const piece = readPiece(cursor, level, offset);
    pieces.push(placed(piece, at, rows, columns, covered));
    offset += piece.length;
  }
  const chunks: Chunk[] = [];
  const count = flags & 4 ? cursor.varint() : 0;
  if (count > MAX_CHUNKS || (flags & 4 && count === 0)) {
    throw new CorruptHeader(`${count} chunks`);
  }
  for (let i = 0; i < count; i++) {
    const type = ascii(cursor.take(4));
    const length = cursor.varint();
    if (length > MAX_CHUNK_BYTES) {
      throw new CorruptHeader(`chunk ${type} of ${length} bytes`);
    }
    chunks.push({ type, offset, length, crc: cursor.uint(4) });
    offset += length;
  }
  const computed = crc16(file.subarray(0, cursor.at));
  if (cursor.uint(2) !== computed) {
    throw new CorruptHeader("the header does not match its checksum");
  }
  for (const { type } of chunks) {
    if (!/^[A-Za-z ]{4}$/.test(type)) throw new CorruptHeader("a chunk of no type");
    if (/^[A-Z]/.test(type)) throw new UnsupportedVersion(`chunk ${type}`);
  }
  const start = cursor.at;
  if (file.length < start + offset) {
    throw new Truncated(`the file ends after ${file.length} of ${start + offset} bytes`);
  }
  if (file.length > start + offset) {
    throw new CorruptHeader("bytes follow the end of the file");
  }
  return {
    width, height, level, model, check, gray: (flags & 1) !== 0, realism,
    rows: rows.length,
    columns: columns.length,
    pieces: pieces.map((piece) => ({ ...piece, offset: start + piece.offset })),
    chunks: chunks.map((chunk) => ({ ...chunk, offset: start + chunk.offset })),
  };
}

/** A piece as the table has it, before it is placed. */
interface Entry extends Omit<Piece, "own" | "area" | "tiles"> {
  readonly rows: number;
  readonly columns: number;
}

function readPiece(cursor: Cursor, level: number, offset: number): Entry {
  const wrong = (what: string): PicoError => new CorruptHeader(`a piece ${what}`);
  const kind = cursor.byte();
  const [coder, hasMargin, rows, columns] = [
    kind & 3, (kind & 4) !== 0, ((kind >> 4) & 3) + 1, (kind >> 6) + 1,
  ];
  if (hasMargin && rows * columns > 1) throw wrong("with a margin has several tiles");
  if (coder === Coder.Learned && !hasMargin) throw wrong("is learned and has no margin");
  if (coder === Coder.Lossless && hasMargin) throw wrong("is lossless and has a margin");
  const own = kind & 8 ? cursor.level() : level;
  if (kind & 8 && own === level) throw wrong("has a level that is the picture's");
  const length = cursor.varint();
  if (length > MAX_PIECE_BYTES) throw wrong(`of ${length} bytes`);
  return { coder, hasMargin, rows, columns, level: own, offset, length, crc: cursor.uint(4) };
}

/** A piece from tile `at` on, whose tiles then count as covered. */
function placed(
  { rows, columns, ...piece }: Entry,
  at: number,
  down: readonly Span[],
  across: readonly Span[],
  covered: boolean[],
): Piece {
  const [row, column] = [Math.floor(at / across.length), at % across.length];
  const tiles: number[] = [];
  for (let r = row; r < row + rows; r++) {
    for (let c = column; c < column + columns; c++) tiles.push(r * across.length + c);
  }
  const fits = row + rows <= down.length && column + columns <= across.length;
  if (!fits || tiles.some((tile) => covered[tile])) {
    throw new CorruptHeader("a piece has tiles of another, or that there are none of");
  }
  for (const tile of tiles) covered[tile] = true;
  const [top, lowest] = [down[row]!, down[row + rows - 1]!];
  const [left, last] = [across[column]!, across[column + columns - 1]!];
  const own = {
    top: top[0],
    left: left[0],
    height: lowest[0] + lowest[1] - top[0],
    width: last[0] + last[1] - left[0],
  };
  const margin = piece.hasMargin ? MARGIN : 0;
  const area = {
    top: own.top - margin,
    left: own.left - margin,
    height: own.height + 2 * margin,
    width: own.width + 2 * margin,
  };
  return { ...piece, own, area, tiles };
}

/** The payload of piece `number`, its checksum verified. */
export function payloadOf(file: Uint8Array, header: Header, number: number): Uint8Array {
  const { coder, offset, length, crc, tiles } = header.pieces[number]!;
  if (coder > Coder.Av1) {
    throw new UnsupportedVersion(`tile ${tiles[0]} has coder ${coder}`);
  }
  const data = file.subarray(offset, offset + length);
  if (crc32(data) !== crc) {
    throw new CorruptTile(`tile ${tiles[0]} does not match its checksum`);
  }
  return data;
}

/** The data of every chunk by type, as it is stored, checksums verified. */
export function chunkData(file: Uint8Array, header: Header): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const { type, offset, length, crc } of header.chunks) {
    const data = file.subarray(offset, offset + length);
    if (found.has(type)) throw new CorruptChunk(`${type} appears twice`);
    if (crc32(data) !== crc) {
      throw new CorruptChunk(`${type} does not match its checksum`);
    }
    found.set(type, data);
  }
  return found;
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
      throw new Truncated("the file ends within its header");
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
    if (level > 1000) throw new CorruptHeader(`level ${level} of 1000`);
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
    throw new CorruptHeader("a number is not in its shortest form");
  }
}
