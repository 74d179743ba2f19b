"""What was compared, and what raters said of it, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

LEFT, TIE, RIGHT = 0, 1, 2
ANSWERS = ("left", "tie", "right")

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, order=True)
class Condition:
    """A codec at one of its settings; `rate` is the codec's own number for it."""

    codec: str
    rate: float

    def __str__(self) -> str:
        return f"{self.codec} at {self.rate:g}"


@dataclass(frozen=True)
class Stimuli:
    """The decoded pictures of a study: stimulus k is picture `picture[k]` under `condition[k]`.

    `picture` and `condition` are int64 `[K]` indices of `pictures` and `conditions`, `bpp` float64
    `[K]`, bits per pixel of the whole file.
    """

    pictures: tuple[str, ...]
    conditions: tuple[Condition, ...]
    picture: Integers
    condition: Integers
    bpp: Floats

    def mean_matrix(self) -> Floats:
        """`[C, K]`: of values of stimuli to their means over the pictures of each condition."""
        matrix = np.zeros((len(self.conditions), len(self.picture)))
        matrix[self.condition, np.arange(len(self.condition))] = 1
        return matrix / np.maximum(matrix.sum(1, keepdims=True), 1)


@dataclass(frozen=True)
class Votes:
    """Vote n: rater `rater[n]` saw stimuli `left[n]` and `right[n]` and said `answer[n]`.

    All int64 `[N]`; `rater` indexes `raters`, `answer` is LEFT, TIE or RIGHT: which of the two is
    closer to the reference.
    """

    stimuli: Stimuli
    raters: tuple[str, ...]
    left: Integers
    right: Integers
    rater: Integers
    answer: Integers

    def __len__(self) -> int:
        return len(self.answer)

    def keep(self, which: NDArray[np.bool_] | Integers) -> Votes:
        """The votes of a mask or of indices; raters stay, even those left without a vote."""
        return replace(
            self,
            left=self.left[which],
            right=self.right[which],
            rater=self.rater[which],
            answer=self.answer[which],
        )

    def without_raters(self, names: Sequence[str]) -> Votes:
        """Without these raters and their votes."""
        left_out = set(names)
        kept = [number for number, name in enumerate(self.raters) if name not in left_out]
        new = np.full(len(self.raters), -1)
        new[kept] = np.arange(len(kept))
        votes = self.keep(new[self.rater] >= 0)
        raters = tuple(self.raters[number] for number in kept)
        return replace(votes, raters=raters, rater=new[votes.rater])


def join(first: Votes, second: Votes) -> Votes:
    """Both, one after the other; they must have stimuli and raters in common."""
    return replace(
        first,
        left=np.concatenate([first.left, second.left]),
        right=np.concatenate([first.right, second.right]),
        rater=np.concatenate([first.rater, second.rater]),
        answer=np.concatenate([first.answer, second.answer]),
    )
