"""What an effort costs: processor seconds of encoding beside AVIF, and what they are spent on.

    python benchmarks/effort.py PHOTO ... [--efforts 0,5] [--qualities 50,70,85,92] [--repeats R]

Of each photo the middle 2016x1512 pixels, twelve whole tiles, are encoded by one thread. AVIF
(4:4:4, speed 6, one thread) takes its turn before each, at the same number as quality and at 60,
where its files are about as good as ours at 50. Ratios are medians of R turns, and then the
geometric mean and the largest of the photos.

The second table says where our seconds go, the mean of the photos: each part less the parts inside.
"""

from __future__ import annotations

import argparse
import io
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import picocodec
from picocodec.coders import av1, learned, lossless
from picocodec.encoding import candidates, encoder
from picocodec.encoding.judge import Judge
from picocodec.format.entropy import SymbolCoder
from picocodec.format.tiles import TILE
from picocodec.model.model import Model

WIDTH, HEIGHT = 4 * TILE, 3 * TILE
OF_AVIF = 60

Bytes = NDArray[np.uint8]

PARTS: tuple[tuple[object, str, str], ...] = (
    (encoder, "look_at", "looks"),
    (candidates, "with_margin", "cut"),
    (learned, "as_canvas", "cut"),
    (learned, "padded", "cut"),
    (Model, "analyse", "analysis"),
    (Model, "y_indices", "scale decoder"),
    (Model, "quantise", "context"),
    (SymbolCoder, "encode", "entropy coding"),
    (Model, "synthesise", "synthesis"),
    (learned, "to_bytes", "to pixels"),
    (Judge, "cost", "judge"),
    (lossless, "encode_lossless", "lossless"),
    (av1, "encode_av1", "AV1"),
    (av1, "decode_av1", "AV1 decoded"),
)


@dataclass
class Stopwatch:
    """Processor seconds by part, each less those of the parts that it calls."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    inside: list[float] = field(default_factory=list)

    def around(self, work: Callable[..., object], part: str) -> Callable[..., object]:
        def timed(*given: object, **named: object) -> object:
            self.inside.append(0.0)
            begin = time.process_time()
            try:
                return work(*given, **named)
            finally:
                whole = time.process_time() - begin
                self.seconds[part] += whole - self.inside.pop()
                if self.inside:
                    self.inside[-1] += whole

        return timed


def seconds_of(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def avif(image: Image.Image, quality: int) -> None:
    image.save(io.BytesIO(), "AVIF", quality=quality, speed=6, subsampling="4:4:4", max_threads=1)


@dataclass
class Outcome:
    """Of a photo at an effort and a quality: our seconds, how many times AVIF's, and by part."""

    ours: list[float] = field(default_factory=list)
    at_same: list[float] = field(default_factory=list)
    at_60: list[float] = field(default_factory=list)
    parts: list[dict[str, float]] = field(default_factory=list)

    def part(self, name: str) -> float:
        return statistics.median(parts.get(name, 0.0) for parts in self.parts)


def measure(photo: Path, qualities: list[int], efforts: list[int], repeats: int) -> list[Outcome]:
    """Outcomes of a photo, the efforts of a quality one after the other."""
    with Image.open(photo) as opened:
        left, top = (opened.width - WIDTH) // 2, (opened.height - HEIGHT) // 2
        image = opened.convert("RGB").crop((left, top, left + WIDTH, top + HEIGHT))
    pixels = np.asarray(image)
    found = []
    for quality in qualities:
        outcomes = [Outcome() for _ in efforts]
        for _ in range(repeats):
            avifs = [seconds_of(partial(avif, image, q)) for q in (quality, OF_AVIF)]
            for outcome, effort in zip(outcomes, efforts, strict=True):
                encode(pixels, quality, effort, outcome, avifs)
        found += outcomes
    return found


def encode(pixels: Bytes, quality: int, effort: int, outcome: Outcome, avifs: list[float]) -> None:
    """Add a turn to an outcome; `avifs` are AVIF's seconds, at the same quality and at 60."""
    watch = Stopwatch()
    with ExitStack() as stack:
        for owner, name, part in PARTS:
            timed = watch.around(getattr(owner, name), part)
            stack.enter_context(patch.object(owner, name, timed))
        ours = seconds_of(lambda: picocodec.encode(pixels, quality, threads=1, effort=effort))
    rest = ours - sum(watch.seconds.values())
    outcome.ours.append(ours)
    outcome.at_same.append(ours / avifs[0])
    outcome.at_60.append(ours / avifs[1])
    outcome.parts.append({**watch.seconds, "the rest": rest})


def geometric(values: Iterable[float]) -> float:
    return math.exp(statistics.fmean(math.log(value) for value in values))


def main() -> None:
    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--efforts", type=numbers, default=[0, 5])
    parser.add_argument("--qualities", type=numbers, default=[50, 70, 85, 92])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    picocodec.encode(np.zeros((64, 64, 3), np.uint8), threads=1)  # loads what it needs
    rows = [(quality, effort) for quality in args.qualities for effort in args.efforts]
    photos = [measure(p, args.qualities, args.efforts, args.repeats) for p in args.photos]
    by_row = dict(zip(rows, zip(*photos, strict=True), strict=True))
    print(f"{len(photos)} photos, medians of {args.repeats}\n")
    print("| quality | effort | s | AVIF's, same quality | at most | AVIF's, 60 | at most |")
    print("|" + " --- |" * 7)
    for (quality, effort), outcomes in by_row.items():
        ours = geometric(statistics.median(outcome.ours) for outcome in outcomes)
        cells = [f"{ours:.2f}"]
        for name in ("at_same", "at_60"):
            ratios = [statistics.median(getattr(outcome, name)) for outcome in outcomes]
            cells += [f"{geometric(ratios):.2f}", f"{max(ratios):.2f}"]
        print(f"| {quality} | {effort} | {' | '.join(cells)} |")
    names = list(dict.fromkeys([*(part for _, _, part in PARTS), "the rest"]))
    print("\n| s of | " + " | ".join(f"{q}, effort {e}" for q, e in rows) + " |")
    print("|" + " --- |" * (1 + len(rows)))
    for name in names:
        means = (statistics.fmean(o.part(name) for o in by_row[row]) for row in rows)
        print(f"| {name} | {' | '.join(f'{mean:.3f}' for mean in means)} |")


if __name__ == "__main__":
    main()
