"""PNG (W3C, third edition), chunk by chunk."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from picocodec.images.containers.survey import (
    TRUNCATED,
    Calibration,
    CodePoints,
    Data,
    Density,
    Survey,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp"
TOO_LONG = "PngImagePlugin.MAX_TEXT"  # in what Pillow says of texts and profiles over its limit
_MOST = 1 << 26  # bytes that one text or profile may unfold to
_PIECE = 1 << 20  # bytes whose checksum is taken at once

# sRGB's own numbers, and how near others have to be to mean the same.
_SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_NEAR_POINT, _NEAR_GAMMA = 0.002, 0.01
_PLAIN = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"bKGD", b"hIST", b"sBIT", b"tIME",
          b"sPLT", b"acTL", b"fcTL", b"fdAT", b"oFFs", b"CgBI", b"mDCV", b"cLLI", b"iDOT",
          b"vpAg"}  # fmt: skip
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_NUMBERS = {b"IHDR", b"tRNS", b"pHYs", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"}


@dataclass(frozen=True)
class Chunk:
    kind: bytes
    at: int  # of its data
    length: int


def survey(data: Data) -> Survey:
    """What the chunks of a PNG file say."""
    found = Survey()
    chunks = list(_chunks(data, found))
    found.has_icc = any(chunk.kind == b"iCCP" for chunk in chunks)
    texts: list[str] = []
    numbers: dict[bytes, bytes] = {}
    for chunk in chunks:
        # Pixels need not come to be in memory here.
        body = b"" if chunk.kind in _PLAIN - _NUMBERS else _body(data, chunk)
        if chunk.kind in _TEXTS:
            _take_text(found, chunk.kind, body, texts)
        elif chunk.kind == b"eXIf":
            found.exif = body.removeprefix(b"Exif\0\0")
        elif chunk.kind == b"caBX":
            found.drop("content credentials (C2PA)")
        elif chunk.kind in _NUMBERS:
            numbers.setdefault(chunk.kind, body)
        elif chunk.kind not in _PLAIN:
            found.drop(f"the chunk {chunk.kind.decode('latin-1')!r}")
    if texts:
        found.drop("texts " + ", ".join(texts) if len(texts) > 1 else f"the text {texts[0]}")
    _take_numbers(found, numbers)
    if not found.icc:
        found.icc = inflated(numbers.get(b"iCCP", b"").partition(b"\0")[2][1:])
    return found


def without_texts(data: Data) -> bytes:
    """A file without what Pillow may find too long, and `survey` has taken already."""
    kept = [c for c in _chunks(data, Survey()) if c.kind not in (*_TEXTS, b"iCCP")]
    return SIGNATURE + b"".join(data[c.at - 8 : c.at + c.length + 4] for c in kept)


def _body(data: Data, chunk: Chunk) -> bytes:
    return data[chunk.at : chunk.at + chunk.length]


def _chunks(data: Data, found: Survey) -> Iterator[Chunk]:
    """Chunks to the end of the picture; what is wrong with them is noted."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        end = at + 8 + length
        if end + 4 > len(data):
            break
        crc = zlib.crc32(kind)
        for start in range(at + 8, end, _PIECE):
            crc = zlib.crc32(data[start : min(start + _PIECE, end)], crc)
        if crc != int.from_bytes(data[end : end + 4]):
            found.fault = f"its chunk {kind.decode('latin-1')!r} does not match its checksum"
            return
        yield Chunk(kind, at + 8, length)
        if kind == b"IEND":
            found.drop_behind(data, end + 4)
            return
        at = end + 4
    found.fault = TRUNCATED


def _take_numbers(found: Survey, chunks: dict[bytes, bytes]) -> None:
    if len(header := chunks.get(b"IHDR", b"")) == 13:
        found.depth = max(8, header[8])
        gray = chunks.get(b"tRNS", b"")
        if header[9] == 0 and header[8] in (2, 4) and len(gray) == 2:
            # Pillow compares it, as it is, with pixels stretched to eight bits.
            most = (1 << header[8]) - 1
            found.transparent = (int.from_bytes(gray) & most) * 255 // most
    if len(size := chunks.get(b"pHYs", b"")) == 9:
        x, y, unit = struct.unpack(">IIB", size)
        # A metre has 100 centimetres; software writes inches, rounded to whole pixels a metre.
        scale = (39.37, 2) if unit == 1 else (1, 1)
        found.density = Density(x / scale[0], y / scale[0], int(scale[1]))
    if len(code := chunks.get(b"cICP", b"")) == 4:
        found.code_points = CodePoints(code[0], code[1], code[3] == 1)
        found.is_srgb = (code[0], code[1], code[3]) == (1, 13, 1)
    elif b"iCCP" not in chunks and b"sRGB" not in chunks:
        found.calibration = _calibration(chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b""))


def _calibration(gamma: bytes, points: bytes) -> Calibration | None:
    value = int.from_bytes(gamma) / 100_000 if len(gamma) == 4 else 0.0
    xy = [v / 100_000 for v in struct.unpack(">8I", points)] if len(points) == 32 else []
    return calibration(value, xy)


def calibration(gamma: float, points: list[float]) -> Calibration | None:
    """What gAMA (0: nothing) and cHRM (eight numbers: x, y of white, red, green, blue; or none)
    say, unless that is nonsense, or sRGB: software writes 1/2.2 where it means that."""
    if points and max(abs(a - b) for a, b in zip(points, _SRGB, strict=True)) < _NEAR_POINT:
        points = []
    if points and not all(y > 0 for y in points[1::2]):
        points = []
    if not points and (not gamma or abs(gamma - 1 / 2.2) < _NEAR_GAMMA):
        return None
    if not points:
        return Calibration(gamma)
    return Calibration(gamma or None, *zip(points[::2], points[1::2], strict=True))


def _take_text(found: Survey, kind: bytes, body: bytes, texts: list[str]) -> None:
    """XMP, EXIF and profiles that texts carry; the name of any other text."""
    keyword, _, rest = body.partition(b"\0")
    text: bytes | None = rest
    if kind == b"zTXt":
        text = inflated(rest[1:])
    elif kind == b"iTXt" and len(rest) >= 2:
        language_and_more = rest[2:].split(b"\0", 2)
        text = language_and_more[2] if len(language_and_more) == 3 else None
        if text is not None and rest[0]:
            text = inflated(text)
    lower = keyword.lower()
    if text is not None and keyword == XMP_KEYWORD:
        found.xmp = text
        return
    if text is not None and lower.startswith(b"raw profile type "):
        profile, name = _raw_profile(text), lower.rpartition(b" ")[2]
        if profile and name in (b"exif", b"app1") and profile.startswith((b"Exif\0\0", *_TIFF)):
            found.exif = found.exif or profile.removeprefix(b"Exif\0\0")
            return
        if profile and name in (b"xmp", b"app1") and b"<x:xmpmeta" in profile:
            found.xmp = found.xmp or profile[profile.index(b"<x:xmpmeta") :]
            return
        if profile and name in (b"icc", b"icm"):
            found.icc = profile
            return
    texts.append(repr(keyword.decode("latin-1")))


_TIFF = (b"II*\0", b"MM\0*")


def inflated(data: bytes) -> bytes | None:
    """What was compressed by zlib; None for what is damaged or too long."""
    with suppress(zlib.error):
        stream = zlib.decompressobj()
        text = stream.decompress(data, _MOST)
        return text if stream.eof else None
    return None


def _raw_profile(text: bytes) -> bytes | None:
    """A profile as ImageMagick writes it: its name, its length, hexadecimal digits."""
    words = text.split()
    try:
        length = int(words[1])
        profile = bytes.fromhex(b"".join(words[2:]).decode("ascii"))
    except (IndexError, ValueError):
        return None
    return profile if len(profile) == length else None
