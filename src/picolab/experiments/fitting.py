"""Numbers for the encoder's judge, fitted on training tiles.

    picolab judge tiles trials.json -o src/picocodec/encoding/fitted.py

Each crop is coded by the networks and by AV1 at several levels, what is drawn without loss besides.
What that shows is measured by LPIPS (AlexNet), DISTS and squared errors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from picolab.experiments.judge import (
    Exponential,
    Judgement,
    exchange_rates,
    fit_bits,
    fit_judgement,
    fit_quality,
    fit_quick_av1,
    report,
)
from picolab.experiments.trials import Collector, load


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
    quick_av1 = fit_quick_av1(crops, judge)
    return as_module(judge, fit_quality(crops, rates), fit_bits(crops), quick_av1)


def as_module(
    judge: Judgement, quality: Sequence[float], bits: Exponential, quick_av1: float
) -> str:
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

# How many times the best way so far quick AV1 may cost, if careful AV1 is to be tried after it.
QUICK_MAY_COST = {math.ceil(100 * quick_av1) / 100}
'''
