"""SSIMULACRA2 and Butteraugli, by other people's code."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

from PIL import Image

from picolab.evaluation.metrics.protocol import Missing, Picture

try:
    from ssimulacra2 import compute_ssimulacra2
except ImportError:
    compute_ssimulacra2 = None


class SSIMULACRA2:
    """Sneyers 2022: 100 for equal pictures, 90 visually lossless, 70 high, 50 medium, 30 low."""

    name = "ssimulacra2"
    title = "SSIMULACRA2"
    higher_is_better = True
    training_loss = False

    def __init__(self) -> None:
        if compute_ssimulacra2 is None:
            raise Missing("needs the package ssimulacra2")
        self.version = f"ssimulacra2 {version('ssimulacra2')} (Python)"

    def __call__(self, reference: Picture, decoded: Picture) -> float:
        if min(reference.shape[:2]) < 8:
            raise ValueError("SSIMULACRA2 needs pictures of at least 8 pixels a side")
        return float(compute_ssimulacra2(_file(reference), _file(decoded)))


class Butteraugli:
    """The 3-norm of Butteraugli's map (libjxl's tool, its default of 80 nits)."""

    name = "butteraugli_3norm"
    title = "Butteraugli (3-norm)"
    higher_is_better = False
    training_loss = False

    def __init__(self) -> None:
        if shutil.which("butteraugli_main") is None:
            raise Missing("no butteraugli_main on the PATH (Debian: libjxl-devtools)")
        self.version = "butteraugli_main of libjxl"

    def __call__(self, reference: Picture, decoded: Picture) -> float:
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / "reference.png", Path(folder) / "decoded.png"]
            for picture, file in zip((reference, decoded), files, strict=True):
                Image.fromarray(picture).save(file, compress_level=1)
            command = ["butteraugli_main", *map(str, files)]
            done = subprocess.run(command, capture_output=True, text=True)
        found = re.search(r"3-norm: ([\d.eE+-]+)", done.stdout)
        if found is None:
            raise ValueError(f"butteraugli_main failed: {(done.stderr or done.stdout).strip()}")
        return float(found[1])


def _file(picture: Picture) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PPM")
    buffer.seek(0)
    return buffer
