"""How many ways of coding a tile are tried, and how carefully: what `--effort` decides."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_EFFORT = 5
MOST_EFFORT = 9


@dataclass(frozen=True)
class Effort:
    """`av1` are the tries of AV1, each a speed of libaom and how many times the lowest cost so far
    the next is still worth; none, where it is not tried. `photos` asks for them in every tile, not
    only in what is drawn or may have letters, and `apart` for the tiles of a drawing alone even
    where they are well coded together."""

    av1: tuple[tuple[int, float], ...]
    photos: bool = False
    apart: bool = False


# From what takes the networks' time and little more to what takes tens of times as long.
_EFFORTS = (
    Effort(av1=()),
    Effort(av1=((9, 1.0),)),
    Effort(av1=((9, 1.1), (8, 1.0))),
    Effort(av1=((9, 1.1), (7, 1.0))),
    Effort(av1=((9, 1.0), (6, 1.0))),
    Effort(av1=((9, 1.1), (6, 1.0))),
    Effort(av1=((9, 1.2), (6, 1.0))),
    Effort(av1=((9, 1.2), (6, 1.0)), apart=True),
    Effort(av1=((6, 1.0),), photos=True, apart=True),
    Effort(av1=((4, 1.0),), photos=True, apart=True),
)


def effort_of(number: int) -> Effort:
    """What an effort of 0 to 9 means; raises `ValueError` for any other, `TypeError` for what is no
    whole number."""
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"effort must be a whole number, 0 to {MOST_EFFORT}, not {number!r}")
    if not 0 <= number <= MOST_EFFORT:
        raise ValueError(f"effort {number} is not between 0 and {MOST_EFFORT}")
    return _EFFORTS[number]
