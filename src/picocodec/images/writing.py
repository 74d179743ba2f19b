"""Image files, written as their rows come.

PNG, PPM and NPY go to the file row by row, so that a picture of any size needs little memory; the
other formats are Pillow's to write, which needs the whole picture.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picocodec.errors import UnsupportedImage
from picocodec.images import exif as exif_bytes
from picocodec.images.containers import xmp as xmp_packets
from picocodec.images.containers.survey import Density
from picocodec.images.orientation import UPRIGHT, turned, turned_size
from picocodec.images.picture import EXIF_PREFIX, pillow_info
from picocodec.images.plugins import need_writer
from picocodec.pipeline import Progress

# File name extensions, and Pillow's names for their formats.
FORMATS = {
    "png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP", "avif": "AVIF", "heic": "HEIF",
    "heif": "HEIF", "jxl": "JXL", "tif": "TIFF", "tiff": "TIFF", "ppm": "PPM", "pgm": "PPM",
    "bmp": "BMP", "npy": "NPY",
}  # fmt: skip
LOSSY = frozenset({"JPEG", "WEBP", "AVIF", "HEIF", "JXL"})  # of them, those that have a quality
_HOLD_ALPHA = {"PNG", "WEBP", "AVIF", "HEIF", "JXL", "TIFF", "NPY"}
_ALL = frozenset({"icc_profile", "exif", "xmp"})
_HELD = {
    "PNG": _ALL, "JPEG": _ALL, "WEBP": _ALL, "AVIF": _ALL, "HEIF": _ALL, "TIFF": _ALL,
    "JXL": _ALL - {"icc_profile"},  # which its plug-in does not write
}  # fmt: skip
# A picture in it is turned as its codestream says, which its plug-in leaves upright.
_IGNORE_ORIENTATION = {"JXL"}
_PARSE_EXIF = {"TIFF", "AVIF"}  # where Pillow reads EXIF that it is to write
_FINE = 90  # quality from which on colours are as sharp as brightness
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by channels
_XMP_TAG = 700
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_MOST_XMP = 65_458  # bytes of one segment, beside its length and signature of either kind

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
    def channels(self) -> int:
        """1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha."""

    @property
    def is_opaque(self) -> bool:
        """Whether there is no alpha, or all of it is 255."""

    def rows(self, progress: Progress | None = None) -> Iterator[Rows]:
        """Pixels uint8 `[n, width, channels]` from the top, once."""


class Writer(Protocol):
    """Takes rows `[n, width, channels]` of a picture from the top, and then its end."""

    def write(self, rows: Rows) -> None:
        """Take more rows, uint8 `[n, width, channels]`; raises `OSError`."""

    def close(self) -> None:
        """Write what is left; raises `OSError`."""


def write_picture(
    stream: BinaryIO,
    extension: str,
    picture: Source,
    progress: Progress | None = None,
    strip: Collection[str] = (),
    quality: int | None = None,
) -> None:
    """Decode a picture into an image file, row of tiles by row of tiles, without what `strip`
    names of "icc", "exif" and "xmp". Where the file holds no EXIF, pixels are turned as it says,
    which needs all of them in memory; where it holds no alpha, one that is opaque everywhere is
    left out. `quality` and errors are those of `open_writer`, and of the picture's `rows`."""
    kept = {n: getattr(picture, n) for n in ("icc", "exif", "xmp") if n not in strip}
    format = FORMATS.get(extension.lower())
    turns = format not in _IGNORE_ORIENTATION and "exif" in _HELD.get(format or "", ())
    turn = UPRIGHT if turns and "exif" in kept else exif_bytes.orientation(picture.exif)
    channels = picture.channels
    if channels in (2, 4) and format not in _HOLD_ALPHA and picture.is_opaque:
        channels -= 1
    if turn != UPRIGHT and kept.get("xmp"):
        kept["xmp"] = xmp_packets.upright(kept["xmp"])
    if turn != UPRIGHT and kept.get("exif"):
        kept["exif"] = exif_bytes.without_orientation(kept["exif"])
    size = turned_size(picture.width, picture.height, turn)
    writer = open_writer(stream, extension, *size, channels, quality=quality, **kept)
    if turn != UPRIGHT:
        writer = _Turned(writer, (picture.height, picture.width, channels), turn)
    for rows in picture.rows(progress):
        writer.write(rows[:, :, :channels])
    writer.close()


def open_writer(
    stream: BinaryIO,
    extension: str,
    width: int,
    height: int,
    channels: int,
    *,
    quality: int | None = None,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
) -> Writer:
    """Begin an image file on a seekable binary stream; `extension`, without a dot, is a key of
    `FORMATS`; `channels` is 1 (gray), 2 (with alpha), 3 (RGB) or 4. `quality`, 1 to 100, is that of
    a format among `LOSSY`, and nothing to the others; without it JPEG, AVIF and HEIC are written at
    their quality 95, everything else without loss.

    Metadata that the format cannot hold is dropped with a warning. Raises `UnsupportedImage`,
    here or when the file is closed, for an unknown extension, a format that is not installed,
    transparency that the format cannot hold, and for pictures or metadata too large for it.
    """
    format = FORMATS.get(extension.lower())
    if format is None:
        raise UnsupportedImage(f"no format {extension!r}; known are {', '.join(FORMATS)}")
    need_writer(format)
    if channels in (2, 4) and format not in _HOLD_ALPHA:
        raise UnsupportedImage(
            f"{format} cannot hold the picture's transparency: write PNG, WebP or TIFF"
        )
    if extension.lower() == "pgm" and channels > 1:
        raise UnsupportedImage(
            "a .pgm file holds gray only, and the picture is of colour: write .ppm"
        )
    info = pillow_info(icc, exif, xmp)
    if lost := info.keys() - _HELD.get(format, frozenset()):
        names = ", ".join(name for name in info if name in lost)
        warnings.warn(f"{format} cannot hold {names}: dropped", stacklevel=2)
        info = {name: data for name, data in info.items() if name not in lost}
    if format == "PNG":
        return _Png(stream, (width, height, channels), icc, exif, xmp)
    if format == "PPM":
        stream.write(b"P%d\n%d %d\n255\n" % (5 if channels == 1 else 6, width, height))
        return _Raw(stream)
    if format == "NPY":
        shape = (height, width) if channels == 1 else (height, width, channels)
        description = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, description)
        return _Raw(stream)
    options = _options(format, quality) | info
    density = exif_bytes.resolution(exif)
    if density is not None and density.unit > 1 and format in ("JPEG", "BMP"):
        scale = 2.54 if density.unit == 3 else 1
        options["dpi"] = round(density.x * scale), round(density.y * scale)
    return _Pillow(stream, format, (width, height), _MODES[channels], options)


def _options(format: str, quality: int | None) -> dict[str, Any]:
    """Pillow's for a quality; without one, a decoded picture should not lose again what the codec
    has kept."""
    if quality is None and format in ("WEBP", "JXL"):
        return {"lossless": True} | ({"exact": True} if format == "WEBP" else {})
    quality = 95 if quality is None else quality
    chroma = "4:4:4" if quality >= _FINE else "4:2:0"
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": quality, "subsampling": chroma},
        "AVIF": {"quality": quality, "subsampling": chroma},
        "HEIF": {"quality": quality, "chroma": int(chroma.replace(":", ""))},
        "WEBP": {"quality": quality, "exact": True},
        "JXL": {"quality": quality},
    }
    return options.get(format, {})


class _Turned:
    """Rows that are to be turned before they are written: all of them, at the end."""

    def __init__(self, writer: Writer, shape: tuple[int, int, int], orientation: int) -> None:
        self.writer, self.orientation = writer, orientation
        self.pixels, self.top = np.empty(shape, np.uint8), 0

    def write(self, rows: Rows) -> None:
        self.pixels[self.top : self.top + len(rows)] = rows
        self.top += len(rows)

    def close(self) -> None:
        self.writer.write(turned(self.pixels, self.orientation))
        self.writer.close()


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
        shape: tuple[int, int, int],  # width, height, channels
        icc: bytes | None,
        exif: bytes | None,
        xmp: bytes | None,
    ) -> None:
        self.stream = stream
        width, height, channels = shape
        self.deflate = zlib.compressobj(1)
        self.above = np.zeros((1, width * channels), np.uint8)
        stream.write(b"\x89PNG\r\n\x1a\n")
        colour_type = self._COLOUR_TYPES[channels]
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0))
        if icc:
            self._chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc))
        if (density := exif_bytes.resolution(exif)) is not None:
            self._chunk(b"pHYs", _pixels_per_metre(density))
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
        options: dict[str, Any],
    ) -> None:
        self.stream, self.format, self.options = stream, format, options
        self.image = Image.new(mode, size)
        self.top = 0

    def write(self, rows: Rows) -> None:
        band = Image.fromarray(rows[:, :, 0] if rows.shape[2] == 1 else rows)
        self.image.paste(band, (0, self.top))
        self.top += len(rows)

    def close(self) -> None:
        place = self.stream.tell()
        try:
            self._save(self.options)
        except _BrokenExif:
            warnings.warn(
                f"the EXIF is damaged, and {self.format} cannot hold it: dropped", stacklevel=3
            )
            self.stream.seek(place)
            self.stream.truncate()
            self._save({name: v for name, v in self.options.items() if name != "exif"})

    def _save(self, options: dict[str, Any]) -> None:
        options = dict(options)
        if self.format == "JPEG" and len(options.get("xmp", b"")) > _MOST_XMP:
            options |= _long_xmp(options["xmp"])
        try:
            if self.format == "TIFF":
                # Pillow wants EXIF as tags there, without the prefix that its other writers want.
                options["exif"] = _as_tags(options)
            self.image.save(self.stream, self.format, **options)
        except (MemoryError, _BrokenExif):
            raise
        except Exception as error:  # Pillow's writers raise almost anything on damaged metadata
            if isinstance(error, OSError) and error.errno is not None:
                raise
            if self.format in _PARSE_EXIF and "exif" in options:
                raise _BrokenExif from None
            way_out = ": leave it out (--strip), or write PNG" if "too long" in str(error) else ""
            raise UnsupportedImage(
                f"the picture cannot be written as {self.format}: {error}{way_out}"
            ) from None


class _BrokenExif(Exception):
    """Pillow cannot write it into a file of a format for which it reads it first."""


def _as_tags(info: dict[str, Any]) -> Image.Exif:
    tags = Image.Exif()
    if "exif" in info:
        if not exif_bytes.is_readable(info["exif"].removeprefix(EXIF_PREFIX)):
            raise _BrokenExif
        try:
            tags.load(info["exif"])
        except MemoryError:
            raise
        except Exception:  # almost anything, too
            raise _BrokenExif from None
    if "xmp" in info:
        tags[_XMP_TAG] = info["xmp"]
    return tags


def _long_xmp(packet: bytes) -> dict[str, bytes]:
    """Pillow's options for XMP of more than one JPEG segment; none for what is no XML."""
    if not xmp_packets.is_well_formed(packet):
        return {}
    main, bodies = xmp_packets.extended(packet, _MOST_XMP)
    segments = (_EXTENDED_XMP + body for body in bodies)
    extra = b"".join(b"\xff\xe1" + struct.pack(">H", len(s) + 2) + s for s in segments)
    return {"xmp": main, "extra": extra}


def _pixels_per_metre(density: Density) -> bytes:
    """The body of a pHYs chunk."""
    scale = {2: 1 / 0.0254, 3: 100.0}.get(density.unit, 1.0)
    x, y = (min(round(v * scale), (1 << 31) - 1) for v in (density.x, density.y))
    return struct.pack(">IIB", x, y, density.unit > 1)
