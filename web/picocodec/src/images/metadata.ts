/** What a file carries beside its colours: ICC profile, EXIF, XMP, alpha (docs/format.md, 5). */
import { CorruptChunk, UnsupportedImage } from "../errors.js";
import { chunkData, type Header, MAX_CHUNK_BYTES } from "../format/container.js";
import type { WrittenChunk } from "../format/writer.js";
import { writePng } from "./png.js";
import { deflate, inflate } from "./zlib.js";

const MAX_METADATA_BYTES = 2 ** 26; // of one item, decompressed

/** As they are in other files; EXIF begins with its TIFF header. */
export interface Metadata {
  readonly icc: Uint8Array<ArrayBuffer> | null;
  readonly exif: Uint8Array<ArrayBuffer> | null;
  readonly xmp: Uint8Array<ArrayBuffer> | null;
}

export const NO_METADATA: Metadata = { icc: null, exif: null, xmp: null };

const TYPES = { icc: "iccp", exif: "exif", xmp: "xmp " } as const;
export const ALPHA = "alph";

/** The metadata of a file, and its alpha as it is stored. Throws `CorruptChunk`. */
export async function readMetadata(
  file: Uint8Array,
  header: Header,
): Promise<Metadata & { readonly alpha: Uint8Array | null }> {
  const chunks = chunkData(file, header);
  const read = async (type: string): Promise<Uint8Array<ArrayBuffer> | null> => {
    const data = chunks.get(type);
    if (!data) return null;
    try {
      return await inflate([data], MAX_METADATA_BYTES);
    } catch {
      throw new CorruptChunk(`the ${type.trim()} chunk is incomplete, damaged or over the limit`);
    }
  };
  return {
    icc: await read(TYPES.icc),
    exif: await read(TYPES.exif),
    xmp: await read(TYPES.xmp),
    alpha: chunks.get(ALPHA) ?? null,
  };
}

/** The chunks that carry metadata and alpha `[height, width]`; throws `UnsupportedImage`. */
export async function chunksOfMetadata(
  metadata: Metadata,
  alpha: Uint8Array | null,
  width: number,
  height: number,
): Promise<WrittenChunk[]> {
  const chunks: WrittenChunk[] = [];
  for (const [key, type] of Object.entries(TYPES) as [keyof Metadata, string][]) {
    const data = metadata[key];
    if (!data?.length) continue;
    if (data.length > MAX_METADATA_BYTES) {
      throw new UnsupportedImage(`the picture's ${key} data has ${data.length} bytes, over the limit`);
    }
    chunks.push({ type, data: await deflate(data) });
  }
  if (alpha) chunks.push({ type: ALPHA, data: await writePng(alpha, width, height, "gray") });
  const large = chunks.find((chunk) => chunk.data.length > MAX_CHUNK_BYTES);
  if (large) {
    throw new UnsupportedImage(`the picture's ${large.type} data is too large for a file`);
  }
  return chunks;
}
