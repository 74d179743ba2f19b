"""Upright stays upright, whatever metadata are left out; and parts of pictures are no more than
parts."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps
from tiny import photo

import picocodec
from picocodec import cli
from picocodec.images import exif as exif_bytes
from picocodec.images.containers import xmp
from picocodec.images.orientation import turned, turned_size

PIXELS = photo(48, 64)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:tiff="t" tiff:Orientation="%d"/>'
EIGHT = range(1, 9)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    return tags.tobytes()


def as_shown(im: Image.Image) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(im))


def far(a: np.ndarray, b: np.ndarray) -> float:
    """The mean difference, of pictures of one size."""
    assert a.shape == b.shape
    return float(np.abs(a.astype(float) - b).mean())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("orientation", EIGHT)
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_pixels_are_turned_as_pillow_does(orientation: int, channels: int | None) -> None:
    shape = (3, 5) if channels is None else (3, 5, channels)
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    flat = pixels[..., 0] if channels == 1 else pixels
    im = Image.fromarray(flat)
    im.info["exif"] = exif(orientation)
    im.getexif()[ExifTags.Base.Orientation] = orientation
    expected = np.asarray(ImageOps.exif_transpose(im))
    found = turned(pixels, orientation)
    assert np.array_equal(found[..., 0] if channels == 1 else found, expected)
    assert turned_size(5, 3, orientation) == expected.shape[1::-1]


@pytest.mark.parametrize("orientation", EIGHT)
def test_stripped_while_encoding(folder: Path, orientation: int) -> None:
    im = Image.fromarray(PIXELS)
    im.save("a.png", exif=exif(orientation))
    expected = as_shown(Image.open("a.png"))
    for names in ("exif", "all", "exif,icc"):
        assert cli.picoenc(["a.png", "a.pico", "--strip", names, "-q", "95"]) == 0
        with Image.open("a.pico") as back:
            assert "exif" not in back.info and far(as_shown(back), expected) < 5
    data = picocodec.encode(Image.open("a.png"), 95, exif=b"")
    assert far(picocodec.decode(data), expected) < 5
    assert picocodec.read_info(data).orientation == 1
    kept = picocodec.encode(Image.open("a.png"), 95)
    assert picocodec.read_info(kept).orientation == orientation
    assert far(picocodec.decode(kept, upright=True), expected) < 5
    assert far(picocodec.decode(kept), PIXELS) < 5


@pytest.mark.parametrize("orientation", EIGHT)
def test_stripped_while_decoding_or_not_held(folder: Path, orientation: int) -> None:
    Path("a.pico").write_bytes(picocodec.encode(PIXELS, 95, exif=exif(orientation)))
    with Image.open("a.pico") as im:
        expected = as_shown(im)
    for extension in ("png", "jpg", "webp", "tif", "bmp", "ppm", "npy"):
        for strip in ([], ["--strip", "exif"], ["--strip", "all"]):
            name = f"a.{extension}"
            assert cli.picodec(["a.pico", name, "--quiet", *strip]) == 0
            if extension == "npy":
                shown = np.load(name)
            else:
                with Image.open(name) as im:
                    shown = as_shown(im)
            assert far(shown, expected) < (3 if extension == "jpg" else 1e-9), (name, strip)


def test_gray_and_alpha_are_turned_too(folder: Path) -> None:
    alpha = PIXELS[:, :, 1]
    for pixels in (PIXELS[:, :, 0], np.dstack([PIXELS, alpha]), PIXELS[:, :, :2]):
        im = Image.fromarray(pixels)
        im.save("a.png", exif=exif(6))
        assert cli.picoenc(["a.png", "a.pico", "--strip", "exif", "-q", "95"]) == 0
        with Image.open("a.pico") as back:
            assert back.mode == im.mode
            assert far(np.asarray(back), np.rot90(pixels, -1)) < 5


def test_the_orientation_in_xmp_goes_with_the_pixels(folder: Path) -> None:
    Image.fromarray(PIXELS).save("a.jpg", exif=exif(6), xmp=XMP % 6)
    assert cli.picoenc(["a.jpg", "a.pico", "--strip", "exif"]) == 0
    with Image.open("a.pico") as im:
        assert im.info["xmp"] == XMP % 1
    assert cli.picoenc(["a.jpg", "b.pico"]) == 0
    assert cli.picodec(["b.pico", "b.png", "--strip", "exif"]) == 0
    with Image.open("b.png") as im:
        assert im.info["xmp"] == XMP % 1 and im.size == (48, 64)
    element = b"<tiff:Orientation>8</tiff:Orientation>"
    assert xmp.upright(element) == b"<tiff:Orientation>1</tiff:Orientation>"


# Parts


def with_thumbnail(thumbnail: bytes, order: str = "<", in_front: bool = False) -> bytes:
    """EXIF with a maker, the picture's size, and a JPEG file in its second directory, which may
    lie in front of everything else."""

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        word = struct.pack(f"{order}H", value) + b"\0\0" if kind == 3 else b""
        return struct.pack(f"{order}HHI", tag, kind, count) + (
            word or struct.pack(f"{order}I", value)
        )

    def lie(*entries: bytes, following: int = 0) -> bytes:
        return (
            struct.pack(f"{order}H", len(entries))
            + b"".join(entries)
            + struct.pack(f"{order}I", following)
        )

    start = b"II*\0" if order == "<" else b"MM\0*"
    maker, length = b"A maker\0", len(thumbnail)
    second_size = 2 + 3 * 12 + 4
    first_at = 8 + (second_size + length if in_front else 0)
    own_at = first_at + 2 + 2 * 12 + 4
    maker_at = own_at + 2 + 2 * 12 + 4
    second_at = 8 if in_front else maker_at + len(maker)
    first = lie(entry(271, 2, 8, maker_at), entry(34665, 4, 1, own_at), following=second_at)
    own = lie(entry(40962, 3, 1, 64), entry(40963, 4, 1, 48))
    second = lie(
        entry(259, 3, 1, 6), entry(513, 4, 1, second_at + second_size), entry(514, 4, 1, length)
    )
    main, small = first + own + maker, second + thumbnail
    head = start + struct.pack(f"{order}I", first_at)
    return head + (small + main if in_front else main + small)


@pytest.fixture(scope="module")
def thumbnail() -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).resize((32, 24)).save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("in_front", [False, True])
def test_exif_of_a_part_is_its_own(thumbnail: bytes, order: str, in_front: bool) -> None:
    whole = with_thumbnail(thumbnail, order, in_front)
    part = exif_bytes.of_part(whole, 20, 10)
    assert thumbnail in whole and thumbnail[2:40] not in part
    assert in_front or len(part) < len(whole) - len(thumbnail)
    tags = Image.Exif()
    tags.load(part)
    assert dict(tags) == {271: "A maker", 34665: tags[34665]}
    assert tags.get_ifd(ExifTags.IFD.Exif) == {40962: 20, 40963: 10}
    assert not tags.get_ifd(ExifTags.IFD.IFD1)
    assert exif_bytes.of_part(part, 20, 10) == part


@pytest.mark.parametrize("options", [["--region", "0,0,40,40"], ["--scale", "1/2"]])
@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif"])
def test_a_part_has_no_thumbnail_of_the_whole(
    folder: Path, thumbnail: bytes, options: list[str], extension: str
) -> None:
    small = b"<xmp:Thumbnails><rdf:Alt><rdf:li>AAAA</rdf:li></rdf:Alt></xmp:Thumbnails>"
    text = b'<x:xmpmeta xmlns:x="x" xmlns:xmp="y" xmlns:rdf="z">' + small + b"</x:xmpmeta>"
    data = picocodec.encode(PIXELS, 20, exif=with_thumbnail(thumbnail), xmp=text)
    Path("a.pico").write_bytes(data)
    name = f"a.{extension}"
    assert cli.picodec(["a.pico", name, *options]) == 0
    written = Path(name).read_bytes()
    assert thumbnail[2:40] not in written and b"AAAA" not in written
    with Image.open(name) as im:
        assert im.getexif()[271] == "A maker"
    assert cli.picodec(["a.pico", name, "--overwrite"]) == 0
    if extension != "tif":  # where Pillow writes no second directory
        assert thumbnail in Path(name).read_bytes()


# What a format cannot hold


def test_an_opaque_alpha_is_dropped(folder: Path) -> None:
    opaque = np.dstack([PIXELS, np.full((48, 64), 255, np.uint8)])
    for name, pixels in (("c", opaque), ("g", opaque[:, :, 2:])):
        Path(f"{name}.pico").write_bytes(picocodec.encode(pixels, 95))
        for extension in ("jpg", "bmp", "ppm"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert cli.picodec([f"{name}.pico", f"{name}.{extension}"]) == 0
            with Image.open(f"{name}.{extension}") as im:
                assert im.mode == ("RGB" if name == "c" else "L")
                assert far(np.asarray(im), pixels[:, :, :-1].squeeze()) < 6


def test_only_the_part_that_is_written_has_to_be_opaque(folder: Path, capsys) -> None:
    clear = np.dstack([PIXELS, np.full((48, 64), 255, np.uint8)])
    clear[40:, 50:, 3] = 7
    Path("a.pico").write_bytes(picocodec.encode(clear))
    assert cli.picodec(["a.pico", "a.jpg"]) == 1
    assert "write PNG, WebP or TIFF" in capsys.readouterr().err
    assert cli.picodec(["a.pico", "a.jpg", "--region", "0,0,50,48"]) == 0


def test_pgm_is_gray(folder: Path, capsys) -> None:
    Path("a.pico").write_bytes(picocodec.encode(PIXELS))
    assert cli.picodec(["a.pico", "a.pgm"]) == 1
    assert "a .pgm file holds gray only" in capsys.readouterr().err
    Path("b.pico").write_bytes(picocodec.encode(PIXELS[:, :, 0]))
    assert cli.picodec(["b.pico", "b.pgm"]) == 0
    assert Path("b.pgm").read_bytes().startswith(b"P5")
