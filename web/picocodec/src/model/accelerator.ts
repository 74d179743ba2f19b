/** Networks that need not be exact: on a GPU where that is right and faster, or else in WebAssembly. */
import { MARGIN, TILE, Z_STEP } from "../format/tiles.js";
import type { GpuNetwork, GpuRuntime } from "../gpu.js";
import type { Backend, Gpu } from "../messages.js";
import type { ModelFiles } from "./files.js";
import type { Description } from "./model.js";
import type { Networks } from "./networks.js";
import type { Floats } from "./tensors.js";

/** How far a number may be from WebAssembly's: a quarter of 1/255 of a picture's range, or a
 * thousandth of a quantiser's step. */
const TOLERANCE = 1 / 1024;
/** Sides, in pixels, of what is compared before a GPU is used, and of what is timed: a tile. */
const SMALL = Z_STEP;
const WHOLE = TILE + 2 * MARGIN;
/** Tiles that are WebAssembly's unless a GPU is demanded: small pictures need not wait until what
 * uses one is fetched and checked. */
const FIRST = 4;
/** What a GPU may take for anything, in milliseconds; much more where software may be one. */
const PATIENCE = 20_000;
const PATIENCE_WITH_SOFTWARE = 300_000;

type Arrays = Record<string, Floats>;
/** Fixed inputs of a network for a square picture of a side, a multiple of 64. */
export type Sample = (side: number) => Promise<Arrays>;

/** `open` fetches and starts what runs networks on a GPU. */
export class Accelerator {
  /** What ran the last network. */
  backend: Backend | null = null;
  private mode: Gpu = "auto";
  private count = 0;
  private broken: unknown = null;
  private runtime: Promise<GpuRuntime> | null = null;
  private readonly checked = new Map<string, Promise<GpuNetwork>>();
  private readonly timed = new Map<string, Promise<GpuNetwork>>();

  constructor(
    private readonly networks: Networks,
    private readonly files: ModelFiles,
    private readonly open: () => Promise<GpuRuntime>,
  ) {}

  /** Before a task: what it says of GPUs. */
  begin(mode: Gpu): void {
    this.mode = mode;
    this.backend = null;
  }

  /** The outputs of a network by their names; errors as of `Networks.run`. */
  async run(model: Description, network: string, inputs: Arrays, sample: Sample): Promise<Arrays> {
    try {
      const gpu = await this.chosen(model, network, sample);
      const outputs = await this.guarded(gpu.run(inputs));
      this.backend = { name: "webgpu", why: "" };
      return outputs;
    } catch (error) {
      this.backend = { name: "wasm", why: error instanceof Error ? error.message : String(error) };
      return this.networks.run(model, network, inputs);
    }
  }

  /** The network on a GPU; rejects with the reason why it is not to be used. */
  private async chosen(model: Description, network: string, sample: Sample): Promise<GpuNetwork> {
    if (this.mode === "off") throw new Error("no GPU is to be used");
    if (this.broken) throw this.broken;
    if (this.mode === "on") return this.check(model, network, sample);
    if (this.count++ < FIRST) throw new Error("so few tiles are not worth a GPU");
    return this.time(model, network, sample);
  }

  /** Loaded, and found to be right. */
  private check(model: Description, network: string, sample: Sample): Promise<GpuNetwork> {
    return once(this.checked, `${model.name}/${network}`, async () => {
      await adapter();
      const bytes = await this.files.read(model, `${network}.onnx`);
      const runtime = await (this.runtime ??= this.open());
      const gpu = await this.guarded(runtime.load(bytes));
      await this.compare(gpu, model, network, await sample(SMALL));
      return gpu;
    });
  }

  /** Checked, and found to be faster, too. */
  private time(model: Description, network: string, sample: Sample): Promise<GpuNetwork> {
    return once(this.timed, `${model.name}/${network}`, async () => {
      if ((await adapter()).info.isFallbackAdapter) throw new Error("the GPU is software");
      const gpu = await this.check(model, network, sample);
      const inputs = await sample(WHOLE);
      await this.guarded(gpu.run(inputs)); // compiles what such a size needs
      const ms = await this.compare(gpu, model, network, inputs);
      if (ms.gpu >= ms.wasm) {
        throw new Error(`the GPU takes ${ms.gpu | 0} ms for a tile, WebAssembly ${ms.wasm | 0} ms`);
      }
      return gpu;
    });
  }

  /** How many milliseconds each took. Rejects where their outputs differ. */
  private async compare(
    gpu: GpuNetwork,
    model: Description,
    network: string,
    inputs: Arrays,
  ): Promise<{ gpu: number; wasm: number }> {
    const times = [performance.now()];
    const found = await this.guarded(gpu.run(inputs));
    times.push(performance.now());
    const expected = await this.networks.run(model, network, inputs);
    times.push(performance.now());
    for (const [name, { data }] of Object.entries(expected)) {
      const isNear = data.every((value, i) => Math.abs(value - found[name]!.data[i]!) <= TOLERANCE);
      if (!isNear) throw new Error(`the GPU's ${name} differs from WebAssembly's`);
    }
    return { gpu: times[1]! - times[0]!, wasm: times[2]! - times[1]! };
  }

  /** Work on the GPU, which is not asked again once something failed or took too long. */
  private async guarded<T>(work: Promise<T>): Promise<T> {
    try {
      return await within(this.mode === "on" ? PATIENCE_WITH_SOFTWARE : PATIENCE, work);
    } catch (error) {
      throw (this.broken = error);
    }
  }
}

async function adapter(): Promise<GPUAdapter> {
  if (!("Suspending" in WebAssembly)) throw new Error("the browser cannot suspend WebAssembly");
  const found = await navigator.gpu?.requestAdapter();
  if (!found) throw new Error("the browser has no GPU");
  return found;
}

async function within<T>(limit: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("the GPU does not answer")), limit);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function once<T>(
  known: Map<string, Promise<T>>,
  key: string,
  make: () => Promise<T>,
): Promise<T> {
  const found = known.get(key) ?? make();
  known.set(key, found);
  return found;
}
