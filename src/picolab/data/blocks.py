"""Traces of the 8x8 blocks of JPEG, which no header tells of: many photos were compressed hard once
and saved again at a high quality."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BLOCK = 8
REGION = 1536  # pixels a side, of the middle of the picture, are looked at
CLIPPED = 4.0  # steps beyond this are edges of what is shown


def block_steps(picture: Image.Image) -> float:
    """How much brightness steps at a grid of 8x8 pixels, in grey levels beyond what it does
    elsewhere: the less of the two directions, at the grid's most likely place."""
    left, top = max(0, picture.width - REGION) // 2, max(0, picture.height - REGION) // 2
    middle = picture.crop((left, top, left + REGION, top + REGION)) if left or top else picture
    grey = np.asarray(middle.convert("L"), np.float32)[:REGION, :REGION]
    if min(grey.shape) < 4 * BLOCK:
        return 0.0
    return min(_steps(grey), _steps(grey.T))


def _steps(grey: NDArray[np.float32]) -> float:
    """Of columns of brightness `[H, W]`."""
    steps = np.abs(np.diff(grey, axis=1))
    beyond = steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2
    columns = beyond.clip(-CLIPPED, CLIPPED).mean(axis=0)
    phases = columns[: len(columns) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(axis=0)
    highest = phases.argmax()
    return float(phases[highest] - np.delete(phases, highest).mean())
