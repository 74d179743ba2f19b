/** The half of a .pico decoder before the networks, written from docs/format.md. */
import { sha256 } from "./checksums.js";
import { Coder, gridOf, type Header, payloadOf } from "./container.js";
import { SymbolReader } from "./entropy.js";
import { PicoError } from "./errors.js";
import type { Model } from "./model.js";
import { type Ints, scaleIndices } from "./scale_decoder.js";

export { type Av1Image, av1Image, toRgb } from "./av1.js";
export { av1Pixels, losslessPixels } from "./browser.js";
export { sha256 } from "./checksums.js";
export {
  type Area, chunkData, Coder, type Grid, gridOf, type Header, type Piece, readHeader,
} from "./container.js";
export { PicoError } from "./errors.js";
export { type LosslessImage, losslessImage } from "./lossless.js";
export { loadModel, type Model } from "./model.js";

/** z `[Nz, zRows, zColumns]` and the symbols of y `[M, yRows, yColumns]`. */
export interface Symbols {
  readonly z: Ints;
  readonly y: Ints;
}

/** The symbols of the learned piece `number`. Throws `PicoError` for data that no encoder writes. */
export function decodeSymbols(
  model: Model,
  file: Uint8Array,
  header: Header,
  number: number,
): Symbols {
  if (model.name !== header.model || model.check !== header.check) {
    throw new PicoError(
      "UnknownModel",
      `the file needs ${header.model} (${header.check}), not ${model.name} (${model.check})`,
    );
  }
  const piece = header.pieces[number]!;
  const data = payloadOf(file, header, number);
  if (piece.coder !== Coder.Learned) {
    throw new RangeError(`piece ${number} has coder ${piece.coder}, which has no symbols`);
  }
  const grid = gridOf(piece);
  const bin = Math.floor((63 * piece.level + 500) / 1000);
  const reader = new SymbolReader(model.tables, model.skipBelow, data);

  const perChannel = model.zIndex[bin]!;
  const positions = grid.zRows * grid.zColumns;
  const zIndices = new Uint8Array(perChannel.length * positions);
  for (let i = 0; i < zIndices.length; i++) zIndices[i] = perChannel[Math.floor(i / positions)]!;
  const z = reader.read(zIndices);

  const yIndices = scaleIndices(model.layers, z, grid.zRows, grid.zColumns, bin);
  for (let i = 0; i < yIndices.length; i++) {
    const column = i % grid.yColumns;
    const row = Math.floor(i / grid.yColumns) % grid.yRows;
    if (row >= grid.usedRows || column >= grid.usedColumns) yIndices[i] = 0;
  }
  const y = reader.read(yIndices);
  reader.finish();
  return { z, y };
}

/** SHA-256 over z, then y, as little-endian 32-bit integers. */
export async function digest({ z, y }: Symbols): Promise<string> {
  const view = new DataView(new ArrayBuffer(4 * (z.length + y.length)));
  z.forEach((value, i) => view.setInt32(4 * i, value, true));
  y.forEach((value, i) => view.setInt32(4 * (z.length + i), value, true));
  return sha256(new Uint8Array(view.buffer));
}
