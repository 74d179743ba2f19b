"""Which part of a picture raters see. Every rule looks at the original alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from picolab.evaluation.peers.protocol import Picture

DETAIL_QUANTILE = 0.75


@dataclass(frozen=True)
class Crop:
    """A square of `side` pixels, or less where the picture is smaller."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, picture: Picture) -> Picture:
        """The part of `[H, W, 3]` as `[height, width, 3]`, a copy."""
        bottom, right = self.top + self.height, self.left + self.width
        return np.ascontiguousarray(picture[self.top : bottom, self.left : right])


def choose(picture: Picture, side: int, rule: str, seed: str) -> Crop:
    """The crop of `[H, W, 3]` uint8 by a rule of `settings.CROP_RULES`.

    - centre: the middle.
    - random: anywhere, by the hash of `seed`.
    - detail: of the squares a quarter of a side apart, the one whose mean gradient is nearest to
      the upper quartile of all: where there is something to see, and not the extreme.
    """
    height, width = min(side, picture.shape[0]), min(side, picture.shape[1])
    room = picture.shape[0] - height, picture.shape[1] - width
    if rule == "centre":
        top, left = room[0] // 2, room[1] // 2
    elif rule == "random":
        digest = hashlib.sha256(seed.encode()).digest()
        parts = int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big")
        top, left = parts[0] % (room[0] + 1), parts[1] % (room[1] + 1)
    elif rule == "detail":
        top, left = _detailed(picture, (height, width), max(1, side // 4))
    else:
        raise ValueError(f"no rule for crops is called {rule}")
    return Crop(left, top, width, height)


def _detailed(picture: Picture, size: tuple[int, int], step: int) -> tuple[int, int]:
    gray = picture.astype(np.float32).mean(2)
    gradient = np.zeros_like(gray)
    gradient[:-1] += np.abs(np.diff(gray, axis=0))
    gradient[:, :-1] += np.abs(np.diff(gray, axis=1))
    sums = np.zeros((gray.shape[0] + 1, gray.shape[1] + 1))
    sums[1:, 1:] = gradient.astype(np.float64).cumsum(0).cumsum(1)
    tops = np.arange(0, gray.shape[0] - size[0] + 1, step)
    lefts = np.arange(0, gray.shape[1] - size[1] + 1, step)
    below, right = tops + size[0], lefts + size[1]
    means = sums[np.ix_(below, right)] - sums[np.ix_(tops, right)]
    means += sums[np.ix_(tops, lefts)] - sums[np.ix_(below, lefts)]
    wanted = np.quantile(means, DETAIL_QUANTILE)
    row, column = np.unravel_index(int(np.abs(means - wanted).argmin()), means.shape)
    return int(tops[row]), int(lefts[column])
