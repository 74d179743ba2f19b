"""What a file carries beside its colours: ICC profile, EXIF, XMP, alpha (docs/format.md, 5)."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from mmap import mmap
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picocodec.errors import CorruptChunk, PicoError, UnsupportedImage, tolerate
from picocodec.format import container
from picocodec.format.container import Header
from picocodec.images import exif
from picocodec.images.containers import xmp
from picocodec.images.picture import Picture

ICC, EXIF, XMP, ALPHA = b"iccp", b"exif", b"xmp ", b"alph"
MAX_METADATA_BYTES = 1 << 26  # of one item, decompressed


@dataclass(frozen=True)
class Metadata:
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    alpha: bytes | None = None  # as it lies in the file, for `read_alpha`

    @property
    def has_alpha(self) -> bool:
        """Whether the file has alpha, whole or not."""
        return self.alpha is not None


def chunks_of(picture: Picture) -> list[tuple[bytes, bytes]]:
    """The chunks that carry a picture's metadata and alpha, compressed without loss.

    Raises `UnsupportedImage` for metadata over the limit that readers keep to.
    """
    chunks = []
    for kind, data in ((ICC, picture.icc), (EXIF, picture.exif), (XMP, picture.xmp)):
        if data and len(data) > MAX_METADATA_BYTES:
            raise UnsupportedImage(
                f"the picture's {kind.decode().strip()} data has {len(data)} bytes, more than the "
                f"{MAX_METADATA_BYTES} that a file may hold: leave it out"
            )
        if data:
            chunks.append((kind, zlib.compress(data, 9)))
    if picture.alpha is not None:
        out = io.BytesIO()
        Image.fromarray(picture.alpha).save(out, "PNG", optimize=True)
        chunks.append((ALPHA, out.getvalue()))
    for kind, data in chunks:
        if len(data) > container.MAX_CHUNK_BYTES:
            raise UnsupportedImage(
                f"the picture's {kind.decode().strip()} data needs {len(data)} bytes compressed, "
                f"more than the {container.MAX_CHUNK_BYTES} that a file may hold"
            )
    return chunks


class HasMetadata(Protocol):
    """A picture, or one about to be decoded."""

    @property
    def width(self) -> int:
        """In pixels."""

    @property
    def height(self) -> int:
        """In pixels."""

    exif: bytes | None
    xmp: bytes | None


def as_part(picture: HasMetadata) -> None:
    """Let the metadata of a crop, or of a reduced picture, be its own: no thumbnail of the whole
    in EXIF and XMP, and its own sides in EXIF."""
    picture.exif = picture.exif and exif.of_part(picture.exif, picture.width, picture.height)
    picture.xmp = picture.xmp and xmp.without_thumbnails(picture.xmp)


def read_metadata(
    header: Header, data: bytes | mmap, damage: list[PicoError] | None = None
) -> Metadata:
    """The metadata of a file; raises `Truncated` or `CorruptChunk`, or notes that in `damage`
    and leaves the item out."""
    if not header.chunks:
        return Metadata()
    chunks = container.chunk_data(header, data, damage)
    items: dict[bytes, bytes] = {}
    for kind in (ICC, EXIF, XMP):
        if kind in chunks:
            with tolerate(damage):
                items[kind] = _inflate(chunks[kind], kind.decode().strip())
    return Metadata(items.get(ICC), items.get(EXIF), items.get(XMP), chunks.get(ALPHA))


def read_alpha(header: Header, png: bytes) -> NDArray[np.uint8]:
    """The alpha channel `[H, W]` from the data of its chunk; raises `CorruptChunk`."""
    if not _is_plain_png(png, header):
        raise CorruptChunk("the alpha chunk is not a plain gray PNG file of the picture's size")
    from PIL import PngImagePlugin  # here, since few pictures need it

    try:
        # Not `Image.open`: the limit of pixels in force is that of the picture, not Pillow's.
        with PngImagePlugin.PngImageFile(io.BytesIO(png)) as image:
            return np.array(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise CorruptChunk(f"the alpha chunk cannot be read: {error}") from None


def _is_plain_png(png: bytes, header: Header) -> bool:
    """Whether it says 8-bit gray, of the picture's size, not interlaced, and has no chunks beside
    its pixels': text or a profile could unfold to a thousand times their length."""
    start = struct.pack(">8sI4sII5B", b"\x89PNG\r\n\x1a\n", 13, b"IHDR",
                        header.width, header.height, 8, 0, 0, 0, 0)  # fmt: skip
    at, kinds = 8, set()
    while at + 12 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        kinds.add(kind)
        at += 12 + length
    return png.startswith(start) and kinds == {b"IHDR", b"IDAT", b"IEND"} and at == len(png)


def _inflate(compressed: bytes, name: str) -> bytes:
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(compressed, MAX_METADATA_BYTES + 1)
    except zlib.error as error:
        raise CorruptChunk(f"the {name} chunk cannot be decompressed: {error}") from None
    if not stream.eof or stream.unused_data or len(data) > MAX_METADATA_BYTES:
        raise CorruptChunk(f"the {name} chunk is incomplete, too long, or over the limit")
    return data
