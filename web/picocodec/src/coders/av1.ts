/** Pieces kept as still pictures of AV1: docs/format.md, section 3. */
import { joined } from "../bytes.js";
import { CorruptTile, type PicoError } from "../errors.js";
import { Coder, type Header, payloadOf, type Piece } from "../format/container.js";
import type { Area } from "../format/tiles.js";

export interface Av1Image extends Piece {
  /** Two units (OBUs) of AV1: a sequence header and a frame. */
  readonly stream: Uint8Array<ArrayBuffer>;
  /**
   * An AVIF file of the area, which calls its planes colours already: what a browser or a library
   * shows is Cr for red, Y for green and Cb for blue, to the bit. `toRgb` does the rest.
   */
  readonly avif: Uint8Array<ArrayBuffer>;
}

// The first byte of either unit: its type, and that its size follows.
const SEQUENCE_HEADER = 0x0a;
const FRAME = 0x32;
// Matrix coefficients (ITU-T H.273).
const IDENTITY = 0;
const BT601 = 6;

/**
 * What shows piece `number`, of AV1. Whether the frame is sound is left to the AV1 decoder; where
 * that fails, its tiles are a `CorruptTile`.
 */
export function av1Image(file: Uint8Array, header: Header, number: number): Av1Image {
  const piece = header.pieces[number]!;
  if (piece.coder !== Coder.Av1) {
    throw new RangeError(`piece ${number} has coder ${piece.coder}, which is not AV1`);
  }
  const data = payloadOf(file, header, number);
  const level = checkStream(data, piece.area, piece.tiles[0]!);
  return { ...piece, stream: data.slice(), avif: avifOf(data, piece.area, level) };
}

/**
 * What a decoder gives of `avif`, red, green, blue and alpha of each pixel, becomes the picture's
 * colours: BT.601 at full range, in units of 1/65536. Assigning to a clamped array clamps.
 */
export function toRgb(pixels: Uint8ClampedArray): void {
  for (let i = 0; i < pixels.length; i += 4) {
    const cr = pixels[i]! - 128;
    const y = 65536 * pixels[i + 1]! + 32768;
    const cb = pixels[i + 2]! - 128;
    pixels[i] = (y + 91881 * cr) >> 16;
    pixels[i + 1] = (y - 22554 * cb - 46802 * cr) >> 16;
    pixels[i + 2] = (y + 116130 * cb) >> 16;
  }
}

/** The level (`seq_level_idx`) of a stream that is what the format wants for this area. */
function checkStream(stream: Uint8Array, { width, height }: Area, index: number): number {
  const wrong = (what: string): PicoError =>
    new CorruptTile(`the AV1 stream of tile ${index} ${what}`);
  const sequence = unitAt(stream, 0, SEQUENCE_HEADER);
  const frame = sequence && unitAt(stream, sequence.end, FRAME);
  if (!frame) throw wrong("is not a sequence header and a frame");
  if (frame.end !== stream.length) throw wrong("goes on after its frame");

  // AV1 specification, section 5.5.
  const bits = stream.subarray(sequence.start, sequence.end);
  let at = 0;
  const take = (count: number): number => {
    let value = 0;
    for (const end = at + count; at < end; at++) {
      if (at >> 3 >= bits.length) throw wrong("has too short a sequence header");
      value = 2 * value + ((bits[at >> 3]! >> (7 - (at & 7))) & 1);
    }
    return value;
  };
  if (take(3) !== 1 || take(1) !== 1 || take(1) !== 1) {
    throw wrong("is not a still picture of profile 1 with a short header");
  }
  const level = take(5);
  const [widthBits, heightBits] = [take(4) + 1, take(4) + 1];
  const [codedWidth, codedHeight] = [take(widthBits) + 1, take(heightBits) + 1];
  if (codedWidth !== width || codedHeight !== height) {
    throw wrong(`has ${codedWidth}x${codedHeight} pixels for ${width}x${height}`);
  }
  take(6); // tools
  if (take(1) !== 0 || take(1) !== 1) throw wrong("has over 8 bits, or no word on its colours");
  take(16); // primaries and transfer
  if (take(8) !== BT601 || take(1) !== 1) throw wrong("has colours not of BT.601 at full range");
  take(1); // whether the quantisers of Cb and Cr differ
  if (take(1) !== 0) throw wrong("has film grain");
  return level;
}

/** Where the contents of a unit lie; null unless one of a kind begins there and ends in time. */
function unitAt(
  stream: Uint8Array,
  at: number,
  kind: number,
): { readonly start: number; readonly end: number } | null {
  if (stream[at] !== kind) return null;
  let size = 0;
  for (let i = 0; i < 4 && at + 1 + i < stream.length; i++) {
    const byte = stream[at + 1 + i]!;
    size |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      const start = at + 2 + i;
      return start + size <= stream.length ? { start, end: start + size } : null;
    }
  }
  return null;
}

function avifOf(
  stream: Uint8Array,
  { width, height }: Area,
  level: number,
): Uint8Array<ArrayBuffer> {
  const properties = box(
    "ipco",
    box("ispe", u32(0), u32(width), u32(height)),
    box("pixi", u32(0), [3, 8, 8, 8]),
    box("av1C", [0x81, (1 << 5) | level, 0, 0]),
    box("colr", ascii("nclx"), u16(1), u16(13), u16(IDENTITY), [0x80]),
  );
  // Item 1 has those four; who cannot read the third must not show it.
  const uses = box("ipma", u32(0), u32(1), u16(1), [4, 1, 2, 0x83, 4]);
  const start = box("ftyp", ascii("avif"), u32(0), ascii("avifmif1miafMA1A"));
  // One item, number 1, in this file, in one extent.
  const place = (offset: number): number[] =>
    [1, 1, 0, 1].flatMap(u16).concat(u32(offset), u32(stream.length));
  const meta = (offset: number): Uint8Array =>
    box(
      "meta",
      u32(0),
      box("hdlr", u32(0), u32(0), ascii("pict"), new Uint8Array(13)),
      box("pitm", u32(0), u16(1)),
      box("iloc", u32(0), u16(0x4400), place(offset)),
      box("iinf", u32(0), u16(1), box("infe", [2, 0, 0, 0], u16(1), u16(0), ascii("av01"), [0])),
      box("iprp", properties, uses),
    );
  const offset = start.length + meta(0).length + 8;
  return joined([start, meta(offset), box("mdat", stream)]);
}

/** A box of an AVIF file. */
function box(kind: string, ...parts: ArrayLike<number>[]): Uint8Array {
  const body = joined(parts);
  return joined([u32(8 + body.length), ascii(kind), body]);
}

function u32(value: number): number[] {
  return [...u16(value >>> 16), ...u16(value & 0xffff)];
}

function u16(value: number): number[] {
  return [value >> 8, value & 0xff];
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
