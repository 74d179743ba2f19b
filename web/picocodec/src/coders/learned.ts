/** Tiles by the networks: pixels -> y, z -> symbols -> bytes, and back (docs/format.md, 6 to 8). */
import type { Header } from "../format/container.js";
import { type Area, gridOf, MARGIN } from "../format/tiles.js";
import type { Accelerator } from "../model/accelerator.js";
import { type Model, PREVIEWS } from "../model/model.js";
import type { Networks } from "../model/networks.js";
import { noise, STEP } from "../model/noise.js";
import type { Ints } from "../model/scale_decoder.js";
import type { Floats } from "../model/tensors.js";
import { rint } from "../rounding.js";
import {
  binOf, encodeSymbols, skipUnused, type StartedSymbols, startSymbols, type Symbols,
} from "./symbols.js";

/** What the scale decoder can take. */
const Z_LIMIT = 127;
/** What its network takes for 0. */
const Z_ZERO = 128;
/** Far beyond any symbol that a picture causes, and what an escape can hold with ease. */
const SYMBOL_LIMIT = 2 ** 18;
/** Of what a GPU is checked with, 0 to 1. */
const FIXED_LEVEL = 0.5;

/** A learned tile, encoded: its bytes, and the symbols that they hold. */
export interface LearnedTile {
  readonly payload: Uint8Array<ArrayBuffer>;
  readonly symbols: Symbols;
}

export class LearnedCoder {
  constructor(
    readonly model: Model,
    private readonly networks: Networks,
    private readonly accelerator: Accelerator,
  ) {}

  /** As `decodeSymbols`, by the scale decoder in ONNX Runtime, which is faster. */
  async symbols(file: Uint8Array, header: Header, number: number): Promise<Symbols> {
    const started = startSymbols(this.model, file, header, number);
    return started.finish(await this.yIndices(started));
  }

  /** The canvas `[1, 3, H, W]`, not clamped, of the symbols of what covers `area`. */
  async canvas(symbols: Symbols, area: Area, level: number, realism: number): Promise<Floats> {
    const inputs = await this.withTexture(symbols, area, level, realism);
    const sample = (side: number): Promise<Record<string, Floats>> => {
      const square = { top: -MARGIN, left: -MARGIN, height: side, width: side };
      return this.withTexture(fixedSymbols(symbols, area, square), square, 1000 * FIXED_LEVEL, 1);
    };
    return (await this.accelerator.run(this.model, "synthesis", inputs, sample)).picture!;
  }

  /** What synthesis is given. */
  private async withTexture(
    symbols: Symbols,
    area: Area,
    level: number,
    realism: number,
  ): Promise<Record<string, Floats>> {
    const inputs = this.latents(symbols, area, level);
    if (await this.networks.shapeOf(this.model, "synthesis", "realism")) {
      inputs.realism = { data: Float32Array.of(realism), shape: [1] };
    }
    const given = await this.networks.shapeOf(this.model, "synthesis", "noise");
    if (given) {
      const { yRows, yColumns } = gridOf(area);
      const [top, left] = [(area.top + MARGIN) / STEP, (area.left + MARGIN) / STEP];
      inputs.noise = noise(Number(given[1]), 2 * yRows, 2 * yColumns, top, left);
    }
    return inputs;
  }

  /** About the same, the sides divided by one of the model's `PREVIEWS`. */
  async preview(symbols: Symbols, area: Area, level: number, divisor: number): Promise<Floats> {
    const inputs = this.latents(symbols, area, level);
    return (await this.networks.run(this.model, PREVIEWS.get(divisor)!, inputs)).picture!;
  }

  /** Codes a canvas `[1, 3, H, W]` of what covers `area`, at a level in thousandths. */
  async encode(picture: Floats, area: Area, level: number): Promise<LearnedTile> {
    const { model, networks } = this;
    const grid = gridOf(area);
    const of = { data: Float32Array.of(level / 1000), shape: [1] };
    const sample = async (side: number): Promise<Record<string, Floats>> => ({
      picture: noise(3, side, side, 0, 0),
      level: { data: Float32Array.of(FIXED_LEVEL), shape: [1] },
    });
    const inputs = { picture, level: of };
    const analysed = await this.accelerator.run(model, "analysis", inputs, sample);
    const y = analysed.y!;
    const z = Int32Array.from(analysed.z!.data, (value) => clamped(rint(value), Z_LIMIT));
    const indices = await this.yIndices({ z, grid, level });
    const coded = Float32Array.from(indices, (index) => (index >= model.skipBelow ? 1 : 0));
    const known = {
      y,
      z: { data: Float32Array.from(z), shape: analysed.z!.shape },
      coded: { data: coded, shape: y.shape },
      level: of,
    };
    const quantised = (await networks.run(model, "context", known)).symbols!.data;
    const symbols: Symbols = {
      z,
      y: Int32Array.from(quantised, (value) => clamped(rint(value), SYMBOL_LIMIT)),
    };
    return { payload: encodeSymbols(model, symbols, indices, area, level), symbols };
  }

  /**
   * Scale indices of y, as `yIndices` has them: integers all the way, and products of factors so
   * small that no processor's instructions can overflow (docs/format.md, 7).
   */
  private async yIndices(
    { z, grid, level }: Omit<StartedSymbols, "finish">,
  ): Promise<Uint8Array> {
    const { zRows, zColumns } = grid;
    const shifted = Uint8Array.from(z, (value) => clamped(value, Z_LIMIT) + Z_ZERO);
    const indices = await this.networks.runIntegers(this.model, "scale_decoder", {
      z: { data: shifted, shape: [1, planes(z, zRows, zColumns), zRows, zColumns] },
      bin: { data: BigInt64Array.of(BigInt(binOf(level))), shape: [] },
    });
    skipUnused(indices, grid);
    return indices;
  }

  private latents({ z, y }: Symbols, area: Area, level: number): Record<string, Floats> {
    const { zRows, zColumns, yRows, yColumns } = gridOf(area);
    return {
      z: { data: Float32Array.from(z), shape: [1, planes(z, zRows, zColumns), zRows, zColumns] },
      symbols: {
        data: Float32Array.from(y),
        shape: [1, planes(y, yRows, yColumns), yRows, yColumns],
      },
      level: { data: Float32Array.of(level / 1000), shape: [1] },
    };
  }
}

/** Symbols for `square`, the same for each picture, of as many channels as those of `area`. */
function fixedSymbols({ z, y }: Symbols, area: Area, square: Area): Symbols {
  const [from, to] = [gridOf(area), gridOf(square)];
  const zPlanes = planes(z, from.zRows, from.zColumns);
  const yPlanes = planes(y, from.yRows, from.yColumns);
  return {
    z: Int32Array.from(noise(zPlanes, to.zRows, to.zColumns, 0, 0).data, (value) => rint(2 * value)),
    y: Int32Array.from(noise(yPlanes, to.yRows, to.yColumns, 0, 0).data, rint),
  };
}

function planes(values: Ints, rows: number, columns: number): number {
  return values.length / (rows * columns);
}

function clamped(value: number, limit: number): number {
  return Math.min(Math.max(value, -limit), limit);
}
