"""What libaom gains, in training tiles, by being told that they are screens or have letters.

    python benchmarks/av1_tools.py TILES --tiles 12

BD-rate of what `picocodec.coders.av1` tells it against libavif's defaults, at the encoder's speed:
bytes of streams at equal PSNR, LPIPS (AlexNet) and DISTS, and processor seconds. TILES
is a folder of `picolab data build`. Screens are tiles that look like parts of one, letters what has
letters in photos, photos the rest, told the same.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from picocodec.coders import av1
from picocodec.encoding.features import look_at
from picocodec.format.tiles import Tile
from picolab.data.crops import TileFile
from picolab.evaluation.bjontegaard import Curve, over_images
from picolab.evaluation.metrics.perceptual import Perceptual

QUALITIES = 25, 40, 55, 70, 82
TOLD = {"drawings": av1.DRAWING, "letters": av1.LETTERS, "photos": av1.LETTERS}
METRICS = "PSNR", "LPIPS", "DISTS"

Bytes = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiles", type=int, default=12, help="of each kind")
    args = parser.parse_args()
    tiles: dict[str, list[Bytes]] = {kind: [] for kind in TOLD}
    trained = TileFile(args.folder, held_out=False)
    for number in np.random.default_rng(3).permutation(trained.index):
        pixels = np.array(trained.pixels[number])
        chosen = tiles[kind_of(pixels)]
        if len(chosen) < args.tiles:
            chosen.append(pixels)
        elif min(map(len, tiles.values())) == args.tiles:
            break
    judges = [Perceptual("lpips_alex"), Perceptual("dists")]
    print("| tiles | " + " | ".join(METRICS) + " | bytes at a quality | times the seconds |")
    print("| --- |" + " --- |" * (len(METRICS) + 2))
    for kind, chosen in tiles.items():
        usual = Measured(chosen, av1.USUAL, judges)
        better = Measured(chosen, TOLD[kind], judges)
        parts = [f"{len(chosen)} {kind}"]
        for metric in METRICS:
            found = over_images(usual.curves[metric], better.curves[metric])
            parts.append("{:+.1f} % [{:+.1f}, {:+.1f}]".format(found.percent, *found.interval))
        parts.append(f"{better.bytes / usual.bytes - 1:+.1%}")
        parts.append(f"{better.seconds / usual.seconds:.1f}")
        print("| " + " | ".join(parts) + " |", flush=True)


def kind_of(pixels: Bytes) -> str:
    look = look_at(pixels)
    return "drawings" if look.flat else "letters" if look.is_text else "photos"


class Measured:
    """Streams of tiles at `QUALITIES`: a curve for each metric and tile, `bytes` and `seconds`."""

    def __init__(
        self, tiles: list[Bytes], told: Mapping[str, str], judges: list[Perceptual]
    ) -> None:
        self.curves: dict[str, dict[str, Curve]] = {metric: {} for metric in METRICS}
        self.bytes, self.seconds = 0, 0.0
        for number, pixels in enumerate(tiles):
            bpp: list[float] = []
            qualities: list[list[float]] = []
            for quality in QUALITIES:
                begin = time.process_time()
                stream = av1.encode_av1(pixels, quality, told=told)
                self.seconds += time.process_time() - begin
                assert stream is not None
                self.bytes += len(stream)
                shown = av1.decode_av1(stream, Tile(0, 0, *pixels.shape[:2]))
                error = max(float(np.square(pixels.astype(float) - shown).mean()), 1e-3)
                distances = [max(judge(pixels, shown), 1e-6) for judge in judges]
                bpp.append(8 * len(stream) / (pixels.shape[0] * pixels.shape[1]))
                qualities.append([-np.log(d) for d in (error, *distances)])
            for metric, values in zip(METRICS, zip(*qualities, strict=True), strict=True):
                self.curves[metric][str(number)] = Curve(bpp, values)


if __name__ == "__main__":
    main()
