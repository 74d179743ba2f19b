/** Tiles by the networks: pixels -> y, z -> symbols -> bytes, and back (docs/format.md, 6 to 8). */
import type { Header } from "../format/container.js";
import { type Area, gridOf, MARGIN } from "../format/tiles.js";
import type { Accelerator } from "../model/accelerator.js";
import { CLOSEST, type Model, PREVIEWS } from "../model/model.js";
import type { Networks } from "../model/networks.js";
import { noise, STEP } from "../model/noise.js";
import type { Ints } from "../model/scale_decoder.js";
import type { Floats } from "../model/tensors.js";
import { rint } from "../rounding.js";
import { binOf, encodeSymbols, skipUnused, type StartedSymbols, startSymbols } from "./symbols.js";

/** What the scale decoder can take. */
const Z_LIMIT = 127;
/** What its network takes for 0. */
const Z_ZERO = 128;
/** Of what a GPU is checked with, in thousandths. */
const FIXED_LEVEL = 500;

type Numbers = Floats["data"];
/** Where values lie, and their level in thousandths. */
type Place = Pick<StartedSymbols, "grid" | "level">;

/** A learned tile, encoded: its bytes, and what a decoder makes of them before it has pixels. */
export interface LearnedTile {
  readonly payload: Uint8Array<ArrayBuffer>;
  readonly yHat: Floats;
}

export class LearnedCoder {
  constructor(
    readonly model: Model,
    private readonly networks: Networks,
    private readonly accelerator: Accelerator,
  ) {}

  /** Begins to fetch what decodes to a picture at a realism, or to one of the `PREVIEWS`. */
  prepare(divisor: number, realism: number): void {
    const preview = PREVIEWS.get(divisor);
    const whole = this.hasClosest && realism < 1 ? [CLOSEST] : [];
    if (!this.hasClosest || realism > 0) whole.push("synthesis");
    this.networks.prepare(this.model, "context", ...(preview ? [preview] : whole));
  }

  /** y_hat `[1, M, h, w]` of the learned piece `number`; errors as of `decodeSymbols`. */
  async latent(file: Uint8Array, header: Header, number: number): Promise<Floats> {
    const started = startSymbols(this.model, file, header, number);
    // By the scale decoder in ONNX Runtime, which is faster.
    const { z, y } = started.finish(await this.yIndices(started));
    const values = Float32Array.from(y);
    return (await this.context(values, new Float32Array(y.length), z, started)).y_hat!;
  }

  /** The canvas `[1, 3, H, W]`, not clamped, of the y_hat of what covers `area`. */
  async canvas(yHat: Floats, area: Area, level: number, realism: number): Promise<Floats> {
    if (!this.hasClosest) return this.convincing(yHat, area, level, realism);
    if (realism === 1) return this.convincing(yHat, area, level, 1);
    const closest = await this.closest(yHat, level);
    if (realism === 0) return closest;
    const { data } = await this.convincing(yHat, area, level, 1);
    const blend = closest.data.map((value, i) => value + realism * (data[i]! - value));
    return { data: blend, shape: closest.shape };
  }

  /** Whether a network of its own gives the closest pixels. */
  private get hasClosest(): boolean {
    return this.model.hashes.has(`${CLOSEST}.onnx`);
  }

  private closest(yHat: Floats, level: number): Promise<Floats> {
    const inputs = { y_hat: yHat, level: levelOf(level) };
    return this.picture(CLOSEST, inputs, (fixed) =>
      Promise.resolve({ y_hat: fixed, level: levelOf(FIXED_LEVEL) }));
  }

  private async convincing(
    yHat: Floats,
    area: Area,
    level: number,
    realism: number,
  ): Promise<Floats> {
    const inputs = await this.withTexture(yHat, area, level, realism);
    return this.picture("synthesis", inputs, (fixed, square) =>
      this.withTexture(fixed, square, FIXED_LEVEL, 1));
  }

  /** What a decoder makes of inputs; `like` makes such inputs of a latent that is always the same,
   * of a square, to check a GPU with. */
  private async picture(
    network: string,
    inputs: Record<string, Floats>,
    like: (fixed: Floats, square: Area) => Promise<Record<string, Floats>>,
  ): Promise<Floats> {
    const sample = (side: number): Promise<Record<string, Floats>> => {
      const square = { top: -MARGIN, left: -MARGIN, height: side, width: side };
      const { yRows, yColumns } = gridOf(square);
      return like(noise(inputs.y_hat!.shape[1]!, yRows, yColumns, 0, 0), square);
    };
    return (await this.accelerator.run(this.model, network, inputs, sample)).picture!;
  }

  /** What synthesis is given. */
  private async withTexture(
    yHat: Floats,
    area: Area,
    level: number,
    realism: number,
  ): Promise<Record<string, Floats>> {
    const inputs: Record<string, Floats> = { y_hat: yHat, level: levelOf(level) };
    if (await this.networks.shapeOf(this.model, "synthesis", "realism")) {
      inputs.realism = { data: Float32Array.of(realism), shape: [1] };
    }
    const given = await this.networks.shapeOf(this.model, "synthesis", "noise");
    if (given) {
      const [, , rows, columns] = yHat.shape;
      const [top, left] = [(area.top + MARGIN) / STEP, (area.left + MARGIN) / STEP];
      inputs.noise = noise(Number(given[1]), 2 * rows!, 2 * columns!, top, left);
    }
    return inputs;
  }

  /** About the same, the sides divided by one of the model's `PREVIEWS`. */
  async preview(yHat: Floats, level: number, divisor: number): Promise<Floats> {
    const inputs = { y_hat: yHat, level: levelOf(level) };
    return (await this.networks.run(this.model, PREVIEWS.get(divisor)!, inputs)).picture!;
  }

  /** Codes a canvas `[1, 3, H, W]` of what covers `area`, at a level in thousandths. */
  async encode(picture: Floats, area: Area, level: number): Promise<LearnedTile> {
    const { model } = this;
    const sample = async (side: number): Promise<Record<string, Floats>> => ({
      picture: noise(3, side, side, 0, 0),
      level: levelOf(FIXED_LEVEL),
    });
    const inputs = { picture, level: levelOf(level) };
    const analysed = await this.accelerator.run(model, "analysis", inputs, sample);
    const z = Int32Array.from(analysed.z!.data, (value) => clamped(rint(value), Z_LIMIT));
    const place = { grid: gridOf(area), level };
    const indices = await this.yIndices({ z, ...place });
    const coded = Float32Array.from(indices, (index) => (index >= model.skipBelow ? 1 : 0));
    // The symbol of what is not coded is 0.
    const values = analysed.y!.data.map((value, i) => (coded[i] ? value : 0));
    const found = await this.context(values, coded, z, place);
    const symbols = { z, y: Int32Array.from(found.symbols!.data, rint) };
    return { payload: encodeSymbols(model, symbols, indices, area, level), yHat: found.y_hat! };
  }

  /** Symbols and y_hat: of values of y where `coded` is 1, and where it is 0 of symbols. */
  private context(
    values: Numbers,
    coded: Numbers,
    z: Ints,
    { grid: { zRows, zColumns, yRows, yColumns }, level }: Place,
  ): Promise<Record<string, Floats>> {
    return this.networks.run(this.model, "context", {
      values: onGrid(values, yRows, yColumns),
      coded: onGrid(coded, yRows, yColumns),
      z: onGrid(Float32Array.from(z), zRows, zColumns),
      level: levelOf(level),
    });
  }

  /**
   * Scale indices of y, as `yIndices` has them: integers all the way, and products of factors so
   * small that no processor's instructions can overflow (docs/format.md, 7).
   */
  private async yIndices(
    { z, grid, level }: Place & { z: Ints },
  ): Promise<Uint8Array> {
    const { zRows, zColumns } = grid;
    const shifted = Uint8Array.from(z, (value) => clamped(value, Z_LIMIT) + Z_ZERO);
    const indices = await this.networks.runIntegers(this.model, "scale_decoder", {
      z: onGrid(shifted, zRows, zColumns),
      bin: { data: BigInt64Array.of(BigInt(binOf(level))), shape: [] },
    });
    skipUnused(indices, grid);
    return indices;
  }
}

/** An input of networks: a level in thousandths as 0 to 1. */
function levelOf(level: number): Floats {
  return { data: Float32Array.of(level / 1000), shape: [1] };
}

/** As many planes as there are. */
function onGrid<T extends { readonly length: number }>(data: T, rows: number, columns: number) {
  return { data, shape: [1, data.length / (rows * columns), rows, columns] };
}

function clamped(value: number, limit: number): number {
  return Math.min(Math.max(value, -limit), limit);
}
