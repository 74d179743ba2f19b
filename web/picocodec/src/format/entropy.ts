/** Bytes to symbols under given scale indices: docs/format.md, section 6. */
import { CorruptTile, UnknownModel } from "../errors.js";
import type { Ints } from "../model/scale_decoder.js";
import { AnsDecoder, AnsEncoder, TOTAL } from "./rans.js";

const LENGTH_BITS = 5; // the number of bits of an escape is one of 32 values
const ESCAPE_BITS = 20;
export const INDICES = 64;

/** A table as cumulative frequencies, from 0 to 2^24: one more than it has entries. */
export type Table = Uint32Array;

export function tableOf(frequencies: ArrayLike<number>): Table {
  const cumulative = new Uint32Array(frequencies.length + 1);
  for (let k = 0; k < frequencies.length; k++) {
    if (!(frequencies[k]! > 0)) throw new UnknownModel("a frequency of zero");
    cumulative[k + 1] = cumulative[k]! + frequencies[k]!;
  }
  if (frequencies.length < 2 || frequencies.length % 2 || cumulative.at(-1) !== TOTAL) {
    throw new UnknownModel("frequencies that are no entropy table");
  }
  return cumulative;
}

/** Reads groups of symbols one by one, since the indices of one may follow from the last. */
export class SymbolReader {
  private readonly ans: AnsDecoder;

  constructor(
    private readonly tables: readonly Table[],
    private readonly skipBelow: number,
    data: Uint8Array,
  ) {
    this.ans = new AnsDecoder(data);
  }

  /** One symbol for each scale index. */
  read(indices: ArrayLike<number>): Ints {
    const symbols = new Int32Array(indices.length);
    const order = coded(indices, this.skipBelow);
    const escaped: number[] = [];
    for (const i of order) {
      const table = this.tables[indices[i]!]!;
      const radius = radiusOf(table);
      const symbol = this.ans.entry(table) - radius;
      symbols[i] = symbol;
      if (symbol > radius) escaped.push(i);
    }
    const bits = escaped.map(() => this.ans.uniform(LENGTH_BITS));
    if (bits.some((b) => b > ESCAPE_BITS)) {
      throw new CorruptTile("an impossible symbol");
    }
    const low = new Int32Array(escaped.length);
    for (let b = 1; b <= ESCAPE_BITS; b++) {
      for (let k = 0; k < low.length; k++) {
        if (bits[k] === b) low[k] = this.ans.uniform(b);
      }
    }
    escaped.forEach((i, k) => {
      const v = 2 ** bits[k]! + low[k]! - 1;
      const magnitude = radiusOf(this.tables[indices[i]!]!) + 1 + (v >> 1);
      symbols[i] = v & 1 ? -magnitude : magnitude;
    });
    return symbols;
  }

  finish(): void {
    if (!this.ans.isEmpty) throw new CorruptTile("data is left after the last symbol");
  }
}

function radiusOf(table: Table): number {
  return (table.length - 3) >> 1;
}

/** Positions of the coded elements: by index, those of equal index in the order of the array. */
function coded(indices: ArrayLike<number>, skipBelow: number): Uint32Array {
  const ends = new Uint32Array(INDICES + 1);
  for (let i = 0; i < indices.length; i++) {
    if (indices[i]! >= skipBelow) ends[indices[i]! + 1]!++;
  }
  for (let k = 0; k < INDICES; k++) ends[k + 1]! += ends[k]!;
  const order = new Uint32Array(ends[INDICES]!);
  for (let i = 0; i < indices.length; i++) {
    if (indices[i]! >= skipBelow) order[ends[indices[i]!]!++] = i;
  }
  return order;
}

/** Symbols and the scale index of each, to be read back together. */
export interface Group {
  readonly symbols: Ints;
  readonly indices: ArrayLike<number>;
}

/** The bytes that `SymbolReader` reads the groups from; skipped elements must be 0. */
export function writeSymbols(
  tables: readonly Table[],
  skipBelow: number,
  groups: readonly Group[],
): Uint8Array<ArrayBuffer> {
  // The coder is a stack: what is read first is pushed last.
  const ans = new AnsEncoder();
  for (const { symbols, indices } of [...groups].reverse()) {
    const order = coded(indices, skipBelow);
    const escapes: number[] = [];
    for (const i of order) {
      const excess = Math.abs(symbols[i]!) - radiusOf(tables[indices[i]!]!) - 1;
      if (excess >= 0) escapes.push(2 * excess + (symbols[i]! < 0 ? 1 : 0) + 1);
    }
    pushEscapes(ans, escapes);
    for (let k = order.length - 1; k >= 0; k--) {
      const table = tables[indices[order[k]!]!]!;
      const radius = radiusOf(table);
      const symbol = symbols[order[k]!]!;
      const entry = Math.abs(symbol) > radius ? 2 * radius + 1 : symbol + radius;
      ans.push(table[entry]!, table[entry + 1]! - table[entry]!);
    }
  }
  return ans.bytes();
}

/** Values of at least 1, as the number of bits after the leading one, then those bits. */
function pushEscapes(ans: AnsEncoder, values: readonly number[]): void {
  const bits = values.map((value) => 31 - Math.clz32(value));
  for (let b = ESCAPE_BITS; b > 0; b--) {
    for (let k = values.length - 1; k >= 0; k--) {
      if (bits[k] === b) ans.pushUniform(values[k]! - 2 ** b, b);
    }
  }
  for (let k = bits.length - 1; k >= 0; k--) ans.pushUniform(bits[k]!, LENGTH_BITS);
}
