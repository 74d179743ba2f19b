// After tsc: the worker in one file, ONNX Runtime and the models beside it, all in dist/.
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const source = join(here, "..", "..", "src", "picocodec");
const runtime = join(here, "..", "node_modules", "onnxruntime-web", "dist");
const NETWORKS = ["analysis", "context", "scale_decoder", "synthesis", "preview"];

function copyRuntime() {
  mkdirSync(join(dist, "ort"), { recursive: true });
  const name = "ort-wasm-simd-threaded";
  cpSync(join(runtime, `${name}.mjs`), join(dist, "ort", `${name}.mjs`));
  const wasm = readFileSync(join(runtime, `${name}.wasm`));
  const target = join(dist, "ort", `${name}.wasm.gz`);
  const hash = createHash("sha256").update(wasm).digest("hex");
  // Any file server then sends a quarter of the bytes, whether it compresses or not.
  const stamp = join(dist, "ort", "made-from");
  if (!existsSync(target) || !existsSync(stamp) || readFileSync(stamp, "utf8") !== hash) {
    writeFileSync(target, gzipSync(wasm, { level: 9 }));
    writeFileSync(stamp, hash);
  }
  return hash;
}

function copyModels() {
  const models = join(source, "models");
  rmSync(join(dist, "models"), { recursive: true, force: true });
  for (const name of readdirSync(models)) {
    if (!existsSync(join(models, name, "model.toml"))) continue;
    mkdirSync(join(dist, "models", name), { recursive: true });
    for (const file of ["model.toml", "tables.npz", ...NETWORKS.map((n) => `${n}.onnx`)]) {
      const from = join(models, name, file);
      if (existsSync(from)) cpSync(from, join(dist, "models", name, file));
    }
  }
  // The model that Python's encoder takes, too.
  const store = readFileSync(join(source, "model", "store.py"), "utf8");
  const [, chosen] = /^DEFAULT_MODEL = "(.*)"$/m.exec(store);
  writeFileSync(join(dist, "models", "index.json"), `${JSON.stringify({ default: chosen })}\n`);
}

await build({
  entryPoints: { worker: "src/worker.ts", "pico-image": "src/pico-image.ts" },
  absWorkingDir: here,
  outdir: dist,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  conditions: ["onnxruntime-web-use-extern-wasm"],
  define: { ORT_SHA256: JSON.stringify(copyRuntime()) },
  logLevel: "warning",
});
copyModels();
