"""How many ways of coding a tile are tried, and how carefully: what `--effort` decides."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_EFFORT = 5
MOST_EFFORT = 9


@dataclass(frozen=True)
class Effort:
    """`av1` is the speed of libaom by which AV1 is tried, None where it is not. `photos` asks for
    it in every tile, not only in what may be drawn or have letters."""

    av1: int | None
    photos: bool = False


# From what takes the networks' time and little more to what takes tens of times as long.
_EFFORTS = (
    Effort(av1=None),
    Effort(av1=9),
    Effort(av1=8),
    Effort(av1=7),
    Effort(av1=7),
    Effort(av1=6),
    Effort(av1=5),
    Effort(av1=5),
    Effort(av1=5, photos=True),
    Effort(av1=4, photos=True),
)


def effort_of(number: int) -> Effort:
    """What an effort of 0 to 9 means; raises `ValueError` for any other, `TypeError` for what is no
    whole number."""
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"effort must be a whole number, 0 to {MOST_EFFORT}, not {number!r}")
    if not 0 <= number <= MOST_EFFORT:
        raise ValueError(f"effort {number} is not between 0 and {MOST_EFFORT}")
    return _EFFORTS[number]
