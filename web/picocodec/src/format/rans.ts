/** The entropy coder proper, range ANS: docs/format.md, section 6, "Decoder". */
import { CorruptTile } from "../errors.js";

const PRECISION = 24;
/** What the frequencies of a table add up to. */
export const TOTAL = 2 ** PRECISION;
const WORD = 2 ** 32;
const HALF = 2 ** 16;

/**
 * The 64-bit state is `high * 2^24 + low`, 40 and 24 bits; every number below stays under 2^53,
 * where those of JavaScript are exact integers.
 */
export class AnsDecoder {
  private high = 0;
  private low = 0;
  private left: number;
  private readonly words: DataView;

  constructor(data: Uint8Array) {
    if (data.length % 4) throw new CorruptTile("no whole number of words");
    this.words = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.left = data.length / 4;
    if (this.left > 0 && this.words.getUint32(data.length - 4, true) === 0) {
      throw new CorruptTile("the last word is empty");
    }
    this.refill();
    this.refill();
  }

  get isEmpty(): boolean {
    return this.high === 0 && this.low === 0 && this.left === 0;
  }

  /** The entry that the state names of a table, given as cumulative frequencies. */
  entry(cumulative: Uint32Array): number {
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
    // Not by %, which is slow where numbers exceed 32 bits.
    const upper = Math.floor(this.high / TOTAL);
    const lowest = frequency * (this.high - upper * TOTAL) + this.low - start;
    const carried = Math.floor(lowest / TOTAL);
    this.high = frequency * upper + carried;
    this.low = lowest - carried * TOTAL;
    this.refill();
  }

  private refill(): void {
    if (this.high >= 2 ** (32 - PRECISION) || this.left === 0) return;
    const word = this.words.getUint32(4 * --this.left, true);
    this.high = (this.high * TOTAL + this.low) * 256 + (word >>> 24);
    this.low = word & (TOTAL - 1);
  }
}

/** The other way: what is pushed last is read first. The state is `high * 2^32 + low`. */
export class AnsEncoder {
  private high = 0;
  private low = 0;
  private words = new Uint32Array(1024);
  private length = 0;

  /** The entry that begins at `start`, as cumulative frequencies have it. */
  push(start: number, frequency: number): void {
    if (this.high >>> (32 - PRECISION) >= frequency) {
      this.append(this.low);
      this.low = this.high;
      this.high = 0;
    }
    // The state divided by the frequency, by hand: it has more bits than a number.
    const top = Math.floor(this.high / frequency);
    const upper = (this.high % frequency) * HALF + (this.low >>> 16);
    const middle = Math.floor(upper / frequency);
    const lower = (upper % frequency) * HALF + (this.low & (HALF - 1));
    const quotient = top * WORD + middle * HALF + Math.floor(lower / frequency);
    const rest = start + (lower % frequency);
    this.high = Math.floor(quotient / 2 ** (32 - PRECISION));
    this.low = (quotient % 2 ** (32 - PRECISION)) * TOTAL + rest;
  }

  /** One of `2^bits` equally likely values. */
  pushUniform(value: number, bits: number): void {
    const frequency = TOTAL >> bits;
    this.push(value * frequency, frequency);
  }

  /** All that was pushed, as little-endian words, of which the last is never 0. */
  bytes(): Uint8Array<ArrayBuffer> {
    if (this.high || this.low) this.append(this.low);
    if (this.high) this.append(this.high);
    const bytes = new Uint8Array(4 * this.length);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < this.length; i++) view.setUint32(4 * i, this.words[i]!, true);
    this.high = this.low = this.length = 0;
    return bytes;
  }

  private append(word: number): void {
    if (this.length === this.words.length) {
      const larger = new Uint32Array(2 * this.length);
      larger.set(this.words);
      this.words = larger;
    }
    this.words[this.length++] = word;
  }
}
