"""The cases of the conformance set: what is in a case's folder, and when a decoder passes it.

<model>/<case>/file.pico        what to decode
               reference.png    the picture, or the rows of it that `case.json` lists
               case.json        about, symbols, rows, peak_error, rms_error
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).parent


@dataclass(frozen=True)
class Expectation:
    """What `case.json` holds.

    `symbols` are the SHA-256 of each piece's (`digest`). `rows` are those of the picture that
    `reference.png` has, None for all. Errors are allowed in units of 8-bit samples, over colours;
    alpha must be the same.
    """

    about: str
    symbols: tuple[str, ...]
    rows: tuple[int, ...] | None
    peak_error: int
    rms_error: float

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")


@dataclass(frozen=True)
class Case:
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def file(self) -> Path:
        return self.folder / "file.pico"

    @cached_property
    def expected(self) -> Expectation:
        fields = json.loads((self.folder / "case.json").read_text("utf-8"))
        fields["symbols"] = tuple(fields["symbols"])
        return Expectation(**fields)

    @cached_property
    def reference(self) -> NDArray[np.uint8]:
        with Image.open(self.folder / "reference.png") as image:
            return np.array(image)

    def errors(self, decoded: NDArray[np.uint8]) -> tuple[int, float]:
        """Peak and root mean square error of decoded pixels, shaped as `picocodec.decode` gives
        them; raises `ValueError` where they cannot be compared or alpha differs."""
        if self.expected.rows is not None:
            if decoded.shape[0] <= max(self.expected.rows):
                raise ValueError(f"the picture has {decoded.shape[0]} rows only")
            decoded = decoded[list(self.expected.rows)]
        if decoded.shape != self.reference.shape:
            raise ValueError(f"shape {decoded.shape}, expected {self.reference.shape}")
        difference = decoded.astype(int) - self.reference
        if has_alpha(decoded):
            if difference[:, :, -1].any():
                raise ValueError("alpha differs")
            difference = difference[:, :, :-1]
        return int(np.abs(difference).max()), float(np.sqrt(np.square(difference).mean()))

    def passes(self, errors: tuple[int, float]) -> bool:
        peak, rms = errors
        return peak <= self.expected.peak_error and rms <= self.expected.rms_error


def all_cases(models: Sequence[str] = (), names: Sequence[str] = ()) -> list[Case]:
    """The cases of the set, of the given models and names if any are given."""
    return [
        Case(path.parent)
        for path in sorted(ROOT.glob("*.v*/*/case.json"))
        if (not models or path.parts[-3] in models) and (not names or path.parts[-2] in names)
    ]


def has_alpha(pixels: NDArray[np.uint8]) -> bool:
    return pixels.ndim == 3 and pixels.shape[2] in (2, 4)


def digest(z: NDArray[np.integer], y: NDArray[np.integer]) -> str:
    """SHA-256 of a piece's symbols: z, then y, as little-endian 32-bit integers."""
    return hashlib.sha256(z.astype("<i4").tobytes() + y.astype("<i4").tobytes()).hexdigest()
