"""Whether a change of the code changed what the codec does: hashes of files written and decoded.

    python conformance/bytes_and_pixels.py FILE_OR_FOLDER ... > before.txt

A line for each picture and quality: the SHA-256, in short, of the .pico file's bytes and of the
pixels decoded. Each picture of `examples/photos` is always there, one of them also in gray, with
alpha, and encoded to a size; parts, previews and realism of the first file are hashed, too. Run it
before and after a change that must have no effect, on one machine, and `diff` the two.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import picocodec

EXAMPLES = Path(__file__).parents[1] / "examples" / "photos"
SUFFIXES = (".png", ".jpg", ".webp")
QUALITIES = (10, 50, 85)
TARGET_SIZE = 20000  # bytes

Pixels = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="*", type=Path, help="files and folders of pictures")
    paths = list(files([EXAMPLES, *parser.parse_args().pictures]))
    whole = hashlib.sha256()
    for line in lines(paths):
        whole.update(line.encode())
        print(line, flush=True)
    print(f"{whole.hexdigest()[:16]}  all of them", flush=True)


def files(places: list[Path]) -> Iterator[Path]:
    """The pictures in folders, and files themselves, in the order of their names."""
    for place in places:
        found = sorted(place.iterdir()) if place.is_dir() else [place]
        yield from (path for path in found if path.suffix.lower() in SUFFIXES)


def lines(paths: list[Path]) -> Iterator[str]:
    """A line for each picture and quality, and each special way of encoding and decoding."""
    first = np.asarray(Image.open(paths[0]).convert("RGB"))
    ramp = np.broadcast_to(np.linspace(0, 255, first.shape[1]).astype(np.uint8), first.shape[:2])
    specials = {"gray": first[:, :, 1], "alpha": np.dstack([first, ramp])}
    for name, pixels in specials.items():
        yield line(name, 50, picocodec.encode(pixels, 50, threads=1))
    data = picocodec.encode(first, target_size=TARGET_SIZE, threads=1)
    yield line("to a size", TARGET_SIZE, data)
    whole = picocodec.decode(data, realism=0, threads=1)
    yield f"{short(b'')}  {short(whole)}  realism 0"
    for part in ((0, 0, 64, 64), (490, 480, 20, 30)):
        yield f"{short(b'')}  {short(picocodec.decode(data, region=part, threads=1))}  part {part}"
    for divisor in (2, 4, 8):
        reduced = picocodec.decode(data, scale=1 / divisor, threads=1)
        yield f"{short(b'')}  {short(reduced)}  reduced to 1/{divisor}"
    for path in paths:
        with Image.open(path) as image:
            for quality in QUALITIES:
                yield line(path.name, quality, picocodec.encode(image, quality, threads=1))
        print(path, file=sys.stderr)


def line(name: str, quality: int, data: bytes) -> str:
    """The hashes of a file's bytes and of its pixels."""
    pixels = picocodec.decode(data, threads=1)
    return f"{short(data)}  {short(pixels)}  {name} {quality} {len(data)} bytes"


def short(data: bytes | Pixels) -> str:
    return hashlib.sha256(np.ascontiguousarray(data).tobytes()).hexdigest()[:16]


if __name__ == "__main__":
    main()
