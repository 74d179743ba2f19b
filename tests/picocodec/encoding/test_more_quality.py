"""More quality is never worse, on the worst of pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import features
from tiny import photo

import picocodec

pytestmark = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")

HEIGHT, WIDTH = 96, 128
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH]
Random = np.random.Generator


def halftone(random: Random) -> NDArray[np.float64]:
    angle, pitch = random.uniform(0, 1.5), random.uniform(0.5, 1.2)
    u, v = X * np.cos(angle) + Y * np.sin(angle), Y * np.cos(angle) - X * np.sin(angle)
    return 255.0 * (np.sin(pitch * u) * np.sin(pitch * v) > np.sin(X / 40))


PICTURES: dict[str, Callable[[Random], NDArray[np.float64]]] = {
    "noise": lambda random: random.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(float),
    "gray noise": lambda random: random.integers(0, 256, (HEIGHT, WIDTH)).astype(float),
    "halftone": halftone,
    "dither": lambda random: 255.0 * (random.random((HEIGHT, WIDTH)) < X / WIDTH),
    "grain": lambda random: 128 + 60 * np.sin(X / 20) + random.normal(0, 25, (HEIGHT, WIDTH)),
    "grainy photo": lambda random: photo(HEIGHT, WIDTH) + random.normal(0, 12, (HEIGHT, WIDTH, 3)),
    "stripes": lambda random: 255.0 * ((X // random.integers(1, 4)) % 2) * np.ones((HEIGHT, 1)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_more_quality_is_never_worse(name: str) -> None:
    pixels = PICTURES[name](np.random.default_rng(5)).clip(0, 255).astype(np.uint8)
    sizes, decibels = [], []
    for quality in range(0, 101, 10):
        data = picocodec.encode(pixels, quality)
        error = np.square(picocodec.decode(data).astype(float) - pixels).mean()
        sizes.append(len(data))
        decibels.append(10 * np.log10(255**2 / max(error, 1e-9)))
    assert sizes == sorted(sizes)
    assert decibels == sorted(decibels)
    assert decibels[-1] >= 40
