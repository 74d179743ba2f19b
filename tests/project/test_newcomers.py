"""What a newcomer runs first, as scripts: a comparison to look at, a model of one's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import picocodec

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT / "examples" / "photos"


def run(script: str, *arguments: str | Path, **environment: str) -> str:
    """What a script prints, with the programs of this Python and nothing installed anew."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [ROOT / "examples" / script, *arguments],
        env=os.environ | {"PATH": programs, "INSTALLED": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_comparison_to_look_at(tmp_path: Path) -> None:
    photo = tmp_path / "chelsea.png"
    with Image.open(PHOTOS / photo.name) as image:
        image.crop((100, 50, 300, 200)).save(photo)
    out = tmp_path / "out"
    assert f"open {out}/index.html" in run("first_look.sh", out, photo)
    page = (out / "index.html").read_text("utf-8")
    assert all(name in page for name in ("picocodec", "JPEG", "WEBP", "chelsea"))


def test_a_model_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("chelsea.png", "coffee.png"):
        shutil.copy(PHOTOS / name, tmp_path / "photos")
    out = tmp_path / "out"
    run("first_model.sh", tmp_path / "photos", out, SHORT="--pixels 1e5 --no-compile")
    monkeypatch.setenv("PICOCODEC_MODELS", str(out / "models"))
    info = picocodec.read_info(out / "chelsea.pico")
    assert info.model == "mine.v1" and info.learned_tiles > 0
    shown = np.asarray(Image.open(out / "chelsea.png")).astype(float)
    original = np.asarray(Image.open(PHOTOS / "chelsea.png"))
    assert ((shown - original) ** 2).mean() < 500  # the cat, however blurred
