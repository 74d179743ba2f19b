"""How near previews are to what the full decoder gives, reduced.

    python benchmarks/previews.py PICTURE ... [--qualities Q,Q,...]

PSNR in decibels of RGB, means over the pictures: between the two, and of each to the original,
reduced as well. How long they take is in benchmarks/speed.py.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
from PIL import Image

import picocodec
from picocodec.decoding.decoder import SCALES
from picolab.evaluation.metrics.pixel import PSNR


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument(
        "--qualities", default="10,30,50,70", type=lambda s: [float(q) for q in s.split(",")]
    )
    args = parser.parse_args()
    psnr = PSNR()
    print(f"{len(args.pictures)} pictures\n")
    print("| quality | sides divided by | preview to full | preview | full |")
    print("| --- | --- | --- | --- | --- |")
    for quality in args.qualities:
        rows: dict[int, list[list[float]]] = {divisor: [] for divisor in SCALES[1:]}
        for path in args.pictures:
            with Image.open(path) as opened:
                image = opened.convert("RGB")
            data = picocodec.encode(image, quality)
            decoded = Image.fromarray(picocodec.decode(data))
            for divisor, values in rows.items():
                preview = picocodec.decode(data, scale=1 / divisor)
                original, full = (np.asarray(i.reduce(divisor)) for i in (image, decoded))
                pairs = (full, preview), (original, preview), (original, full)
                values.append([psnr(a, b) for a, b in pairs])
        for divisor, values in rows.items():
            means = [f"{statistics.mean(column):.2f}" for column in zip(*values, strict=True)]
            print(f"| {quality:g} | {divisor} | {' | '.join(means)} |", flush=True)


if __name__ == "__main__":
    main()
