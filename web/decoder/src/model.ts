/** What a decoder needs of a model to read symbols: docs/format.md, section 9. */
import { sha256 } from "./checksums.js";
import { INDICES, type Table, tableOf } from "./entropy.js";
import { PicoError } from "./errors.js";
import { type IntegerArray, readNpz } from "./npz.js";
import type { IntegerLayer } from "./scale_decoder.js";

const LAYERS = 6;
const FILES = [
  "analysis.onnx",
  "context.onnx",
  "synthesis.onnx",
  "scale_decoder.onnx",
  "tables.npz",
];

export interface Model {
  /** `name.vN` */
  readonly name: string;
  /** First four bytes of the fingerprint, in hexadecimal. */
  readonly check: string;
  readonly skipBelow: number;
  readonly tables: readonly Table[];
  /** Scale index of each channel of z: `[bins of the level][Nz]`. */
  readonly zIndex: readonly ArrayLike<number>[];
  readonly layers: readonly IntegerLayer[];
}

/** A model from the contents of its `model.toml` and `tables.npz`. */
export async function loadModel(
  description: string,
  tables: Uint8Array<ArrayBuffer>,
): Promise<Model> {
  const entries = readDescription(description);
  const entry = (key: string): string => {
    const value = entries.get(key);
    if (value === undefined) throw new PicoError("UnusableModel", `model.toml has no ${key}`);
    return value;
  };
  if ((await sha256(tables)) !== entry("sha256.tables.npz")) {
    throw new PicoError("UnknownModel", "tables.npz is not the one that model.toml names");
  }
  const hashes = FILES.map((file) => entry(`sha256.${file}`)).join("");
  const skipBelow = Number(entry("skip_below"));
  const fingerprint = await sha256(new TextEncoder().encode(hashes + skipBelow));
  const arrays = await readNpz(tables);
  const array = (name: string): IntegerArray => {
    const found = arrays.get(name);
    if (found === undefined) throw new PicoError("UnusableModel", `tables.npz has no ${name}`);
    return found;
  };
  return {
    name: `${entry("name")}.v${entry("version")}`,
    check: fingerprint.slice(0, 8),
    skipBelow,
    tables: splitTables(array("table_lengths").data, array("tables").data),
    zIndex: rowsOf(array("z_index")),
    layers: Array.from({ length: LAYERS }, (_, i) => {
      const weight = array(`layer${i}_weight`);
      const [shift, top, upsample] = rowsOf(array("layer_settings"))[i]!;
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

/** The lines `key = value` of a model.toml, keys with their section before them, no quotes. */
function readDescription(text: string): Map<string, string> {
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
  if (lengths.length !== INDICES) throw new PicoError("UnusableModel", `${lengths.length} tables`);
  let start = 0;
  return Array.from(lengths, (length) => tableOf(all.subarray(start, (start += length))));
}

function rowsOf({ shape, data }: IntegerArray): IntegerArray["data"][] {
  const width = shape[1]!;
  return Array.from({ length: shape[0]! }, (_, r) => data.subarray(r * width, (r + 1) * width));
}
