/** What a model says of itself and of symbols: docs/format.md, section 9. */
import { UnknownModel } from "../errors.js";
import { sha256 } from "../format/checksums.js";
import { INDICES, type Table, tableOf } from "../format/entropy.js";
import { type IntegerArray, readNpz } from "./npz.js";
import type { IntegerLayer } from "./scale_decoder.js";

const FILES = [
  "analysis.onnx",
  "context.onnx",
  "synthesis.onnx",
  "scale_decoder.onnx",
  "tables.npz",
];

/** A network that not all models have: for the closest pixels, realism 0. */
export const CLOSEST = "closest";

/** Networks that not all models have, by what they divide the sides of pictures by. */
export const PREVIEWS: ReadonlyMap<number, string> = new Map([
  [2, "preview"],
  [8, "eighth"],
]);

/** A model's `model.toml`. */
export interface Description {
  /** `name.vN` */
  readonly name: string;
  /** First four bytes of the fingerprint, in hexadecimal. */
  readonly check: string;
  readonly skipBelow: number;
  /** What to decode with where neither the user nor the file says anything: 0 to 1. */
  readonly realism: number;
  /** Of levels 0 and 1: what a mean squared error of 1 is worth in bits a pixel. */
  readonly slopes: readonly [number, number];
  /** SHA-256 of its files by name, in hexadecimal. */
  readonly hashes: ReadonlyMap<string, string>;
}

export interface Model extends Description {
  readonly tables: readonly Table[];
  /** Scale index of each channel of z: `[bins of the level][Nz]`. */
  readonly zIndex: readonly ArrayLike<number>[];
  readonly layers: readonly IntegerLayer[];
}

/** Reads the text of a `model.toml`; throws `UnknownModel` for one that lacks something. */
export async function readDescription(text: string): Promise<Description> {
  const entries = entriesOf(text);
  const entry = (key: string): string => {
    const value = entries.get(key);
    if (value === undefined) throw new UnknownModel(`model.toml has no ${key}`);
    return value;
  };
  const last = entries.get(`sha256.${CLOSEST}.onnx`) ?? "";
  const joined = FILES.map((file) => entry(`sha256.${file}`)).join("") + last;
  const skipBelow = Number(entry("skip_below"));
  const fingerprint = await sha256(new TextEncoder().encode(joined + skipBelow));
  const hashes = new Map<string, string>();
  for (const [key, value] of entries) {
    if (key.startsWith("sha256.")) hashes.set(key.slice("sha256.".length), value);
  }
  return {
    name: `${entry("name")}.v${entry("version")}`,
    check: fingerprint.slice(0, 8),
    skipBelow,
    realism: Number(entries.get("realism") ?? 0),
    slopes: [Number(entry("lambda_min")), Number(entry("lambda_max"))],
    hashes,
  };
}

/** A model from the contents of its `model.toml` and `tables.npz`. */
export async function loadModel(
  description: string,
  tables: Uint8Array<ArrayBuffer>,
): Promise<Model> {
  const described = await readDescription(description);
  if ((await sha256(tables)) !== described.hashes.get("tables.npz")) {
    throw new UnknownModel("tables.npz is not the one that model.toml names");
  }
  return withTables(described, tables);
}

/** A model from its description and its `tables.npz`, whose hash was verified. */
export async function withTables(
  description: Description,
  tables: Uint8Array<ArrayBuffer>,
): Promise<Model> {
  const arrays = await readNpz(tables);
  const array = (name: string): IntegerArray => {
    const found = arrays.get(name);
    if (found === undefined) throw new UnknownModel(`tables.npz has no ${name}`);
    return found;
  };
  return {
    ...description,
    tables: splitTables(array("table_lengths").data, array("tables").data),
    zIndex: rowsOf(array("z_index")),
    layers: rowsOf(array("layer_settings")).map(([shift, top, upsample], i) => {
      const weight = array(`layer${i}_weight`);
      return {
        weight: weight.data,
        outChannels: weight.shape[0]!,
        inChannels: weight.shape[1]!,
        kernel: weight.shape[2]!,
        bias: array(`layer${i}_bias`).data,
        shift: shift!,
        top: top!,
        upsample: upsample === 1,
      };
    }),
  };
}

/** The lambda of `bits a pixel + lambda * MSE` that a level, in thousandths, was trained for. */
export function slopeOf({ slopes: [low, high] }: Description, level: number): number {
  return low * (high / low) ** (level / 1000);
}

/** The lines `key = value` of a model.toml, keys with their section before them, no quotes. */
function entriesOf(text: string): Map<string, string> {
  const entries = new Map<string, string>();
  let section = "";
  for (const line of text.split("\n")) {
    const heading = /^\[(.*)\]\s*$/.exec(line);
    const entry = /^"?([^"=]*?)"?\s*=\s*"?(.*?)"?\s*$/.exec(line);
    if (heading) section = `${heading[1]}.`;
    else if (entry) entries.set(section + entry[1], entry[2]!);
  }
  return entries;
}

function splitTables(lengths: ArrayLike<number>, all: IntegerArray["data"]): Table[] {
  if (lengths.length !== INDICES) throw new UnknownModel(`tables.npz has ${lengths.length} tables`);
  let start = 0;
  return Array.from(lengths, (length) => tableOf(all.subarray(start, (start += length))));
}

function rowsOf({ shape, data }: IntegerArray): IntegerArray["data"][] {
  const width = shape[1]!;
  return Array.from({ length: shape[0]! }, (_, r) => data.subarray(r * width, (r + 1) * width));
}
