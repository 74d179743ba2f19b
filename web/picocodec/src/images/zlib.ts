/** zlib (RFC 1950), by the browser. */
import { joined } from "../bytes.js";

/** Throws where the data is damaged, ends early, has something behind it, or is over the limit. */
export async function inflate(
  parts: readonly Uint8Array[],
  most: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const stream = streamOf(parts).pipeThrough(new DecompressionStream("deflate"));
  const found: Uint8Array[] = [];
  let length = 0;
  const reader = stream.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    found.push(next.value);
    length += next.value.length;
    if (length > most) {
      await reader.cancel();
      throw new RangeError(`more than ${most} bytes`);
    }
  }
  return joined(found);
}

export async function deflate(data: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const stream = streamOf([data]).pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** A gzip file (RFC 1952), expanded. */
export async function gunzip(data: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const stream = streamOf([data]).pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function streamOf(parts: readonly Uint8Array[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new Blob([...parts] as BlobPart[]).stream() as ReadableStream<Uint8Array<ArrayBuffer>>;
}
