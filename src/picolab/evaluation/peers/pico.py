"""picocodec itself, through the same door as its users."""

from __future__ import annotations

import hashlib
from pathlib import Path

from picolab.evaluation.peers.protocol import Picture, Unavailable, require


class Pico:
    """With the default model, or `model`; `realism` None is what that recommends to its decoder."""

    settings = "picocodec.encode(image, quality={rate})"
    rates: tuple[float, ...] = (0, 15, 30, 45, 60, 75, 90)
    extension = ".pico"

    def __init__(self, name: str, realism: float | None = None, model: str | None = None) -> None:
        self.name, self.realism, self.model = name, realism, model
        if model is not None:
            self.settings = f"picocodec.encode(image, quality={{rate}}, model={model!r})"
        if realism is not None:
            self.settings += f", decode(..., realism={realism:g})"
        package = require("picocodec", "picocodec")
        installed = require("picocodec.model.store", "picocodec").available_models()
        if not installed or (model and model not in installed):
            raise Unavailable(
                f"model {model} is not installed" if model else "no model is installed"
            )
        code = _fingerprint(Path(package.__path__[0]))
        self.version = f"picocodec {package.__version__}, code and weights {code}"

    def encode(self, image: Picture, rate: float) -> bytes:
        return require("picocodec", "picocodec").encode(image, quality=rate, model=self.model)

    def fill(self, image: Picture, size: int) -> bytes:
        """A file of at most so many bytes."""
        codec = require("picocodec", "picocodec")
        return codec.encode(image, target_size=size, model=self.model)

    def decode(self, data: bytes) -> Picture:
        return require("picocodec", "picocodec").decode(data, realism=self.realism)


def _fingerprint(package: Path) -> str:
    """Changes with any line of code or weight, so that no stale result is ever taken for new.

    Except for the command line and the plug-in, which only call the rest.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        outer = path.relative_to(package).parts[0] in ("cli", "pillow_plugin.py")
        if path.is_file() and not outer and "__pycache__" not in path.parts:
            digest.update(path.relative_to(package).as_posix().encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:10]
