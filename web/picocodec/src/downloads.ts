/** Files that are fetched once: verified by their SHA-256, then kept by the browser. */
import { joined } from "./bytes.js";
import { UnknownModel } from "./errors.js";
import { sha256 } from "./format/checksums.js";
import { unpack } from "./packing.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** Told how many bytes of a file have come, of how many; `total` is 0 where nobody says. */
export type Downloaded = (name: string, loaded: number, total: number) => void;

const CACHE = "picocodec";

/** What lies packed at a URL and `.packed`, only if it has the hash. Throws `UnknownModel`. */
export async function fetchVerified(
  url: URL,
  hash: string,
  downloaded: Downloaded,
): Promise<Bytes> {
  const key = `${url}?sha256=${hash}`;
  const cache = await openCache();
  const kept = await cache?.match(key);
  if (kept) {
    const bytes = new Uint8Array(await kept.arrayBuffer());
    if ((await sha256(bytes)) === hash) return bytes;
    await cache?.delete(key);
  }
  const packed = new URL(`${url}.packed`);
  const bytes = await unpack(await fetchBytes(packed, downloaded)).catch(() => null);
  if (bytes === null || (await sha256(bytes)) !== hash) {
    throw new UnknownModel(`${url} is not the file that was released: install it again`);
  }
  // A full disk must not keep a picture from being shown.
  await cache?.put(key, new Response(bytes)).catch(() => undefined);
  return bytes;
}

/** What lies at a URL. Throws `UnknownModel` if that cannot be had. */
export async function fetchBytes(url: URL, downloaded: Downloaded): Promise<Bytes> {
  const name = url.pathname.split("/").at(-1)!;
  let response: Response;
  try {
    response = await fetch(url);
  } catch {
    throw new UnknownModel(`${url} cannot be fetched: is there a connection?`);
  }
  if (!response.ok || !response.body) {
    throw new UnknownModel(`${url} cannot be fetched: the server says ${response.status}`);
  }
  const total = response.headers.has("Content-Encoding")
    ? 0 // the length is that of the compressed bytes
    : Number(response.headers.get("Content-Length") ?? 0);
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = response.body.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      parts.push(next.value);
      length += next.value.length;
      downloaded(name, length, total);
    }
  } catch {
    throw new UnknownModel(`${url} cannot be fetched: the connection broke after ${length} bytes`);
  }
  return joined(parts);
}

/** The browser's cache; none in a page that is not secure, and in private windows of some. */
async function openCache(): Promise<Cache | null> {
  try {
    return await caches.open(CACHE);
  } catch {
    return null;
  }
}
