/** zlib (RFC 1950), by the browser. */
import { joined } from "../bytes.js";

/** Throws where the data is damaged, ends early, has something behind it, or is over the limit. */
export async function inflate(
  parts: readonly Uint8Array[],
  most: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const found: Uint8Array[] = [];
  let length = 0;
  for await (const part of inflating(parts)) {
    found.push(part);
    length += part.length;
    if (length > most) throw new RangeError(`more than ${most} bytes`);
  }
  return joined(found);
}

/** The same without a limit, a part at a time. */
export async function* inflating(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  const reader = streamOf(parts).pipeThrough(new DecompressionStream("deflate")).getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    await reader.cancel();
  }
}

export async function deflate(data: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const stream = streamOf([data]).pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function streamOf(parts: readonly Uint8Array[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new Blob([...parts] as BlobPart[]).stream() as ReadableStream<Uint8Array<ArrayBuffer>>;
}
