/**
 * `node cli.js FILE.pico ... MODEL_FOLDER`: the SHA-256 of the symbols of every piece, or of the WebP
 * file that shows it, or of its AV1 stream.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  av1Image, Coder, decodeSymbols, digest, type Header, loadModel, losslessImage, PicoError,
  readHeader, sha256,
} from "./format.js";

const files = process.argv.slice(2);
const folder = files.pop();
if (folder === undefined || files.length === 0) {
  console.error("usage: node cli.js FILE.pico ... MODEL_FOLDER");
  process.exit(2);
}
const read = async (path: string) => new Uint8Array(await readFile(path));
const description = new TextDecoder().decode(await read(join(folder, "model.toml")));
const model = await loadModel(description, await read(join(folder, "tables.npz")));
function digestOf(file: Uint8Array, header: Header, i: number): Promise<string> {
  const { coder } = header.pieces[i]!;
  if (coder === Coder.Lossless) return sha256(losslessImage(file, header, i).webp);
  if (coder === Coder.Av1) return sha256(av1Image(file, header, i).stream);
  return digest(decodeSymbols(model, file, header, i));
}
for (const path of files) {
  try {
    const file = await read(path);
    const header = readHeader(file);
    for (let i = 0; i < header.pieces.length; i++) {
      console.log(`${await digestOf(file, header, i)}  ${i}  ${path}`);
    }
  } catch (error) {
    if (!(error instanceof PicoError)) throw error;
    console.error(`${path}: ${error.kind}: ${error.message}`);
    process.exitCode = 1;
  }
}
