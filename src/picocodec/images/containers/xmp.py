"""XMP (ISO 16684): packets in pieces, and what they announce."""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass, field
from xml.parsers import expat

from picocodec.images.containers.survey import Survey

_RDF = re.compile(rb"<(?:[\w.-]+:)?RDF\b([^>]*)>(.*)</(?:[\w.-]+:)?RDF\s*>", re.DOTALL)
_NAMESPACE = re.compile(rb"""\sxmlns:[\w.-]+\s*=\s*(?:"[^"]*"|'[^']*')""")
_POINTER = re.compile(
    rb"""\s[\w.-]+:HasExtendedXMP\s*=\s*(?:"([^"]*)"|'([^']*)')"""
    rb"""|<[\w.-]+:HasExtendedXMP\s*>([^<]*)</[\w.-]+:HasExtendedXMP\s*>"""
)
_THUMBNAILS = re.compile(
    rb"<([\w.-]+:)?Thumbnails\b[^>]*?(?:/>|>.*?</([\w.-]+:)?Thumbnails\s*>)", re.DOTALL
)
_ORIENTATION = re.compile(rb"""(\btiff:Orientation(?:\s*=\s*["']|\s*>)\s*)[1-8](\s*["'<])""")
_POINTING = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/"'
    b' xmpNote:HasExtendedXMP="%s"/></rdf:RDF></x:xmpmeta>'
)
_MOST = 1 << 26
# What XMP says is in a file beside the picture; by what it is called there.
_ANNOUNCED = {
    "a video": (b"MotionPhoto", b"MicroVideo"),
    "an HDR gain map": (b"hdrgm:Version", b"HDRGainMapVersion"),
    "a depth map": (b"GDepth:", b"http://ns.google.com/photos/1.0/depthmap/", b"Semantic=\"Depth"),
    "further pictures": (b"Semantic=\"SecondaryImage",),
}  # fmt: skip


@dataclass
class Extension:
    """The part of XMP that did not fit into its JPEG segment, in pieces, by its MD5."""

    pieces: dict[bytes, dict[int, bytes]] = field(default_factory=dict)
    lengths: dict[bytes, int] = field(default_factory=dict)

    def add(self, body: bytes) -> None:
        """A segment behind its signature: 32 digits, the length of all, the place of these."""
        if len(body) < 40:
            return
        name = body[:32].upper()
        self.lengths[name] = min(int.from_bytes(body[32:36]), _MOST)
        place = int.from_bytes(body[36:40])
        self.pieces.setdefault(name, {})[place] = body[40:]

    def whole(self, name: bytes) -> bytes | None:
        """All of an extension; None if a piece is missing."""
        text = b""
        for place, piece in sorted(self.pieces.get(name, {}).items()):
            if place != len(text):
                return None
            text += piece
        return text if text and len(text) == self.lengths[name] else None


def joined(main: bytes | None, extension: Extension, found: Survey) -> bytes | None:
    """XMP with its extension in it, as one packet; if that cannot be made, the main part, and a
    note of what is lost."""
    pointer = _POINTER.search(main) if main else None
    if main is None or pointer is None:
        if extension.pieces:
            found.drop("extended XMP, to which nothing points")
        return main
    name = next(group for group in pointer.groups() if group is not None).strip().upper()
    more = extension.whole(name)
    if more is None:
        found.drop("extended XMP, parts of which are missing")
        return main
    ours, theirs = _RDF.search(main), _RDF.search(more)
    if ours and theirs:
        known = {_words(n) for n in _NAMESPACE.findall(main[: ours.start(2)])}
        new = [n for n in _NAMESPACE.findall(more[: theirs.start(2)]) if _words(n) not in known]
        whole = (
            main[: ours.end(1)]
            + b"".join(dict.fromkeys(new))
            + main[ours.end(1) : ours.end(2)]
            + theirs[2]
            + main[ours.end(2) :]
        )
        whole = _POINTER.sub(b"", whole, count=1)
        if is_well_formed(whole):
            return whole
    found.drop("extended XMP, which cannot be joined with the rest")
    return main


def _words(declaration: bytes) -> bytes:
    return b"".join(declaration.split()).replace(b"'", b'"')


def is_well_formed(packet: bytes) -> bool:
    """Whether it is XML with all namespaces declared, and no document type: entities could unfold
    to anything."""
    parser = expat.ParserCreate(namespace_separator=" ")
    refused: list[bool] = []
    parser.StartDoctypeDeclHandler = lambda *_: refused.append(True)
    try:
        parser.Parse(packet.rstrip(b"\0 \r\n\t"), True)
    except expat.ExpatError:
        return False
    return not refused


def announced(packet: bytes) -> list[str]:
    """What XMP says lies beside the picture."""
    return [what for what, names in _ANNOUNCED.items() if any(name in packet for name in names)]


def without_thumbnails(packet: bytes) -> bytes:
    """XMP without small copies of the whole picture; as it is where that is no longer XML."""
    shorter = _THUMBNAILS.sub(b"", packet)
    return shorter if shorter == packet or is_well_formed(shorter) else packet


def upright(packet: bytes) -> bytes:
    """XMP of a picture whose pixels have been turned."""
    return _ORIENTATION.sub(rb"\g<1>1\g<2>", packet)


def extended(packet: bytes, most: int) -> tuple[bytes, list[bytes]]:
    """A packet that is too long for one JPEG segment as a short one that points to the rest, and
    the bodies of the segments with it, each of at most `most` bytes (ISO 16684-1, A.2)."""
    name = hashlib.md5(packet, usedforsecurity=False).hexdigest().upper().encode()
    pieces = [packet[at : at + most - 40] for at in range(0, len(packet), most - 40)]
    places = range(0, len(packet), most - 40)
    bodies = [
        name + struct.pack(">II", len(packet), at) + piece
        for at, piece in zip(places, pieces, strict=True)
    ]
    return _POINTING % name, bodies
