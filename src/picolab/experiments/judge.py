"""Numbers for the encoder's judge, fitted on training tiles.

    picolab judge tiles trials.json -o src/picocodec/encoding/fitted.py

Each crop is coded by the networks and by AV1 at several levels, and what that shows is measured by
LPIPS (AlexNet), DISTS and squared errors. What these are worth in bits, the networks themselves
say: by how much each falls for a bit more, over photos. The judge's distortion, which knows
neither LPIPS nor DISTS, is fitted to choose as the sum of the three would.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from picocodec.coders import av1
from picocodec.coders.av1 import decode_av1, encode_av1
from picocodec.coders.learned import LearnedCoder
from picocodec.coders.lossless import encode_lossless
from picocodec.encoding.features import Look, look_at
from picocodec.encoding.judge import parts_of_distortion
from picocodec.format.container import LEVEL_STEPS
from picocodec.format.tiles import MARGIN, Tile
from picocodec.model.store import DEFAULT_MODEL, load_model
from picolab.data.crops import read_rows
from picolab.data.tilefile import PIXELS, SIDE
from picolab.evaluation.metrics.perceptual import Perceptual

LEVELS = 150, 400, 650, 900
STEP = 50  # in level, over which the networks exchange bits for distances
SIDE_OF_CROP = 192
QUALITIES = -8, 8  # around what `typical_quality` says
DISTANCES = "lpips", "dists", "mse"
WORTH = {"lpips": 0.4, "dists": 0.4, "mse": 0.2}
SOFTNESS = 0.05  # of the choice among candidates, in logarithms of their costs

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Trial:
    """A way of coding a crop at a level in thousandths: what codes it, AV1's quality, bits a pixel,
    the judge's detail that is lost or made up, of a pixel, and the three distances."""

    coder: str
    level: int
    quality: int
    bits: float
    detail: float
    lpips: float
    dists: float
    mse: float


@dataclass(frozen=True)
class Crop:
    """A crop: its category, number of the tile, look, and trials."""

    category: str
    tile: int
    look: Look
    trials: list[Trial]

    def at(self, level: int, *coders: str) -> list[Trial]:
        return [t for t in self.trials if t.level == level and t.coder in coders]

    def candidates(self, level: int) -> list[Trial]:
        """What an encoder could choose from, the networks first."""
        return self.at(level, "learned") + self.at(level, "av1", "exact")


class Collector:
    """Measures crops of the tiles in a folder."""

    def __init__(self, folder: Path) -> None:
        self.rows = read_rows(folder)
        self.pixels = np.memmap(folder / PIXELS, np.uint8, "r").reshape(-1, SIDE, SIDE, 3)
        self.lpips, self.dists = Perceptual("lpips_alex"), Perceptual("dists")
        self.coder = LearnedCoder(load_model(DEFAULT_MODEL, 1))

    def chosen(self, counts: dict[str, int], seed: int) -> list[int]:
        """So many tiles of each category that are trained on, no two of one original."""
        random = np.random.default_rng(seed)
        tiles: list[int] = []
        for category, count in counts.items():
            fits = [
                i
                for i, row in enumerate(self.rows)
                if row["category"] == category and row["held_out"] == "0"
            ]
            by_original = {self.rows[i]["original"]: int(i) for i in random.permutation(fits)}
            tiles += list(by_original.values())[:count]
        return tiles

    def measure(self, tile: int) -> Crop:
        """A crop from the middle of a tile, coded in all ways."""
        start, end = (SIDE - SIDE_OF_CROP) // 2, (SIDE + SIDE_OF_CROP) // 2
        wide = slice(start - MARGIN, end + MARGIN)
        grown = np.ascontiguousarray(self.pixels[tile][wide, wide])
        own = np.ascontiguousarray(grown[MARGIN:-MARGIN, MARGIN:-MARGIN])
        look, category = look_at(own), self.rows[tile]["category"]
        trials = []
        for level in LEVELS:
            levels = {"learned": level}
            if category == "natural":
                levels["learned, more"] = level + STEP
            for name, at in levels.items():
                candidate = self.coder.encode(grown, at)
                size = len(candidate.payload)
                trials.append(self._trial(name, level, 0, size, own, candidate.shown))
            for change in QUALITIES:
                trials += self._av1(own, grown, look, level, change)
            if look.drawn:
                trials.append(self._trial("exact", level, 0, len(encode_lossless(own)), own, grown))
        return Crop(category, tile, look, trials)

    def _av1(self, own: Bytes, grown: Bytes, look: Look, level: int, change: int) -> list[Trial]:
        quality = round(min(max(typical_quality(level) + change, 1), 98))
        letters = look.lettered and level >= LEVEL_STEPS // 2
        told = av1.SCREEN if look.is_screen else av1.LETTERS if letters else av1.USUAL
        stream = encode_av1(grown, quality, told=told)
        if stream is None:
            return []
        shown = decode_av1(stream, Tile(0, 0, *grown.shape[:2]))
        return [self._trial("av1", level, quality, len(stream), own, shown)]

    def _trial(
        self, name: str, level: int, quality: int, size: int, own: Bytes, grown: Bytes
    ) -> Trial:
        shown = np.ascontiguousarray(grown[MARGIN:-MARGIN, MARGIN:-MARGIN])
        pixels = own.shape[0] * own.shape[1]
        mse, detail = (value / pixels for value in parts_of_distortion(own, shown))
        distances = self.lpips(own, shown), self.dists(own, shown), mse
        return Trial(name, level, quality, 8 * size / pixels, detail, *distances)


def typical_quality(level: int) -> float:
    """libavif's quality around which AV1 is tried at a level."""
    share = level / LEVEL_STEPS
    return 18 + 90 * share - 20 * share**2


@dataclass(frozen=True)
class Exponential:
    """A number that grows by a factor with the level: `start` at 0, `start * growth` at 1000."""

    start: float
    growth: float

    def at(self, level: int) -> float:
        return self.start * self.growth ** (level / LEVEL_STEPS)


def exchange_rates(crops: Sequence[Crop]) -> dict[str, Exponential]:
    """Bits a pixel for which the networks exchange each distance, over photos."""
    shares = np.array(LEVELS) / LEVEL_STEPS
    found = {}
    for distance in DISTANCES:
        rates = []
        for level in LEVELS:
            photos = [crop for crop in crops if crop.at(level, "learned, more")]
            less = [t for crop in photos for t in crop.at(level, "learned")]
            more = [t for crop in photos for t in crop.at(level, "learned, more")]
            bits = np.mean([t.bits for t in more]) - np.mean([t.bits for t in less])
            fall = np.mean([getattr(t, distance) for t in less])
            fall -= np.mean([getattr(t, distance) for t in more])
            rates.append(bits / fall)
        slope, start = np.polyfit(shares, np.log(rates), 1)
        found[distance] = Exponential(math.exp(start), math.exp(slope))
    return found


def true_cost(trial: Trial, rates: dict[str, Exponential]) -> float:
    """Bits a pixel, distances included."""
    return trial.bits + sum(
        WORTH[distance] * rates[distance].at(trial.level) * getattr(trial, distance)
        for distance in DISTANCES
    )


@dataclass(frozen=True)
class Judgement:
    """What the judge's distortion is: the worth of squared errors and of detail."""

    errors: Exponential
    detail: Exponential

    def cost(self, trial: Trial) -> float:
        """Bits a pixel, distortion included."""
        return (
            trial.bits
            + self.errors.at(trial.level) * trial.mse
            + self.detail.at(trial.level) * trial.detail
        )


def fit_judgement(crops: Sequence[Crop], rates: dict[str, Exponential]) -> Judgement:
    """Squared errors are worth their share of what the networks exchange them for; detail what
    makes the choices best."""
    from scipy.optimize import minimize

    errors = Exponential(WORTH["mse"] * rates["mse"].start, rates["mse"].growth)
    groups = [c for crop in crops for level in LEVELS if len(c := crop.candidates(level)) > 1]
    truths = [np.log([true_cost(t, rates) for t in group]) for group in groups]

    def regret(numbers: NDArray[np.float64]) -> float:
        judge = Judgement(errors, Exponential(*np.exp(numbers)))
        total = 0.0
        for group, truth in zip(groups, truths, strict=True):
            costs = np.log([judge.cost(t) for t in group])
            chosen = np.exp((costs.min() - costs) / SOFTNESS)
            total += float(chosen @ truth / chosen.sum() - truth.min())
        return total / len(groups)

    found = minimize(regret, [-1.0, 4.0], method="Nelder-Mead", options={"maxiter": 200})
    return Judgement(errors, Exponential(*np.exp(found.x)))


def fit_quality(crops: Sequence[Crop], rates: dict[str, Exponential]) -> list[float]:
    """libavif's quality by the share of the level: constant, by it, by its square. Between and
    beyond the two qualities tried bits and distances are taken for exponential."""
    best = []
    for level in LEVELS:
        pairs = [p for crop in crops if len(p := crop.at(level, "av1")) == 2]
        bits = [np.mean([p[i].bits for p in pairs]) for i in (0, 1)]
        rest = [np.mean([true_cost(p[i], rates) - p[i].bits for p in pairs]) for i in (0, 1)]
        middle = np.mean([t.quality for p in pairs for t in p])
        apart = np.mean([p[1].quality - p[0].quality for p in pairs])
        rise, fall = math.log(bits[1] / bits[0]) / apart, math.log(rest[0] / rest[1]) / apart
        paid = fall * math.sqrt(rest[0] * rest[1]) / (rise * math.sqrt(bits[0] * bits[1]))
        best.append(middle + math.log(paid) / (rise + fall))
    bend, slope, start = np.polyfit(np.array(LEVELS) / LEVEL_STEPS, best, 2)
    return [float(start), float(slope), float(bend)]


def fit_bits(crops: Sequence[Crop]) -> Exponential:
    """Bits of a pixel of photos by the networks."""
    photos = [crop for crop in crops if crop.at(LEVELS[0], "learned, more")]
    bits = [np.mean([t.bits for c in photos for t in c.at(at, "learned")]) for at in LEVELS]
    slope, start = np.polyfit(np.array(LEVELS) / LEVEL_STEPS, np.log(bits), 1)
    return Exponential(math.exp(start), math.exp(slope))


def as_module(judge: Judgement, quality: Sequence[float], bits: Exponential) -> str:
    """The text of `picocodec/encoding/fitted.py`."""

    def numbers(values: Sequence[float]) -> str:
        return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"

    return f'''"""What the encoder's choices are fitted to: made by `picolab judge`, never typed."""

# Bits for squared errors of values 0 to 1, and for detail, of a pixel: at level 0, and how many
# times that at level 1000, in between by a power of it.
ERRORS = {numbers([judge.errors.start, judge.errors.growth])}
DETAIL = {numbers([judge.detail.start, judge.detail.growth])}

# libavif's quality: at level 0, and what comes on top by the level, 0 to 1, and by its square.
AV1_QUALITY = {numbers(quality)}

# Bits of a pixel of photos by the networks: at level 0, and how many times that at level 1000.
BITS = {numbers([bits.start, bits.growth])}
'''


def report(crops: Sequence[Crop], judge: Judgement, rates: dict[str, Exponential]) -> str:
    """A table by category: how far the networks alone, and the judge's choices, are from the best
    choice, in percent of its true cost."""
    rows = ["| category | crops | networks alone | judge |", "| --- | --- | --- | --- |"]
    for category in sorted({crop.category for crop in crops}):
        members = [crop for crop in crops if crop.category == category]
        alone, judged = [], []
        for group in (crop.candidates(level) for crop in members for level in LEVELS):
            truths = [math.log(true_cost(t, rates)) for t in group]
            alone.append(truths[0] - min(truths))
            costs = [judge.cost(t) for t in group]
            chosen = costs.index(min(costs))
            judged.append(truths[chosen] - min(truths))
        percents = [f"{100 * math.expm1(np.mean(values)):.1f} %" for values in (alone, judged)]
        rows.append(f"| {category} | {len(members)} | {percents[0]} | {percents[1]} |")
    return "\n".join(rows)


def load(path: Path) -> list[Crop]:
    """Crops that were measured before; none, where there is no such file."""
    if not path.exists():
        return []
    return [
        Crop(c["category"], c["tile"], Look(**c["look"]), [Trial(**t) for t in c["trials"]])
        for c in json.loads(path.read_text())
    ]


def fit(tiles: Path, kept: Path, counts: dict[str, int]) -> str:
    """The text of the module, fitted to so many crops of each category; `kept` is a JSON file of
    what was measured, which is gone on from. Prints how good the choices are."""
    crops = load(kept)
    collector = Collector(tiles)
    for tile in collector.chosen(counts, seed=0):
        if tile not in {crop.tile for crop in crops}:
            crops.append(collector.measure(tile))
            kept.write_text(json.dumps([asdict(crop) for crop in crops]))
    rates = exchange_rates(crops)
    judge = fit_judgement(crops, rates)
    print(report(crops, judge, rates))
    return as_module(judge, fit_quality(crops, rates), fit_bits(crops))
