/** PNG files of 8 bits: gray to be read (alpha, docs/format.md, 5), gray and colours to be written. */
import { joined } from "../bytes.js";
import { CorruptChunk } from "../errors.js";
import { crc32 } from "../format/checksums.js";
import { deflate, inflate } from "./zlib.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const GRAY = 0;
const GRAY_ALPHA = 4;
const COLOURS = { gray: GRAY, rgb: 2, rgba: 6 } as const;
const CHANNELS = { gray: 1, rgb: 3, rgba: 4 } as const;

export interface PngChunk {
  /** Four letters. */
  readonly type: string;
  readonly data: Uint8Array;
}

/** The samples `[height, width]` of a plain gray PNG; throws `CorruptChunk` for anything else. */
export async function readGrayPng(
  file: Uint8Array,
  width: number,
  height: number,
): Promise<Uint8Array> {
  const wrong = (): CorruptChunk =>
    new CorruptChunk("the alpha chunk is not a plain gray PNG file of the picture's size");
  const chunks = chunksOf(file);
  const first = chunks?.[0];
  const header = [...u32(width), ...u32(height), 8, GRAY, 0, 0, 0];
  if (!chunks || first?.type !== "IHDR" || !isSame(first.data, header)) throw wrong();
  const kinds = new Set(chunks.map((chunk) => chunk.type));
  if ([...kinds].sort().join() !== "IDAT,IEND,IHDR") throw wrong();
  const parts = chunks.filter((chunk) => chunk.type === "IDAT").map((chunk) => chunk.data);
  const size = height * (width + 1);
  const rows = await inflate(parts, size).catch(() => null);
  if (rows?.length !== size) {
    throw new CorruptChunk("the alpha chunk cannot be read: its pixels are damaged");
  }
  return unfiltered(rows, width, 1);
}

/** A PNG file of samples, `[height, width, channels]`, with chunks before its pixels. */
export async function writePng(
  samples: Uint8Array | Uint8ClampedArray,
  width: number,
  height: number,
  kind: keyof typeof COLOURS,
  extra: readonly PngChunk[] = [],
): Promise<Uint8Array<ArrayBuffer>> {
  const header = [...u32(width), ...u32(height), 8, COLOURS[kind], 0, 0, 0];
  const stride = CHANNELS[kind] * width;
  const tried = [
    await deflate(filtered(samples, stride, CHANNELS[kind], [0])), // for what repeats
    await deflate(filtered(samples, stride, CHANNELS[kind], [0, 1, 2, 4])), // for slopes
  ];
  const pixels = tried[0]!.length < tried[1]!.length ? tried[0]! : tried[1]!;
  const chunks = [
    { type: "IHDR", data: Uint8Array.from(header) },
    ...extra,
    { type: "IDAT", data: pixels },
    { type: "IEND", data: new Uint8Array() },
  ].map(chunkBytes);
  return joined([SIGNATURE, ...chunks]);
}

/** The chunks of a PNG file; null if it is none, or does not end where its chunks do. */
export function chunksOf(file: Uint8Array): PngChunk[] | null {
  if (!isSame(file.subarray(0, 8), SIGNATURE)) return null;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const chunks: PngChunk[] = [];
  let at = 8;
  while (at + 12 <= file.length) {
    const length = view.getUint32(at);
    if (at + 12 + length > file.length) return null;
    const type = String.fromCharCode(...file.subarray(at + 4, at + 8));
    chunks.push({ type, data: file.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return at === file.length ? chunks : null;
}

/** A chunk as it lies in a file. */
export function chunkBytes({ type, data }: PngChunk): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12 + data.length);
  bytes.set(u32(data.length));
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  bytes.set(u32(crc32(bytes.subarray(4, 8 + data.length))), 8 + data.length);
  return bytes;
}

/** Each row with the one of the filters that leaves the smallest sum of differences before it. */
function filtered(
  samples: ArrayLike<number>,
  stride: number,
  pixel: number,
  filters: readonly number[],
): Uint8Array {
  const height = samples.length / stride;
  const out = new Uint8Array(height * (stride + 1));
  const tried = new Uint8Array(stride);
  for (let row = 0; row < height; row++) {
    const at = row * (stride + 1);
    let least = Number.POSITIVE_INFINITY;
    for (const filter of filters) {
      let sum = 0;
      for (let i = 0; i < stride; i++) {
        const from = row * stride + i;
        const left = i < pixel ? 0 : samples[from - pixel]!;
        const above = row ? samples[from - stride]! : 0;
        const corner = row && i >= pixel ? samples[from - stride - pixel]! : 0;
        const value = (samples[from]! - predicted(filter, left, above, corner)) & 255;
        tried[i] = value;
        sum += value < 128 ? value : 256 - value;
      }
      if (sum < least) {
        least = sum;
        out[at] = filter;
        out.set(tried, at + 1);
      }
    }
  }
  return out;
}

/** Samples of rows of `stride` bytes, each behind its filter; a pixel has `pixel` bytes. */
function unfiltered(rows: Uint8Array, stride: number, pixel: number): Uint8Array<ArrayBuffer> {
  const height = rows.length / (stride + 1);
  const out = new Uint8Array(stride * height);
  for (let row = 0; row < height; row++) {
    const filter = rows[row * (stride + 1)]!;
    if (filter > 4) throw new CorruptChunk("the alpha chunk cannot be read: an unknown filter");
    for (let i = 0; i < stride; i++) {
      const at = row * stride + i;
      const left = i >= pixel ? out[at - pixel]! : 0;
      const above = row ? out[at - stride]! : 0;
      const corner = i >= pixel && row ? out[at - stride - pixel]! : 0;
      out[at] = rows[row * (stride + 1) + 1 + i]! + predicted(filter, left, above, corner);
    }
  }
  return out;
}

/** Pixels of 8 bits that have alpha, as they are stored. */
export interface AlphaPixels {
  readonly width: number;
  readonly height: number;
  /** 2, gray and alpha, or 4. */
  readonly channels: number;
  readonly samples: Uint8Array<ArrayBuffer>;
}

/** Those of a PNG file's chunks; null for PNG files of other kinds, which are left to browsers. */
export async function readAlphaPng(chunks: readonly PngChunk[]): Promise<AlphaPixels | null> {
  const header = chunks[0]?.data;
  if (chunks[0]?.type !== "IHDR" || header?.length !== 13) return null;
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, kind, interlaced] = [header[8]!, header[9]!, header[12]!];
  if (depth !== 8 || interlaced || (kind !== GRAY_ALPHA && kind !== COLOURS.rgba)) return null;
  const channels = kind === GRAY_ALPHA ? 2 : 4;
  const size = height * (channels * width + 1);
  const parts = chunks.filter((chunk) => chunk.type === "IDAT").map((chunk) => chunk.data);
  const rows = await inflate(parts, size).catch(() => null);
  if (rows?.length !== size) return null;
  return { width, height, channels, samples: unfiltered(rows, channels * width, channels) };
}

function predicted(filter: number, left: number, above: number, corner: number): number {
  switch (filter) {
    case 1:
      return left;
    case 2:
      return above;
    case 3:
      return (left + above) >> 1;
    case 4: {
      const estimate = left + above - corner;
      const [a, b, c] = [left, above, corner].map((value) => Math.abs(estimate - value));
      return a! <= b! && a! <= c! ? left : b! <= c! ? above : corner;
    }
    default:
      return 0;
  }
}

function isSame(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  return a.length === b.length && Array.from(a).every((value, i) => value === b[i]);
}

function u32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}
