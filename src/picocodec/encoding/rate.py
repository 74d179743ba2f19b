"""Quality, as users say it, to level, as files and networks know it, and back; and the level
that fills a given number of bytes."""

from __future__ import annotations

import math
from collections.abc import Callable

from picocodec.encoding import fitted
from picocodec.errors import TargetTooSmall
from picocodec.format.container import LEVEL_STEPS

DEFAULT_QUALITY = 50.0

MAX_PASSES = 6  # of encoding, to find the level for a target size
TOLERANCE = 0.01  # a file this much smaller than its target will do

# The search for a size begins where photos usually have it.
_TYPICAL_SLOPE = math.log(fitted.BITS[1]) / LEVEL_STEPS


def level_of_quality(quality: float) -> int:
    """Level in thousandths for a quality of 0 to 100; raises `ValueError` for any other."""
    if not (math.isfinite(quality) and 0 <= quality <= 100):
        raise ValueError(f"quality {quality} is not between 0 and 100")
    return round(quality * LEVEL_STEPS / 100)


def quality_of_level(level: int) -> float:
    """Quality, 0 to 100, of a level in thousandths."""
    return level * 100 / LEVEL_STEPS


def fill(encode: Callable[[int], bytes], target: int, pixels: int) -> bytes:
    """The file of at most `target` bytes that comes closest to it.

    `encode` makes the file of a level, for a picture of `pixels` pixels. It is called at most
    `MAX_PASSES` times; the search, by interpolation between the logarithms of sizes, ends earlier
    once a file is less than `TOLERANCE` below its target. Raises `TargetTooSmall` if the lowest
    level needs more.
    """
    goal = math.log(target * (1 - TOLERANCE / 2))
    levels: dict[float, int] = {}  # by the logarithm of the size
    below, above = -1, LEVEL_STEPS + 1  # a level that fits, and one that does not
    best = b""
    level = (goal - math.log(fitted.BITS[0] * pixels / 8)) / _TYPICAL_SLOPE
    for remaining in reversed(range(MAX_PASSES)):
        tried = round(min(max(level, below + 1), above - 1))
        data = encode(tried)
        levels[math.log(len(data))] = tried
        if len(data) <= target:
            best, below = data, tried
            if len(data) >= target * (1 - TOLERANCE):
                break
        else:
            above = tried
        if above - below == 1:
            break
        level = 0 if not best and remaining == 1 else _level_at(goal, levels, below, above)
    if not best:
        raise TargetTooSmall(
            f"the target is {target} bytes, but the picture needs {len(data)} even at quality 0: "
            "raise the target, or make the picture smaller"
        )
    return best


def _level_at(goal: float, levels: dict[float, int], below: int, above: int) -> float:
    """The level at a log size: from the sizes nearest to it, by Lagrange's polynomial through
    three of them within what is known, two beyond it, or by a typical photo's slope from one."""
    bracketed = below >= 0 and above <= LEVEL_STEPS
    known = sorted(levels, key=lambda size: abs(size - goal))[: 3 if bracketed else 2]
    if len(known) == 1:
        return levels[known[0]] + (goal - known[0]) / _TYPICAL_SLOPE
    level = sum(
        levels[size]
        * math.prod((goal - other) / (size - other) for other in known if other != size)
        for size in known
    )
    return level if not bracketed or below < level < above else (below + above) / 2
