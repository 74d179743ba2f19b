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
  // Sums run over whole rows of the padded planes in one go; those between the rows go unused.
  const sums = new Int32Array((rows - 1) * stride + columns);
  const out = new Int32Array(outChannels * rows * columns);
  const biases = bias.length > outChannels ? bin * outChannels : 0;
  const half = 1 << (shift - 1);
  let tap = 0;
  for (let o = 0; o < outChannels; o++) {
    sums.fill(bias[biases + o]! + half);
    for (let i = 0; i < inChannels; i++) {
      for (let dy = 0; dy < kernel; dy++) {
        for (let dx = 0; dx < kernel; dx++) {
          accumulate(sums, padded, i * plane + dy * stride + dx, weight[tap++]!);
        }
      }
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

function accumulate(sums: Ints, x: Ints, offset: number, weight: number): void {
  for (let i = 0; i < sums.length; i++) {
    sums[i] = (sums[i]! + Math.imul(weight, x[offset + i]!)) | 0;
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
