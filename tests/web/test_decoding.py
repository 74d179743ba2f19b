"""Whole pictures, decoded in Chromium by the npm package, are those that Python decodes."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from cases import Case, all_cases
from numpy.typing import NDArray
from pages import Page
from PIL import Image
from tiny import photo

import picocodec
from picocodec.format.tiles import TILE
from picocodec.images.orientation import turned
from picocodec.model.store import DEFAULT_MODEL

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / DEFAULT_MODEL
HOSTILE = sorted((ROOT / "tests" / "hostile").glob("*/*.pico"))

# Tiles of full size take seconds on a busy machine: one picture of some of them has to do, unless
# the environment asks for all.
WHOLE_SET = "PICOCODEC_WHOLE_SET"
LARGE = {"12-megapixels", "503x503", "504x504", "levels-by-tile"}
LARGE = set() if WHOLE_SET in os.environ else LARGE
CASES = [case for case in all_cases() if case.folder.name not in LARGE]


Bytes = NDArray[np.uint8]


def decoded(page: Page, url: str, options: str = "{colours: 'stored', upright: false}") -> Bytes:
    """RGBA `[H, W, 4]` of the file at a URL."""
    tab, server = page
    size = tab.run(
        f"""attempt(async () => {{
          const shown = await pico.decodePicture(await bytesOf("{url}"), {options});
          await post("pixels", shown.data);
          return [shown.width, shown.height];
        }})"""
    )
    assert isinstance(size, list), size
    return np.frombuffer(server.posted["pixels"], np.uint8).reshape(size[1], size[0], 4)


def as_python_has_it(rgba: Bytes, shape: tuple[int, ...]) -> Bytes:
    """The channels that `picocodec.decode` gives; others must hold nothing of their own."""
    channels = shape[2] if len(shape) == 3 else 1
    if channels < 3:
        assert (rgba[:, :, 0] == rgba[:, :, 1]).all() and (rgba[:, :, 0] == rgba[:, :, 2]).all()
    if channels in (1, 3):
        assert (rgba[:, :, 3] == 255).all()
    chosen = {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]
    return rgba[:, :, chosen] if len(shape) == 3 else rgba[:, :, 0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_conformance(page: Page, case: Case) -> None:
    if case.folder.name == "12-megapixels":
        page[0].socket.settimeout(1200)
    rgba = decoded(page, f"/cases/{case.name}/file.pico")
    errors = case.errors(as_python_has_it(rgba, case.reference.shape))
    print(f"{case.name}: peak {errors[0]}, RMS {errors[1]:.4f}")
    assert case.passes(errors), errors


def shown_by_python(page: Page, data: bytes, options: str, **ours: object) -> tuple[Bytes, Bytes]:
    """The same file by the browser, colours only, and by Python."""
    page[1].files["given.pico"] = data
    expected = picocodec.decode(data, threads=1, **ours)
    rgba = decoded(page, "/given.pico", options)
    return as_python_has_it(rgba, expected.shape), expected


def difference(a: Bytes, b: Bytes) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b).max())


@pytest.fixture(scope="module")
def two_tiles() -> bytes:
    """Two learned tiles, which fade into each other."""
    return (GOLDEN / "two-tiles.pico").read_bytes()


def test_a_region_over_a_seam(page: Page, two_tiles: bytes) -> None:
    x, y, w, h = TILE - 30, 2, 60, 12
    options = f"{{region: {{x: {x}, y: {y}, width: {w}, height: {h}}}, upright: false}}"
    found, expected = shown_by_python(page, two_tiles, options, region=(x, y, w, h))
    assert difference(found, expected) <= 1


@pytest.mark.parametrize("name", ["photo-middle", "alpha-and-metadata", "lossless-tile", "gray"])
@pytest.mark.parametrize("divisor", [2, 4, 8])
def test_reduced(page: Page, name: str, divisor: int) -> None:
    data = (GOLDEN / f"{name}.pico").read_bytes()
    options = f"{{scale: 1 / {divisor}, upright: false, colours: 'stored'}}"
    found, expected = shown_by_python(page, data, options, scale=1 / divisor)
    # Pillow rounds colours to bytes before and after it weighs them by alpha.
    assert difference(found, expected) <= (3 if name.startswith("alpha") else 1)


def test_realism(page: Page) -> None:
    data = (GOLDEN / "photo-low.pico").read_bytes()
    shown = []
    for realism in (0, 0.5, 1):
        found, expected = shown_by_python(page, data, f"{{realism: {realism}}}", realism=realism)
        assert difference(found, expected) <= 1
        shown.append(found)
    # More than the tolerance of both: the dial of this model moves no pixel of it by more than 7.
    assert difference(shown[0], shown[2]) > 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(page: Page, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    data = picocodec.encode(photo(40, 56), exif=exif.tobytes(), threads=1)
    found, _ = shown_by_python(page, data, "{}", upright=True)
    assert difference(found, turned(picocodec.decode(data, threads=1), orientation)) <= 1


def test_a_profile_is_applied(page: Page) -> None:
    """Swapped primaries: what is red by its numbers is shown as another colour."""
    icc = swapped_primaries()
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :, 0] = 200
    data = picocodec.encode(pixels, 90, icc=icc, threads=1)
    stored, expected = shown_by_python(page, data, "{colours: 'stored'}")
    assert difference(stored, expected) <= 1
    seen = decoded(page, "/given.pico", "{}")[:, :, :3]
    assert seen[24, 32, 1] > 150 and seen[24, 32, 0] < 60


def swapped_primaries() -> bytes:
    """sRGB's profile with the names of red's and green's primaries exchanged."""
    from PIL import ImageCms

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    head, table = icc[:128], icc[128:]
    marks = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}
    count = int.from_bytes(table[:4], "big")
    entries = [table[4 + 12 * i : 16 + 12 * i] for i in range(count)]
    renamed = b"".join(marks.get(e[:4], e[:4]) + e[4:] for e in entries)
    return head + table[:4] + renamed + table[4 + 12 * count :]


def test_metadata_comes_along(page: Page) -> None:
    data = (GOLDEN / "alpha-and-metadata.pico").read_bytes()
    tab, server = page
    server.files["given.pico"] = data
    tab.run(
        """(async () => {
          const shown = await pico.decodePicture(await bytesOf("/given.pico"));
          for (const kind of ["icc", "exif", "xmp"]) await post(kind, shown[kind] ?? "");
        })()"""
    )
    with Image.open(io.BytesIO(data)) as opened:
        info = picocodec.read_info(data)
        if info.has_icc:
            assert server.posted["icc"] == opened.info["icc_profile"]
        if info.has_exif:
            assert server.posted["exif"] == opened.info["exif"].removeprefix(b"Exif\0\0")
        if info.has_xmp:
            assert server.posted["xmp"] == opened.info["xmp"]
    assert info.has_icc or info.has_exif or info.has_xmp


def test_info(page: Page) -> None:
    for name in ("alpha-and-metadata", "gray", "two-tiles", "av1-block"):
        data = (GOLDEN / f"{name}.pico").read_bytes()
        found = page[0].run(f"bytesOf('/golden/{DEFAULT_MODEL}/{name}.pico').then(pico.readInfo)")
        ours = picocodec.read_info(data)
        assert [found[k] for k in ("width", "height", "mode", "quality", "model")] == [
            *(ours.width, ours.height, ours.mode, ours.quality, ours.model)
        ]
        assert [found[k] for k in ("tiles", "learnedTiles", "bytes", "modelSha256")] == [
            *(ours.tiles, ours.learned_tiles, ours.bytes, ours.model_sha256)
        ]
        assert [found[k] for k in ("hasIcc", "hasExif", "hasXmp", "hasAlpha", "orientation")] == [
            *(ours.has_icc, ours.has_exif, ours.has_xmp, ours.has_alpha, ours.orientation)
        ]
        assert found["bpp"] == pytest.approx(ours.bpp) and found["realism"] == ours.realism
        assert sum(part["bytes"] for part in found["parts"]) < ours.bytes


def test_hostile_files_give_their_errors(page: Page) -> None:
    tab, server = page
    for n, path in enumerate(HOSTILE):
        server.files[f"hostile/{n}"] = path.read_bytes()
    found = tab.run(
        f"""(async () => {{
          const names = [];
          for (let n = 0; n < {len(HOSTILE)}; n++) {{
            try {{
              await pico.decode(await bytesOf(`/hostile/${{n}}`));
              names.push("picture");
            }} catch (error) {{
              names.push(error instanceof pico.PicoError ? error.constructor.name : `${{error}}`);
            }}
          }}
          return names;
        }})()"""
    )
    assert dict(zip(map(str, HOSTILE), found, strict=True)) == {
        str(path): path.parent.name for path in HOSTILE
    }


def test_wrong_options_are_told(page: Page) -> None:
    for options, words in (
        ("{scale: 0.3}", "scale must be"),
        ("{realism: 2}", "realism must be"),
        ("{region: {x: 0, y: 0, width: 9999, height: 1}}", "does not lie within"),
    ):
        told = page[0].run(
            "attempt(async () => pico.decode(await bytesOf"
            f"('/golden/{DEFAULT_MODEL}/gray.pico'), {options}))"
        )
        assert told.startswith("RangeError: ") and words in told


def test_progress_and_cancelling(page: Page) -> None:
    """Cancelled after its first tile, it ends at once, and the next picture is not held up."""
    told = page[0].run(
        """(async () => {
          const file = await bytesOf("/cases/MODEL/1100x601/file.pico");
          const stop = new AbortController();
          const heard = [];
          const onProgress = (progress) => {
            if (progress.phase !== "decode") return;
            heard.push(`${progress.done} of ${progress.total}`);
            stop.abort();
          };
          const options = { signal: stop.signal, onProgress };
          const ending = await attempt(() => pico.decode(file, options));
          const next = await pico.decode(await bytesOf("/golden/MODEL/gray.pico"));
          return [heard, ending, next.width];
        })()""".replace("MODEL", DEFAULT_MODEL)
    )
    assert told[0] == ["1 of 6"]
    assert told[1].startswith("AbortError")
    assert told[2] == picocodec.read_info((GOLDEN / "gray.pico").read_bytes()).width


def test_threads_where_the_page_is_isolated(page: Page) -> None:
    """Each thread after the first fetches the script of ONNX Runtime once more."""
    tab, server = page
    script = "/dist/ort/ort-wasm-simd-threaded.mjs"
    counts = []
    for threads in (1, 3):
        server.sent.pop(script, None)
        is_isolated = tab.run(
            f"""(async () => {{
              const codec = new pico.Codec({{ assets: "/dist/", threads: {threads} }});
              const file = await bytesOf("/golden/{DEFAULT_MODEL}/photo-middle.pico");
              await post("pixels", (await codec.decode(file)).data);
              codec.close();
              return self.crossOriginIsolated;
            }})()"""
        )
        assert is_isolated
        counts.append(server.sent.get(script, 0))
        found = np.frombuffer(server.posted["pixels"], np.uint8)
        expected = picocodec.decode(GOLDEN / "photo-middle.pico", threads=1)
        assert difference(found.reshape(*expected.shape[:2], 4)[:, :, :3], expected) <= 1
    assert counts[1] == 3 * counts[0] > 0


def test_a_model_that_is_not_there(page: Page) -> None:
    data = (GOLDEN / "photo-low.pico").read_bytes()
    info = picocodec.read_info(data)
    name, other = info.model.split(".")[0].encode(), b"other"
    assert len(name) == len(other)
    import binascii

    from picocodec.format.container import read_header

    head = data[: read_header(data).size - 2].replace(name, other)
    page[1].files["given.pico"] = (
        head + binascii.crc_hqx(head, 0xFFFF).to_bytes(2, "little") + data[len(head) + 2 :]
    )
    told = page[0].run("attempt(async () => pico.decode(await bytesOf('/given.pico')))")
    assert told.startswith("UnknownModel: ") and "other" in told and "404" in told
