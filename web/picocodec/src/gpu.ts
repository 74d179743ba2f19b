/** ONNX Runtime with WebGPU: a script of its own, fetched only where a GPU may be used. */
import * as ort from "onnxruntime-web/jspi";
import { feedsOf, type Floats, outputsOf } from "./model/tensors.js";

/** A network in a GPU's memory. */
export interface GpuNetwork {
  /** Rejects where the GPU fails, or is lost meanwhile. */
  run(inputs: Record<string, Floats>): Promise<Record<string, Floats>>;
}

export interface GpuRuntime {
  load(network: Uint8Array): Promise<GpuNetwork>;
}

/** ONNX Runtime, made ready from its script and its WebAssembly. */
export function start(script: URL, binary: ArrayBuffer): GpuRuntime {
  ort.env.wasm.numThreads = 1; // little is left for the processor
  ort.env.wasm.wasmPaths = { mjs: script };
  ort.env.wasm.wasmBinary = binary;
  ort.env.logLevel = "fatal"; // whoever falls back to WebAssembly needs no error in the console
  return { load };
}

async function load(network: Uint8Array): Promise<GpuNetwork> {
  const powers = nodesOf("Pow", network);
  const forceCpuNodeNames = powers.length ? powers : undefined; // it refuses an empty list
  const session = await ort.InferenceSession.create(network, {
    executionProviders: [{ name: "webgpu", forceCpuNodeNames }],
    logSeverityLevel: 4,
  });
  const device = await (ort.env.webgpu.device as Promise<GPUDevice>);
  const lost = device.lost.then(({ message }): never => {
    throw new Error(`the GPU was lost: ${message}`);
  });
  lost.catch(() => undefined); // where nothing runs, nobody has to know
  const run: GpuNetwork["run"] = async (inputs) =>
    outputsOf(await Promise.race([session.run(feedsOf(ort.Tensor, inputs)), lost]));
  return { run };
}

/**
 * The names of an ONNX file's nodes of a kind, in which `name` comes right before `op_type`.
 *
 * ONNX Runtime 1.30 writes a wrong shader where a vector is raised to one number ("type mismatch for
 * argument 2 in call to 'pow_v'"), as the dial of our models does; the processor has to do that.
 */
function nodesOf(kind: string, network: Uint8Array): string[] {
  const text = new TextDecoder("latin1").decode(network);
  const tail = `"${String.fromCharCode(kind.length)}${kind}`;
  const found = text.matchAll(new RegExp(`\\x1a[\\x01-\\x7f]([ -~]+)${tail}`, "g"));
  return Array.from(found, ([, name]) => name!);
}
