"""The same symbols from the same bytes, on every arithmetic at hand; prints a table.

    (cd web/picocodec && npm ci && npm run build)    # for Node and Chromium
    conformance/arm64.sh build/arm64               # for ARM
    python conformance/exactness.py --arm64 build/arm64

Decoded are those files of the conformance set and of tests/golden that are learned throughout, and
files that use the arithmetic harder than pictures do: z of any spread up to its limits, and symbols
of y drawn at random, under all tables that such z selects, with escapes among them. Each
combination must give the SHA-256 that the NumPy reference gives for each tile. What is not
installed is named and left out. The exit code is 1 if any symbol differs.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import chromium
import numpy as np
from cases import ROOT, all_cases, digest
from symbols import ByNumpy

from picocodec.coders.learned import decode_symbols
from picocodec.format import container
from picocodec.format.pieces import CoderId, Piece
from picocodec.format.tables import scale_of_index
from picocodec.format.tiles import Tile, layout
from picocodec.model.model import Model
from picocodec.model.store import DEFAULT_MODEL, model_folders

REPOSITORY = ROOT.parent
WEB = REPOSITORY / "web" / "picocodec" / "dist"
BEYOND_X86_64_V2 = "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"
ARITHMETIC = {"ONNX Runtime": "onnxruntime", "NumPy": "numpy"}
# qemu's name of a processor, what it is, and what runs on it.
X86 = [
    ("Haswell", "x86-64 Haswell (AVX2)", ["ONNX Runtime"]),
    ("Nehalem", "x86-64 Nehalem (SSE4.2)", ["ONNX Runtime", "NumPy"]),
]
ARM = [
    ("cortex-a53", "ARM Cortex-A53 (NEON)", ["ONNX Runtime", "NumPy"]),
    ("max", "ARM with dot products, i8mm, SVE2", ["ONNX Runtime"]),
]
LARGE = 2**20  # pixels


@dataclass
class Combination:
    """A command that prints digests as symbols.py does; None as `command`: Chromium.

    Emulators are slow, and are spared pictures of more than a megapixel.
    """

    name: str
    command: list[str] | None
    environment: dict[str, str] = field(default_factory=dict)
    is_emulated: bool = False


@dataclass
class Tally:
    """What the reference finds in a tile: values of z and y, and how many of them are coded."""

    digest: str
    values: int
    coded: int


def combinations(arm64: Path | None) -> Iterator[Combination]:
    """Those that can run here; says of others what is missing."""
    script = [str(ROOT / "symbols.py"), "--with"]
    ours = [sys.executable, *script]
    yield Combination("ONNX Runtime, 1 thread", [*ours, "onnxruntime"])
    yield Combination("ONNX Runtime, 2 threads", [*ours, "onnxruntime", "--threads", "2"])
    yield Combination("ONNX Runtime, no graph optimisation", [*ours, "onnxruntime-plain"])
    if platform.machine() == "x86_64":
        older = {"NPY_DISABLE_CPU_FEATURES": BEYOND_X86_64_V2}
        yield Combination("NumPy, its AVX2 and AVX-512 code disabled", [*ours, "numpy"], older)
    try:
        import torch  # noqa: F401

        yield Combination("PyTorch, 64-bit integers", [*ours, "torch"])
    except ImportError:
        print("left out: PyTorch")
    if platform.machine() == "x86_64" and present("qemu-x86_64"):
        for cpu, what, names in X86:
            for name in names:
                command = ["qemu-x86_64", "-cpu", cpu, *ours, ARITHMETIC[name]]
                yield Combination(f"{name}, emulated {what}", command, is_emulated=True)
    if arm64 is None:
        print("left out: 64-bit ARM (--arm64)")
    elif present("qemu-aarch64"):
        python = [str(arm64 / "system/usr/bin/python3.11"), *script]
        paths = (REPOSITORY / "src", arm64 / "site")
        environment = {"PYTHONPATH": os.pathsep.join(str(path.resolve()) for path in paths)}
        for cpu, what, names in ARM:
            for name in names:
                emulator = ["qemu-aarch64", "-cpu", cpu, "-L", str(arm64 / "system")]
                command = [*emulator, *python, ARITHMETIC[name]]
                yield Combination(f"{name}, emulated {what}", command, environment, True)
    if not (WEB / "cli.js").exists():
        print("left out: JavaScript (build web/picocodec first)")
        return
    if present("node"):
        yield Combination("TypeScript decoder, Node", ["node", str(WEB / "cli.js")])
    if present(chromium.PROGRAM):
        yield Combination("TypeScript decoder, Chromium", None)


def present(program: str) -> bool:
    if shutil.which(program) is None:
        print(f"left out: {program} is not installed")
        return False
    return True


def hard_file(model: Model, seed: int) -> bytes:
    """One full tile of z with some spread and of symbols as likely as their tables say."""
    rng = np.random.default_rng(seed)
    level = int(rng.integers(0, container.LEVEL_STEPS + 1))
    tile: Tile = layout(504, 504)[0]
    z_indices = model.z_indices(level, tile.z_shape)
    spread = rng.choice([0.5, 2.0, 8.0, 40.0, 400.0])
    z = np.rint(rng.laplace(0, spread, z_indices.shape)).clip(-127, 127).astype(np.int32)
    y_indices = model.y_indices_of_tile(tile, z, level)
    scales = np.array([scale_of_index(i) for i in range(64)])[y_indices]
    y = np.rint(rng.laplace(0, scales)).clip(-(2**18), 2**18).astype(np.int32)
    y[y_indices < model.skip_below] = 0
    data = model.coder.encode([(z, z_indices), (y, y_indices)])
    piece = Piece(data, CoderId.LEARNED, level, margin=True)
    return container.write(
        width=504, height=504, level=level, model=model.identity, pieces=[piece]
    )  # fmt: skip


def reference(model: Model, path: Path) -> list[Tally]:
    """What every combination must find in a file, by the reference."""
    data = path.read_bytes()
    header = container.read_header(data)
    tallies = []
    tiles = layout(header.width, header.height)
    for number, piece in enumerate(header.pieces):
        tile, level = tiles[piece.first], piece.level
        payload = container.payload(header, data, number)
        z, y = decode_symbols(model, payload, tile, level)
        indices = (model.z_indices(level, tile.z_shape), model.y_indices_of_tile(tile, z, level))
        coded = sum(int((at >= model.skip_below).sum()) for at in indices)
        tallies.append(Tally(digest(z, y), z.size + y.size, coded))
    return tallies


def is_learned(path: Path) -> bool:
    """Whether all pieces have symbols."""
    header = container.read_header(path.read_bytes())
    return all(piece.coder == CoderId.LEARNED for piece in header.pieces)


def is_large(path: Path) -> bool:
    header = container.read_header(path.read_bytes())
    return header.width * header.height > LARGE


def by_command(combination: Combination, paths: list[Path], model: Path) -> str:
    command = [*(combination.command or []), *map(str, paths), str(model)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | combination.environment
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    if run.returncode:
        raise SystemExit(f"{combination.name}: {run.stderr[-1000:]}")
    return run.stdout


SCRIPT = """
import { decodeSymbols, digest, loadModel, readHeader } from "/dist/format.js";
const get = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());
const lines = [];
try {
  const description = new TextDecoder().decode(await get("/model/model.toml"));
  const model = await loadModel(description, await get("/model/tables.npz"));
  for (let n = 0; n < COUNT; n++) {
    const file = await get(`/file/${n}`);
    const header = readHeader(file);
    for (let i = 0; i < header.pieces.length; i++)
      lines.push(`${await digest(decodeSymbols(model, file, header, i))}  ${i}  ${n}`);
  }
} catch (error) { lines.push(String(error)); }
await fetch("/result", { method: "POST", body: lines.join("\\n") });
"""


def by_chromium(paths: list[Path], model: Path) -> str:
    """The same lines from a page of the TypeScript decoder, opened by Chromium."""
    files = {f"file/{n}": path for n, path in enumerate(paths)}
    files |= {f"model/{path.name}": path for path in model.iterdir()}
    files |= {f"dist/{path.relative_to(WEB)}": path for path in WEB.rglob("*.js")}
    return chromium.post_of(SCRIPT.replace("COUNT", str(len(paths))), files)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--arm64", type=Path, metavar="FOLDER", help="made by arm64.sh")
    parser.add_argument("--hard", type=int, default=24, metavar="N", help="random tiles")
    parser.add_argument("--only", default="", metavar="TEXT", help="combinations with this in them")
    args = parser.parse_args()
    folder = model_folders()[args.model]
    model = ByNumpy(folder, threads=1)
    golden = sorted((REPOSITORY / "tests" / "golden" / args.model).glob("*.pico"))
    differences = 0
    with tempfile.TemporaryDirectory() as temporary:
        paths = [case.file for case in all_cases([args.model])] + golden
        paths = list(filter(is_learned, paths))
        for seed in range(args.hard):
            paths.append(Path(temporary) / f"hard-{seed}.pico")
            paths[-1].write_bytes(hard_file(model, seed))
        tallies = {path: reference(model, path) for path in paths}
        print(f"{'arithmetic':<58} {'tiles':>5} {'symbols':>10} {'coded':>10} {'different':>9}")
        for combination in combinations(args.arm64):
            if args.only not in combination.name:
                continue
            chosen = [p for p in paths if not (combination.is_emulated and is_large(p))]
            expected = [tally for path in chosen for tally in tallies[path]]
            values, coded = sum(t.values for t in expected), sum(t.coded for t in expected)
            if combination.command is None:
                output = by_chromium(chosen, folder)
            else:
                output = by_command(combination, chosen, folder)
            found = [line.split()[0] for line in output.splitlines()]
            if len(found) != len(expected):
                raise SystemExit(
                    f"{combination.name}: {len(found)} tiles; it said: {output[-300:]}"
                )
            pairs = zip(expected, found, strict=True)
            different = sum(tally.values for tally, line in pairs if tally.digest != line)
            differences += different
            print(
                f"{combination.name:<58} {len(found):>5} {values:>10} {coded:>10} {different:>9}",
                flush=True,
            )
    return 1 if differences else 0


if __name__ == "__main__":
    raise SystemExit(main())
