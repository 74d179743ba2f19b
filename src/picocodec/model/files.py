"""The files of a model: named by its `model.toml`, and nothing used but what was verified."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from picocodec.errors import PicoError, UnknownModel

DESCRIPTION = "model.toml"

Number = TypeVar("Number", int, float)


class ModelFiles:
    """A model's folder and what its `model.toml` says; raises `UnknownModel` where that is not
    there, is no TOML, or lacks the hash of a file that is `needed`."""

    def __init__(self, folder: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> None:
        self.folder = folder
        with refused(folder / DESCRIPTION):
            self.description = tomllib.loads((folder / DESCRIPTION).read_text("utf-8"))
            told = self.description["sha256"]
            names = [*needed, *(name for name in optional if name in told)]
            self.hashes = {name: _sha256(told[name]) for name in names}

    def number(self, name: str, kind: type[Number], low: float, high: float) -> Number:
        """A number of the description; raises `KeyError` or `ValueError`."""
        value = kind(self.description[name])
        if not low <= value <= high:
            raise ValueError(f"{name} must be from {low} to {high}, not {value}")
        return value

    def read(self, name: str) -> bytes:
        """The contents of a file; raises `ValueError` unless they have the hash that was told."""
        data = (self.folder / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != self.hashes[name]:
            raise ValueError("it is not the file that model.toml names")
        return data


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Whatever is wrong with a file of a model, that model is refused, by the file's name."""
    try:
        yield
    except (PicoError, MemoryError):
        raise
    except FileNotFoundError:
        raise UnknownModel(f"{path} is missing: reinstall the model") from None
    except Exception as error:  # libraries raise almost anything on files that they cannot read
        reason = f"lacks {error}" if isinstance(error, KeyError) else f"is refused: {error}"
        raise UnknownModel(f"{path} {reason}: reinstall the model") from error


def _sha256(text: object) -> str:
    if isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text):
        return text
    raise ValueError(f"{text!r} is no SHA-256")
