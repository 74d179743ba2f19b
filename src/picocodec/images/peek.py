"""What Pillow and its plug-ins convert without a word, found in the first bytes of a file: more
than 8 bits a channel, and colours that code points describe instead of a profile."""

from __future__ import annotations

HEAD = 1 << 16  # bytes of a file to look at

_JXL_CODESTREAM, _JXL_CONTAINER = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
_J2K = b"\xff\x4f\xff\x51"  # start of codestream, and the marker of its size segment


def bits_per_channel(head: bytes) -> int:
    """Of AVIF (AV1 in ISOBMFF, 2.3), HEIC (ISO 14496-15, 8.3.3), JPEG 2000 (ISO 15444-1, A.5.1)
    and JPEG XL (ISO 18181-1, D); 8 for whatever else, or what cannot be told."""
    if head[4:8] == b"ftyp":
        if 0 < (at := head.find(b"av1C")) < len(head) - 6:
            high, twelve = head[at + 6] & 0x40, head[at + 6] & 0x20
            return 12 if high and twelve else 10 if high else 8
        if 0 < (at := head.find(b"hvcC")) < len(head) - 21:
            return 8 + (head[at + 21] & 7)
    elif head.startswith(_J2K) or head[4:8] == b"jP  ":
        if 0 <= (at := head.find(_J2K)) < len(head) - 42:
            return (head[at + 42] & 0x7F) + 1
    elif head.startswith(_JXL_CODESTREAM):
        return _bits_of_jxl(head[2:])
    elif head.startswith(_JXL_CONTAINER) and (at := head.find(b"jxlc")) > 0:
        return _bits_of_jxl(head[at + 6 :])
    elif head.startswith(_JXL_CONTAINER) and (at := head.find(b"jxlp")) > 0:
        return _bits_of_jxl(head[at + 10 :])
    return 8


def code_points(head: bytes) -> tuple[int, int]:
    """Colour primaries and transfer characteristics as ITU-T H.273 numbers them, from AVIF, HEIC
    or PNG; (2, 2), "unspecified", where there are none."""
    if head[4:8] == b"ftyp" and (at := head.find(b"colrnclx")) > 0:
        return int.from_bytes(head[at + 8 : at + 10]), int.from_bytes(head[at + 10 : at + 12])
    if head.startswith(b"\x89PNG") and 0 < (at := head.find(b"\0\0\0\4cICP")) < len(head) - 10:
        return head[at + 8], head[at + 9]
    return 2, 2


def _bits_of_jxl(codestream: bytes) -> int:
    """From a codestream behind its signature: its size and what metadata precede the depth."""
    stream = int.from_bytes(codestream[:64], "little")

    def take(count: int) -> int:
        nonlocal stream
        value = stream & ((1 << count) - 1)
        stream >>= count
        return value

    def size() -> None:
        small = take(1)
        for is_width in (False, True):
            if is_width and take(3):  # a known ratio to the height
                return
            take(5 if small else (9, 13, 18, 30)[take(2)])

    size()
    if take(1):  # all default
        return 8
    if take(1):  # extra fields
        take(3)  # orientation
        if take(1):
            size()
        if take(2):  # a preview or an animation: their headers are not parsed here
            return 8
    if take(1):  # floating point
        return 32
    selector = take(2)
    return (8, 10, 12)[selector] if selector < 3 else 1 + take(6)
