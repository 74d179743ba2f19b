// Files as they are served, `<name>.packed`: a byte `step`, the length in four (little endian), then
// a zlib stream of every step-th byte from the first on, from the second on, and so forth. With a
// step of 2 the exponents of float16 lie together. src/packing.ts reads it.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { constants, deflateSync } from "node:zlib";

// Small blocks, since each tensor has its own distribution, and no short matches, which are chance.
const OF_WEIGHTS = { level: 9, memLevel: 7, strategy: constants.Z_FILTERED };
const WAYS = [
  { step: 1, options: { level: 9, memLevel: 9 } },
  { step: 2, options: OF_WEIGHTS },
  { step: 4, options: OF_WEIGHTS },
];
// Packing takes long, and files change rarely.
const cache = join(dirname(fileURLToPath(import.meta.url)), "..", "node_modules", ".cache", "packed");

function apart(bytes, step) {
  const planes = Buffer.alloc(bytes.length);
  let at = 0;
  for (let first = 0; first < step; first++) {
    for (let i = first; i < bytes.length; i += step) planes[at++] = bytes[i];
  }
  return planes;
}

function packed(bytes) {
  const streams = WAYS.map(({ step, options }) => {
    const head = Buffer.alloc(5);
    head.writeUInt8(step);
    head.writeUInt32LE(bytes.length, 1);
    return Buffer.concat([head, deflateSync(apart(bytes, step), options)]);
  });
  return streams.reduce((best, stream) => (stream.length < best.length ? stream : best));
}

/** Writes `<target>.packed`; the SHA-256 of what is in it. */
export function writePacked(source, target) {
  const bytes = readFileSync(source);
  const kept = join(cache, createHash("sha256").update(JSON.stringify(WAYS)).update(bytes).digest("hex"));
  if (!existsSync(kept)) {
    mkdirSync(cache, { recursive: true });
    writeFileSync(`${kept}.part`, packed(bytes));
    renameSync(`${kept}.part`, kept);
  }
  copyFileSync(kept, `${target}.packed`);
  return createHash("sha256").update(bytes).digest("hex");
}
