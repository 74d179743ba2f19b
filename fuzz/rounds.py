"""Encode and decode a thousand times and say what memory grew by: nothing, if all is well.

    python fuzz/corpus.py                # installs the tiny model, once
    python fuzz/rounds.py [--rounds 1000] [--model tiny.v1]

Every round has another picture, of another size and kind, and a damaged file. Linux only.
"""

from __future__ import annotations

import argparse
import gc
import os
from pathlib import Path

import numpy as np
from targets import MODEL, prepare

import picocodec

WARM_UP = 100  # rounds before memory is looked at


def resident() -> int:
    """KiB of this process that lie in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def one_round(rng: np.random.Generator, model: str) -> None:
    shape = int(rng.integers(1, 120)), int(rng.integers(1, 120)), int(rng.integers(1, 5))
    pixels = rng.integers(0, 256, shape, np.uint8)
    data = picocodec.encode(pixels, float(rng.uniform(0, 100)), model=model, threads=1)
    picocodec.decode(data, threads=1)
    try:
        picocodec.decode(data[: int(rng.integers(len(data)))], threads=1)
    except picocodec.PicoError:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--model", default=MODEL)
    args = parser.parse_args()
    prepare()
    rng = np.random.default_rng(0)
    for _ in range(WARM_UP):
        one_round(rng, args.model)
    gc.collect()
    start = resident()
    for part in range(1, 5):
        for _ in range(args.rounds // 4):
            one_round(rng, args.model)
        gc.collect()
        print(f"after {part * args.rounds // 4} rounds: {resident() - start:+} KiB of {start}")


if __name__ == "__main__":
    main()
