/** The networks of models, run by ONNX Runtime, each loaded when it is first needed. */
import * as ort from "onnxruntime-web/wasm";
import { NetworkFailed, UnknownModel } from "../errors.js";
import type { ModelFiles } from "./files.js";
import type { Description } from "./model.js";
import { feedsOf, type Floats, outputsOf } from "./tensors.js";

export interface Integers {
  readonly data: Uint8Array | BigInt64Array;
  readonly shape: readonly number[];
}

/** `start` makes ONNX Runtime ready, once. */
export class Networks {
  private readonly sessions = new Map<string, Promise<ort.InferenceSession>>();

  constructor(
    private readonly files: ModelFiles,
    private readonly start: () => Promise<void>,
  ) {}

  /** Begins to load networks; whoever uses one hears of errors. */
  prepare(model: Description, ...networks: string[]): void {
    for (const network of networks) void this.session(model, network);
  }

  /** The shape of a network's input, sides that are free by their names; null: it has none so. */
  async shapeOf(
    model: Description,
    network: string,
    input: string,
  ): Promise<readonly (number | string)[] | null> {
    const { inputMetadata } = await this.session(model, network);
    const found = inputMetadata.find(({ name }) => name === input);
    return found?.isTensor ? found.shape : null;
  }

  /** The outputs of a network by their names. Throws `UnknownModel` or `NetworkFailed`. */
  async run(
    model: Description,
    network: string,
    inputs: Record<string, Floats>,
  ): Promise<Record<string, Floats>> {
    return outputsOf(await this.runTensors(model, network, feedsOf(ort.Tensor, inputs)));
  }

  /** The only output of a network of integers, which are bytes; errors as of `run`. */
  async runIntegers(
    model: Description,
    network: string,
    inputs: Record<string, Integers>,
  ): Promise<Uint8Array> {
    const feeds: Record<string, ort.Tensor> = {};
    for (const [name, { data, shape }] of Object.entries(inputs)) {
      feeds[name] = data instanceof Uint8Array
        ? new ort.Tensor("uint8", data, shape)
        : new ort.Tensor("int64", data, shape);
    }
    const [output] = Object.values(await this.runTensors(model, network, feeds));
    if (output?.type !== "uint8") {
      throw new UnknownModel(`${network} of ${model.name} does not give bytes`);
    }
    return output.data as Uint8Array;
  }

  private async runTensors(
    model: Description,
    network: string,
    feeds: Record<string, ort.Tensor>,
  ): Promise<ort.InferenceSession.ReturnType> {
    const session = await this.session(model, network);
    const missing = session.inputNames.filter((name) => !(name in feeds));
    if (missing.length) {
      throw new UnknownModel(
        `${network} of ${model.name} asks for ${missing.join(", ")}, which is unknown here: ` +
          "it needs a newer picocodec",
      );
    }
    try {
      return await session.run(feeds);
    } catch (error) {
      throw new NetworkFailed(`${network} of ${model.name} failed: ${String(error)}`);
    }
  }

  private session(model: Description, network: string): Promise<ort.InferenceSession> {
    const key = `${model.name}/${network}`;
    const known = this.sessions.get(key) ?? this.load(model, `${network}.onnx`);
    this.sessions.set(key, known);
    known.catch(() => this.sessions.delete(key));
    return known;
  }

  private async load(model: Description, file: string): Promise<ort.InferenceSession> {
    const [bytes] = await Promise.all([this.files.read(model, file), this.start()]);
    try {
      return await ort.InferenceSession.create(bytes, {
        executionProviders: ["wasm"],
        logSeverityLevel: 3,
      });
    } catch (error) {
      throw new NetworkFailed(`${file} of ${model.name} cannot be loaded: ${String(error)}`);
    }
  }
}
