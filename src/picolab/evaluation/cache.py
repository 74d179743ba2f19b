"""What was encoded and measured already, on disk, one entry a codec, picture and rate."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from picolab.evaluation.metrics.distribution import Features
from picolab.evaluation.peers.protocol import Codec


@dataclass
class Entry:
    """The size of an encoded file and, by name of the metric, its version and value (None where
    the metric says nothing about the picture)."""

    bytes: int
    metrics: dict[str, tuple[str, float | None]] = field(default_factory=dict)


class Cache:
    """A folder of entries; every file appears whole or not at all, so that a run may be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def key(self, codec: Codec, image: str, rate: float) -> str:
        """Of everything that decides the bytes; `image` is the fingerprint of the pixels."""
        parts = [codec.name, codec.version, codec.settings, image, f"{rate:g}"]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]

    def pair(self, original: str, decoded: str) -> str:
        """Key of what was measured on two pictures, by their fingerprints, whatever made them."""
        return hashlib.sha256(f"{original}\0{decoded}".encode()).hexdigest()[:32]

    def entry(self, key: str) -> Entry | None:
        try:
            stored = json.loads(self._path(key, ".json").read_text())
        except FileNotFoundError:
            return None
        metrics = {name: (v, value) for name, (v, value) in stored["metrics"].items()}
        return Entry(stored["bytes"], metrics)

    def store(self, key: str, entry: Entry) -> None:
        self._write(self._path(key, ".json"), json.dumps(asdict(entry)).encode())

    def file(self, key: str, extension: str) -> Path:
        """Where the encoded file lies."""
        return self._path(key, extension)

    def store_file(self, key: str, extension: str, data: bytes) -> None:
        self._write(self._path(key, extension), data)

    def features(self, key: str) -> Features | None:
        try:
            return np.load(self._path(key, ".lite0.npy")).astype(np.float32)
        except FileNotFoundError:
            return None

    def store_features(self, key: str, features: Features) -> None:
        path = self._path(key, ".lite0.npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.npy")
        np.save(temporary, features.astype(np.float16))
        temporary.replace(path)

    def _path(self, key: str, extension: str) -> Path:
        return self.folder / key[:2] / (key + extension)

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        temporary.write_bytes(data)
        temporary.replace(path)
