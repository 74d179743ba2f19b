"""examples/server.py: upload to .pico, .pico to what the client accepts, and its limits."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

import picocodec

pytest.importorskip("fastapi", reason="needs pip install fastapi")
pytest.importorskip("httpx", reason="the client of tests needs httpx")

EXAMPLES = Path(__file__).parents[2] / "examples"
PIXELS = np.random.default_rng(0).integers(90, 160, (40, 60, 4), np.uint8)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    sys.modules.pop("server", None)
    import server

    yield server
    sys.modules.pop("server", None)


@pytest.fixture
def client(server):
    from fastapi.testclient import TestClient

    with TestClient(server.app) as client:
        yield client


def png(pixels=PIXELS[:, :, :3]):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def test_there_and_back(client):
    answer = client.post("/encode?quality=30", content=png())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/x-pico")
    assert answer.content == picocodec.encode(PIXELS[:, :, :3], 30)
    kinds = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
    if features.check("avif"):
        kinds["image/avif"] = "AVIF"
    for kind, format in kinds.items():
        shown = client.post("/decode", content=answer.content, headers={"Accept": kind})
        assert (shown.status_code, shown.headers["content-type"]) == (200, kind)
        assert shown.headers["vary"] == "Accept"
        with Image.open(io.BytesIO(shown.content)) as image:
            assert (image.format, image.size) == (format, (60, 40))


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "image/jpeg"),
        ("image/webp,image/png;q=0.9", "image/webp"),
        ("image/png;q=0.9,image/jpeg;q=0.5", "image/png"),
        ("image/jpeg,*/*;q=0.1", "image/jpeg"),
    ],
)
def test_the_client_s_wish(server, accept, kind):
    assert server.wanted(accept) == kind


def test_transparency_as_jpeg(client):
    data = picocodec.encode(np.zeros((8, 8, 4), np.uint8))
    shown = client.post("/decode", content=data, headers={"Accept": "image/jpeg"})
    with Image.open(io.BytesIO(shown.content)) as image:
        assert image.getpixel((4, 4)) == (255, 255, 255)


def test_what_is_refused(client, server, monkeypatch):
    data = picocodec.encode(PIXELS[:, :, :3])
    for path, content, code in (
        ("/encode", b"no picture", 415),
        ("/encode?quality=101", png(), 422),
        ("/decode", b"no file", 422),
        ("/decode", data[:-1], 422),
    ):
        assert client.post(path, content=content).status_code == code
    answer = client.post("/decode", content=data, headers={"Accept": "text/html"})
    assert answer.status_code == 406 and "image/png" in answer.json()["detail"]
    monkeypatch.setattr(server, "MOST_PIXELS", 2399)
    assert client.post("/decode", content=data).status_code == 413
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1199)
    assert client.post("/encode", content=png()).status_code == 413
    monkeypatch.setattr(server, "MOST_BYTES", 100)
    assert client.post("/encode", content=png()).status_code == 413
