/** Decodes and encodes away from the page: one task after the other, so that memory is bounded. */
import * as ort from "onnxruntime-web/wasm";
import { LearnedCoder } from "./coders/learned.js";
import { decodePixels } from "./decoding/decoder.js";
import { type Downloaded, fetchVerified } from "./downloads.js";
import { PicoError } from "./errors.js";
import { readHeader } from "./format/container.js";
import { common, isEmpty } from "./format/tiles.js";
import { encodePicture } from "./encoding/encoder.js";
import type { GpuRuntime } from "./gpu.js";
import { toSrgb } from "./images/colours.js";
import { orientationOf, turned } from "./images/exif.js";
import { NO_METADATA, readMetadata } from "./images/metadata.js";
import { readPicture } from "./images/reading.js";
import type {
  Decoded, DecodeTask, Encoded, EncodeTask, Failure, FromWorker, Progress, Setup, Task, ToWorker,
} from "./messages.js";
import { Accelerator } from "./model/accelerator.js";
import { ModelFiles } from "./model/files.js";
import { Networks } from "./model/networks.js";
import type { Running } from "./running.js";

/** The SHA-256 of ONNX Runtime's WebAssembly without and with WebGPU, written here by build.mjs. */
declare const ORT_SHA256: string;
declare const ORT_GPU_SHA256: string;

const RUNTIME = "ort/ort-wasm-simd-threaded";
const GPU_RUNTIME = `${RUNTIME}.jspi`;
/** More hardly help, and each has a stack of its own. */
const MOST_THREADS = 8;

class Workshop {
  private readonly files: ModelFiles;
  private readonly networks: Networks;
  private readonly accelerator: Accelerator;
  private started: Promise<void> | null = null;
  private current = 0;
  private readonly cancelled = new Set<number>();

  constructor(private readonly setup: Setup) {
    const base = new URL("models/", setup.assets);
    const downloaded: Downloaded = (file, done, total) =>
      this.tell({ phase: "download", file, done, total });
    this.files = new ModelFiles(base, downloaded);
    this.networks = new Networks(this.files, () => (this.started ??= this.start(downloaded)));
    const open = (): Promise<GpuRuntime> => this.openGpu(downloaded);
    this.accelerator = new Accelerator(this.networks, this.files, open);
  }

  cancel(id: number): void {
    this.cancelled.add(id);
  }

  async work(id: number, task: Task): Promise<void> {
    this.current = id;
    try {
      await this.pause(id);
      this.accelerator.begin(task.gpu);
      if (task.kind === "decode") {
        const result = await this.decode(id, task);
        post({ id, result, backend: this.accelerator.backend }, [result.data.buffer]);
      } else {
        const result = await this.encode(id, task);
        post({ id, result, backend: this.accelerator.backend }, [result.file.buffer]);
      }
    } catch (error) {
      post({ id, failure: failureOf(error) });
    }
    this.cancelled.delete(id);
  }

  private async decode(id: number, task: DecodeTask): Promise<Decoded> {
    const { file, realism, region, divisor, maxPixels } = task;
    const header = readHeader(file, maxPixels);
    const whole = { top: 0, left: 0, height: header.height, width: header.width };
    const wanted = region ?? whole;
    const { top, left, height, width } = common(wanted, whole);
    const isInside =
      top === wanted.top && left === wanted.left && height === wanted.height &&
      width === wanted.width && !isEmpty(wanted);
    if (!isInside) {
      throw new RangeError(
        `region ${wanted.left},${wanted.top},${wanted.width},${wanted.height} does not lie within ` +
          `the picture of ${header.width}x${header.height} pixels`,
      );
    }
    const { icc, exif, xmp, alpha } = await readMetadata(file, header);
    const coder = async (model: string): Promise<LearnedCoder> =>
      new LearnedCoder(await this.files.model(model), this.networks, this.accelerator);
    const request = { realism, wanted, divisor };
    const running = this.running(id, "decode");
    let raster = await decodePixels(file, header, alpha, request, coder, running);
    if (icc && !task.stored) raster = await toSrgb(raster, icc, header.gray);
    const orientation = orientationOf(exif);
    if (task.upright) raster = turned(raster, orientation);
    return {
      width: raster.area.width,
      height: raster.area.height,
      data: raster.data,
      orientation: task.upright ? 1 : orientation,
      icc, exif, xmp,
    };
  }

  private async encode(id: number, task: EncodeTask): Promise<Encoded> {
    const { raster, ...metadata } = await readPicture(task.source);
    const isKept = task.keepMetadata;
    const upright = isKept ? raster : turned(raster, orientationOf(metadata.exif));
    const kept = isKept ? metadata : { ...NO_METADATA, icc: metadata.icc };
    const model = await this.files.model(task.model ?? (await this.files.defaultName()));
    const coder = new LearnedCoder(model, this.networks, this.accelerator);
    const rate = task.level === null ? { targetSize: task.targetSize } : { level: task.level };
    return { file: await encodePicture(upright, kept, rate, coder, this.running(id, "encode")) };
  }

  /** ONNX Runtime, made ready. */
  private async start(downloaded: Downloaded): Promise<void> {
    const { assets, threads } = this.setup;
    // In Firefox 153 on a busy machine threads sometimes wait for each other without end.
    const isFirefox = navigator.userAgent.includes("Firefox/");
    const most = isFirefox ? 1 : Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS);
    ort.env.wasm.numThreads = self.crossOriginIsolated ? threads || most : 1;
    ort.env.wasm.wasmPaths = { mjs: new URL(`${RUNTIME}.mjs`, assets) };
    const url = new URL(`${RUNTIME}.wasm`, assets);
    ort.env.wasm.wasmBinary = (await fetchVerified(url, ORT_SHA256, downloaded)).buffer;
    ort.env.logLevel = "error";
  }

  /** The same with WebGPU, beside it: what decides symbols stays where it is. */
  private async openGpu(downloaded: Downloaded): Promise<GpuRuntime> {
    const { assets } = this.setup;
    const script = new URL("gpu.js", assets).href;
    const { start } = (await import(script)) as typeof import("./gpu.js");
    const url = new URL(`${GPU_RUNTIME}.wasm`, assets);
    const { buffer } = await fetchVerified(url, ORT_GPU_SHA256, downloaded);
    return start(new URL(`${GPU_RUNTIME}.mjs`, assets), buffer);
  }

  private running(id: number, phase: "decode" | "encode"): Running {
    return {
      progress: (done, total) => this.tell({ phase, done, total }),
      pause: () => this.pause(id),
    };
  }

  /** Lets messages in; throws if one said that nobody waits for this task any more. */
  private async pause(id: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve));
    if (this.cancelled.has(id)) throw new DOMException("the work was cancelled", "AbortError");
  }

  private tell(progress: Progress): void {
    post({ id: this.current, progress });
  }
}

function post(message: FromWorker, transfer: Transferable[] = []): void {
  self.postMessage(message, { transfer });
}

function failureOf(error: unknown): Failure {
  if (error instanceof PicoError) {
    return { kind: error.kind, name: error.name, message: error.message, tile: error.tile };
  }
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return { kind: null, name, message, tile: null };
}

let workshop: Workshop | null = null;
let last: Promise<void> = Promise.resolve();

self.addEventListener("message", ({ data }: MessageEvent<Setup | ToWorker>) => {
  if ("assets" in data) workshop = new Workshop(data);
  else if (data.task === "cancel") workshop!.cancel(data.id);
  else {
    const { id, task } = data;
    last = last.then(() => workshop!.work(id, task));
  }
});
