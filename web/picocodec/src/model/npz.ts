/** NumPy's .npz: a ZIP file whose members, stored or deflated, are .npy arrays. */
import { UnknownModel } from "../errors.js";

type Numbers = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array;

export interface IntegerArray {
  readonly shape: readonly number[];
  readonly data: Numbers;
}

// Nothing but integers: no float may have a say in what a file's bytes mean.
const TYPES: Record<string, new (buffer: ArrayBuffer) => Numbers> = {
  "|i1": Int8Array,
  "|u1": Uint8Array,
  "<i2": Int16Array,
  "<u2": Uint16Array,
  "<i4": Int32Array,
  "<u4": Uint32Array,
};

/** Every array of an archive by its name, without ".npy". */
export async function readNpz(archive: Uint8Array): Promise<Map<string, IntegerArray>> {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength);
  let end = archive.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw new UnknownModel("an .npz file is no ZIP archive");
  const arrays = new Map<string, IntegerArray>();
  let at = view.getUint32(end + 16, true);
  for (let i = view.getUint16(end + 10, true); i > 0; i--) {
    const method = view.getUint16(at + 10, true);
    const size = view.getUint32(at + 20, true);
    const nameLength = view.getUint16(at + 28, true);
    const name = new TextDecoder().decode(archive.subarray(at + 46, at + 46 + nameLength));
    const local = view.getUint32(at + 42, true);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const stored = archive.slice(start, start + size);
    if (method !== 0 && method !== 8) {
      throw new UnknownModel(`${name}: compression method ${method}`);
    }
    arrays.set(name.replace(/\.npy$/, ""), readNpy(name, method ? await inflate(stored) : stored));
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return arrays;
}

async function inflate(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function readNpy(name: string, bytes: Uint8Array<ArrayBuffer>): IntegerArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const [start, length] = bytes[6] === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  const header = new TextDecoder("latin1").decode(bytes.subarray(start, start + length));
  const type = TYPES[/'descr': '([^']*)'/.exec(header)?.[1] ?? ""];
  const shape = /'shape': \(([^)]*)\)/.exec(header)?.[1];
  if (type === undefined || shape === undefined || !header.includes("'fortran_order': False")) {
    throw new UnknownModel(`${name} is no array of integers in C order: ${header}`);
  }
  return {
    shape: shape.split(",").filter((n) => n.trim() !== "").map(Number),
    data: new type(bytes.slice(start + length).buffer),
  };
}
