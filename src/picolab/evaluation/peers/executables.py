"""Codecs that are run as executables on the PATH, PNG in and PNG out."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from picolab.evaluation.peers.protocol import Picture, Unavailable


class CommandCodec:
    """Commands with `{input}`, `{rate}` and `{output}`; pictures go through PNG files."""

    def __init__(
        self,
        name: str,
        encode: str,
        decode: str,
        version: str,
        rates: tuple[float, ...],
        extension: str,
    ) -> None:
        for command in (encode, decode):
            if shutil.which(command.split()[0]) is None:
                raise Unavailable(f"no {command.split()[0]} on the PATH")
        self.name = name
        self.settings = encode
        self.decoder = decode
        self.version = _first_line(version)
        self.rates = rates
        self.extension = extension

    def encode(self, image: Picture, rate: float) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            source, out = Path(folder) / "in.png", Path(folder) / f"out{self.extension}"
            Image.fromarray(image).save(source)
            _run(self.settings.format(input=source, rate=f"{rate:g}", output=out))
            return out.read_bytes()

    def decode(self, data: bytes) -> Picture:
        with tempfile.TemporaryDirectory() as folder:
            source, out = Path(folder) / f"in{self.extension}", Path(folder) / "out.png"
            source.write_bytes(data)
            _run(self.decoder.format(input=source, output=out))
            with Image.open(out) as image:
                return np.array(image.convert("RGB"))


def bpg() -> CommandCodec:
    return CommandCodec(
        "bpg",
        "bpgenc -q {rate} -f 444 -m 8 -o {output} {input}",
        "bpgdec -o {output} {input}",
        "bpgenc -h",
        (51, 47, 43, 39, 35, 31, 27, 23),
        ".bpg",
    )


def wrapped(name: str, rates: tuple[float, ...]) -> CommandCodec:
    """A codec of `peers.WRAPPED`."""
    return CommandCodec(
        name,
        f"picolab-{name}-encode {{input}} {{rate}} {{output}}",
        f"picolab-{name}-decode {{input}} {{output}}",
        f"picolab-{name}-encode --version",
        rates,
        ".bin",
    )


def _run(command: str) -> None:
    done = subprocess.run(command.split(), capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(
            f"{command.split()[0]} failed: {lines[-1] if lines else done.returncode}"
        )


def _first_line(command: str) -> str:
    """What a program says of its version; help texts come with exit codes of all kinds."""
    done = subprocess.run(command.split(), capture_output=True, text=True)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else "unknown version"
