/** The exact half of the learned coder: bytes to symbols and back, integers all the way. */
import { UnknownModel } from "../errors.js";
import { sha256 } from "../format/checksums.js";
import { Coder, type Header, payloadOf } from "../format/container.js";
import { SymbolReader, writeSymbols } from "../format/entropy.js";
import { type Area, type Grid, gridOf } from "../format/tiles.js";
import type { Model } from "../model/model.js";
import { type Ints, scaleIndices } from "../model/scale_decoder.js";

/** z `[Nz, zRows, zColumns]` and the symbols of y `[M, yRows, yColumns]`. */
export interface Symbols {
  readonly z: Ints;
  readonly y: Ints;
}

/** The symbols of the learned piece `number`. Throws `CorruptTile` for what no encoder writes. */
export function decodeSymbols(
  model: Model,
  file: Uint8Array,
  header: Header,
  number: number,
): Symbols {
  const { z, grid, level, finish } = startSymbols(model, file, header, number);
  return finish(yIndices(model, grid, level, z));
}

/** A piece of which z is read; what it says of y is asked of the scale decoder in between. */
export interface StartedSymbols {
  readonly z: Ints;
  readonly grid: Grid;
  readonly level: number;
  /** Takes a scale index for each element of y, as `yIndices` gives them. */
  readonly finish: (indices: ArrayLike<number>) => Symbols;
}

/** Errors as of `decodeSymbols`. */
export function startSymbols(
  model: Model,
  file: Uint8Array,
  header: Header,
  number: number,
): StartedSymbols {
  checkModel(model, header);
  const { area, level, coder } = header.pieces[number]!;
  const data = payloadOf(file, header, number);
  if (coder !== Coder.Learned) {
    throw new RangeError(`piece ${number} has coder ${coder}, which has no symbols`);
  }
  const grid = gridOf(area);
  const reader = new SymbolReader(model.tables, model.skipBelow, data);
  const z = reader.read(zIndices(model, grid, level));
  const finish = (indices: ArrayLike<number>): Symbols => {
    const y = reader.read(indices);
    reader.finish();
    return { z, y };
  };
  return { z, grid, level, finish };
}

/** Throws `UnknownModel` unless the model is the file's. */
export function checkModel(model: Model, header: Header): void {
  if (model.name === header.model && model.check === header.check) return;
  throw new UnknownModel(
    `the file needs ${header.model} (${header.check}), not ${model.name} (${model.check})`,
  );
}

/** The payload of symbols, of a tile with its margin, at a level in thousandths. */
export function encodeSymbols(
  model: Model,
  { z, y }: Symbols,
  indices: ArrayLike<number>,
  area: Area,
  level: number,
): Uint8Array<ArrayBuffer> {
  return writeSymbols(model.tables, model.skipBelow, [
    { symbols: z, indices: zIndices(model, gridOf(area), level) },
    { symbols: y, indices },
  ]);
}

/** The scale index of each element of y; 0 where that lies beyond the tile and its margin. */
export function yIndices(model: Model, grid: Grid, level: number, z: Ints): Ints {
  const indices = scaleIndices(model.layers, z, grid.zRows, grid.zColumns, binOf(level));
  skipUnused(indices, grid);
  return indices;
}

/** Sets to 0 what lies beyond the tile and its margin. */
export function skipUnused(indices: Ints | Uint8Array, grid: Grid): void {
  const { yRows, yColumns, usedRows, usedColumns } = grid;
  for (let start = 0; start < indices.length; start += yColumns) {
    const row = (start / yColumns) % yRows;
    indices.fill(0, start + (row < usedRows ? usedColumns : 0), start + yColumns);
  }
}

function zIndices(model: Model, grid: Grid, level: number): Uint8Array {
  const perChannel = model.zIndex[binOf(level)]!;
  const positions = grid.zRows * grid.zColumns;
  const indices = new Uint8Array(perChannel.length * positions);
  for (let channel = 0; channel < perChannel.length; channel++) {
    indices.fill(perChannel[channel]!, channel * positions, (channel + 1) * positions);
  }
  return indices;
}

/** That of a level in thousandths. */
export function binOf(level: number): number {
  return Math.floor((63 * level + 500) / 1000);
}

/** SHA-256 over z, then y, as little-endian 32-bit integers. */
export async function digest({ z, y }: Symbols): Promise<string> {
  const view = new DataView(new ArrayBuffer(4 * (z.length + y.length)));
  z.forEach((value, i) => view.setInt32(4 * i, value, true));
  y.forEach((value, i) => view.setInt32(4 * (z.length + i), value, true));
  return sha256(new Uint8Array(view.buffer));
}
