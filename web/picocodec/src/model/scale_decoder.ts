/** z symbols to scale indices, in integers only: docs/format.md, section 7. */

export type Ints = Int32Array<ArrayBuffer>;

export interface IntegerLayer {
  /** `[out][in][kernel][kernel]` */
  readonly weight: ArrayLike<number>;
  readonly outChannels: number;
  readonly inChannels: number;
  readonly kernel: number;
  /** `[bins of the level, or 1][out]` */
  readonly bias: ArrayLike<number>;
  readonly shift: number;
  readonly top: number;
  readonly upsample: boolean;
}

/** Scale indices `[M, 4 rows, 4 columns]` from z symbols `[Nz, rows, columns]`. */
export function scaleIndices(
  layers: readonly IntegerLayer[],
  z: Ints,
  rows: number,
  columns: number,
  bin: number,
): Ints {
  let x = z.map((value) => Math.min(Math.max(value, -127), 127));
  for (const layer of layers) {
    x = convolve(layer, x, rows, columns, bin);
    if (layer.upsample) {
      x = upsample(x, layer.outChannels, rows, columns);
      rows *= 2;
      columns *= 2;
    }
  }
  return x;
}

function convolve(
  layer: IntegerLayer,
  x: Ints,
  rows: number,
  columns: number,
  bin: number,
): Ints {
  const { weight, outChannels, inChannels, kernel, bias, shift, top } = layer;
  const reach = kernel >> 1;
  const stride = columns + 2 * reach;
  const plane = stride * (rows + 2 * reach);
  const padded = new Int32Array(inChannels * plane);
  for (let i = 0; i < inChannels; i++) {
    for (let r = 0; r < rows; r++) {
      const from = (i * rows + r) * columns;
      padded.set(x.subarray(from, from + columns), i * plane + (r + reach) * stride + reach);
    }
  }
  // Where the input of each tap begins, and more of weight 0 up to a multiple of four.
  const taps = inChannels * kernel * kernel;
  const offsets: number[] = [];
  for (let i = 0; i < inChannels; i++) {
    for (let dy = 0; dy < kernel; dy++) {
      for (let dx = 0; dx < kernel; dx++) offsets.push(i * plane + dy * stride + dx);
    }
  }
  while (offsets.length % 4) offsets.push(0);
  // Sums run over whole rows of the padded planes in one go; those between the rows go unused.
  const sums = new Int32Array((rows - 1) * stride + columns);
  const out = new Int32Array(outChannels * rows * columns);
  const biases = bias.length > outChannels ? bin * outChannels : 0;
  const half = 1 << (shift - 1);
  for (let o = 0; o < outChannels; o++) {
    sums.fill(bias[biases + o]! + half);
    const weightOf = (tap: number): number => (tap < taps ? weight[o * taps + tap]! : 0);
    for (let t = 0; t < offsets.length; t += 4) {
      const [p, q, r, s] = [offsets[t]!, offsets[t + 1]!, offsets[t + 2]!, offsets[t + 3]!];
      accumulate(
        sums, padded, p, q, r, s,
        weightOf(t), weightOf(t + 1), weightOf(t + 2), weightOf(t + 3),
      );
    }
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        const value = Math.max(sums[r * stride + c]!, 0) >> shift;
        out[(o * rows + r) * columns + c] = Math.min(value, top);
      }
    }
  }
  return out;
}

/** Four taps at a time: writing sums takes longer than computing them. */
function accumulate(
  sums: Ints, x: Ints,
  p: number, q: number, r: number, s: number,
  a: number, b: number, c: number, d: number,
): void {
  for (let i = 0; i < sums.length; i++) {
    const left = Math.imul(a, x[p + i]!) + Math.imul(b, x[q + i]!);
    const right = Math.imul(c, x[r + i]!) + Math.imul(d, x[s + i]!);
    sums[i] = (sums[i]! + ((left + right) | 0)) | 0;
  }
}

/** Channel `4 a + 2 dy + dx` at `(r, c)` becomes channel `a` at `(2 r + dy, 2 c + dx)`. */
function upsample(x: Ints, channels: number, rows: number, columns: number): Ints {
  const out = new Int32Array(x.length);
  let at = 0;
  for (let k = 0; k < channels; k++) {
    const [a, dy, dx] = [k >> 2, (k >> 1) & 1, k & 1];
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        out[(a * 2 * rows + 2 * r + dy) * 2 * columns + 2 * c + dx] = x[at++]!;
      }
    }
  }
  return out;
}
