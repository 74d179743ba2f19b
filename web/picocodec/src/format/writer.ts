/** Structure to bytes: docs/format.md, sections 1 to 5. */
import { joined } from "../bytes.js";
import { crc16, crc32 } from "./checksums.js";

/** A piece to be written; `level` in thousandths, `rows` and `columns` of tiles. */
export interface WrittenPiece {
  readonly payload: Uint8Array;
  readonly coder: number;
  readonly level: number;
  readonly hasMargin: boolean;
  readonly rows: number;
  readonly columns: number;
}

export interface WrittenChunk {
  /** Four letters of ASCII, or spaces. */
  readonly type: string;
  readonly data: Uint8Array;
}

/** A file's parts, the pieces in the order of their first tiles. */
export interface Parts {
  readonly width: number;
  readonly height: number;
  /** Thousandths. */
  readonly level: number;
  /** `name.vN` */
  readonly model: string;
  /** First four bytes of its fingerprint, in hexadecimal. */
  readonly check: string;
  readonly gray: boolean;
  readonly pieces: readonly WrittenPiece[];
  readonly chunks: readonly WrittenChunk[];
}

const HAS_LEVEL = 8;
const HAS_MARGIN = 4;
const HAS_CHUNKS = 4;

/** A whole file. */
export function writeFile(parts: Parts): Uint8Array<ArrayBuffer> {
  const header = headerOf(parts);
  return joined([
    header,
    ...parts.pieces.map((piece) => piece.payload),
    ...parts.chunks.map((chunk) => chunk.data),
  ]);
}

function headerOf({ width, height, level, model, check, gray, pieces, chunks }: Parts): number[] {
  const dot = model.lastIndexOf(".v");
  const name = new TextEncoder().encode(model.slice(0, dot));
  const flags = (gray ? 1 : 0) | (chunks.length ? HAS_CHUNKS : 0);
  const out = [
    0x8a, 0x50, 0x49, 0x43, 2, flags | ((name.length - 1) << 4),
    ...varint(width - 1), ...varint(height - 1), ...uint(level, 2),
    ...name, Number(model.slice(dot + 2)), ...bytesOfHex(check),
  ];
  for (const piece of pieces) {
    const hasOwnLevel = piece.level !== level;
    out.push(
      piece.coder | (piece.hasMargin ? HAS_MARGIN : 0) | (hasOwnLevel ? HAS_LEVEL : 0) |
        ((piece.rows - 1) << 4) | ((piece.columns - 1) << 6),
      ...(hasOwnLevel ? uint(piece.level, 2) : []),
      ...varint(piece.payload.length),
      ...uint(crc32(piece.payload), 4),
    );
  }
  if (chunks.length) out.push(...varint(chunks.length));
  for (const { type, data } of chunks) {
    out.push(...new TextEncoder().encode(type), ...varint(data.length), ...uint(crc32(data), 4));
  }
  out.push(...uint(crc16(Uint8Array.from(out)), 2));
  return out;
}

/** A little-endian integer of `count` bytes. */
function uint(value: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor(value / 256 ** i) % 256);
}

function varint(value: number): number[] {
  const out = [];
  for (; value >= 128; value = Math.floor(value / 128)) out.push(128 + (value % 128));
  return [...out, value];
}

function bytesOfHex(text: string): number[] {
  return Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
