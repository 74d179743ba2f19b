"""Cameras' raw files: developed where rawpy is installed, else refused with what installs it."""

from __future__ import annotations

import io
import struct
import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import ExifTags, Image

import picocodec
from picocodec import cli
from picocodec.errors import LimitExceeded, UnsupportedImage
from picocodec.images.picture import to_array
from picocodec.images.reading import read

BYTES, TEXT, SHORT, LONG, RATIO, SIGNED_RATIO = 1, 2, 3, 4, 5, 10
CODES = {BYTES: "B", TEXT: "B", SHORT: "H", LONG: "I", RATIO: "I", SIGNED_RATIO: "i"}


def directory(at: int, tags: dict[int, tuple[int, list[int]]]) -> bytes:
    """A directory of TIFF that lies there, with its values behind it."""
    entries, behind = b"", b""
    end = at + 6 + 12 * len(tags)
    for tag, (kind, values) in sorted(tags.items()):
        word = struct.pack(f"<{len(values)}{CODES[kind]}", *values)
        count = len(values) // 2 if kind in (RATIO, SIGNED_RATIO) else len(values)
        if len(word) > 4:
            word, behind = (
                struct.pack("<I", end + len(behind)),
                behind + word + bytes(len(word) % 2),
            )
        entries += struct.pack("<HHI", tag, kind, count) + word.ljust(4, b"\0")
    return struct.pack("<H", len(tags)) + entries + bytes(4) + behind


def dng(width: int = 96, height: int = 64, turned: int = 6) -> bytes:
    """A raw file with a red left half and a blue right half, as a camera held upright keeps it."""
    sensor = np.full((height, width), 1000, "<u2")
    sensor[0::2, 0 : width // 2 : 2] = 30000  # red sites
    sensor[1::2, width // 2 + 1 :: 2] = 30000  # blue sites
    unit = [10000 if i % 4 == 0 else 0 for i in range(9)]
    exif = directory(8, {33434: (RATIO, [1, 250]), 37500: (BYTES, [7] * 40)})
    start = 8 + len(exif)
    tags = {
        254: (LONG, [0]),
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [16]),
        259: (SHORT, [1]),
        262: (SHORT, [32803]),
        271: (TEXT, [*b"Nobody", 0]),
        272: (TEXT, [*b"One", 0]),
        273: (LONG, [0]),
        274: (SHORT, [turned]),
        277: (SHORT, [1]),
        278: (LONG, [height]),
        279: (LONG, [sensor.nbytes]),
        33421: (SHORT, [2, 2]),
        33422: (BYTES, [0, 1, 1, 2]),
        34665: (LONG, [8]),
        50706: (BYTES, [1, 4, 0, 0]),
        50708: (TEXT, [*b"Nobody One", 0]),
        50717: (LONG, [32768]),
        50721: (SIGNED_RATIO, [n for value in unit for n in (value, 10000)]),
        50728: (RATIO, [1, 1, 1, 1, 1, 1]),
        50778: (SHORT, [21]),
    }
    tags[273] = (LONG, [start + len(directory(start, tags))])
    return struct.pack("<2sHI", b"II", 42, start) + exif + directory(start, tags) + sensor.tobytes()


class Broken(Exception):
    """As LibRaw's errors come: with bytes for words."""


class Raw:
    sizes = SimpleNamespace(width=6, height=4)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def postprocess(self, use_camera_wb: bool, output_bps: int) -> np.ndarray:
        assert use_camera_wb and output_bps == 8
        return np.arange(72, dtype=np.uint8).reshape(4, 6, 3)


@pytest.fixture
def rawpy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package with the interface of rawpy."""
    module = ModuleType("rawpy")
    module.LibRawError = Broken  # type: ignore[attr-defined]

    def imread(file: io.BufferedIOBase) -> Raw:
        if len(file.read()) < 500:
            raise Broken(b"Unexpected end of file")
        return Raw()

    module.imread = imread  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rawpy", module)
    return module


def test_a_raw_file_is_developed_with_a_word(rawpy: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "photo.dng").write_bytes(dng())
    with pytest.warns(UserWarning, match="LibRaw's defaults.*not kept: the maker's notes"):
        picture = read(tmp_path / "photo.dng")
    assert to_array(picture).shape == (4, 6, 3) and to_array(picture)[3, 5, 2] == 71
    exif = Image.Exif()
    exif.load(picture.exif)
    assert exif[ExifTags.Base.Make] == "Nobody" and exif.get(ExifTags.Base.Orientation) is None
    assert set(exif) == {ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.IFD.Exif}
    assert dict(exif.get_ifd(ExifTags.IFD.Exif)) == {ExifTags.Base.ExposureTime: 0.004}


def test_the_command_takes_a_raw_file(rawpy: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "photo.dng").write_bytes(dng())
    assert cli.picoenc([str(tmp_path / "photo.dng"), str(tmp_path / "photo.pico")]) == 0
    assert picocodec.decode(tmp_path / "photo.pico").shape == (4, 6, 3)


def test_what_libraw_cannot_read_is_refused_in_its_words(rawpy: ModuleType) -> None:
    with pytest.raises(UnsupportedImage, match="Unexpected end of file.*darktable"):
        read(io.BytesIO(b"FUJIFILMCCD-RAW " + bytes(100)))


def test_too_large_raw_files_are_not_developed(
    rawpy: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 23)
    with pytest.raises(LimitExceeded, match="6x4 pixels"):
        read(io.BytesIO(dng()))


def test_without_the_package_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(UnsupportedImage, match="pip install rawpy.*darktable"):
        read(io.BytesIO(dng()))


def test_libraw_itself_develops_it_upright() -> None:
    pytest.importorskip("rawpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pixels = to_array(read(io.BytesIO(dng()))).astype(int)
        as_stored = to_array(read(io.BytesIO(dng(turned=1)))).astype(int)
    assert as_stored.shape == (64, 96, 3) and pixels.shape == (96, 64, 3)
    red, blue = pixels[20, 32], pixels[76, 32]
    assert red[0] > 2 * max(red[1:]) and blue[2] > 2 * max(blue[:2])
    with pytest.raises(UnsupportedImage, match="cannot develop"):
        read(io.BytesIO(b"FUJIFILMCCD-RAW " + bytes(100)))
