"""Reduced pictures in Chromium by a model's previews: Python's pixels, and no file that they do not
need."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from pages import Page
from tiny import drawing, photo, release_glance

import picocodec
from picocodec.model.store import MODEL_PATH_VARIABLE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release_glance(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def coded(folder: Path) -> bytes:
    """A photo of odd sides whose right part is a drawing, which is coded without loss."""
    pixels = photo(581, 643)
    pixels[:, 504:] = drawing(581, 139)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODEL_PATH_VARIABLE, str(folder.parent))
        return picocodec.encode(pixels, 40, model="glance.v1", threads=1)


def serve(page: Page, folder: Path) -> None:
    """A model's files, packed, below the package's folder."""
    for path in folder.iterdir():
        data, of = path.read_bytes(), f"dist/models/{folder.name}/{path.name}"
        if path.name == "model.toml":
            page[1].files[of] = data
        else:
            head = b"\1" + len(data).to_bytes(4, "little")
            page[1].files[f"{of}.packed"] = head + zlib.compress(data)


def test_previews_are_those_of_python_and_fetch_what_they_need_alone(
    page: Page, folder: Path, coded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(folder.parent))
    tab, server = page
    serve(page, folder)
    server.files["given.pico"] = coded
    fetched = []
    for divisor in (8, 4):
        for region in ((0, 0, 643, 581), (480, 496, 99, 45)):
            expected = picocodec.decode(coded, scale=1 / divisor, region=region, threads=1)
            x, y, width, height = region
            part = f"{{x: {x}, y: {y}, width: {width}, height: {height}}}"
            tab.run(
                f"""(async () => {{
                  const options = {{ scale: 1 / {divisor}, region: {part} }};
                  const shown = await pico.decode(await bytesOf("/given.pico"), options);
                  await post("pixels", shown.data);
                }})()"""
            )
            rgba = np.frombuffer(server.posted["pixels"], np.uint8)
            found = rgba.reshape(*expected.shape[:2], 4)[:, :, :3].astype(int)
            assert np.abs(found - expected).max() <= 1
        names = {Path(path).name for path in server.sent if path.endswith(".onnx.packed")}
        fetched.append(sorted(name.removesuffix(".onnx.packed") for name in names))
    assert fetched == [
        ["context", "eighth", "scale_decoder"],
        ["context", "eighth", "preview", "scale_decoder"],
    ]
