"""Files that the npm package encodes in Chromium are Python's to decode."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from cases import Case, all_cases
from pages import Page
from PIL import Image, ImageCms
from symbols import digests
from tiny import drawing, photo

import picocodec
from picocodec.format import container
from picocodec.format.pieces import CoderId
from picocodec.model.store import DEFAULT_MODEL, load_model, load_model_for

ROOT = Path(__file__).parents[2]
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*/*.pico"))

# Their pictures are the sources; tiles of full size take seconds on a busy machine.
LARGE = {"12-megapixels", "503x503", "504x504", "505x505", "levels-by-tile", "1100x601", "40x1073"}
LARGE |= {"lossless-blocks", "av1-blocks", "av1-photos"}
# The same picture at other qualities, or with other words in the header.
LARGE |= {f"quality-{n}" for n in range(20, 100, 10)} | {"quality-33.3", "realism-0", "realism-128"}
CASES = [case for case in all_cases([DEFAULT_MODEL]) if case.folder.name not in LARGE]


def encoded(page: Page, source: bytes, options: str = "{}") -> bytes:
    """The .pico file of a picture file; an `AssertionError` with what went wrong."""
    tab, server = page
    server.files["source"] = source
    told = tab.run(
        f"""attempt(async () => {{
          const source = new Blob([await bytesOf("/source")]);
          await post("file", await pico.encode(source, {options}));
          return "";
        }})"""
    )
    assert told == "", told
    return server.posted["file"]


def png(pixels: np.ndarray, **more: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", **more)
    return out.getvalue()


def coders(data: bytes) -> list[int]:
    return [piece.coder for piece in container.read_header(data).pieces]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return 10 * math.log10(255**2 / max(np.square(a.astype(float) - b).mean(), 1e-9))


AGAIN = """
async (urls) => {
  const models = {};
  const found = [];
  for (const url of urls) {
    const file = await bytesOf(url);
    const header = format.readHeader(file);
    const folder = `/dist/models/${header.model}`;
    const text = async () => new TextDecoder().decode(await bytesOf(`${folder}/model.toml`));
    models[header.model] ??=
      await format.loadModel(
        await text(), await format.unpack(await bytesOf(`${folder}/tables.npz.packed`)));
    const model = models[header.model];
    for (const [number, piece] of header.pieces.entries()) {
      if (piece.coder !== format.Coder.Learned) continue;
      const symbols = format.decodeSymbols(model, file, header, number);
      const grid = format.gridOf(piece.area);
      const indices = format.yIndices(model, grid, piece.level, symbols.z);
      const again = format.encodeSymbols(model, symbols, indices, piece.area, piece.level);
      const first = format.payloadOf(file, header, number);
      const isSame = again.length === first.length && again.every((b, i) => b === first[i]);
      found.push(`${url} ${number} ${isSame}`);
    }
  }
  return found;
}"""


def test_symbols_of_the_conformance_set_become_the_same_bytes_again(page: Page) -> None:
    """Those of escapes, too (`noise`): both writers of the entropy coder agree."""
    urls = [f"/cases/{case.name}/file.pico" for case in all_cases()]
    urls += [f"/golden/{path.parent.name}/{path.name}" for path in GOLDEN]
    found = page[0].run(f"({AGAIN})({urls})")
    assert [line for line in found if not line.endswith("true")] == []
    assert len(found) > 100


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.folder.name)
def test_pictures_of_the_conformance_set(page: Page, case: Case) -> None:
    """Python reads the same symbols, and a picture as near to the source as from its own file."""
    pixels = case.reference
    data = encoded(page, png(pixels), "{quality: 60}")
    page[1].files["back.pico"] = data
    theirs = page[0].run(
        """(async () => {
          const file = await bytesOf("/back.pico");
          const header = format.readHeader(file);
          const folder = `/dist/models/${header.model}`;
          const model = await format.loadModel(
            new TextDecoder().decode(await bytesOf(`${folder}/model.toml`)),
            await format.unpack(await bytesOf(`${folder}/tables.npz.packed`)));
          const lines = [];
          for (let i = 0; i < header.pieces.length; i++) {
            if (header.pieces[i].coder !== format.Coder.Learned)
              lines.push(await format.sha256(format.losslessImage(file, header, i).webp));
            else lines.push(await format.digest(format.decodeSymbols(model, file, header, i)));
          }
          return lines;
        })()"""
    )
    model = load_model_for(container.read_header(data).model, threads=1)
    assert theirs == digests(data, model)
    found = picocodec.decode(data, threads=1)
    ours = picocodec.encode(pixels, 60, effort=0, threads=1)  # the same coders
    expected = picocodec.decode(ours, threads=1)
    colours = found if found.ndim == pixels.ndim else found[:, :, None].repeat(3, 2)
    assert psnr(colours, pixels) > psnr(expected, pixels) - 0.3
    if set(coders(ours)) == set(coders(data)) == {CoderId.LEARNED}:
        sizes = [sum(p.length for p in container.read_header(f).pieces) for f in (data, ours)]
        assert sizes[0] == pytest.approx(sizes[1], rel=0.02, abs=8)


def test_bytes_are_those_of_python_where_networks_round_alike(page: Page) -> None:
    """Of a photo as it is: nothing but rounding in the networks can tell the two apart."""
    pixels = photo(120, 160)
    data, ours = (
        encoded(page, png(pixels), "{quality: 40}"),
        picocodec.encode(pixels, 40, effort=0, threads=1),
    )
    headers = [container.read_header(file) for file in (data, ours)]
    assert headers[0].level == headers[1].level == 400
    assert headers[0].pieces[0].level == headers[1].pieces[0].level
    assert len(data) == pytest.approx(len(ours), abs=8)
    assert psnr(picocodec.decode(data, threads=1), picocodec.decode(ours, threads=1)) > 45


def test_target_sizes_are_kept(page: Page) -> None:
    pixels = photo(160, 200)
    for target in (1500, 4000):
        data = encoded(page, png(pixels), f"{{targetSize: {target}}}")
        assert 0.9 * target < len(data) <= target
    told = page[0].run(
        "attempt(async () => pico.encode(new Blob([await bytesOf('/source')]), {targetSize: 60}))"
    )
    assert told.startswith("TargetTooSmall: ") and "quality 0" in told


def test_drawings_are_kept_exactly(page: Page) -> None:
    pixels = drawing(120, 620)
    data = encoded(page, png(pixels), "{quality: 70}")
    assert coders(data) == [CoderId.LOSSLESS]  # two tiles in one piece
    assert container.read_header(data).pieces[0].columns == 2
    assert np.array_equal(picocodec.decode(data, threads=1), pixels)


def test_gray_and_alpha(page: Page) -> None:
    pixels = photo(60, 70)
    alpha = np.tile(np.arange(70, dtype=np.uint8) * 3, (60, 1))
    alpha[:, :10] = 255
    data = encoded(page, png(np.dstack([pixels, alpha])), "{quality: 80}")
    found = picocodec.decode(data, threads=1)
    assert np.array_equal(found[:, :, 3], alpha)
    assert psnr(found[:, :, :3], pixels) > 30  # where nobody sees it, too
    out = io.BytesIO()
    Image.fromarray(np.dstack([pixels, alpha])).save(out, "WEBP", lossless=True, exact=True)
    assert encoded(page, out.getvalue(), "{quality: 80}") == data
    gray = encoded(page, png(pixels[:, :, 1]), "{quality: 80}")
    assert picocodec.read_info(gray).mode == "L"
    assert psnr(picocodec.decode(gray, threads=1), pixels[:, :, 1]) > 28
    opaque = np.full_like(alpha, 255)
    assert picocodec.read_info(encoded(page, png(np.dstack([pixels, opaque])))).mode == "RGB"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_metadata_is_kept(page: Page, kind: str) -> None:
    """Pixels stay as they lie in the file; the orientation is in EXIF, as it was."""
    exif = Image.Exif()
    exif[274] = 6
    exif[270] = "a picture"
    # Primaries that no converted picture would survive unchanged.
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = photo(48, 72)
    out = io.BytesIO()
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    options = lossless.get(kind, {})
    xmp = {} if kind == "PNG" else {"xmp": b"<x:xmpmeta>told</x:xmpmeta>"}
    Image.fromarray(pixels).save(out, kind, exif=exif, icc_profile=icc, **xmp, **options)
    data = encoded(page, out.getvalue(), "{quality: 90}")
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.info["icc_profile"] == icc
        assert opened.getexif()[274] == 6 and opened.getexif()[270] == "a picture"
        assert opened.info.get("xmp") == xmp.get("xmp")
    assert psnr(picocodec.decode(data, threads=1), pixels) > 30


def test_without_metadata_pixels_are_turned(page: Page) -> None:
    exif = Image.Exif()
    exif[274] = 6
    out = io.BytesIO()
    pixels = photo(48, 72)
    Image.fromarray(pixels).save(out, "PNG", exif=exif)
    data = encoded(page, out.getvalue(), "{quality: 90, metadata: false}")
    info = picocodec.read_info(data)
    assert (info.width, info.height, info.has_exif, info.orientation) == (48, 72, False, 1)
    assert psnr(picocodec.decode(data, threads=1), np.rot90(pixels, -1)) > 30


def test_other_sources(page: Page) -> None:
    """Image data and bitmaps; and what is no picture at all."""
    tab, server = page
    server.files["source"] = png(photo(40, 50))
    sizes = tab.run(
        """(async () => {
          const bitmap = await createImageBitmap(new Blob([await bytesOf("/source")]));
          const canvas = new OffscreenCanvas(50, 40);
          canvas.getContext("2d").drawImage(bitmap, 0, 0);
          const data = canvas.getContext("2d").getImageData(0, 0, 50, 40);
          return [(await pico.encode(data)).length, (await pico.encode(bitmap)).length];
        })()"""
    )
    assert sizes[0] == sizes[1] == pytest.approx(len(picocodec.encode(photo(40, 50))), abs=8)
    told = tab.run("attempt(() => pico.encode(new Blob(['no picture'], {type: 'image/jpeg'})))")
    assert told.startswith("UnsupportedImage: ") and "image/jpeg" in told
    told = tab.run("attempt(() => pico.encode(new ImageData(1, 1), {quality: 101}))")
    assert told.startswith("RangeError: quality")


def test_the_model_says_what_networks_there_are() -> None:
    """The default model is one that a browser can encode with."""
    model = load_model(DEFAULT_MODEL, threads=1)
    names = {"analysis.onnx", "context.onnx", "synthesis.onnx", "tables.npz"}
    assert names <= {path.name for path in model.folder.iterdir()}
