"""Nothing is kept about its user, and nobody told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

USE = """
import numpy as np, picocodec
picocodec.decode(picocodec.encode(np.zeros((20, 30, 3), np.uint8), 40))
"""
# What makes ONNX Runtime silent by itself.
SILENCERS = ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "TF_BUILD", "GITHUB_ACTIONS")


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is named otherwise elsewhere")
def test_encoding_and_decoding_leave_nothing_behind(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in SILENCERS}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", USE], env=environment, check=True)
    assert not list(tmp_path.rglob("*"))
