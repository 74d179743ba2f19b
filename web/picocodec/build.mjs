// After tsc: the worker in one file, ONNX Runtime and the models beside it, all in dist/.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { writePacked } from "./packing.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const source = join(here, "..", "..", "src", "picocodec");
const runtime = join(here, "..", "node_modules", "onnxruntime-web", "dist");
const NETWORKS = ["analysis", "context", "scale_decoder", "synthesis", "closest", "preview", "eighth"];

function packRuntime(name) {
  cpSync(join(runtime, `${name}.mjs`), join(dist, "ort", `${name}.mjs`));
  return writePacked(join(runtime, `${name}.wasm`), join(dist, "ort", `${name}.wasm`));
}

function packModels() {
  const models = join(source, "models");
  rmSync(join(dist, "models"), { recursive: true, force: true });
  for (const name of readdirSync(models)) {
    if (!existsSync(join(models, name, "model.toml"))) continue;
    const to = join(dist, "models", name);
    mkdirSync(to, { recursive: true });
    cpSync(join(models, name, "model.toml"), join(to, "model.toml"));
    for (const file of ["tables.npz", ...NETWORKS.map((n) => `${n}.onnx`)]) {
      const from = join(models, name, file);
      if (existsSync(from)) writePacked(from, join(to, file));
    }
  }
  // The model that Python's encoder takes, too.
  const store = readFileSync(join(source, "model", "store.py"), "utf8");
  const [, chosen] = /^DEFAULT_MODEL = "(.*)"$/m.exec(store);
  writeFileSync(join(dist, "models", "index.json"), `${JSON.stringify({ default: chosen })}\n`);
}

rmSync(join(dist, "ort"), { recursive: true, force: true });
mkdirSync(join(dist, "ort"), { recursive: true });
const runtimes = {
  ORT_SHA256: packRuntime("ort-wasm-simd-threaded"),
  // With WebGPU, for browsers that can suspend WebAssembly (JSPI); the one for others is far larger.
  ORT_GPU_SHA256: packRuntime("ort-wasm-simd-threaded.jspi"),
};
await build({
  entryPoints: { worker: "src/worker.ts", gpu: "src/gpu.ts", "pico-image": "src/pico-image.ts" },
  absWorkingDir: here,
  outdir: dist,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  conditions: ["onnxruntime-web-use-extern-wasm"],
  define: Object.fromEntries(
    Object.entries(runtimes).map(([name, hash]) => [name, JSON.stringify(hash)]),
  ),
  logLevel: "warning",
});
packModels();
