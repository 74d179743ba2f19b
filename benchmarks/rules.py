"""What each rule of the encoder is worth, in training tiles: files with it, and without it.

    python benchmarks/rules.py FOLDER_OF_TRAINING_TILES KEPT [--tiles N] [--targets N]

A picture is the middle of a training tile, and has 2x2 tiles: the format's are made a quarter as
wide here, so that what joins tiles, or divides bits among them, has its part. Every picture is
encoded at two levels, as it is and once without each rule. For each kind of picture the table has
how much more an encoder without the rule needs: bytes, the judge's cost (of photographed letters
the one that is theirs), bytes at equal PSNR and at equal LPIPS (AlexNet), read from the curve of
the encoder with the rule, and processor seconds of coding and decoding candidates. `changed` are
the files that differ. KEPT is a file of what was measured, a line of JSON for each picture, which
is gone on from.

With `--targets`, files of so many pictures of each kind are then made to a size, with and without
`Encoder.topped_up`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

import picocodec
from picocodec.coders import av1
from picocodec.coders.av1 import Av1Coder
from picocodec.coders.learned import LearnedCoder
from picocodec.coders.lossless import LosslessCoder
from picocodec.coders.protocol import Candidate
from picocodec.encoding import (
    allocation,
    candidates,
    effort,
    encoder,
    features,
    fitted,
    judge,
)
from picocodec.encoding.encoder import Encoder
from picocodec.encoding.features import look_at
from picocodec.encoding.judge import Judge
from picocodec.encoding.rate import fill
from picocodec.format import tiles
from picocodec.images.picture import from_array
from picolab.data.crops import TileFile, read_rows
from picolab.evaluation.metrics.perceptual import Perceptual

LEVELS = 400, 920
TILE = 120  # of the format's 504
SIDE = 2 * TILE
KINDS = "natural", "text", "graphics"
LEAST_SECONDS = 0.02  # of a share: what is less is not shown where no file changed
LEAST_MSE, LEAST_LPIPS = 0.1, 1e-4  # what is closer counts as that close

Bytes = NDArray[np.uint8]
Patch = tuple[object, str, object]


def tried(**changes: object) -> list[Patch]:
    made = replace(effort.effort_of(effort.DEFAULT_EFFORT), **changes)
    return [(encoder, "effort_of", lambda _: made)]


def never(_: object) -> bool:
    return False


# What the encoder is without a rule: names of its modules, and what they are then.
WITHOUT: dict[str, list[Patch]] = {
    "palettes are drawn (has_few_colours)": [(features, "has_few_colours", never)],
    "drawings: no extra sharpness": [(av1, "DRAWING", av1.LETTERS)],
    "drawings: libaom is told": [(av1, "DRAWING", av1.USUAL)],
    "letters are looked for": [(features, "has_letters", never)],
    "letters: libaom is told": [(candidates, "COPYING_LEVEL", 1001)],
    "letters: libaom is told from 500 on only": [(candidates, "COPYING_LEVEL", 0)],
    "exact costs 0.8 of its bits": [(judge, "EXACT_WORTH", 1.0)],
    "exact stays, from 900 on": [(candidates, "EXACT_LEVEL", 1001)],
    "exact: a quick try first": [(candidates, "LEAST_OF_QUICK", 0.0)],
    "exact: only where networks spend on changes": [(candidates, "FOR_A_CHANGE", 0.0)],
    "letters and drawings: quick AV1 first": [(fitted, "QUICK_MAY_COST", 1e9)],
    "promises kept by finer AV1": [(candidates, "FINEST_AV1", 0)],
    "tiles in one piece": [(encoder, "LONGEST", 1)],
    "smooth tiles get more": [(allocation, "FOR_EACH_BIT", 0)],
    "smooth tiles get more, within limits": [
        (allocation, "LEAST", -1000),
        (allocation, "MOST", 1000),
    ],
    "AV1 by speed 6; 9": tried(av1=9),
    "AV1": tried(av1=None),
}


class Memory:
    """What coders made of pixels, so that no candidate of a picture is made twice; `seconds` are
    those that the candidates asked for would have taken."""

    def __init__(self) -> None:
        self.kept: dict[object, tuple[Candidate | None, float]] = {}
        self.shown: dict[object, tuple[Bytes, float]] = {}
        self.seconds = 0.0

    def around(self, encode: Callable[..., Candidate | None]) -> Callable[..., Candidate | None]:
        def remembered(coder: object, pixels: Bytes, level: int = 0) -> Candidate | None:
            told = LearnedCoder if isinstance(coder, LearnedCoder) else repr(coder)
            key = told, pixels.tobytes(), pixels.shape, level
            if key not in self.kept:
                begin = time.process_time()
                candidate = encode(coder, pixels, level)
                self.kept[key] = candidate, time.process_time() - begin
            candidate, seconds = self.kept[key]
            self.seconds += seconds
            if candidate is None:
                return None
            return Candidate(candidate.payload, lambda: self.show(key, candidate), candidate.exact)

        return remembered

    def show(self, key: object, candidate: Candidate) -> Bytes:
        if key not in self.shown:
            begin = time.process_time()
            self.shown[key] = candidate.shown, time.process_time() - begin
        pixels, seconds = self.shown[key]
        self.seconds += seconds
        return pixels


@dataclass(frozen=True)
class Outcome:
    """Of a file: its bytes, the judge's cost, squared error, LPIPS; and seconds of candidates."""

    size: int
    cost: float
    mse: float
    lpips: float
    seconds: float = 0.0


class Bench:
    """Measures files of one picture after the other."""

    def __init__(self) -> None:
        self.lpips = Perceptual("lpips_alex")
        self.memory = Memory()
        self.measured: dict[tuple[bytes, int], Outcome] = {}
        self.stack = ExitStack()
        for coder in (Av1Coder, LearnedCoder, LosslessCoder):
            encode = self.memory.around(coder.encode)
            self.stack.enter_context(patch.object(coder, "encode", encode))

    def forget(self) -> None:
        self.memory.kept.clear()
        self.memory.shown.clear()
        self.measured.clear()

    def encoded(self, pixels: Bytes, level: int, patches: Iterable[Patch]) -> tuple[bytes, float]:
        with ExitStack() as stack:
            for where, name, value in patches:
                stack.enter_context(patch.object(where, name, value))
            self.memory.seconds = 0.0
            data = Encoder(from_array(pixels), threads=1).encode(level)
            return data, self.memory.seconds

    def outcome(self, pixels: Bytes, data: bytes, level: int, seconds: float) -> Outcome:
        key = data, level
        if key not in self.measured:
            shown = picocodec.decode(data, threads=1)
            cost = Judge(level, look_at(pixels).is_text).cost(len(data), pixels, shown)
            mse = max(float(np.square(pixels.astype(float) - shown).mean()), LEAST_MSE)
            lpips = max(self.lpips(pixels, shown), LEAST_LPIPS)
            self.measured[key] = Outcome(len(data), cost, mse, lpips)
        return replace(self.measured[key], seconds=seconds)


Measured = dict[str, list[Outcome]]  # by the rule that is left out; the levels one after the other


def measure(bench: Bench, pixels: Bytes) -> Measured:
    """Outcomes of a picture."""
    found: Measured = {name: [] for name in ("", *WITHOUT)}
    for level in LEVELS:
        for name, patches in {"": [], **WITHOUT}.items():
            data, seconds = bench.encoded(pixels, level, patches)
            found[name].append(bench.outcome(pixels, data, level, seconds))
    bench.forget()
    return found


def load(kept: Path) -> dict[str, dict[str, Measured]]:
    """What was measured, by kind and original."""
    found: dict[str, dict[str, Measured]] = {kind: {} for kind in KINDS}
    for line in kept.read_text().splitlines() if kept.exists() else ():
        kind, original, outcomes = json.loads(line)
        found[kind][original] = {
            name: [Outcome(*numbers) for numbers in of_levels]
            for name, of_levels in outcomes.items()
        }
    return found


def changed(pictures: list[Measured], name: str) -> int:
    """How many files differ without the rule."""
    return sum(
        astuple(usual)[:-1] != astuple(without)[:-1]
        for found in pictures
        for usual, without in zip(found[""], found[name], strict=True)
    )


def more(pictures: list[Measured], name: str, what: str) -> float:
    """How much more of something it is without the rule, geometric mean of the pictures."""
    ratios = [
        math.log(getattr(without, what) / getattr(usual, what))
        for found in pictures
        for usual, without in zip(found[""], found[name], strict=True)
    ]
    return math.expm1(float(np.mean(ratios)))


def seconds(pictures: list[Measured], name: str) -> float:
    sums = [sum(o.seconds for found in pictures for o in found[n]) for n in ("", name)]
    return sums[1] / sums[0] - 1


def at_equal(pictures: list[Measured], name: str, distance: str) -> float:
    """How many more bytes it is without the rule at an equal distance, by the mean curve."""

    def curve(of: str, what: str) -> NDArray[np.float64]:
        return np.log([[getattr(o, what) for o in found[of]] for found in pictures]).mean(0)

    bytes_, apart = curve("", "size"), curve("", distance)
    slope = np.polyfit(apart, bytes_, 1)[0]
    rise = curve(name, "size") - bytes_ - slope * (curve(name, distance) - apart)
    return math.expm1(float(rise.mean()))


def chosen(folder: Path, count: int) -> dict[str, dict[str, Bytes]]:
    """So many pictures of each kind, by their originals."""
    trained, rows = TileFile(folder, held_out=False), read_rows(folder)
    found: dict[str, dict[str, Bytes]] = {kind: {} for kind in KINDS}
    start = (tiles.TILE + 2 * tiles.MARGIN - SIDE) // 2
    for number in np.random.default_rng(8).permutation(trained.index):
        row = rows[number]
        of_kind = found[row["category"]]
        if len(of_kind) < count and row["original"] not in of_kind:
            middle = trained.pixels[number, start : start + SIDE, start : start + SIDE]
            of_kind[row["original"]] = np.array(middle)
    return found


def print_rules(pictures: dict[str, list[Measured]]) -> None:
    print("| without | of | changed | bytes | judge | at PSNR | at LPIPS | seconds |")
    print("|" + " --- |" * 8)
    for name in WITHOUT:
        for kind, measured in pictures.items():
            files = changed(measured, name)
            longer = seconds(measured, name)
            if not files and abs(longer) < LEAST_SECONDS:
                continue
            parts = [more(measured, name, "size"), more(measured, name, "cost")]
            parts += [at_equal(measured, name, distance) for distance in ("mse", "lpips")]
            numbers = " | ".join(f"{part:+.1%}" for part in (*parts, longer))
            print(f"| {name} | {kind} | {files}/{len(LEVELS) * len(measured)} | {numbers} |")


def print_targets(bench: Bench, pictures: dict[str, dict[str, Bytes]], count: int) -> None:
    """Files of a tenth of a byte a pixel, and of three: how much of that is used."""
    print("\n| kind | files | below the target | topped up | MSE | LPIPS |\n|" + " --- |" * 6)
    for kind, all_pixels in pictures.items():
        rest: list[list[float]] = []
        for pixels in list(all_pixels.values())[:count]:
            for size in (SIDE * SIDE // 10, 3 * SIDE * SIDE // 10):
                made = Encoder(from_array(pixels), threads=1)
                plain = fill(made.encode, size, SIDE * SIDE)
                full = made.topped_up(plain, size)
                before, after = (bench.outcome(pixels, data, 500, 0) for data in (plain, full))
                rest.append([1 - len(data) / size for data in (plain, full)])
                rest[-1] += [after.mse / before.mse - 1, after.lpips / before.lpips - 1]
            bench.forget()
        means = " | ".join(f"{mean:.1%}" for mean in np.mean(rest, 0))
        print(f"| {kind} | {len(rest)} | {means} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("kept", type=Path)
    parser.add_argument("--tiles", type=int, default=13, help="of each kind (%(default)s)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="(%(default)s)")
    parser.add_argument("--targets", type=int, default=0, help="pictures made to sizes, too")
    args = parser.parse_args()
    pictures = chosen(args.folder, args.tiles)
    pictures = {kind: pictures[kind] for kind in args.kinds.split(",")}
    bench = Bench()
    with patch.object(tiles, "TILE", TILE), bench.stack:
        for kind, of_kind in pictures.items():
            for original, pixels in of_kind.items():
                if original not in load(args.kept)[kind]:
                    outcomes = {
                        name: [astuple(outcome) for outcome in found]
                        for name, found in measure(bench, pixels).items()
                    }
                    with args.kept.open("a") as file:
                        file.write(json.dumps([kind, original, outcomes]) + "\n")
        print_rules({kind: list(load(args.kept)[kind].values()) for kind in pictures})
        if args.targets:
            print_targets(bench, pictures, args.targets)


if __name__ == "__main__":
    main()
