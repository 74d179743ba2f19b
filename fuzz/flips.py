"""Change single bytes of real files, one at a time, and count what a decoder makes of them.

    python fuzz/flips.py [--flips 24000] [--repaired 1000] [--model NAME.vN] [--seed 0]

The files are the example photos at three qualities, one with an alpha channel, all with metadata.
Most flips leave the checksums as they are, as damage in the wild does: every one must be a typed
error, or the same picture. The others have them recomputed, so that they reach what lies
behind: there another picture is right, since that is what the file says. Prints a table.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from repair import repaired

import picocodec
from picocodec.model.store import DEFAULT_MODEL

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"
QUALITIES = (10, 50, 90)
HANG = 5.0  # seconds
OUTCOMES = ("typed error", "same picture", "other picture", "crash", "hang")


def real_files(model: str, side: int | None) -> list[bytes]:
    """Every example photo at every quality, cut to `side` pixels if that is given."""
    exif = Image.Exif()
    exif[Image.ExifTags.Base.Artist] = "nobody"
    files = []
    for i, path in enumerate(sorted(p for p in PHOTOS.iterdir() if p.suffix != ".md")):
        with Image.open(path) as opened:
            im = opened.convert("RGB")
        if side:
            im = im.crop((100, 100, 100 + side, 100 + side))
        if i == 0:
            im.putalpha(im.convert("L"))
        im.info = {"icc_profile": b"a profile", "exif": exif.tobytes(), "xmp": b"<x:xmpmeta/>"}
        files += [picocodec.encode(im, quality, model=model) for quality in QUALITIES]
    return files


def outcome(data: bytes, right: np.ndarray) -> tuple[str, float]:
    """What decoding gives, and its seconds."""
    start = time.perf_counter()
    try:
        pixels = picocodec.decode(data, threads=1)
        same = pixels.shape == right.shape and np.array_equal(pixels, right)
        found = "same picture" if same else "other picture"
    except picocodec.PicoError:
        found = "typed error"
    except Exception as error:
        print(f"crash: {error!r}")
        found = "crash"
    seconds = time.perf_counter() - start
    return ("hang" if seconds > HANG else found), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--flips", type=int, default=24_000)
    parser.add_argument("--repaired", type=int, default=1_000)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    print(f"| checksums | files | bytes | flips | {' | '.join(OUTCOMES)} | slowest |")
    print("| --- " * (5 + len(OUTCOMES)) + "|")
    for name, count, side, mend in (
        ("as they are", args.flips, None, bytes),
        ("recomputed", args.repaired, 96, repaired),
    ):
        files = real_files(args.model, side)
        rights = [picocodec.decode(data, threads=1) for data in files]
        counts: Counter[str] = Counter()
        slowest = 0.0
        for _ in range(count):
            which = int(rng.integers(len(files)))
            data = bytearray(files[which])
            data[rng.integers(len(data))] ^= int(rng.integers(1, 256))
            found, seconds = outcome(mend(bytes(data)), rights[which])
            counts[found] += 1
            slowest = max(slowest, seconds)
        told = " | ".join(str(counts[o]) for o in OUTCOMES)
        total = sum(map(len, files))
        print(
            f"| {name} | {len(files)} | {total} | {count} | {told} | {slowest:.2f} s |", flush=True
        )


if __name__ == "__main__":
    main()
