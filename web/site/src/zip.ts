/** A ZIP file of files as they are, for who saves several pictures at once. */
import { crc32 } from "../../picocodec/src/format/checksums.js";

export interface ZipEntry {
  readonly name: string;
  readonly data: Uint8Array<ArrayBuffer>;
}

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const UTF8 = 0x0800;
const VERSION = 20;

export function zipOf(entries: readonly ZipEntry[]): Blob {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const central: Uint8Array<ArrayBuffer>[] = [];
  let at = 0;
  for (const { name, data } of entries) {
    const title = new TextEncoder().encode(name);
    // Method 0, no time; checksum, both lengths, that of the name, nothing more.
    const facts = record([
      [VERSION, 2], [UTF8, 2], [0, 2], [0, 2], [0x21, 2], [crc32(data), 4],
      [data.length, 4], [data.length, 4], [title.length, 2], [0, 2],
    ]);
    const head = record([[LOCAL, 4]]);
    parts.push(head, facts, title, data);
    central.push(
      record([[CENTRAL, 4], [VERSION, 2]]), facts,
      record([[0, 2], [0, 2], [0, 2], [0, 4], [at, 4]]), title,
    );
    at += head.length + facts.length + title.length + data.length;
  }
  const size = central.reduce((sum, part) => sum + part.length, 0);
  const end = record([
    [END, 4], [0, 2], [0, 2], [entries.length, 2], [entries.length, 2], [size, 4], [at, 4], [0, 2],
  ]);
  return new Blob([...parts, ...central, end], { type: "application/zip" });
}

/** Little-endian numbers, each with its bytes. */
function record(
  fields: readonly (readonly [value: number, bytes: number])[],
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(fields.reduce((sum, [, bytes]) => sum + bytes, 0));
  const view = new DataView(out.buffer);
  let at = 0;
  for (const [value, bytes] of fields) {
    if (bytes === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += bytes;
  }
  return out;
}
