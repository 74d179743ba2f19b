"""What a file carries beside its colours: ICC profile, EXIF, XMP, alpha (docs/format.md, 5)."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picocodec.errors import CorruptChunk, UnsupportedImage
from picocodec.format import container
from picocodec.format.container import Header
from picocodec.image import Picture

ICC, EXIF, XMP, ALPHA = b"iccp", b"exif", b"xmp ", b"alph"
MAX_METADATA_BYTES = 1 << 26  # of one item, decompressed


@dataclass(frozen=True)
class Metadata:
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    has_alpha: bool = False


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
    return chunks


def read_metadata(header: Header, data: bytes) -> Metadata:
    """The metadata of a file; raises `Truncated` or `CorruptChunk`."""
    if not header.chunks:
        return Metadata()
    chunks = container.chunk_data(header, data)
    return Metadata(
        icc=_inflate(chunks, ICC),
        exif=_inflate(chunks, EXIF),
        xmp=_inflate(chunks, XMP),
        has_alpha=ALPHA in chunks,
    )


def read_alpha(header: Header, data: bytes) -> NDArray[np.uint8] | None:
    """The alpha channel `[H, W]`, or None; raises `Truncated` or `CorruptChunk`."""
    if all(chunk.kind != ALPHA for chunk in header.chunks):
        return None
    png = container.chunk_data(header, data)[ALPHA]
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if image.size != (header.width, header.height) or image.mode != "L":
                raise CorruptChunk("the alpha chunk is not a gray picture of the picture's size")
            return np.array(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise CorruptChunk(f"the alpha chunk cannot be read: {error}") from None


def _inflate(chunks: dict[bytes, bytes], kind: bytes) -> bytes | None:
    if kind not in chunks:
        return None
    name = kind.decode().strip()
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(chunks[kind], MAX_METADATA_BYTES)
    except zlib.error as error:
        raise CorruptChunk(f"the {name} chunk cannot be decompressed: {error}") from None
    if not stream.eof or stream.unused_data:
        raise CorruptChunk(f"the {name} chunk is incomplete, too long, or over the limit")
    return data
