"""What a codec is to the evaluation."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Picture: TypeAlias = "NDArray[np.uint8]"
"""RGB, `[H, W, 3]`."""


class Codec(Protocol):
    """One codec with one fixed way of using it. Must be picklable: it is sent to processes."""

    name: str
    """Short, unique, fit for a file name."""
    version: str
    """Of everything that decides the bytes: the library or tool and what it wraps."""
    settings: str
    """The exact call or command, with `{rate}` where the rate goes."""
    rates: tuple[float, ...]
    """The values of `{rate}` that an evaluation tries, from few bytes to many."""
    extension: str
    """Of the files it writes, with the dot."""

    def encode(self, image: Picture, rate: float) -> bytes:
        """A whole file as it would lie on disk."""
        ...

    def decode(self, data: bytes) -> Picture:
        """The picture, from nothing but the file."""
        ...


class Unavailable(Exception):
    """A codec that this machine cannot run; the message says what is missing."""


def require(module: str, package: str) -> ModuleType:
    """Import `module`, or raise `Unavailable` naming the PyPI `package` that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Unavailable(f"needs the package {package} ({error})") from error
