"""Crops of training tiles, coded in all ways at several levels, and what became of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from picocodec.coders import av1
from picocodec.coders.av1 import decode_av1, encode_av1
from picocodec.coders.learned import LearnedCoder
from picocodec.coders.lossless import encode_lossless
from picocodec.encoding.candidates import QUICKEST
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
            if look.flat:
                trials.append(self._trial("exact", level, 0, len(encode_lossless(own)), own, grown))
        return Crop(category, tile, look, trials)

    def _av1(self, own: Bytes, grown: Bytes, look: Look, level: int, change: int) -> list[Trial]:
        quality = round(min(max(typical_quality(level) + change, 1), 98))
        letters = look.lettered and level >= LEVEL_STEPS // 2
        told = av1.DRAWING if look.flat else av1.LETTERS if letters else av1.USUAL
        tries = [("av1", av1.SPEED, told)]
        if look.flat or look.is_text:
            tries.append(("av1, quick", QUICKEST, told))
        trials = []
        for name, speed, options in tries:
            stream = encode_av1(grown, quality, speed=speed, told=options)
            if stream is not None:
                shown = decode_av1(stream, Tile(0, 0, *grown.shape[:2]))
                trials.append(self._trial(name, level, quality, len(stream), own, shown))
        return trials

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


def load(path: Path) -> list[Crop]:
    """Crops that were measured before; none, where there is no such file."""
    if not path.exists():
        return []
    return [
        Crop(c["category"], c["tile"], Look(**c["look"]), [Trial(**t) for t in c["trials"]])
        for c in json.loads(path.read_text())
    ]
