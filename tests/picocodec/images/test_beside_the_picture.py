"""What files carry beside their pixels: kept, or named in a warning; and what they say of depth
and colours."""

from __future__ import annotations

import hashlib
import importlib
import io
import struct
import sys
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, features
from tiny import photo

import picocodec
from picocodec import cli
from picocodec.errors import LimitExceeded, TargetTooSmall, UnsupportedImage
from picocodec.images import exif as exif_bytes
from picocodec.images.containers import survey, xmp
from picocodec.images.containers.survey import Density
from picocodec.images.picture import Picture, to_array
from picocodec.images.reading import read

with suppress(ImportError):
    importlib.import_module("pillow_heif").register_heif_opener()
with suppress(ImportError):
    importlib.import_module("pillow_jxl")

PIXELS = photo(48, 64)
IMAGE = Image.fromarray(PIXELS)
RDF = b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'


def saved(format: str, im: Image.Image = IMAGE, **options: object) -> bytes:
    out = io.BytesIO()
    im.save(out, format, **options)
    return out.getvalue()


def reading(data: bytes) -> tuple[Picture, str]:
    """The picture in a file, and what was said about it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        picture = read(io.BytesIO(data))
    return picture, "; ".join(str(warning.message) for warning in told)


def refusal(data: bytes) -> str:
    with pytest.raises(UnsupportedImage) as caught:
        read(io.BytesIO(data))
    return str(caught.value)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks: tuple[bytes, bytes], im: Image.Image = IMAGE, at: int = 33) -> bytes:
    """A PNG file with more chunks, behind its header or, with a negative place, before its end."""
    data = saved("PNG", im)
    return data[:at] + b"".join(chunk(*one) for one in chunks) + data[at:]


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg(*segments: bytes, behind: bytes = b"", **options: object) -> bytes:
    data = saved("JPEG", **options)
    return data[:2] + b"".join(segments) + data[2:] + behind


def packet(attributes: bytes, inside: bytes = b"") -> bytes:
    description = b'<rdf:Description rdf:about="" ' + attributes + b">" + inside
    middle = RDF + description + b"</rdf:Description></rdf:RDF>"
    return b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + middle + b"</x:xmpmeta>"


def tags_of(exif: bytes | None) -> Image.Exif:
    tags = Image.Exif()
    tags.load(exif or b"")
    return tags


# Depth and colours


@pytest.mark.parametrize("is_planar", [False, True])
@pytest.mark.parametrize("bits", [16, 12, 32])
def test_deep_tiff_however_it_lies(is_planar: bool, bits: int) -> None:
    sizes = {258: [bits] * 3, 277: [3], 284: [2 if is_planar else 1]}
    assert survey(tiff(sizes)).depth == bits
    assert "more than 8 bits" in refusal(tiff(sizes))


def tiff(tags: dict[int, list[int]], *within: dict[int, list[int]], behind: bytes = b"") -> bytes:
    """A TIFF file of 64x48 pixels, all zeros, and directories in its SubIFDs."""
    count = 6 * 64 * 48
    plain = {256: [64], 257: [48], 258: [8], 259: [1], 262: [1], 273: [8], 277: [1], 278: [48],
             279: [count]}  # fmt: skip
    at = 8 + count
    out, places = b"", []
    for one in within:
        places.append(at + len(out))
        out += directory(plain | one, places[-1])
    first = plain | tags | ({330: places} if places else {})
    at += len(out)
    return b"II*\0" + struct.pack("<I", at) + bytes(count) + out + directory(first, at) + behind


def directory(tags: dict[int, list[int]], at: int) -> bytes:
    end = at + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, numbers in sorted(tags.items()):
        word = struct.pack(f"<{len(numbers)}I", *numbers)
        if len(word) > 4:
            word, values = struct.pack("<I", end + len(values)), values + word
        entries += struct.pack("<HHI", tag, 4, len(numbers)) + word
    return struct.pack("<H", len(tags)) + entries + bytes(4) + values


@pytest.mark.parametrize(
    "data",
    [
        tiff({254: [1]}, {256: [4000], 257: [3000], 262: [32803]}),  # NEF, ARW
        tiff({50706: [0x0401]}, {262: [34892]}),  # DNG
        tiff({262: [32803]}),  # PEF
        tiff({}, {256: [4000], 257: [3000]}),  # a preview that does not say so
        b"II*\0\x10\0\0\0CR\2\0" + bytes(200),  # CR2
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(50),  # CR3
        b"FUJIFILMCCD-RAW " + bytes(100),
        b"IIRS\x08\0\0\0" + bytes(100),
        b"IIU\0\x08\0\0\0" + bytes(100),
    ],
    ids=["nef", "dng", "pef", "preview", "cr2", "cr3", "raf", "orf", "rw2"],
)
def test_raw_files_are_refused_with_a_way_out(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)  # as if it were not installed
    said = refusal(data)
    if data[:8] != b"II*\0\x10\0\0\0":
        assert "raw file" in said and "darktable" in said


@pytest.mark.parametrize("start", [b"#?RADIANCE\n", b"v/1\x01", b"SDPX"])
def test_formats_of_high_dynamic_range_are_refused_with_a_way_out(start: bytes) -> None:
    assert "map its tones to 8 bits" in refusal(start + bytes(100))


def test_bits_of_narrow_bmp_are_eight() -> None:
    values = PIXELS.astype(np.uint16)
    red, green, blue = values[..., 0] >> 3, values[..., 1] >> 2, values[..., 2] >> 3
    body = (red << 11 | green << 5 | blue)[::-1].astype("<u2").tobytes()
    header = struct.pack("<IiiHHIIiiII", 40, 64, 48, 1, 16, 3, len(body), 11811, 11811, 0, 0)
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    data = b"BM" + struct.pack("<IHHI", 66 + len(body), 0, 0, 66) + header + masks + body
    picture, _ = reading(data)
    assert np.abs(to_array(picture).astype(int) - PIXELS).max() <= 8
    assert exif_bytes.resolution(picture.exif) == Density(300, 300, 2)


P3 = [31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000]


def as_srgb(pixels: np.ndarray, profile: bytes) -> np.ndarray:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    im = ImageCms.profileToProfile(
        Image.fromarray(pixels), source, target, renderingIntent=intent, outputMode="RGB"
    )
    return np.asarray(im)


def encoded(light: np.ndarray) -> np.ndarray:
    """sRGB's curve, 0 to 255."""
    high = 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055
    return 255 * np.where(light <= 0.0031308, 12.92 * light, high)


def test_linear_png_gets_a_profile_that_says_so() -> None:
    picture, said = reading(png((b"gAMA", struct.pack(">I", 100_000))))
    assert not said and picture.icc
    shown = as_srgb(PIXELS, picture.icc)
    assert np.abs(shown - encoded(PIXELS / 255)).max() <= 1
    gray, _ = reading(png((b"gAMA", struct.pack(">I", 100_000)), im=IMAGE.convert("L")))
    pixels = np.asarray(IMAGE.convert("L"))
    shown = as_srgb(pixels, gray.icc or b"")
    assert np.abs(shown - encoded(pixels / 255)[:, :, None]).max() <= 1


def matrix(white: tuple[float, float], *points: tuple[float, float]) -> np.ndarray:
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in points]).T
    x, y = white
    return columns * np.linalg.solve(columns, [x / y, 1, (1 - x - y) / y])


def test_wide_png_gets_a_profile_that_says_so() -> None:
    gamma = struct.pack(">I", 45455)
    picture, _ = reading(png((b"gAMA", gamma), (b"cHRM", struct.pack(">8I", *P3))))
    d65 = 0.3127, 0.3290
    p3 = matrix(d65, (0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
    srgb = matrix(d65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
    light = ((PIXELS / 255) ** 2.2) @ (np.linalg.inv(srgb) @ p3).T
    expected = encoded(light.clip(0, 1))
    assert np.abs(as_srgb(PIXELS, picture.icc or b"") - expected).max() <= 1.5


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", struct.pack(">I", 45455))],
        [(b"gAMA", struct.pack(">I", 0))],
        [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))],
        [(b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", struct.pack(">I", 100_000))],
        [(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))],
        [(b"cHRM", bytes(32))],
    ],
)
def test_png_that_is_srgb_stays_so(chunks: list[tuple[bytes, bytes]]) -> None:
    picture, said = reading(png(*chunks))
    assert (picture.icc, said) == (None, "")


def test_what_pillow_knows_of_gamma_when_a_png_was_loaded_before() -> None:
    im = Image.open(io.BytesIO(png((b"gAMA", struct.pack(">I", 100_000)))))
    im.load()
    info = picocodec.read_info(picocodec.encode(im, 30))
    assert info.has_icc


def test_code_points_of_png_count_more_than_its_profile() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    icc = b"iCCP", b"x\0\0" + zlib.compress(profile)
    for code in ([9, 16, 0, 1], [12, 13, 0, 1], [1, 8, 0, 1], [9, 18, 0, 1], [1, 13, 0, 0]):
        assert f"primaries {code[0]}, transfer {code[1]}" in refusal(
            png((b"cICP", bytes(code)), icc)
        )
    picture, said = reading(png((b"cICP", bytes([1, 13, 0, 1])), icc))
    assert picture.icc is None and "an ICC profile, which counts less" in said


def test_a_damaged_profile_is_named() -> None:
    picture, said = reading(png((b"iCCP", b"x\0\0nonsense")))
    assert picture.icc is None and "an ICC profile, which is damaged" in said
    half = segment(0xE2, b"ICC_PROFILE\0\1\2" + bytes(50))  # the first of two
    picture, said = reading(jpeg(half))
    assert picture.icc is None and "an ICC profile, which is damaged" in said


# What lies beside the picture


def motion_photo() -> bytes:
    text = packet(b'xmlns:G="http://ns.google.com/photos/1.0/camera/" G:MotionPhoto="1"')
    return jpeg(behind=b"\0\0\0\x10ftypmp42" + bytes(range(256)) * 20, xmp=text)


def gain_map() -> bytes:
    text = packet(b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"')
    return jpeg(behind=saved("JPEG", IMAGE.convert("L").resize((16, 12))), xmp=text)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (motion_photo(), "a video of 5132 bytes (the XMP still announces a video)"),
        (gain_map(), "an HDR gain map (the XMP still announces an HDR gain map)"),
        (jpeg(behind=saved("JPEG")), "a further picture"),
        (jpeg(behind=b"SEFT" * 99), "396 bytes behind the picture"),
        (jpeg(segment(0xFE, b"by hand")), "a comment"),
        (jpeg(segment(0xED, b"Photoshop 3.0\x008BIM")), "IPTC and Photoshop data"),
        (jpeg(segment(0xEB, b"JP\0\1\0\0\0\1....jumb....")), "content credentials (C2PA)"),
        (jpeg(segment(0xE4, b"camera")), "data of APP4"),
        (png((b"tEXt", b"parameters\0a cat")), "the text 'parameters'"),
        (png((b"tEXt", b"A\0a"), (b"zTXt", b"B\0\0b")), "texts 'A', 'B'"),
        (png((b"iTXt", b"C\0\0\0\0\0c"), at=-12), "the text 'C'"),
        (tiff({}, {254: [1], 256: [32], 257: [24]}), "a smaller copy"),
        (saved("GIF", comment=b"by hand"), "a comment"),
    ],
)
def test_what_is_not_kept_is_named(data: bytes, words: str) -> None:
    _, said = reading(data)
    assert f"not kept: {words}" in said


@pytest.mark.parametrize("behind", [b"", b"\0" * 40, b"\r\n", b"\xff" * 5])
def test_padding_is_nothing(behind: bytes) -> None:
    assert reading(jpeg(behind=behind))[1] == ""


def test_the_command_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("motion.jpg").write_bytes(motion_photo())
    assert cli.picoenc(["motion.jpg"]) == 0
    assert "picoenc: motion.jpg: warning: not kept: a video" in capsys.readouterr().err


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_further_items_of_heif_are_named() -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    try:
        data = saved("HEIF", save_all=True, append_images=[IMAGE.rotate(180)])
        small = saved("HEIF", thumbnails=[32])
    except (OSError, RuntimeError, KeyError) as error:
        pytest.skip(f"no HEIC encoder: {error}")
    assert "only the first is kept" in reading(data)[1]
    assert "a thumbnail" in reading(small)[1]
    video = data + struct.pack(">I4s", 108, b"mpvd") + bytes(100)
    assert "a video" in reading(video)[1]


# Metadata


def extended(text: bytes, at: int = 30_000) -> list[bytes]:
    name = hashlib.md5(text).hexdigest().upper().encode()
    signature = b"http://ns.adobe.com/xmp/extension/\0"
    return [
        segment(0xE1, signature + name + struct.pack(">II", len(text), o) + text[o : o + at])
        for o in range(0, len(text), at)
    ]


def main_packet(text: bytes, is_element: bool = False) -> bytes:
    name = hashlib.md5(text).hexdigest().upper().encode()
    attributes = b'xmlns:n="http://ns.adobe.com/xmp/note/" '
    if is_element:
        inside = b"<n:HasExtendedXMP>" + name + b"</n:HasExtendedXMP>"
        return packet(attributes, inside)
    return packet(attributes + b'n:HasExtendedXMP="' + name + b'"')


@pytest.mark.parametrize("is_element", [False, True])
@pytest.mark.parametrize("is_shuffled", [False, True])
def test_extended_xmp_is_joined(is_element: bool, is_shuffled: bool) -> None:
    inside = b"<dc:description>" + b"y" * 80_000 + b"</dc:description>"
    more = packet(b'xmlns:dc="http://purl.org/dc/elements/1.1/"', inside)
    pieces = extended(more)[:: -1 if is_shuffled else 1]
    picture, said = reading(jpeg(*pieces, xmp=main_packet(more, is_element)))
    assert picture.xmp and inside in picture.xmp and b"HasExtendedXMP" not in picture.xmp
    assert xmp.is_well_formed(picture.xmp) and said == ""


def test_extended_xmp_that_is_not_whole_is_named() -> None:
    more = packet(b'xmlns:dc="http://purl.org/dc/elements/1.1/"', b"y" * 80_000)
    main = main_packet(more)
    picture, said = reading(jpeg(*extended(more)[:-1], xmp=main))
    assert picture.xmp == main and "extended XMP, parts of which are missing" in said
    picture, said = reading(jpeg(*extended(more)))
    assert picture.xmp is None and "extended XMP, to which nothing points" in said
    broken = more.replace(b"</rdf:Description>", b"")
    picture, said = reading(jpeg(*extended(broken), xmp=main_packet(broken)))
    assert "extended XMP, which cannot be joined" in said
    bomb = b'<!DOCTYPE x [<!ENTITY a "b">]>' + packet(b"", b"&a;")
    assert not xmp.is_well_formed(bomb)


def test_long_xmp_comes_back_from_jpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inside = b"<dc:description>" + b"z" * 150_000 + b"</dc:description>"
    text = packet(b'xmlns:dc="http://purl.org/dc/elements/1.1/"', inside)
    Path("a.pico").write_bytes(picocodec.encode(PIXELS, xmp=text))
    assert cli.picodec(["a.pico", "a.jpg"]) == 0
    picture, said = reading(Path("a.jpg").read_bytes())
    assert picture.xmp and inside in picture.xmp and said == ""


def raw_profile(name: bytes, body: bytes) -> bytes:
    digits = body.hex().encode()
    lines = b"\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    return b"\n" + name + b"\n%8d\n" % len(body) + lines + b"\n"


def exif(orientation: int = 6) -> bytes:
    tags = Image.Exif()
    tags[ExifTags.Base.Make] = "Maker"
    tags[ExifTags.Base.Orientation] = orientation
    return tags.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("name", [b"exif", b"APP1"])
@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_exif_in_texts_of_png(name: bytes, kind: bytes) -> None:
    text = raw_profile(name.lower(), b"Exif\0\0" + exif())
    body = {b"tEXt": b"\0" + text, b"zTXt": b"\0\0" + zlib.compress(text)}.get(
        kind, b"\0\1\0\0\0" + zlib.compress(text)
    )
    for at in (33, -12):
        picture, said = reading(png((kind, b"Raw profile type " + name + body), at=at))
        assert (picture.exif, said) == (exif(), "")


def test_xmp_in_texts_of_png() -> None:
    text = packet(b"")
    compressed = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(text)
    magick = b"Raw profile type xmp\0\0" + zlib.compress(raw_profile(b"xmp", text))
    for one in ((b"iTXt", compressed), (b"zTXt", magick)):
        for at in (33, -12):
            picture, said = reading(png(one, at=at))
            assert (picture.xmp, said) == (text, "")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("has_exif", [False, True])
def test_resolution_is_kept(tmp_path, monkeypatch, format: str, has_exif: bool) -> None:
    monkeypatch.chdir(tmp_path)
    options = {"exif": b"Exif\0\0" + exif(1)} if has_exif and format != "BMP" else {}
    Path("in").write_bytes(saved(format, dpi=(300, 240), **options))
    assert cli.picoenc(["in", "a.pico"]) == 0
    for extension in ("png", "jpg", "tif", "bmp"):
        assert cli.picodec(["a.pico", f"a.{extension}"]) == 0
        with Image.open(f"a.{extension}") as im:
            assert im.info["dpi"] == pytest.approx((300, 240), abs=0.02)
    with Image.open("a.png") as im:
        assert im.getexif().get(ExifTags.Base.Make) == ("Maker" if options else None)


def test_a_resolution_in_exif_goes_before_that_of_the_file() -> None:
    both = exif_bytes.with_resolution(exif(), Density(300, 300, 2))
    picture, _ = reading(saved("JPEG", exif=b"Exif\0\0" + (both or b""), dpi=(96, 96)))
    assert picture.exif == both


def test_no_resolution_is_made_up() -> None:
    for data in (
        saved("JPEG"),
        saved("JPEG", dpi=(72, 72)),
        saved("PNG"),
        saved("PNG", dpi=(72, 72)),
    ):
        assert reading(data)[0].exif is None
    ratio, _ = reading(png((b"pHYs", struct.pack(">IIB", 2, 1, 0))))
    assert exif_bytes.resolution(ratio.exif) == Density(2, 1, 1)


def test_tags_of_tiff_are_kept() -> None:
    out = io.BytesIO()
    tags = Image.Exif()
    tags[ExifTags.Base.ImageDescription] = "a photo"
    tags[ExifTags.Base.DocumentName] = "document"
    tags[33550] = (1.5, 2.5, 0.0)  # GeoTIFF's size of a pixel
    tags[274] = 6
    IMAGE.save(out, "TIFF", exif=tags, dpi=(300, 300))
    kept = tags_of(reading(out.getvalue())[0].exif)
    assert kept[ExifTags.Base.ImageDescription] == "a photo"
    assert kept[ExifTags.Base.DocumentName] == "document"
    assert kept[33550] == (1.5, 2.5, 0.0)
    assert kept[ExifTags.Base.XResolution] == 300
    assert not {274, 256, 257, 258, 273, 279} & set(kept)


BROKEN = [
    b"",
    b"II",
    b"not TIFF at all",
    b"II*\0\xff\xff\xff\xff",
    b"MM\0*\0\0\0\x08\xff\xff" + b"\1" * 40,
]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "JXL", "TIFF"])
def test_broken_exif_never_stops_a_conversion(
    tmp_path, monkeypatch, capsys, format: str, broken: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        data = saved(format, **({"exif": b"Exif\0\0" + broken} if format != "TIFF" else {}))
    except Exception as error:
        pytest.skip(f"Pillow writes none: {error}")
    if format == "TIFF":
        data = tiff({34665: [len(broken) + 1 << 20], 34853: [12]})
    Path("in").write_bytes(data)
    assert cli.picoenc(["in", "a.pico"]) == 0
    for extension in ("png", "jpg", "webp", "tif", "bmp", "ppm", "npy"):
        assert cli.picodec(["a.pico", f"a.{extension}"]) == 0
    assert cli.picodec(["a.pico", "b.jpg", "--scale", "1/2"]) == 0
    assert cli.picodec(["a.pico", "c.jpg", "--strip", "all", "--region", "1,1,9,9"]) == 0
    with Image.open("a.pico") as im:
        im.draft("RGB", (10, 10))
        im.load()
    assert "Traceback" not in capsys.readouterr().err


def test_exif_of_jpeg_xl_is_kept_byte_for_byte(tmp_path: Path) -> None:
    pytest.importorskip("pillow_jxl")
    tags = tags_of(exif(1))
    tags.get_ifd(ExifTags.IFD.Exif)[0x927C] = b"maker's note" * 9
    plain = tags.tobytes().removeprefix(b"Exif\0\0")
    IMAGE.save(tmp_path / "a.jxl", exif=plain)
    assert read(tmp_path / "a.jxl").exif == plain
    tags[274] = 6
    turned = tags.tobytes().removeprefix(b"Exif\0\0")
    IMAGE.save(tmp_path / "b.jxl", exif=turned)
    kept = read(tmp_path / "b.jxl").exif or b""
    assert len(kept) == len(turned) and 274 not in tags_of(kept)
    assert tags_of(kept).get_ifd(ExifTags.IFD.Exif)[0x927C] == b"maker's note" * 9
    assert sum(a != b for a, b in zip(kept, turned, strict=True)) < 40


def test_metadata_larger_than_the_target_is_what_is_told() -> None:
    noise = np.random.default_rng(1).bytes(5000)
    with pytest.raises(TargetTooSmall, match="1000 bytes, fewer than the picture's 50.. bytes of"):
        picocodec.encode(PIXELS, target_size=1000, xmp=noise)
    with pytest.raises(TargetTooSmall, match="among them are 50.. bytes of metadata"):
        picocodec.encode(PIXELS, target_size=5020, xmp=noise)


@pytest.mark.parametrize("factor", [1.1, 3])
def test_the_limit_of_pixels_is_told_in_its_own_numbers(
    tmp_path, monkeypatch, capsys, factor
) -> None:
    monkeypatch.chdir(tmp_path)
    IMAGE.save("a.png")
    limit = int(PIXELS.size / 3 / factor)
    assert cli.picoenc(["a.png", "--max-pixels", str(limit)]) == 1
    assert f"3072 pixels, more than the limit of {limit}: " in capsys.readouterr().err
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    if factor == 3:
        with pytest.raises(LimitExceeded):
            read("a.png")


# HEIF, box by box


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def heif(
    items: dict[int, tuple[bytes, list[bytes]]],
    references: list[tuple[bytes, int, list[int]]] = (),  # type: ignore[assignment]
    missing: int = 0,
) -> bytes:
    """A file of items (kinds, and their properties), the first of them primary, whose data are 40
    bytes each; and what refers to what. The last `missing` bytes are not there."""
    known = list(dict.fromkeys(one for _, properties in items.values() for one in properties))
    kinds = b"".join(
        box(b"infe", b"\2\0\0\0", struct.pack(">HH", number, 0), kind, b"\0")
        for number, (kind, _) in items.items()
    )
    uses = b"".join(
        struct.pack(">HB", number, len(properties))
        + bytes(0x80 | known.index(one) + 1 for one in properties)
        for number, (_, properties) in items.items()
    )
    pointers = b"".join(
        box(kind, struct.pack(f">HH{len(to)}H", source, len(to), *to))
        for kind, source, to in references
    )

    def meta(start: int) -> bytes:
        places = b"".join(
            struct.pack(">HHHII", number, 0, 1, start + 40 * i, 40)
            for i, number in enumerate(items)
        )
        return box(
            b"meta",
            bytes(4),
            box(b"pitm", bytes(4), struct.pack(">H", next(iter(items)))),
            box(b"iinf", bytes(4), struct.pack(">H", len(items)), kinds),
            box(b"iref", bytes(4), pointers),
            box(
                b"iprp",
                box(b"ipco", *known),
                box(b"ipma", bytes(4), struct.pack(">I", len(items)), uses),
            ),
            box(b"iloc", bytes(4), b"\x44\0", struct.pack(">H", len(items)), places),
        )

    first = box(b"ftyp", b"avif", bytes(4), b"mif1")
    start = len(first) + len(meta(0)) + 8
    payload = bytes(range(1, 41)) * len(items)
    data = first + meta(start) + box(b"mdat", payload)
    return data[: len(data) - missing]


def bits_of(depth: int) -> bytes:
    return box(b"pixi", bytes(4), b"\3", bytes([depth] * 3))


def use(name: bytes) -> bytes:
    return box(b"auxC", bytes(4), name + b"\0")


PRIMARY = {1: (b"av01", [bits_of(8)])}
ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"


def test_depth_of_heif_is_that_of_the_primary_item_and_its_parts() -> None:
    others = {2: (b"av01", [bits_of(10)])}
    assert survey(heif(PRIMARY | others)).depth == 8
    assert survey(heif(others | PRIMARY)).depth == 10
    grid = {1: (b"grid", []), 2: (b"av01", [bits_of(12)])}
    assert survey(heif(grid, [(b"dimg", 1, [2])])).depth == 12
    config = box(b"hvcC", bytes(17) + b"\2\2" + bytes(4))
    assert survey(heif({1: (b"hvc1", [config])})).depth == 10


def test_code_points_of_heif_are_those_of_the_primary_item() -> None:
    def nclx(*numbers: int) -> bytes:
        return box(b"colr", b"nclx", struct.pack(">HHHB", *numbers, 6, 128))

    items = {2: (b"av01", [nclx(9, 16)])}
    found = survey(heif({1: (b"av01", [nclx(1, 13)])} | items)).code_points
    assert found and (found.primaries, found.transfer) == (1, 13)
    grid = {1: (b"grid", []), 2: (b"av01", [nclx(9, 16)])}
    found = survey(heif(grid, [(b"dimg", 1, [2])])).code_points
    assert found and (found.primaries, found.transfer) == (9, 16)


@pytest.mark.parametrize(
    ("items", "references", "dropped"),
    [
        ({2: (b"av01", [use(ALPHA)])}, [(b"auxl", 2, [1])], []),
        (
            {2: (b"av01", [use(b"urn:com:apple:photo:2020:aux:hdrgainmap")])},
            [(b"auxl", 2, [1])],
            ["an HDR gain map"],
        ),
        (
            {2: (b"av01", [use(b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth")])},
            [(b"auxl", 2, [1])],
            ["a depth map"],
        ),
        (
            {2: (b"av01", [use(b"urn:com:apple:photo:2018:aux:portraiteffectsmatte")])},
            [(b"auxl", 2, [1])],
            ["an auxiliary picture (portraiteffectsmatte)"],
        ),
        ({2: (b"av01", []), 3: (b"tmap", [])}, [(b"dimg", 3, [1, 2])], ["an HDR gain map"]),
        ({2: (b"av01", [])}, [(b"thmb", 2, [1])], ["a thumbnail"]),
        ({2: (b"av01", [bits_of(8)])}, [], ["a further picture"]),
        ({2: (b"Exif", []), 3: (b"mime", [])}, [(b"cdsc", 2, [1]), (b"cdsc", 3, [1])], []),
    ],
)
def test_what_lies_beside_the_primary_item(items, references, dropped) -> None:
    found = survey(heif(PRIMARY | items, references))
    assert (found.dropped, found.fault) == (dropped, "")


def test_a_part_that_is_missing_counts_where_it_is_of_the_picture() -> None:
    parts = {1: (b"grid", []), 2: (b"av01", []), 3: (b"av01", [])}
    assert survey(heif(parts, [(b"dimg", 1, [2, 3])], missing=1)).fault
    alpha = PRIMARY | {2: (b"av01", [use(ALPHA)])}
    assert survey(heif(alpha, [(b"auxl", 2, [1])], missing=1)).fault
    assert survey(heif(parts, [(b"dimg", 1, [2, 3])])).fault == ""


@pytest.mark.parametrize("start", range(0, 400, 7))
def test_boxes_that_make_no_sense_raise_nothing(start: int) -> None:
    data = heif(PRIMARY | {2: (b"av01", [use(ALPHA)])}, [(b"auxl", 2, [1])])
    for value in (0, 0x7F, 0xFF):
        survey(data[:start] + bytes([value] * 4) + data[start + 4 :])
    survey(data[:start])
