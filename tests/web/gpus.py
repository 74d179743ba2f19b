"""Workers of the npm package that meet a pretended GPU: WebAssembly, with a fault."""

from __future__ import annotations

import json
from pathlib import Path

from serving import Server

# Comes before the worker's own script. A pretended clock says how long the GPU took, and nobody
# waits long for one that is silent.
BEFORE = """
self.fault = FAULT;
self.asked = 0;
self.skew = 0;
self.clock = performance.now.bind(performance);
performance.now = () => self.clock() + self.skew;
const wait = setTimeout;
self.setTimeout = (done, ms) => wait(done, self.fault === "silent" ? ms / 100 : ms);
const adapter = { info: { isFallbackAdapter: self.fault === "software" } };
const gpu = {
  requestAdapter: async () => {
    await fetch("/posted/asked", { method: "POST", body: String(++self.asked) });
    return self.fault === "absent" ? null : adapter;
  },
};
Object.defineProperty(navigator, "gpu", { value: self.fault === "unknown" ? undefined : gpu });
"""
# In the place of the package's gpu.js.
PRETENDED = """
import * as ort from "/ort/ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = "/ort/";
let runs = 0;

export function start() {
  if (self.fault === "start") throw new Error("cannot start");
  return { load };
}

async function load(bytes) {
  if (self.fault === "load") throw new Error("cannot load");
  const session = await ort.InferenceSession.create(bytes);
  return { run: (inputs) => run(session, inputs) };
}

async function run(session, inputs) {
  if (self.fault === "silent") await new Promise(() => {});
  if (self.fault === `lost at ${++runs}`) throw new Error("the GPU was lost");
  const feeds = {};
  for (const [name, { data, shape }] of Object.entries(inputs)) {
    feeds[name] = new ort.Tensor("float32", data, shape);
  }
  const before = self.clock();
  const outputs = {};
  for (const [name, { data, dims }] of Object.entries(await session.run(feeds))) {
    outputs[name] = { data: Float32Array.from(data), shape: dims };
    if (self.fault === "wrong") outputs[name].data[7] += 0.002;
    if (self.fault === "no number") outputs[name].data[7] = NaN;
  }
  self.skew -= self.clock() - before; // it took no time at all
  if (self.fault === "slow") self.skew += 1e6;
  return outputs;
}
"""


def pretend(server: Server, package: Path, fault: str) -> None:
    """From now on, workers of pages from `server` have a GPU with that fault; "" is none."""
    server.posted.pop("asked", None)
    server.sent.clear()
    server.roots["ort"] = package.parents[1] / "node_modules" / "onnxruntime-web" / "dist"
    before = BEFORE.replace("FAULT", json.dumps(fault))
    server.files["dist/worker.js"] = before.encode() + (package / "worker.js").read_bytes()
    server.files["dist/gpu.js"] = PRETENDED.encode()
