"""Codecs that are run as executables on the PATH, PNG in and PNG out."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from picolab.evaluation.peers.protocol import Picture, Unavailable

# Codecs whose own programs take no PNG, or which are research code without a program. Any of them
# joins an evaluation when two programs of these names are on the PATH:
#   picolab-NAME-encode IN.png RATE OUT       picolab-NAME-decode IN OUT.png
# and `picolab-NAME-encode --version` prints one line.
WRAPPED: dict[str, tuple[float, ...]] = {
    "vtm": (47, 42, 37, 32, 27, 22),
    "ecm": (47, 42, 37, 32, 27, 22),
    "av2": (235, 210, 185, 160, 135, 110),
    "jpeg-ai": (0.06, 0.12, 0.25, 0.5, 0.75, 1.0),
    "hific": (0, 1, 2),
    "dcvc-rt": (0, 10, 21, 32, 42, 53, 63),
    "cool-chic": (0.02, 0.005, 0.002, 0.001, 0.0005, 0.0002),
    "mlic++": (0.0018, 0.0035, 0.0067, 0.013, 0.025, 0.0483),
}


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


def wrapped(name: str) -> CommandCodec:
    """A codec of `WRAPPED`."""
    return CommandCodec(
        name,
        f"picolab-{name}-encode {{input}} {{rate}} {{output}}",
        f"picolab-{name}-decode {{input}} {{output}}",
        f"picolab-{name}-encode --version",
        WRAPPED[name],
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
