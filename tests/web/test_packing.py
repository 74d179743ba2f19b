"""Files of a model as the npm package serves them: smaller, exact, and refused where damaged."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from pages import Page

from picocodec.model.store import DEFAULT_MODEL, model_folders

TABLES = f"dist/models/{DEFAULT_MODEL}/tables.npz.packed"
UNPACK = """
import { readFileSync } from "node:fs";
const { sha256, unpack } = await import(process.argv[1]);
const found = {};
for (const path of process.argv.slice(2)) {
  found[path] = await sha256(await unpack(new Uint8Array(readFileSync(path))));
}
console.log(JSON.stringify(found));
"""
DECODE = """
(async () => {
  await caches.delete("picocodec");
  const codec = new pico.Codec({ assets: "/dist/" });
  const heard = {};
  const onProgress = ({ phase, file, done, total }) => {
    if (phase === "download") heard[file] = [done, total];
  };
  const file = await bytesOf("/golden/MODEL/photo-low.pico");
  const told = await attempt(async () => (await codec.decode(file, { onProgress })).width);
  codec.close();
  return [told, heard];
})()""".replace("MODEL", DEFAULT_MODEL)


def test_files_are_unpacked_exactly(built: Path) -> None:
    folder = built.parent / "models" / DEFAULT_MODEL
    packed = sorted(folder.glob("*.packed"))
    command = ["node", "--input-type=module", "-e", UNPACK, str(built.with_name("format.js"))]
    found = json.loads(subprocess.check_output([*command, *map(str, packed)], text=True))
    description = (folder / "model.toml").read_text()
    names = {path.name for path in model_folders()[DEFAULT_MODEL].iterdir()} - {"model.toml"}
    assert {path.stem for path in packed} == names
    for path in packed:
        assert f'"{path.stem}" = "{found[str(path)]}"' in description
        released = model_folders()[DEFAULT_MODEL] / path.stem
        assert path.stat().st_size < released.stat().st_size


@pytest.mark.parametrize("damage", ["cut", "changed", "longer", "empty", "step", "length"])
def test_a_damaged_file_is_told(page: Page, package: Path, damage: str) -> None:
    tab, server = page
    whole = (package.parent / TABLES).read_bytes()
    middle = len(whole) // 2
    server.files[TABLES] = {
        "cut": whole[:middle],
        "changed": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "longer": whole + b"more",
        "empty": b"",
        "step": b"\0" + whole[1:],
        "length": whole[:1] + (1000).to_bytes(4, "little") + whole[5:],
    }[damage]
    try:
        told, _ = tab.run(DECODE)
    finally:
        del server.files[TABLES]
    assert told.startswith("UnknownModel: ") and "not the file that was released" in told


def test_progress_counts_what_is_fetched(page: Page, package: Path) -> None:
    tab, _ = page
    told, heard = tab.run(DECODE)
    assert told > 0
    for path in (f"models/{DEFAULT_MODEL}/synthesis.onnx", "ort/ort-wasm-simd-threaded.wasm"):
        size = (package / f"{path}.packed").stat().st_size
        assert heard[f"{Path(path).name}.packed"] == [size, size]
