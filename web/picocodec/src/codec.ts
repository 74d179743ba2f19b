/** A worker that decodes and encodes, as functions. */
import { type Divisor, SCALES } from "./decoding/decoder.js";
import { errorOf } from "./errors.js";
import { DEFAULT_QUALITY, levelOfQuality } from "./encoding/rate.js";
import { MAX_PIXELS } from "./format/container.js";
import type { Source } from "./images/reading.js";
import {
  type Backend, type Decoded, type Encoded, type Failure, type FromWorker, type Gpu, GPUS,
  type Progress, type Setup, type Task, type ToWorker,
} from "./messages.js";

export interface Settings {
  /** The folder of the package's files: `worker.js`, `ort/`, `models/`. Where it lies, if not told. */
  readonly assets?: string | URL;
  /** At most; 0, the default, is all that the machine has, up to 8, and one in Firefox. More than
   * one only works in pages that are isolated from others (COOP and COEP). */
  readonly threads?: number;
}

export interface Waiting {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** `auto` if not given. */
  readonly gpu?: Gpu;
  /** Told at the end, unless no such network was needed. */
  readonly onBackend?: (backend: Backend) => void;
}

export interface DecodeOptions extends Waiting {
  /** 0, the closest pixels, to 1, the most convincing texture; what the file recommends if not
   * given, or else the model's default. */
  readonly realism?: number;
  /** Part of the picture, in pixels as they are stored. */
  readonly region?: {
    readonly x: number;
    readonly y: number;
    readonly width: number;
    readonly height: number;
  };
  /** 1, 1/2, 1/4 or 1/8: sides are divided and rounded up. */
  readonly scale?: number;
  /** 2^28 if not given. */
  readonly maxPixels?: number;
  /** Whether pixels are turned as EXIF says; they are. */
  readonly upright?: boolean;
  /** `stored` leaves the samples as the file has them, in the space of its ICC profile. */
  readonly colours?: "srgb" | "stored";
}

export interface EncodeOptions extends Waiting {
  /** 0 to 100; 50. */
  readonly quality?: number;
  /** Bytes, in place of a quality: the file is never larger. */
  readonly targetSize?: number;
  /** Whether EXIF and XMP are kept, which may say where a photo was taken; they are. */
  readonly metadata?: boolean;
  /** `name.vN` */
  readonly model?: string;
}

interface Job extends Waiting {
  readonly resolve: (result: Decoded | Encoded) => void;
  readonly reject: (error: unknown) => void;
}

/** Errors are `PicoError`s, `RangeError` for options out of range, an `AbortError` if cancelled. */
export class Codec {
  private readonly worker: Worker;
  private readonly jobs = new Map<number, Job>();
  private count = 0;

  constructor({ assets, threads = 0 }: Settings = {}) {
    const page = typeof document === "undefined" ? self.location.href : document.baseURI;
    const url = assets === undefined ? null : new URL(String(assets).replace(/\/?$/, "/"), page);
    this.worker = url
      ? new Worker(new URL("worker.js", url), { type: "module" })
      : new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    const setup: Setup = { assets: String(url ?? new URL("./", import.meta.url)), threads };
    this.worker.postMessage(setup);
    this.worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => this.hear(data));
    this.worker.addEventListener("error", (event) => this.stop(event.message));
  }

  async decode(
    file: Uint8Array | ArrayBuffer | Blob,
    options: DecodeOptions = {},
  ): Promise<Decoded> {
    const { realism, region, scale = 1, maxPixels = MAX_PIXELS, upright = true } = options;
    if (realism !== undefined && !(realism >= 0 && realism <= 1)) {
      throw new RangeError(`realism must be from 0 to 1, not ${realism}`);
    }
    const divisor = SCALES.find((n) => scale === 1 / n) as Divisor | undefined;
    if (!divisor) throw new RangeError(`scale must be 1, 1/2, 1/4 or 1/8, not ${scale}`);
    const bytes = new Uint8Array(file instanceof Blob ? await file.arrayBuffer() : file);
    const task: Task = {
      kind: "decode",
      file: bytes,
      realism: realism ?? null,
      region: region
        ? { top: region.y, left: region.x, height: region.height, width: region.width }
        : null,
      divisor, maxPixels, upright,
      stored: options.colours === "stored",
      gpu: gpuOf(options),
    };
    return (await this.run(task, options)) as Decoded;
  }

  async encode(source: Source, options: EncodeOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const { quality = DEFAULT_QUALITY, targetSize, metadata = true, model = null } = options;
    if (targetSize !== undefined && !(targetSize >= 1)) {
      throw new RangeError(`the target must be a number of bytes, not ${targetSize}`);
    }
    const task: Task = {
      kind: "encode",
      source,
      level: targetSize === undefined ? levelOfQuality(quality) : null,
      targetSize: Math.floor(targetSize ?? 0),
      model,
      keepMetadata: metadata,
      gpu: gpuOf(options),
    };
    return ((await this.run(task, options)) as Encoded).file;
  }

  /** Ends the worker; whoever still waits gets an `AbortError`. */
  close(): void {
    this.worker.terminate();
    for (const job of this.jobs.values()) job.reject(aborted());
    this.jobs.clear();
  }

  private run(task: Task, { signal, onProgress, onBackend }: Waiting): Promise<Decoded | Encoded> {
    if (signal?.aborted) return Promise.reject(aborted());
    const id = ++this.count;
    return new Promise((resolve, reject) => {
      this.jobs.set(id, { resolve, reject, onProgress, onBackend });
      signal?.addEventListener("abort", () => this.cancel(id), { once: true });
      const message: ToWorker = { id, task };
      this.worker.postMessage(message);
    });
  }

  private cancel(id: number): void {
    const job = this.jobs.get(id);
    if (!job) return;
    this.jobs.delete(id);
    const message: ToWorker = { id, task: "cancel" };
    this.worker.postMessage(message);
    job.reject(aborted());
  }

  private hear(message: FromWorker): void {
    const job = this.jobs.get(message.id);
    if (!job) return; // it was cancelled
    if ("progress" in message) {
      job.onProgress?.(message.progress);
      return;
    }
    this.jobs.delete(message.id);
    if ("failure" in message) {
      job.reject(errorFrom(message.failure));
      return;
    }
    if (message.backend) job.onBackend?.(message.backend);
    job.resolve(message.result);
  }

  private stop(reason: string): void {
    const error = new Error(`picocodec's worker cannot be started or has failed: ${reason}`);
    for (const job of this.jobs.values()) job.reject(error);
    this.jobs.clear();
  }
}

function gpuOf({ gpu = "auto" }: Waiting): Gpu {
  if (!GPUS.includes(gpu)) throw new RangeError(`gpu must be auto, off or on, not ${gpu}`);
  return gpu;
}

function errorFrom({ kind, name, message, tile }: Failure): Error {
  if (kind) return errorOf(kind, message, tile);
  if (name === "RangeError") return new RangeError(message);
  if (name === "AbortError") return aborted();
  return Object.assign(new Error(message), { name });
}

function aborted(): DOMException {
  return new DOMException("the work was cancelled", "AbortError");
}
