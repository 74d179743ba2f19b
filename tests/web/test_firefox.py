"""Firefox decodes and encodes as Chromium does, in as far as its own decoders and encoders go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import firefox
import numpy as np
import pytest
from cases import Case, all_cases
from pages import Page, empty_page
from test_decoding import as_python_has_it, decoded
from test_encoding import coders, encoded, png, psnr
from tiny import drawing, photo

import picocodec
from picocodec.format.pieces import CoderId
from picocodec.model.store import DEFAULT_MODEL

# One of each kind of piece and of pixels, none of a full tile.
NAMES = ("127x101", "quality-0", "quality-100", "realism-0", "gray", "gray-alpha", "alpha", "text")
NAMES += ("metadata", "lossless", "lossless-blocks", "lossless-gray-alpha", "av1", "av1-blocks")


@pytest.fixture(scope="module")
def page(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if firefox.executable() is None:
        pytest.skip("Firefox is not installed")
    with (
        firefox.Firefox(tmp_path_factory.mktemp("firefox")) as tab,
        empty_page(package, tab) as found,
    ):
        yield found


@pytest.mark.parametrize(
    "case", all_cases([DEFAULT_MODEL], NAMES), ids=lambda case: case.folder.name
)
def test_conformance(page: Page, case: Case) -> None:
    rgba = decoded(page, f"/cases/{case.name}/file.pico")
    errors = case.errors(as_python_has_it(rgba, case.reference.shape))
    assert case.passes(errors), errors


def test_a_photo_is_encoded_as_by_python(page: Page) -> None:
    pixels = photo(120, 160)
    data = encoded(page, png(pixels), "{quality: 40}")
    ours = picocodec.encode(pixels, 40, effort=0, threads=1)
    assert len(data) == pytest.approx(len(ours), abs=8)
    assert psnr(picocodec.decode(data, threads=1), picocodec.decode(ours, threads=1)) > 45


def test_a_drawing_is_encoded_whatever_encoders_there_are(page: Page) -> None:
    """Exactly where the browser's WebP encoder is lossless, else by the networks."""
    pixels = drawing(120, 160)
    data = encoded(page, png(pixels), "{quality: 70}")
    found = picocodec.decode(data, threads=1)
    if coders(data) == [CoderId.LOSSLESS]:
        assert np.array_equal(found, pixels)
    else:
        assert coders(data) == [CoderId.LEARNED] and psnr(found, pixels) > 25


def test_alpha_is_kept(page: Page) -> None:
    pixels = photo(60, 70)
    alpha = np.tile(np.arange(70, dtype=np.uint8) * 3, (60, 1))
    found = picocodec.decode(encoded(page, png(np.dstack([pixels, alpha])), "{quality: 80}"))
    assert np.array_equal(found[:, :, 3], alpha)
    assert psnr(found[:, :, :3], pixels) > 30


def test_a_picture_of_the_page(page: Page) -> None:
    """`<img data-pico>` shows it."""
    size = page[0].run(
        f"""(async () => {{
          const image = new Image();
          image.dataset.pico = "/golden/{DEFAULT_MODEL}/photo-middle.pico";
          const shown = new Promise((resolve) => {{
            for (const kind of ["picoload", "picoerror"]) image.addEventListener(kind, resolve);
          }});
          document.body.append(image);
          await import("/dist/pico-image.js");
          const event = await shown;
          return [event.type, image.naturalWidth, image.naturalHeight];
        }})()"""
    )
    info = picocodec.read_info(
        (Path(__file__).parents[1] / "golden" / DEFAULT_MODEL / "photo-middle.pico").read_bytes()
    )
    assert size == ["picoload", info.width, info.height]
