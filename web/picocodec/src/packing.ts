/** Files as build.mjs packs them; the form is described in packing.mjs. */
import { inflating } from "./images/zlib.js";

type Bytes = Uint8Array<ArrayBuffer>;

const HEAD = 5;

/** What `<name>.packed` was made of, if its hash says so. Rejects where the stream is damaged. */
export async function unpack(packed: Bytes): Promise<Bytes> {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const step = view.getUint8(0);
  const whole = new Uint8Array(view.getUint32(1, true));
  let first = 0;
  let at = 0;
  for await (const part of inflating([packed.subarray(HEAD)])) {
    for (let i = 0; i < part.length; i++) {
      whole[at] = part[i]!;
      at += step;
      if (at >= whole.length) at = ++first;
    }
  }
  return whole;
}
