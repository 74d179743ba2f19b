/** Pieces kept without loss, as WebP files: docs/format.md, section 3. */
import { Coder, type Header, payloadOf, type Piece } from "../format/container.js";
import type { Area } from "../format/tiles.js";

export interface LosslessImage extends Piece {
  /** A lossless WebP file of the area, opaque, for a browser or a library to decode. */
  readonly webp: Uint8Array<ArrayBuffer>;
}

const HEAD = 25; // bytes of a WebP file before what a payload keeps of it ...
const CHUNK = 20; // ... and before its only chunk's data, which begin with these:
const SIGNATURE = 0x2f;
const SIDES = 2 ** 28 - 1; // what is not alpha or the version behind the signature

/**
 * What shows the lossless piece `number`. Whether its stream is sound is left to the WebP decoder;
 * where that fails, its tiles are a `CorruptTile`.
 */
export function losslessImage(file: Uint8Array, header: Header, number: number): LosslessImage {
  const piece = header.pieces[number]!;
  if (piece.coder !== Coder.Lossless) {
    throw new RangeError(`piece ${number} has coder ${piece.coder}, which is not lossless`);
  }
  return { ...piece, webp: webpOf(payloadOf(file, header, number), piece.area) };
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

/** What a payload keeps of a WebP file of that size; null if it is none, or not lossless. */
export function streamOfWebp(
  file: Uint8Array<ArrayBuffer>,
  width: number,
  height: number,
): Uint8Array<ArrayBuffer> | null {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const text = (start: number): string => String.fromCharCode(...file.subarray(start, start + 4));
  if (text(0) !== "RIFF" || text(8) !== "WEBP") return null;
  // Browsers put a profile before the stream.
  for (let at = 12; at + HEAD - 12 <= file.length; ) {
    const length = view.getUint32(at + 4, true);
    if (text(at) === "VP8L" && file[at + 8] === SIGNATURE) {
      const sides = view.getUint32(at + 9, true) & SIDES;
      const isThisSize = sides === ((width - 1) | ((height - 1) << 14));
      return isThisSize ? file.slice(at + 13, at + 8 + length) : null;
    }
    at += 8 + paddedTo(length);
  }
  return null;
}
