"""Bytes and PSNR of screenshots and drawings beside lossless WebP and AVIF.

    python benchmarks/graphics.py PICTURE ... [--qualities Q,Q,...]

Of AVIF (4:4:4, speed 6) the table gives the fewest bytes that reach the PSNR of each of our files.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

import picocodec
from picocodec.format import container

AVIF_QUALITIES = range(10, 101, 5)


def saved(image: Image.Image, codec: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, codec, **options)
    return out.getvalue()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.square(a.astype(float) - b).mean()
    return np.inf if error == 0 else 10 * np.log10(255**2 / error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--qualities", default="30,50,75", type=lambda s: map(float, s.split(",")))
    args = parser.parse_args()
    qualities = list(args.qualities)
    print("| picture | quality | bytes | PSNR | tiles without loss | lossless WebP | AVIF |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for path in args.pictures:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        pixels = np.asarray(image)
        webp = len(saved(image, "WEBP", lossless=True, quality=100, method=4))
        avif = []
        for quality in AVIF_QUALITIES:
            data = saved(image, "AVIF", quality=quality, subsampling="4:4:4", speed=6)
            with Image.open(io.BytesIO(data)) as opened:
                avif.append((len(data), psnr(np.asarray(opened), pixels)))
        for quality in qualities:
            data = picocodec.encode(pixels, quality)
            reached = psnr(picocodec.decode(data), pixels)
            kept = [tile.mode != 0 for tile in container.read_header(data).tiles]
            enough = min((size for size, value in avif if value >= reached), default=None)
            print(
                f"| {path.stem} | {quality:g} | {len(data)} | {reached:.1f} | {sum(kept)} of "
                f"{len(kept)} | {webp} | {enough or 'does not reach it'} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
