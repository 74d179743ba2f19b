from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

Photo = Callable[..., np.ndarray]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many small operations on many threads take ten times as long on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def weights() -> None:
    if "PICOLAB_WEIGHTS" not in os.environ:
        pytest.skip("PICOLAB_WEIGHTS names no folder with the weights of LPIPS and DISTS")


@pytest.fixture(scope="session")
def photo() -> Photo:
    """A function of height, width and seed: smooth waves with noise, uint8 RGB."""

    def make(height: int, width: int, seed: int = 0) -> np.ndarray:
        y, x = np.mgrid[0:height, 0:width]
        waves = np.stack(
            [
                127 + 100 * np.sin(x / 9 + y / 31),
                127 + 90 * np.cos(y / 7 - x / 40),
                127 + 80 * np.sin((x + y) / 17),
            ],
            -1,
        )
        noise = np.random.RandomState(seed).randint(-25, 26, size=waves.shape)
        return np.clip(np.rint(waves) + noise, 0, 255).astype(np.uint8)

    return make


@pytest.fixture(scope="session")
def pair(photo: Photo) -> tuple[np.ndarray, np.ndarray]:
    """A picture and the same as blocks of 4x4: what the reference values below were taken on."""
    reference = photo(192, 208)
    blocks = np.rint(reference.reshape(48, 4, 52, 4, 3).mean((1, 3))).astype(np.uint8)
    return reference, blocks.repeat(4, 0).repeat(4, 1)
