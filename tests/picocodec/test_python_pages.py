"""The pages about Python: made of the docstrings as they are, and their examples run."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import picocodec

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with a photo and its file."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(100, 140, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save("photo.jpg", quality=95)
    (tmp_path / "photo.pico").write_bytes(picocodec.encode("photo.jpg"))


@pytest.mark.parametrize("name", ["python.md", "api.md"])
def test_examples_run(folder, name):
    if name == "python.md":
        pytest.importorskip("imageio")
        pytest.importorskip("cv2")
    text = (ROOT / "docs" / name).read_text("utf-8")
    # The end of a block of code is no output.
    text = re.sub(r"(?m)^```.*$", "", text)
    examples = doctest.DocTestParser().get_doctest(text, {"picocodec": picocodec}, name, name, 0)
    assert len(examples.examples) > 5
    told: list[str] = []
    doctest.DocTestRunner().run(examples, out=told.append)
    assert told == []


def test_the_page_is_that_of_the_docstrings(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import api_page

    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    assert page == api_page.page(), "run python tools/api_page.py"
    for name in set(picocodec.__all__) - {"PicoError", "DamagedPicture", "__version__"}:
        assert f"`picocodec.{name}`" in page
