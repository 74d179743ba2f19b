/** The half of a .pico decoder before the networks, written from docs/format.md. */
import { sha256 } from "./checksums.js";
import { gridOf, type Header, Mode, tileData } from "./container.js";
import { SymbolReader } from "./entropy.js";
import { PicoError } from "./errors.js";
import type { Model } from "./model.js";
import { type Ints, scaleIndices } from "./scale_decoder.js";

export { type Av1Image, av1Image, isAv1, toRgb } from "./av1.js";
export { av1Pixels, losslessPixels } from "./browser.js";
export { sha256 } from "./checksums.js";
export {
  chunkData, type Grid, gridOf, type Header, Mode, readHeader, type Tile,
} from "./container.js";
export { PicoError } from "./errors.js";
export { type LosslessImage, losslessImage } from "./lossless.js";
export { loadModel, type Model } from "./model.js";
export type { Area, Piece } from "./pieces.js";

/** z `[Nz, zRows, zColumns]` and the symbols of y `[M, yRows, yColumns]`. */
export interface TileSymbols {
  readonly z: Ints;
  readonly y: Ints;
}

/** The symbols of tile `index`, of mode 0. Throws `PicoError` for data that no encoder writes. */
export function decodeTile(
  model: Model,
  file: Uint8Array,
  header: Header,
  index: number,
): TileSymbols {
  if (model.name !== header.model || model.check !== header.check) {
    throw new PicoError(
      "UnknownModel",
      `the file needs ${header.model} (${header.check}), not ${model.name} (${model.check})`,
    );
  }
  const tile = header.tiles[index]!;
  const data = tileData(file, header, index);
  if (tile.mode !== Mode.Learned) {
    throw new RangeError(`tile ${index} has mode ${tile.mode}, which has no symbols`);
  }
  const grid = gridOf(tile);
  const bin = Math.floor((63 * tile.level + 500) / 1000);
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
export async function digest({ z, y }: TileSymbols): Promise<string> {
  const view = new DataView(new ArrayBuffer(4 * (z.length + y.length)));
  z.forEach((value, i) => view.setInt32(4 * i, value, true));
  y.forEach((value, i) => view.setInt32(4 * (z.length + i), value, true));
  return sha256(new Uint8Array(view.buffer));
}
