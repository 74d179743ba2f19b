"""Bytes, PSNR and LPIPS of screenshots and drawings beside WebP, AVIF and JPEG XL.

    python benchmarks/graphics.py PICTURE ... [--qualities Q,Q,...]

Of AVIF (4:4:4, speed 6) and JPEG XL (effort 7) the table gives the fewest bytes that reach the PSNR
of each of our files, and those that reach its LPIPS, of qualities 10, 15 ... 95 and the highest,
and what WebP (method 4) and JPEG XL take without loss.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import pillow_jxl  # noqa: F401  # registers itself
from PIL import Image

import picocodec
from picocodec.format import container
from picocodec.format.pieces import CoderId
from picolab.evaluation.metrics.perceptual import Perceptual

QUALITIES = range(10, 100, 5)
PEERS: dict[str, tuple[int, dict[str, object]]] = {  # the highest quality that has losses; options
    # From two threads on, libaom's bytes are the same.
    "AVIF": (100, {"subsampling": "4:4:4", "speed": 6, "max_threads": 2}),
    "JXL": (99, {"effort": 7}),
}
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
    without_loss = ["lossless WebP", "lossless JXL"]
    columns = ["picture", "quality", "bytes", "PSNR", "tiles learned, WebP, AV1", "LPIPS"]
    columns += [*without_loss, *(f"{peer}, {by}" for peer in PEERS for by in ("PSNR", "LPIPS"))]
    print("| " + " | ".join(columns) + " |")
    print("|" + " --- |" * len(columns))
    for path in args.pictures:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        pixels = np.array(image)
        exact = [
            len(saved(image, "WEBP", lossless=True, quality=100, method=4)),
            len(saved(image, "JXL", lossless=True, effort=7)),
        ]
        curves: list[list[tuple[int, float, float]]] = []
        for peer, (highest, options) in PEERS.items():
            curves.append([])
            for quality in (*QUALITIES, highest):
                data = saved(image, peer, quality=quality, **options)
                with Image.open(io.BytesIO(data)) as opened:
                    decoded = np.array(opened)
                curves[-1].append((len(data), psnr(decoded, pixels), lpips(pixels, decoded)))
        for quality in qualities:
            data = picocodec.encode(pixels, quality)
            decoded = picocodec.decode(data)
            reached, apart = psnr(decoded, pixels), lpips(pixels, decoded)
            header = container.read_header(data)
            modes = [header.pieces[number].coder for number in header.piece_of_tile]
            av1, learned = modes.count(CoderId.AV1), modes.count(CoderId.LEARNED)
            shares = f"{learned}, {len(modes) - learned - av1}, {av1}"
            cells = [path.stem, f"{quality:g}", len(data), f"{reached:.1f}", shares, f"{apart:.4f}"]
            cells += exact
            for curve in curves:
                cells.append(
                    min((size for size, value, _ in curve if value >= reached), default=NONE)
                )
                cells.append(
                    min((size for size, _, value in curve if value <= apart), default=NONE)
                )
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
