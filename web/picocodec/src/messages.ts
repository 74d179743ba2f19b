/** What a page and its worker say to each other. */
import type { Divisor } from "./decoding/decoder.js";
import type { ErrorKind } from "./errors.js";
import type { Area } from "./format/tiles.js";
import type { Metadata } from "./images/metadata.js";
import type { Source } from "./images/reading.js";

/** Where a worker finds its files, and how many threads it may use. */
export interface Setup {
  readonly assets: string;
  /** 0: as many as the machine has, where the page is isolated. */
  readonly threads: number;
}

/**
 * Whether a GPU may run the networks from pixels and to pixels: where it is a real one, gives the
 * same and is faster; never; or wherever it gives the same, in software, too.
 */
export type Gpu = "auto" | "off" | "on";
export const GPUS: readonly Gpu[] = ["auto", "off", "on"];

/** What ran those networks in the end, and why that was no GPU. */
export interface Backend {
  readonly name: "webgpu" | "wasm";
  readonly why: string;
}

export interface DecodeTask {
  readonly kind: "decode";
  readonly file: Uint8Array;
  readonly realism: number | null;
  readonly region: Area | null;
  readonly divisor: Divisor;
  readonly maxPixels: number;
  readonly upright: boolean;
  readonly stored: boolean;
  readonly gpu: Gpu;
}

export interface EncodeTask {
  readonly kind: "encode";
  readonly source: Source;
  /** Thousandths; null: `targetSize` says how large the file may be. */
  readonly level: number | null;
  readonly targetSize: number;
  readonly model: string | null;
  readonly keepMetadata: boolean;
  readonly gpu: Gpu;
}

export type Task = DecodeTask | EncodeTask;

export interface Decoded extends Metadata {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray<ArrayBuffer>;
  /** 1 to 8: how the pixels still are to be turned. */
  readonly orientation: number;
}

export interface Encoded {
  readonly file: Uint8Array<ArrayBuffer>;
}

export type ToWorker =
  | { readonly id: number; readonly task: Task }
  | { readonly id: number; readonly task: "cancel" };

export interface Failure {
  /** Null for what is no `PicoError`. */
  readonly kind: ErrorKind | null;
  readonly name: string;
  readonly message: string;
  readonly tile: number | null;
}

/** What goes on: bytes of a file that is fetched, or tiles. */
export interface Progress {
  readonly phase: "download" | "decode" | "encode";
  readonly done: number;
  /** 0 where nobody knows. */
  readonly total: number;
  /** Of a download, the file's name. */
  readonly file?: string;
}

export type FromWorker =
  | { readonly id: number; readonly progress: Progress }
  | { readonly id: number; readonly result: Decoded | Encoded; readonly backend: Backend | null }
  | { readonly id: number; readonly failure: Failure };
