"""LPIPS, DISTS and Wasserstein distortion, by the same modules that training uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from picolab.evaluation.metrics.protocol import Missing, Picture
from picolab.losses.dists import DISTS
from picolab.losses.features import MissingWeights
from picolab.losses.lpips import LPIPS
from picolab.losses.wasserstein import WINDOW, WassersteinDistortion, distance

TILE = 1024
LARGEST_WHOLE = 2 * TILE**2  # the kept features of VGG16 take 0.5 kB a pixel, others as much


class Perceptual:
    """Pictures of more than 2 megapixels are measured in tiles of at most 1024 and averaged by
    area, others whole."""

    higher_is_better = False
    training_loss = True
    features: Callable[[Tensor], list[Tensor]]
    distance: Callable[[list[Tensor], list[Tensor]], Tensor]

    def __init__(self, name: str) -> None:
        self.name = name
        try:
            self._load(name)
        except MissingWeights as error:
            raise Missing(str(error)) from error
        self._reference: Picture | None = None
        self._kept: list[Tensor] = []

    def _load(self, name: str) -> None:
        module: LPIPS | DISTS
        if name == "wasserstein":
            self.features, self.distance = WassersteinDistortion().trunk, distance
            self.title = "Wasserstein distortion (VGG16)"
            self.version = f"1, windows of {WINDOW} pixels"
            return
        if name == "dists":
            module = DISTS()
            self.title, self.version = "DISTS", "alpha and beta of DISTS_pytorch 0.1"
        else:
            trunk = name.removeprefix("lpips_")
            module = LPIPS("alex" if trunk == "alex" else "vgg")
            self.title = f"LPIPS ({'AlexNet' if trunk == 'alex' else 'VGG16'})"
            self.version = "LPIPS v0.1"
        self.features, self.distance = module.features, module.distance

    @torch.no_grad()
    def __call__(self, reference: Picture, decoded: Picture) -> float:
        whole = reference.shape[0] * reference.shape[1] <= LARGEST_WHOLE
        if not whole:
            return self._in_tiles(reference, decoded)
        # Many codecs and rates are measured against one original: its features are kept.
        if self._reference is not reference:
            self._kept = self.features(_planes(reference))
            self._reference = reference
        return float(self.distance(self._kept, self.features(_planes(decoded))))

    def _in_tiles(self, reference: Picture, decoded: Picture) -> float:
        total = 0.0
        for rows, columns in _tiles(reference.shape[0], reference.shape[1]):
            a, b = reference[rows, columns], decoded[rows, columns]
            apart = self.distance(self.features(_planes(a)), self.features(_planes(b)))
            total += float(apart) * a.shape[0] * a.shape[1]
        return total / (reference.shape[0] * reference.shape[1])


def _planes(picture: Picture) -> Tensor:
    plane = torch.from_numpy(np.ascontiguousarray(picture))
    return plane.permute(2, 0, 1)[None].float() / 255


def _tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Equal tiles of at most `TILE`, so that none at an edge is tiny."""
    rows = np.linspace(0, height, -(-height // TILE) + 1).round().astype(int)
    columns = np.linspace(0, width, -(-width // TILE) + 1).round().astype(int)
    for top, bottom in zip(rows[:-1], rows[1:], strict=True):
        for left, right in zip(columns[:-1], columns[1:], strict=True):
            yield slice(top, bottom), slice(left, right)
