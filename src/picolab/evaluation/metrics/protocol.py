"""What a metric is to the evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Picture: TypeAlias = "NDArray[np.uint8]"
"""RGB, `[H, W, 3]`."""


class Metric(Protocol):
    """A number for a decoded picture beside its original."""

    name: str
    """Column of the tables."""
    title: str
    """What a reader calls it, with what it is made of."""
    version: str
    """Of the code and weights that decide the value."""
    higher_is_better: bool
    training_loss: bool
    """Whether our training minimises it or a near relative: then it flatters us."""

    def __call__(self, reference: Picture, decoded: Picture) -> float | None:
        """None for pictures that the metric says nothing about, such as ones without text.

        Raises `ValueError` for pictures it cannot measure, such as ones too small.
        """
        ...


class Missing(Exception):
    """A metric that this machine cannot compute; the message says what is missing."""
