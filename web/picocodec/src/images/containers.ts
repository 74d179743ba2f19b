/** Picture files apart from their pixels: metadata out of them, and files without it. */
import { joined } from "../bytes.js";
import { type Metadata, NO_METADATA } from "./metadata.js";
import { type AlphaPixels, chunkBytes, chunksOf, readAlphaPng } from "./png.js";
import { inflate } from "./zlib.js";

const MOST = 2 ** 26; // bytes of an item of metadata

type Bytes = Uint8Array<ArrayBuffer>;

export interface Opened {
  readonly metadata: Metadata;
  /**
   * The file whose stored samples are the picture's: without what would turn it, and where
   * `metadata.icc` is there, without what would convert its colours.
   */
  readonly file: Bytes;
  /** Pixels that browsers would round, since they weigh colours by alpha; null if there are none. */
  readonly pixels: AlphaPixels | null;
  /** The same file without its alpha, if it has one: its colours, even where nobody sees them. */
  readonly opaque: Bytes | null;
}

/** A JPEG, PNG or WebP file taken apart; null for anything else. */
export async function openContainer(file: Bytes): Promise<Opened | null> {
  return openJpeg(file) ?? (await openPng(file)) ?? openWebp(file);
}

/** Profiles of other colours than the samples that browsers give are the browser's to apply. */
function usable(icc: Bytes | null): Bytes | null {
  if (!icc || icc.length < 128) return null;
  const space = ascii(icc.subarray(16, 20));
  return space === "RGB " || space === "GRAY" ? icc : null;
}

const EXIF_START = "Exif\0\0";
const XMP_START = "http://ns.adobe.com/xap/1.0/\0";
const ICC_START = "ICC_PROFILE\0";

function openJpeg(file: Bytes): Opened | null {
  if (file[0] !== 0xff || file[1] !== 0xd8) return null;
  let exif: Bytes | null = null;
  let xmp: Bytes | null = null;
  const profile: Bytes[] = [];
  const kept: Bytes[] = [file.slice(0, 2)];
  const colours: Bytes[] = [];
  let at = 2;
  // Segments up to the first scan.
  while (at + 4 <= file.length && file[at] === 0xff && file[at + 1] !== 0xda) {
    const length = file[at + 2]! * 256 + file[at + 3]!;
    const segment = file.slice(at, at + 2 + length);
    const [marker, body] = [file[at + 1], segment.subarray(4)];
    if (marker === 0xe1 && startsWith(body, EXIF_START)) exif ??= body.slice(EXIF_START.length);
    else if (marker === 0xe1 && startsWith(body, XMP_START)) xmp ??= body.slice(XMP_START.length);
    else if (marker === 0xe2 && startsWith(body, ICC_START)) {
      profile[body[ICC_START.length]! - 1] = body.slice(ICC_START.length + 2);
      colours.push(segment);
    } else kept.push(segment);
    at += 2 + length;
  }
  const icc = usable(profile.length ? joined(profile.filter((part) => part)) : null);
  const parts = [...kept, ...(icc ? [] : colours), file.subarray(at)];
  return { metadata: { icc, exif, xmp }, file: joined(parts), pixels: null, opaque: null };
}

const PNG_COLOURS = new Set(["iCCP", "gAMA", "cHRM", "sRGB", "cICP"]);

async function openPng(file: Bytes): Promise<Opened | null> {
  const chunks = chunksOf(file);
  if (!chunks) return null;
  const dataOf = (type: string): Uint8Array | undefined =>
    chunks.find((chunk) => chunk.type === type)?.data;
  const profile = dataOf("iCCP");
  const name = profile?.indexOf(0) ?? -1;
  const icc = usable(
    profile && name >= 0
      ? await inflate([profile.subarray(name + 2)], MOST).catch(() => null)
      : null,
  );
  const exif = dataOf("eXIf");
  const kept = chunks.filter(
    ({ type }) => type !== "eXIf" && type !== "iTXt" && !(icc && PNG_COLOURS.has(type)),
  );
  const isConverted = !icc && !dataOf("sRGB") && kept.some(({ type }) => PNG_COLOURS.has(type));
  return {
    metadata: { icc, exif: exif ? (exif.slice() as Bytes) : null, xmp: xmpOfPng(dataOf("iTXt")) },
    file: joined([file.slice(0, 8), ...kept.map(chunkBytes)]),
    pixels: isConverted ? null : await readAlphaPng(chunks),
    opaque: null,
  };
}

const PNG_XMP = "XML:com.adobe.xmp\0\0\0\0\0";

function xmpOfPng(text: Uint8Array | undefined): Bytes | null {
  return text && startsWith(text, PNG_XMP) ? (text.slice(PNG_XMP.length) as Bytes) : null;
}

const WEBP_FLAGS = 8; // where the flags of a VP8X chunk lie in it, its head included
const WEBP_METADATA = 0x20 | 0x08 | 0x04; // ICC, EXIF, XMP
const WEBP_ALPHA = 0x10; // in the same flags, and in the last byte of the head of a VP8L stream
const VP8L_FLAGS = 8 + 4;

function openWebp(file: Bytes): Opened | null {
  if (ascii(file.subarray(0, 4)) !== "RIFF" || ascii(file.subarray(8, 12)) !== "WEBP") return null;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const found = new Map<string, Bytes>();
  const chunks: Bytes[] = [];
  for (let at = 12; at + 8 <= file.length; ) {
    const type = ascii(file.subarray(at, at + 4));
    const length = view.getUint32(at + 4, true);
    if (["ICCP", "EXIF", "XMP "].includes(type)) found.set(type, file.slice(at + 8, at + 8 + length));
    else chunks.push(file.slice(at, at + 8 + length + (length % 2)));
    at += 8 + length + (length % 2);
  }
  const profile = found.get("ICCP") ?? null;
  const icc = usable(profile);
  if (profile && !icc) return { metadata: NO_METADATA, file, pixels: null, opaque: null };
  for (const chunk of chunks) {
    if (ascii(chunk.subarray(0, 4)) === "VP8X") chunk[WEBP_FLAGS]! &= ~WEBP_METADATA;
  }
  const exif = found.get("EXIF") ?? null;
  const tiff = exif && startsWith(exif, EXIF_START) ? exif.slice(EXIF_START.length) : exif;
  return {
    metadata: { icc, exif: tiff, xmp: found.get("XMP ") ?? null },
    file: webpOf(chunks),
    pixels: null,
    opaque: opaqueWebp(chunks),
  };
}

function webpOf(chunks: readonly Bytes[]): Bytes {
  const whole = joined([new TextEncoder().encode("RIFF    WEBP"), ...chunks]);
  new DataView(whole.buffer).setUint32(4, whole.length - 8, true);
  return whole;
}

/** The same picture with all alpha ignored; null if it has none. */
function opaqueWebp(chunks: readonly Bytes[]): Bytes | null {
  let hasAlpha = false;
  const opaque: Bytes[] = [];
  for (const chunk of chunks) {
    const type = ascii(chunk.subarray(0, 4));
    const copy = chunk.slice();
    const flags = type === "VP8X" ? WEBP_FLAGS : type === "VP8L" ? VP8L_FLAGS : null;
    if (type === "ALPH" || (flags !== null && copy[flags]! & WEBP_ALPHA)) hasAlpha = true;
    if (flags !== null) copy[flags]! &= ~WEBP_ALPHA;
    if (type !== "ALPH") opaque.push(copy);
  }
  return hasAlpha ? webpOf(opaque) : null;
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return ascii(bytes.subarray(0, text.length)) === text;
}

function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
