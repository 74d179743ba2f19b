"""Entropy decoding by both engines: symbols a second, and the CPU seconds of whole files.

    python benchmarks/rans.py FILE.pico ... [--repeats R]

The engines take turns on every tile, so that a busy machine slows both alike; medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from picocodec.coders.learned import decode_symbols
from picocodec.format import container
from picocodec.format.entropy import SymbolCoder
from picocodec.format.pieces import CoderId
from picocodec.format.rans import ConstrictionCoder, PythonCoder
from picocodec.format.tiles import layout
from picocodec.model.model import Model
from picocodec.model.store import load_model_for

ENGINES = {"constriction": ConstrictionCoder, "Python": PythonCoder}


def coders(model: Model) -> dict[str, SymbolCoder]:
    with np.load(model.folder / "tables.npz") as arrays:
        ends = np.cumsum(arrays["table_lengths"].astype(int))
        tables = np.split(arrays["tables"].astype(np.uint32), ends[:-1])
    return {name: SymbolCoder(tables, model.skip_below, e) for name, e in ENGINES.items()}


def seconds(coder: SymbolCoder, payload: bytes, indices: list[np.ndarray]) -> float:
    start = time.process_time()
    reader = coder.reader(payload)
    for group in indices:
        reader.read(group)
    reader.finish()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    print("| file | megapixels | coded symbols | engine | s | million symbols a second |")
    print("| --- " * 6 + "|")
    for path in args.files:
        data = path.read_bytes()
        header = container.read_header(data)
        model = load_model_for(header.model, threads=1)
        engines = coders(model)
        totals, coded = dict.fromkeys(engines, 0.0), 0
        tiles = layout(header.width, header.height)
        for number, piece in enumerate(header.pieces):
            if piece.coder != CoderId.LEARNED:
                continue
            tile, level = tiles[piece.first], piece.level
            payload = container.payload(header, data, number)
            z, _ = decode_symbols(model, payload, tile, level)
            indices = [
                model.z_indices(level, tile.z_shape),
                model.y_indices_of_tile(tile, z, level),
            ]
            coded += sum(int((group >= model.skip_below).sum()) for group in indices)
            runs = [
                [seconds(coder, payload, indices) for coder in engines.values()]
                for _ in range(args.repeats)
            ]
            for name, times in zip(engines, zip(*runs, strict=True), strict=True):
                totals[name] += statistics.median(times)
        pixels = header.width * header.height / 1e6
        for name, total in totals.items():
            print(
                f"| {path.name} | {pixels:.1f} | {coded} | {name} | {total:.2f} "
                f"| {coded / total / 1e6:.1f} |"
            )


if __name__ == "__main__":
    main()
