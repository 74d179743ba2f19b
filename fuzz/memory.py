"""Peak memory of decoding, in bytes for each pixel: what a small file can make a reader allocate.

    python fuzz/corpus.py                # installs the tiny model, once
    python fuzz/memory.py [--side 5000] [--model tiny.v1]

Each kind of picture is decoded in a process of its own from a file of empty tiles, the smallest
that there is of its size, once whole and once of one tile; the difference is the pixels' share.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import resource

import numpy as np
from PIL import Image
from targets import MODEL, prepare

import picocodec
from picocodec.format import container
from picocodec.format.pieces import CoderId, Piece
from picocodec.format.tiles import tiles_along
from picocodec.model.store import load_model

# Gray, alpha, damage allowed.
KINDS = {
    "RGB": (False, False, False),
    "RGBA": (False, True, False),
    "gray": (True, False, False),
    "gray and alpha": (True, True, False),
    "RGB, damage allowed": (False, False, True),
    "RGBA, damage allowed": (False, True, True),
}


def empty_picture(side: int, model: str, gray: bool, alpha: bool) -> bytes:
    chunks = []
    if alpha:
        png = io.BytesIO()
        Image.fromarray(np.zeros((side, side), np.uint8)).save(png, "PNG")
        chunks.append((b"alph", png.getvalue()))
    return container.write(
        width=side,
        height=side,
        level=500,
        model=load_model(model, 1).identity,
        pieces=[Piece(b"", CoderId.LEARNED, 500, margin=True)] * tiles_along(side) ** 2,
        chunks=chunks,
        gray=gray,
    )


def peak(data: bytes, side: int, damage: bool) -> int:
    """Bytes at the peak of a process that decodes `data`."""
    picocodec.decode(data, max_pixels=side**2, threads=1, allow_damaged=damage)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--side", type=int, default=5000)
    parser.add_argument("--model", default=MODEL)
    args = parser.parse_args()
    prepare()
    print("| picture | bytes of the file | peak, MiB | of one tile | bytes for each pixel |")
    print("| --- | --- | --- | --- | --- |")
    for name, (gray, alpha, damage) in KINDS.items():
        peaks = []
        for side in (504, args.side):
            data = empty_picture(side, args.model, gray, alpha)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                peaks.append(pool.apply(peak, (data, side, damage)))
        share = (peaks[1] - peaks[0]) / (args.side**2 - 504**2)
        one, whole = (f"{p / (1 << 20):.0f}" for p in peaks)
        print(f"| {name} | {len(data)} | {whole} | {one} | {share:.1f} |", flush=True)


if __name__ == "__main__":
    main()
