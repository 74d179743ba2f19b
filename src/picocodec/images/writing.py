"""Image files, written as their rows come.

PNG, PPM and NPY go to the file row by row, so that a picture of any size needs little memory; the
other formats are Pillow's to write, which needs the whole picture.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picocodec.errors import UnsupportedImage
from picocodec.images.picture import pillow_info
from picocodec.pipeline import Progress

# File name extensions, and Pillow's names for their formats.
FORMATS = {
    "png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP", "tif": "TIFF", "tiff": "TIFF",
    "ppm": "PPM", "pgm": "PPM", "bmp": "BMP", "npy": "NPY",
}  # fmt: skip
_HOLD_ALPHA = {"PNG", "WEBP", "TIFF", "NPY"}
_HOLD_METADATA = {"PNG", "JPEG", "WEBP", "TIFF"}
# A decoded picture should not lose again what the codec has kept.
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"lossless": True, "exact": True},
}
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by channels
_XMP_TAG = 700

Rows = NDArray[np.uint8]


class Source(Protocol):
    """A picture whose rows come: its size in pixels, its channels, its metadata, and then the rows,
    `[n, width, channels]`, from the top."""

    width: int
    height: int
    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None

    @property
    def channels(self) -> int: ...

    def rows(self, progress: Progress | None = None) -> Iterator[Rows]: ...


class Writer(Protocol):
    """Takes rows `[n, width, channels]` of a picture from the top, and then its end."""

    def write(self, rows: Rows) -> None: ...

    def close(self) -> None: ...


def write_picture(
    stream: BinaryIO, extension: str, picture: Source, progress: Progress | None = None
) -> None:
    """Decode a picture into an image file, row of tiles by row of tiles; errors are those of
    `open_writer` and of the picture's `rows`."""
    writer = open_writer(
        stream,
        extension,
        picture.width,
        picture.height,
        picture.channels,
        icc=picture.icc,
        exif=picture.exif,
        xmp=picture.xmp,
    )
    for rows in picture.rows(progress):
        writer.write(rows)
    writer.close()


def open_writer(
    stream: BinaryIO,
    extension: str,
    width: int,
    height: int,
    channels: int,
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
) -> Writer:
    """Begin an image file on a seekable binary stream; `extension`, without a dot, is a key of
    `FORMATS`; `channels` is 1 (gray), 2 (with alpha), 3 (RGB) or 4. JPEG is written at its
    quality 95, everything else without loss.

    Metadata that the format cannot hold is dropped with a warning. Raises `UnsupportedImage`,
    here or when the file is closed, for an unknown extension, for transparency that the format
    cannot hold, and for pictures or metadata too large for it.
    """
    format = FORMATS.get(extension.lower())
    if format is None:
        raise UnsupportedImage(f"no format {extension!r}; known are {', '.join(FORMATS)}")
    if channels in (2, 4) and format not in _HOLD_ALPHA:
        raise UnsupportedImage(
            f"{format} cannot hold the picture's transparency: write PNG, WebP or TIFF"
        )
    info = pillow_info(icc, exif, xmp)
    if info and format not in _HOLD_METADATA:
        warnings.warn(f"{format} cannot hold {', '.join(info)}: dropped", stacklevel=2)
    if format == "PNG":
        return _Png(stream, width, height, channels, icc, exif, xmp)
    if format == "PPM":
        stream.write(b"P%d\n%d %d\n255\n" % (5 if channels == 1 else 6, width, height))
        return _Raw(stream)
    if format == "NPY":
        shape = (height, width) if channels == 1 else (height, width, channels)
        description = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, description)
        return _Raw(stream)
    return _Pillow(stream, format, (width, height), _MODES[channels], info)


class _Raw:
    """Nothing but pixels, behind a header that is written already."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def write(self, rows: Rows) -> None:
        self.stream.write(np.ascontiguousarray(rows).data)

    def close(self) -> None:
        pass


class _Png:
    """PNG (W3C, third edition), each row as its difference from the one above.

    At zlib's fastest that is smaller than what choosing a filter for each row gives, in half the
    time: a decoded picture should not wait for its file.
    """

    _COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels
    _UP = 2  # the number of the filter

    def __init__(
        self,
        stream: BinaryIO,
        width: int,
        height: int,
        channels: int,
        icc: bytes | None,
        exif: bytes | None,
        xmp: bytes | None,
    ) -> None:
        self.stream = stream
        self.deflate = zlib.compressobj(1)
        self.above = np.zeros((1, width * channels), np.uint8)
        stream.write(b"\x89PNG\r\n\x1a\n")
        colour_type = self._COLOUR_TYPES[channels]
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0))
        if icc:
            self._chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc))
        if exif:
            self._chunk(b"eXIf", exif)
        if xmp:
            self._chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)

    def write(self, rows: Rows) -> None:
        flat = rows.reshape(len(rows), -1)
        filtered = np.empty((len(flat), 1 + flat.shape[1]), np.uint8)
        filtered[:, 0] = self._UP
        np.subtract(flat[:1], self.above, out=filtered[:1, 1:])
        np.subtract(flat[1:], flat[:-1], out=filtered[1:, 1:])
        self.above = flat[-1:].copy()
        self._chunk(b"IDAT", self.deflate.compress(filtered.data))

    def close(self) -> None:
        self._chunk(b"IDAT", self.deflate.flush())
        self._chunk(b"IEND", b"")

    def _chunk(self, kind: bytes, data: bytes) -> None:
        crc = zlib.crc32(data, zlib.crc32(kind))
        self.stream.write(struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", crc))


class _Pillow:
    """What Pillow writes, at the end."""

    def __init__(
        self,
        stream: BinaryIO,
        format: str,
        size: tuple[int, int],
        mode: str,
        info: dict[str, bytes],
    ) -> None:
        self.stream, self.format, self.info = stream, format, info
        self.image = Image.new(mode, size)
        self.top = 0

    def write(self, rows: Rows) -> None:
        band = Image.fromarray(rows[:, :, 0] if rows.shape[2] == 1 else rows)
        self.image.paste(band, (0, self.top))
        self.top += len(rows)

    def close(self) -> None:
        try:
            options = _OPTIONS.get(self.format, {}) | self.info
            if self.format == "TIFF":
                # Pillow wants EXIF as tags there, without the prefix that its other writers want.
                options["exif"] = Image.Exif()
                if "exif" in self.info:
                    options["exif"].load(self.info["exif"])
                if "xmp" in self.info:
                    options["exif"][_XMP_TAG] = self.info["xmp"]
            self.image.save(self.stream, self.format, **options)
        except MemoryError:
            raise
        except Exception as error:  # Pillow's writers raise almost anything on damaged metadata
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise UnsupportedImage(
                f"the picture cannot be written as {self.format}: {error}"
            ) from None
