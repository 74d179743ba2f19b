"""JPEG XL (ISO/IEC 18181): boxes, and the beginning of the codestream."""

from __future__ import annotations

from dataclasses import dataclass

from picocodec.images.containers.directories import STARTS
from picocodec.images.containers.isobmff import boxes
from picocodec.images.containers.survey import TRUNCATED, Data, Survey

CODESTREAM, CONTAINER = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
_COMPRESSED = {b"Exif": {"EXIF"}, b"xml ": {"XMP"}}  # by Brotli: what is in such boxes
_KINDS = {b"JXL ", b"ftyp", b"jxll", b"jxli", b"jxlc", b"jxlp", b"jbrd", b"Exif", b"xml ", b"jhgm",
          b"jumb", b"brob", b"free", b"skip"}  # fmt: skip
_START = 256  # bytes of a codestream that hold all that is read here


def survey(data: Data) -> Survey:
    """What a JPEG XL file says, in boxes or without."""
    found = Survey(is_turned=True)
    stream = b""
    if data[:2] == CODESTREAM:
        stream = data[:_START]
    else:
        for box in boxes(data, 0, len(data)):
            body = data[box.at : min(box.end, len(data))]
            if box.kind not in _KINDS:
                found.drop("data of an unknown kind")
            elif box.end > len(data):
                found.fault = TRUNCATED
            if box.kind == b"jxlc" and not stream:
                stream = body[:_START]
            elif box.kind == b"jxlp" and len(stream) < _START:
                stream += body[4:_START]
            elif box.kind == b"Exif":
                found.exif = found.exif or _exif(body)
            elif box.kind == b"xml ":
                found.xmp = found.xmp or body
            elif box.kind == b"jhgm":
                found.drop("an HDR gain map")
            elif box.kind == b"jumb":
                found.drop("content credentials (C2PA)")
            elif box.kind == b"brob":
                found.compressed |= _COMPRESSED.get(body[:4], set())
            elif box.kind == b"jbrd":
                found.is_turned = False  # a JPEG once more, with its own EXIF
    if stream[:2] == CODESTREAM:
        try:
            head = _head(_Bits(stream[2:]))
        except EOFError:
            return found
        found.depth = max(8, head.depth)
        if head.is_animated:
            found.drop("further frames")
    return found


def _exif(body: bytes) -> bytes | None:
    """EXIF behind its place in the box (18181-2, 9.3), which some software leaves out."""
    if body[:4] not in STARTS:
        body = body[4 + int.from_bytes(body[:4]) :]
    return body or None


@dataclass
class _Head:
    depth: int = 8
    is_animated: bool = False


class _Bits:
    """Bits of a stream, lowest first; what lies beyond its end is an `EOFError`."""

    def __init__(self, stream: bytes) -> None:
        self._stream, self._left = int.from_bytes(stream, "little"), 8 * len(stream)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise EOFError
        value = self._stream & ((1 << count) - 1)
        self._stream >>= count
        return value

    def number(self, *choices: tuple[int, int]) -> int:
        """One of four forms (ISO/IEC 18181-1, B.2.2): so much, and the value of so many bits."""
        base, bits = choices[self.take(2)]
        return base + self.take(bits)

    def size(self) -> None:
        """The sides of a picture."""
        is_small = self.take(1)
        for is_width in (False, True):
            if is_width and self.take(3):  # a known ratio to the height
                return
            if is_small:
                self.take(5)
            else:
                self.number((1, 9), (1, 13), (1, 18), (1, 30))

    def preview_size(self) -> None:
        is_in_eights = self.take(1)
        for is_width in (False, True):
            if is_width and self.take(3):
                return
            if is_in_eights:
                self.number((16, 0), (32, 0), (1, 5), (33, 9))
            else:
                self.number((1, 6), (65, 8), (321, 10), (1345, 12))


def _head(bits: _Bits) -> _Head:
    """The size and what follows it, up to the bit depth."""
    head = _Head()
    bits.size()
    if bits.take(1):  # all default
        return head
    if bits.take(1):  # extra fields
        bits.take(3)  # orientation
        if bits.take(1):  # intrinsic size
            bits.size()
        if bits.take(1):
            bits.preview_size()
        if bits.take(1):
            head.is_animated = True
            bits.number((100, 0), (1000, 0), (1, 10), (1, 30))  # ticks a second
            bits.number((1, 0), (1001, 0), (1, 8), (1, 10))
            bits.number((0, 0), (0, 3), (0, 16), (0, 32))  # loops
            bits.take(1)  # whether it has time codes
    if bits.take(1):  # floating point
        head.depth = bits.number((32, 0), (16, 0), (24, 0), (1, 6))
        head.depth = max(16, head.depth)
    else:
        head.depth = bits.number((8, 0), (10, 0), (12, 0), (1, 6))
    return head
