"""examples/first_page.sh: a decoded picture in a page of one's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from browser import Browser, eventually
from serving import Server

import picocodec

ROOT = Path(__file__).parents[2]


def test_a_decoded_picture_in_a_page(package: Path, chromium: Browser, tmp_path: Path) -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [ROOT / "examples" / "first_page.sh", tmp_path / "page"],
        env=os.environ | {"PATH": programs, "INSTALLED": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with Server({"page": tmp_path / "page"}) as server:
        chromium.visit(f"{server.url}/page/index.html")
        size = "(({naturalWidth: w, naturalHeight: h}) => [w, h])(document.images[0])"
        eventually(lambda: chromium.run(size) == [451, 300] or 1 / 0)
        shown = chromium.run(
            """(() => {
              const image = document.images[0];
              const canvas = new OffscreenCanvas(451, 300).getContext("2d");
              canvas.drawImage(image, 0, 0);
              return [...canvas.getImageData(0, 0, 451, 300).data];
            })()"""
        )
    pixels = np.array(shown).reshape(300, 451, 4)[:, :, :3]
    expected = picocodec.decode(tmp_path / "page" / "photo.pico").astype(int)
    assert np.abs(pixels - expected).max() <= 1
