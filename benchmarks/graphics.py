"""Bytes, PSNR and LPIPS of screenshots and drawings beside lossless WebP and AVIF.

    python benchmarks/graphics.py PICTURE ... [--qualities Q,Q,...]

Of AVIF (4:4:4, speed 6) the table gives the fewest bytes that reach the PSNR of each of our files,
and those that reach its LPIPS.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

import picocodec
from picocodec.format import container
from picolab.evaluation.metrics.perceptual import Perceptual

AVIF_QUALITIES = range(10, 101, 5)
NONE = "does not reach it"


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
    lpips = Perceptual("lpips_alex")
    print(
        "| picture | quality | bytes | PSNR | tiles learned, WebP, AV1 | LPIPS | lossless WebP | "
        "AVIF, PSNR | AVIF, LPIPS |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for path in args.pictures:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        pixels = np.array(image)
        webp = len(saved(image, "WEBP", lossless=True, quality=100, method=4))
        avif = []
        for quality in AVIF_QUALITIES:
            data = saved(image, "AVIF", quality=quality, subsampling="4:4:4", speed=6)
            with Image.open(io.BytesIO(data)) as opened:
                decoded = np.array(opened)
            avif.append((len(data), psnr(decoded, pixels), lpips(pixels, decoded)))
        for quality in qualities:
            data = picocodec.encode(pixels, quality)
            decoded = picocodec.decode(data)
            reached, apart = psnr(decoded, pixels), lpips(pixels, decoded)
            modes = [tile.mode for tile in container.read_header(data).tiles]
            av1 = sum(mode in container.AV1_STREAMS for mode in modes)
            learned = modes.count(container.MODE_LEARNED)
            shares = f"{learned}, {len(modes) - learned - av1}, {av1}"
            by_psnr = min((size for size, value, _ in avif if value >= reached), default=NONE)
            by_lpips = min((size for size, _, value in avif if value <= apart), default=NONE)
            print(
                f"| {path.stem} | {quality:g} | {len(data)} | {reached:.1f} | {shares} | "
                f"{apart:.4f} | {webp} | {by_psnr} | {by_lpips} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
