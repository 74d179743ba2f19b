"""Encode and decode photos beside JPEG, WebP and AVIF at matching sizes, and show them.

    python examples/demo.py [PHOTO ...] --output FOLDER

Prints bytes, bits per pixel, PSNR and times; writes FOLDER/index.html, with every picture beside
it, to look at the codecs side by side. Needs nothing but picocodec itself.
"""

from __future__ import annotations

import argparse
import html
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

import picocodec

QUALITIES = (15, 35, 55)
PHOTOS = Path(__file__).parent / "photos"


class Result(NamedTuple):
    codec: str
    setting: str
    size: int
    pixels: NDArray[np.uint8]
    encode_seconds: float
    decode_seconds: float


def pico(image: Image.Image, quality: float) -> Result:
    start = time.perf_counter()
    data = picocodec.encode(image, quality=quality)
    middle = time.perf_counter()
    pixels = picocodec.decode(data)
    end = time.perf_counter()
    return Result("picocodec", f"q {quality:g}", len(data), pixels, middle - start, end - middle)


def pillow(image: Image.Image, codec: str, quality: int, **options: object) -> Result:
    buffer = io.BytesIO()
    start = time.perf_counter()
    image.save(buffer, codec, quality=quality, **options)
    middle = time.perf_counter()
    with Image.open(buffer) as decoded:
        pixels = np.asarray(decoded.convert("RGB"))
    end = time.perf_counter()
    size = len(buffer.getvalue())
    return Result(codec, f"q {quality}", size, pixels, middle - start, end - middle)


def peers() -> dict[str, Callable[[Image.Image, int], Result]]:
    found: dict[str, Callable[[Image.Image, int], Result]] = {
        "JPEG": lambda image, q: pillow(image, "JPEG", q, optimize=True, subsampling="4:2:0")
    }
    if features.check("webp"):
        found["WebP"] = lambda image, q: pillow(image, "WEBP", q, method=6)
    if features.check("avif"):
        found["AVIF"] = lambda image, q: pillow(image, "AVIF", q, subsampling="4:4:4", speed=6)
    return found


def at_size(encode: Callable[[Image.Image, int], Result], image: Image.Image, size: int) -> Result:
    """The peer at the highest quality that needs at most `size` bytes (its lowest if none does)."""
    low, high = 1, 95
    best = encode(image, low)
    while low < high:
        middle = (low + high + 1) // 2
        result = encode(image, middle)
        if result.size <= size:
            low, best = middle, result
        else:
            high = middle - 1
    return best


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    mse = np.square(a.astype(np.float64) - b).mean()
    return float(10 * np.log10(255**2 / mse)) if mse else float("inf")


def compare(path: Path, folder: Path) -> list[str]:
    """The rows of one photo for the page; prints the same."""
    with Image.open(path) as opened:
        original = np.asarray(opened.convert("RGB"))
    image = Image.fromarray(original)  # without metadata, which would count for every codec
    pixel_count = image.width * image.height
    image.save(folder / f"{path.stem}.png")
    print(f"\n{path.name}, {image.width}x{image.height}")
    print(f"  {'codec':10}{'setting':>9}{'bytes':>9}{'bpp':>7}{'PSNR':>7}{'enc s':>8}{'dec s':>8}")
    rows = []
    for quality in QUALITIES:
        ours = pico(image, quality)
        results = [ours] + [at_size(encode, image, ours.size) for encode in peers().values()]
        cells = [f'<figure><img src="{path.stem}.png"><figcaption>original</figcaption></figure>']
        for r in results:
            bpp, quality_db = 8 * r.size / pixel_count, psnr(original, r.pixels)
            name = f"{path.stem}-{quality}-{r.codec}.png"
            Image.fromarray(r.pixels).save(folder / name)
            note = "" if r.size <= ours.size else " (cannot go lower)"
            print(
                f"  {r.codec:10}{r.setting:>9}{r.size:9}{bpp:7.3f}{quality_db:7.2f}"
                f"{r.encode_seconds:8.2f}{r.decode_seconds:8.2f}{note}"
            )
            caption = f"{r.codec} {r.setting}: {r.size} bytes, {bpp:.3f} bpp, {quality_db:.2f} dB"
            cells.append(
                f'<figure><img src="{name}"><figcaption>{html.escape(caption + note)}'
                "</figcaption></figure>"
            )
        rows.append(f"<h2>{path.name}, quality {quality}</h2><div>{''.join(cells)}</div>")
    return rows


STYLE = """
body { font: 14px sans-serif; margin: 1em; background: #222; color: #ddd }
div { display: flex; gap: 8px; overflow-x: auto }
figure { margin: 0 } figcaption { padding: 4px 0 }
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--output", type=Path, default=Path("demo"))
    args = parser.parse_args()
    folder: Path = args.output
    folder.mkdir(parents=True, exist_ok=True)
    photos = args.photos or sorted(p for p in PHOTOS.iterdir() if p.suffix in (".png", ".jpg"))
    pico(Image.new("RGB", (64, 64)), 50)  # loads the networks, so that no photo pays for it
    sections = [row for photo in photos for row in compare(photo, folder)]
    page = folder / "index.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8><title>picocodec</title><style>{STYLE}</style>"
        f"<h1>picocodec {picocodec.__version__}, and others at no more bytes</h1>"
        + "".join(sections)
    )
    print(f"\nlook at {page}")


if __name__ == "__main__":
    main()
