"""Quality, as users say it, to level, as files and networks know it, and back."""

from __future__ import annotations

import math

from picocodec.format.container import LEVEL_STEPS

DEFAULT_QUALITY = 50.0


def level_of_quality(quality: float) -> int:
    """Level in thousandths for a quality of 0 to 100; raises `ValueError` for any other."""
    if not (math.isfinite(quality) and 0 <= quality <= 100):
        raise ValueError(f"quality {quality} is not between 0 and 100")
    return round(quality * LEVEL_STEPS / 100)


def quality_of_level(level: int) -> float:
    return level * 100 / LEVEL_STEPS
