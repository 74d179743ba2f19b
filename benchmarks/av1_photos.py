"""What AV1 does better than the networks, and whether the encoder can tell.

    python benchmarks/av1_photos.py $PICOLAB_TRAIN runs/rendered --tiles 24 [--trials FILE] [--fit]

Of each folder so many tiles that may have letters and as many that have none, screens left out, at
each level as the encoder would code them with AV1: of those that it takes, and of those that it
leaves to the networks, the medians of LPIPS (AlexNet), DISTS and root squared errors, in parts of
what the networks would have at the bytes that AV1 takes.
`--trials` keeps what was measured, and goes on from there: delete the file after a change of the
encoder. `--fit` prints what the constants of
`picocodec.encoding.judge` and `picocodec.encoding.photos` are fitted to.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picocodec.coders import av1
from picocodec.coders.learned import LearnedCoder
from picocodec.encoding.features import has_hard_steps, has_letters, is_flat, plainness_of
from picocodec.encoding.judge import TOP_LEVEL, contrast_error, is_taken, looks, squared_error
from picocodec.encoding.photos import QUICK_SPEED, quality_at, quality_for, told_at
from picocodec.format.container import LEVEL_STEPS
from picocodec.format.tiles import MARGIN, TILE, Tile
from picocodec.images.canvas import with_margin
from picocodec.model.store import DEFAULT_MODEL, load_model
from picolab.data.images import load_tiles
from picolab.evaluation.metrics.perceptual import Perceptual

STEP = 70  # in level, over which the networks' exchange of bytes for distances is measured
DISTANCES = "LPIPS", "DISTS", "RMSE"

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Trial:
    """One tile at one level: what the encoder knows of it; bytes, error of contrast and squared
    errors of AV1, quick and careful, in times of the networks'; and distances, in parts of what the
    networks have at the same bytes."""

    folder: str
    tile: int
    level: int
    has_letters: bool
    plainness: float
    bits: float
    quick: tuple[float, float, float]
    careful: tuple[float, float, float]
    distances: tuple[float, float, float]

    @property
    def hoped(self) -> float:
        """`looks` after a quick try."""
        return looks(math.sqrt(self.quick[0]), *self.quick[1:], self.level)

    @property
    def is_taken(self) -> bool:
        """Where it is tried, and the quick try does not rule it out."""
        return is_taken(*self.careful, self.level, self.has_letters)

    @property
    def seen(self) -> float:
        """The logarithm to base 2 of the geometric mean of the distances."""
        return sum(map(math.log2, self.distances)) / len(self.distances)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--tiles", type=int, default=24, help="of each kind and folder")
    parser.add_argument("--levels", default="250,400,550,700,850", help="in thousandths")
    parser.add_argument("--trials", type=Path, help="a JSON file that keeps what was measured")
    parser.add_argument("--fit", action="store_true", help="constants, by least squares")
    args = parser.parse_args()
    levels = [int(level) for level in args.levels.split(",")]
    done: dict[tuple[str, int, int], Trial] = {}
    if args.trials and args.trials.exists():
        for kept in json.loads(args.trials.read_text()):
            trial = Trial(**{k: tuple(v) if isinstance(v, list) else v for k, v in kept.items()})
            done[trial.folder, trial.tile, trial.level] = trial
    judges = [Perceptual("lpips_alex"), Perceptual("dists")]
    trials: list[Trial] = []
    for folder in args.folders:
        for number, pixels in chosen(folder, args.tiles):
            for level in levels:
                key = folder.name, number, level
                if key not in done:
                    done[key] = trial_of(folder.name, number, pixels, level, judges)
                trials.append(done[key])
            if args.trials:
                kept = [asdict(trial) for trial in done.values()]
                args.trials.write_text(json.dumps(kept, default=float))
    print_table(trials)
    if args.fit:
        print_fit(trials)


def chosen(folder: Path, count: int) -> Iterator[tuple[int, Bytes]]:
    """So many tiles that may have letters, and as many without, with their numbers."""
    left = {"letters": count, "photos": count}
    for number, pixels in enumerate(shuffled(folder, 1)):
        if not any(left.values()):
            return
        kind = kind_of(pixels)
        if left.get(kind, 0):
            left[kind] -= 1
            yield number, pixels


def trial_of(
    folder: str, number: int, pixels: Bytes, level: int, judges: list[Perceptual]
) -> Trial:
    model, tile = load_model(DEFAULT_MODEL, 1), Tile(0, 0, *pixels.shape[:2])
    grown = with_margin(pixels, tile)
    inner = slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN)
    brightness = brightness_of(pixels)
    letters = has_letters(brightness)

    def as_av1(quality: int, speed: int, told: Mapping[str, str]) -> tuple[int, Bytes]:
        stream = av1.encode_av1(grown, quality, 1, speed, told)
        assert stream is not None
        return len(stream), av1.decode_av1(stream, tile.grown(MARGIN))[inner]

    levels = level, level + (STEP if level + STEP <= LEVEL_STEPS else -STEP)
    coded = [LearnedCoder(model).encode(grown, at) for at in levels]
    seen = [candidate.shown[inner] for candidate in coded]
    learned = len(coded[0].payload)
    contrast, squared = contrast_error(pixels, seen[0]), squared_error(pixels, seen[0])

    def times(size: int, shown: Bytes) -> tuple[float, float, float]:
        errors = contrast_error(pixels, shown) / contrast, squared_error(pixels, shown) / squared
        return size / learned, *errors

    quick = as_av1(quality_at(level), QUICK_SPEED, av1.USUAL)
    quality = quality_for(level, letters, quick[0], learned)
    size, shown = as_av1(quality, av1.SPEED, told_at(level, letters))
    more = math.log(size / learned) / math.log(len(coded[1].payload) / learned)
    parts = []
    for distance in (*judges, lambda a, b: math.sqrt(squared_error(a, b))):
        ours, other = (distance(pixels, picture) for picture in seen)
        parts.append(distance(pixels, shown) / (ours * (other / ours) ** more))
    return Trial(
        folder,
        number,
        level,
        letters,
        plainness_of(brightness),
        8 * learned / (tile.width * tile.height),
        times(*quick),
        times(size, shown),
        (parts[0], parts[1], parts[2]),
    )


def print_table(trials: list[Trial]) -> None:
    titles = [f"{which}: {name}" for which in ("taken", "left") for name in DISTANCES]
    print(f"| folder | letters | level | tiles | taken | {' | '.join(titles)} |")
    print("| --- |" + " --- |" * (4 + len(titles)))
    folders = dict.fromkeys(trial.folder for trial in trials)
    levels = dict.fromkeys(trial.level for trial in trials)
    for folder, letters, level in product(folders, (True, False), levels):
        known = folder, letters, level
        here = [t for t in trials if (t.folder, t.has_letters, t.level) == known]
        taken = [t for t in here if t.is_taken]
        parts = [folder, "yes" if letters else "no", str(level), str(len(here)), str(len(taken))]
        for some in (taken, [t for t in here if not t.is_taken]):
            medians = np.median([t.distances for t in some], 0) if some else ()
            parts += [f"{m:.2f}" for m in medians] or ["-"] * len(DISTANCES)
        if here:
            print(f"| {' | '.join(parts)} |")


def print_fit(trials: list[Trial]) -> None:
    """The constants that what is seen asks for, by least squares."""
    seen = np.array([t.seen for t in trials])
    known = np.array([[1, *map(math.log2, t.careful)] for t in trials])
    weights, *_ = np.linalg.lstsq(known, seen, rcond=None)
    judged = known @ weights
    print(f"\nLOOKS, ..._BY_BYTES, _BY_CONTRAST, _BY_ERRORS = {_numbers(weights)}")
    print(f"which tell {np.corrcoef(judged, seen)[0, 1]:.2f} (correlation), ", end="")
    print(f"{(judged - seen).std():.2f} off (standard deviation)")
    for letters in (True, False):
        late = [t.hoped for t in trials if t.is_taken and t.has_letters == letters] or [math.nan]
        percentiles = _numbers(np.percentile(late, [50, 80, 90, 95, 100]))
        print(f"quick tries of those taken, {letters=}: {percentiles} (50, 80, 90, 95, 100 %)")
    is_top = [t.level >= TOP_LEVEL * LEVEL_STEPS for t in trials]
    plain = [not (t.has_letters or top) for t, top in zip(trials, is_top, strict=True)]
    cheap = np.array([[1, t.plainness, math.log2(t.bits)] for t in trials])[plain]
    weights, *_ = np.linalg.lstsq(cheap, judged[plain], rcond=None)
    print(f"FORESEEN = {_numbers(weights)}")
    told = np.corrcoef(cheap @ weights, judged[plain])[0, 1]
    print(f"which tell {told:.2f} of what is judged then")


def _numbers(values: NDArray[np.float64]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def shuffled(folder: Path, seed: int) -> Iterator[Bytes]:
    """Training tiles `[h, w, 3]`, in an order that the seed decides."""
    data = load_tiles([folder])
    for i in np.random.default_rng(seed).permutation(len(data.tiles)):
        height, width = (min(int(side), TILE) for side in data.sizes[i])
        yield np.ascontiguousarray(data.tiles[i, :, :height, :width].permute(1, 2, 0).numpy())


def kind_of(pixels: Bytes) -> str:
    """`screens`, and of the rest `letters` for what may have some and `photos`."""
    if is_flat(pixels) and has_hard_steps(pixels):
        return "screens"
    return "letters" if has_letters(brightness_of(pixels)) else "photos"


def brightness_of(pixels: Bytes) -> Bytes:
    return np.asarray(Image.fromarray(pixels).convert("L"))


if __name__ == "__main__":
    main()
