"""Encode and decode photos beside JPEG, WebP and AVIF at matching sizes, and show them.

    python examples/demo.py [PHOTO ...] --output FOLDER

Prints bytes, bits per pixel, PSNR and times; writes FOLDER/index.html, the comparison viewer, to
look at any two codecs in one frame. Needs nothing but picocodec itself; JPEG XL, LPIPS and DISTS
are there where `pip install 'picocodec[eval]'` and their weights ($PICOLAB_WEIGHTS) are.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

import picocodec
from picolab.evaluation.viewer import (
    Column,
    Rate,
    Scene,
    Shown,
    copy_live,
    fragment,
    page,
    parts_of,
)

QUALITIES = (15, 35, 55)
PHOTOS = Path(__file__).parent / "photos"
PERCEPTUAL = {"lpips_alex": "LPIPS", "dists": "DISTS"}


class Result(NamedTuple):
    codec: str
    setting: str
    size: int
    pixels: NDArray[np.uint8]
    encode_seconds: float
    decode_seconds: float
    data: bytes


def pico(image: Image.Image, quality: float) -> Result:
    start = time.perf_counter()
    data = picocodec.encode(image, quality=quality)
    middle = time.perf_counter()
    pixels = picocodec.decode(data)
    end = time.perf_counter()
    seconds = middle - start, end - middle
    return Result("picocodec", f"q {quality:g}", len(data), pixels, *seconds, data)


def pillow(image: Image.Image, codec: str, quality: int, **options: object) -> Result:
    buffer = io.BytesIO()
    start = time.perf_counter()
    image.save(buffer, codec, quality=quality, **options)
    middle = time.perf_counter()
    with Image.open(buffer) as decoded:
        pixels = np.array(decoded.convert("RGB"))
    end = time.perf_counter()
    data = buffer.getvalue()
    return Result(codec, f"q {quality}", len(data), pixels, middle - start, end - middle, data)


def peers() -> dict[str, Callable[[Image.Image, int], Result]]:
    found: dict[str, Callable[[Image.Image, int], Result]] = {
        "JPEG": lambda image, q: pillow(image, "JPEG", q, optimize=True, subsampling="4:2:0")
    }
    if features.check("webp"):
        found["WebP"] = lambda image, q: pillow(image, "WEBP", q, method=6)
    if features.check("avif"):
        found["AVIF"] = lambda image, q: pillow(image, "AVIF", q, subsampling="4:4:4", speed=6)
    try:
        import pillow_jxl  # noqa: F401
    except ImportError:
        return found
    found["JXL"] = lambda image, q: pillow(image, "JXL", q)
    return found


def metrics() -> dict[str, Callable[..., float]]:
    """PSNR, and the perceptual ones that can run here, by name."""
    found: dict[str, Callable[..., float]] = {"psnr": psnr}
    try:
        from picolab.evaluation.metrics import METRICS, check
        from picolab.evaluation.metrics.protocol import Missing
    except ImportError:  # without picocodec[eval]
        return found
    for name in PERCEPTUAL:
        try:
            check(name)
        except Missing:
            continue
        found[name] = METRICS[name]()
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


def compare(path: Path, folder: Path, measures: dict[str, Callable[..., float]]) -> Scene:
    """What the viewer shows of one photo; prints a table of it."""
    with Image.open(path) as opened:
        original = np.array(opened.convert("RGB"))
    image = Image.fromarray(original)  # without metadata, which would count for every codec
    image.save(folder / f"{path.stem}.png")
    print(f"\n{path.name}, {image.width}x{image.height}")
    print(f"  {'codec':10}{'setting':>9}{'bytes':>9}{'bpp':>7}{'PSNR':>7}{'enc s':>8}{'dec s':>8}")
    rates = []
    for quality in QUALITIES:
        ours = pico(image, quality)
        results = [ours] + [at_size(encode, image, ours.size) for encode in peers().values()]
        shown = []
        for r in results:
            measured = {name: measure(original, r.pixels) for name, measure in measures.items()}
            bpp = 8 * r.size / (image.width * image.height)
            print(
                f"  {r.codec:10}{r.setting:>9}{r.size:9}{bpp:7.3f}{measured['psnr']:7.2f}"
                f"{r.encode_seconds:8.2f}{r.decode_seconds:8.2f}"
                + ("" if r.size <= ours.size else " (cannot go lower)")
            )
            shown.append(shown_in(folder, f"{path.stem}-{quality}-{r.codec}", r, measured))
        rates.append(Rate(f"quality {quality}", ours.size, shown))
    return Scene(path.name, image.width, image.height, f"{path.stem}.png", rates)


def shown_in(folder: Path, name: str, result: Result, measured: dict[str, float]) -> Shown:
    """A result's pixels, and its file if it is ours, written for the viewer."""
    Image.fromarray(result.pixels).save(folder / f"{name}.png")
    file, parts = "", []
    if result.codec == "picocodec":
        file = f"{name}.pico"
        (folder / file).write_bytes(result.data)
        parts = parts_of(result.data)
    source = f"{name}.png"
    return Shown(result.codec, result.setting, result.size, source, measured, file, parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--output", type=Path, default=Path("demo"))
    args = parser.parse_args()
    folder: Path = args.output
    folder.mkdir(parents=True, exist_ok=True)
    photos = args.photos or sorted(p for p in PHOTOS.iterdir() if p.suffix in (".png", ".jpg"))
    pico(Image.new("RGB", (64, 64)), 50)  # loads the networks, so that no photo pays for it
    measures = metrics()
    scenes = [compare(photo, folder, measures) for photo in photos]
    columns = [Column("psnr", "PSNR (dB)", higher_is_better=True)]
    columns += [Column(name, PERCEPTUAL[name], False) for name in measures if name in PERCEPTUAL]
    title = f"picocodec {picocodec.__version__}"
    viewer = fragment(scenes, columns, copy_live(folder))
    out = folder / "index.html"
    out.write_text(page(title, "beside others at no more bytes", viewer), "utf-8")
    print(f"\nlook at {out}")


if __name__ == "__main__":
    main()
