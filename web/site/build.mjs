// The page in build/web/site: everything that it needs, for any file server. Prints what it weighs.
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");
const dist = join(root, "web", "picocodec", "dist");
const out = join(root, "build", "web", "site");
const photos = join(root, "examples", "photos");

// Compressed, in bytes.
const SCRIPT_BUDGET = 60_000;
const FIRST_VISIT_BUDGET = 11_000_000;

const settings = {
  absWorkingDir: here, bundle: true, minify: true, format: "esm", target: "es2022",
  legalComments: "none", logLevel: "warning", outdir: out,
};

function filesIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesIn(join(folder, entry.name)) : [join(folder, entry.name)],
  );
}

rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, "samples"), { recursive: true });
for (const name of ["index.html", "style.css", "icon.svg", "manifest.webmanifest"]) {
  cpSync(join(here, name), join(out, name));
}
for (const name of ["worker.js", "gpu.js", "pico-image.js", "ort", "models"]) {
  cpSync(join(dist, name), join(out, name), { recursive: true });
}
cpSync(join(photos, "rocket.jpg"), join(out, "samples", "rocket.jpg"));
const chosen = JSON.parse(readFileSync(join(out, "models", "index.json"), "utf8")).default;
// Of the photo of a cup, by the model that the page has; until that is made, a picture of its tests.
const made = join(here, "samples", `${chosen}.pico`);
const tested = join(root, "conformance", chosen, "1100x601", "file.pico");
cpSync(existsSync(made) ? made : tested, join(out, "samples", "sample.pico"));
await build({
  ...settings,
  entryPoints: { app: "src/app.ts", peers: "src/peers.ts", pico: "../picocodec/src/index.ts" },
});

// The package keeps networks and WebAssembly itself; the service worker keeps the rest, but for what
// only a GPU needs: without a connection, its work is WebAssembly's.
const kept = filesIn(out)
  .map((file) => relative(out, file))
  .filter((name) => !/\.packed$|^samples|^pico|^gpu|jspi/.test(name))
  .sort();
const hash = createHash("sha256");
for (const name of kept) hash.update(name).update(readFileSync(join(out, name)));
await build({
  ...settings,
  entryPoints: { sw: "src/sw.ts" },
  define: {
    FILES: JSON.stringify(["./", ...kept]),
    VERSION: JSON.stringify(hash.digest("hex").slice(0, 16)),
  },
});

const packed = (name) => gzipSync(readFileSync(join(out, name)), { level: 9 }).length;
const size = (name) => statSync(join(out, name)).size;
const model = (...names) => names.reduce((sum, n) => sum + size(`models/${chosen}/${n}`), 0);
const networks = (...names) => model(...names.map((name) => `${name}.onnx.packed`));
const sum = (names) => names.reduce((all, name) => all + packed(name), 0);
const scripts = sum(["app.js", "peers.js", "sw.js", "worker.js", "ort/ort-wasm-simd-threaded.mjs"]);
const page = scripts + sum(["index.html", "style.css", "icon.svg", "manifest.webmanifest"]);
const runtime = size("ort/ort-wasm-simd-threaded.wasm.packed");
const described = model("model.toml", "tables.npz.packed");
const opening = page + runtime + described + networks("scale_decoder", "context", "synthesis");
const making = opening + networks("analysis");
const withGpu =
  sum(["gpu.js", "ort/ort-wasm-simd-threaded.jspi.mjs"]) +
  size("ort/ort-wasm-simd-threaded.jspi.wasm.packed");
const budgets = [
  ["scripts, compressed", scripts, SCRIPT_BUDGET],
  ["the page, compressed", page, null],
  ["ONNX Runtime, compressed", runtime, null],
  [`first .pico file opened (${chosen})`, opening, FIRST_VISIT_BUDGET],
  ["first photo shrunk", making, null],
  ["more where a GPU is tried", withGpu, null],
];
let isOver = false;
for (const [what, bytes, budget] of budgets) {
  const isTooMuch = budget !== null && bytes > budget;
  isOver ||= isTooMuch;
  const of = budget === null ? "" : `  of ${budget.toLocaleString("en")}${isTooMuch ? "  TOO MUCH" : ""}`;
  console.log(`${what.padEnd(38)}${bytes.toLocaleString("en").padStart(12)}${of}`);
}
if (isOver) process.exit(1);
