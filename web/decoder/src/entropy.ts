/** Bytes to symbols under given scale indices: docs/format.md, section 6. */
import { PicoError } from "./errors.js";
import type { Ints } from "./scale_decoder.js";

const PRECISION = 24;
const TOTAL = 2 ** PRECISION;
const ESCAPE_BITS = 20;
export const INDICES = 64;

/** A table as cumulative frequencies, from 0 to 2^24: one more than it has entries. */
export type Table = Uint32Array;

export function tableOf(frequencies: ArrayLike<number>): Table {
  const cumulative = new Uint32Array(frequencies.length + 1);
  for (let k = 0; k < frequencies.length; k++) {
    if (!(frequencies[k]! > 0)) throw new PicoError("UnusableModel", "a frequency of zero");
    cumulative[k + 1] = cumulative[k]! + frequencies[k]!;
  }
  if (frequencies.length < 2 || frequencies.length % 2 || cumulative.at(-1) !== TOTAL) {
    throw new PicoError("UnusableModel", "frequencies that are no entropy table");
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
    const bits = escaped.map(() => this.ans.uniform(5));
    if (bits.some((b) => b > ESCAPE_BITS)) {
      throw new PicoError("CorruptTile", "an impossible symbol");
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
    if (!this.ans.isEmpty) throw new PicoError("CorruptTile", "data is left after the last symbol");
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

/**
 * The 64-bit state is `high * 2^24 + low`, 40 and 24 bits; every number below stays under 2^53,
 * where those of JavaScript are exact integers.
 */
class AnsDecoder {
  private high = 0;
  private low = 0;
  private left: number;
  private readonly words: DataView;

  constructor(data: Uint8Array) {
    if (data.length % 4) throw new PicoError("CorruptTile", "no whole number of words");
    this.words = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.left = data.length / 4;
    if (this.left > 0 && this.words.getUint32(data.length - 4, true) === 0) {
      throw new PicoError("CorruptTile", "the last word is empty");
    }
    this.refill();
    this.refill();
  }

  get isEmpty(): boolean {
    return this.high === 0 && this.low === 0 && this.left === 0;
  }

  /** The entry of a table that the state names. */
  entry(cumulative: Table): number {
    let k = 0;
    let above = cumulative.length - 1;
    while (above - k > 1) {
      const middle = (k + above) >> 1;
      if (cumulative[middle]! <= this.low) k = middle;
      else above = middle;
    }
    this.advance(cumulative[k]!, cumulative[k + 1]! - cumulative[k]!);
    return k;
  }

  /** One of `2^bits` equally likely values. */
  uniform(bits: number): number {
    const frequency = TOTAL >> bits;
    const value = Math.floor(this.low / frequency);
    this.advance(value * frequency, frequency);
    return value;
  }

  private advance(start: number, frequency: number): void {
    const lowest = frequency * (this.high % TOTAL) + this.low - start;
    this.high = frequency * Math.floor(this.high / TOTAL) + Math.floor(lowest / TOTAL);
    this.low = lowest % TOTAL;
    this.refill();
  }

  private refill(): void {
    if (this.high >= 2 ** (32 - PRECISION) || this.left === 0) return;
    const word = this.words.getUint32(4 * --this.left, true);
    this.high = (this.high * TOTAL + this.low) * 256 + (word >>> 24);
    this.low = word & (TOTAL - 1);
  }
}
