"""What little is looked at of GIF, WebP, BMP, JPEG 2000, PSD, QOI, DDS and raw files."""

from __future__ import annotations

import re
import struct

from picocodec.images.containers.isobmff import boxes
from picocodec.images.containers.survey import TRUNCATED, Data, Density, Survey
from picocodec.images.containers.tiff import RAW

_J2K = b"\xff\x4f\xff\x51"  # start of codestream, and the marker of its size segment
RAW_STARTS = (b"FUJIFILMCCD-RAW", b"FOVb", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"\0MRM")
_DEEP_DDS = {10, 24, 95, 96, 11, 13, 2, 6, 16, 34, 41, 54, 56}  # DXGI formats over 8 bits


HDR_STARTS = (b"#?RADIANCE", b"#?RGBE", b"v/1\x01", b"SDPX", b"XPDS", b"SIMPLE  =", b"II\xbc\x01",
              b"PF\n", b"PF ", b"PF\r")  # fmt: skip


def survey_raw(data: Data) -> Survey:
    """A camera's raw file, refused."""
    return Survey(refusal=RAW)


def survey_hdr(data: Data) -> Survey:
    """Of Radiance, OpenEXR, DPX, FITS, JPEG XR and PFM."""
    return Survey(
        refusal="the image is of a format for more than 8 bits a channel, which cannot be kept: "
        "map its tones to 8 bits first, and store it as PNG or TIFF"
    )


def survey_gif(data: Data) -> Survey:
    """Block by block (GIF89a, section 12 on)."""
    found = Survey(fault=TRUNCATED)
    at = 13
    if len(data) > 10 and data[10] & 0x80:
        at += 3 << (data[10] & 7) + 1
    while at < len(data):
        kind = data[at]
        if kind == 0x3B:
            found.fault = ""
            found.drop_behind(data, at + 1)
            break
        if kind == 0x2C and at + 10 <= len(data):
            packed = data[at + 9]
            at += 11 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
        elif kind == 0x21 and at + 2 <= len(data):
            if data[at + 1] == 0xFE:
                found.drop("a comment")
            elif data[at + 1] == 0xFF and data[at + 3 : at + 14] == b"XMP DataXMP":
                # Its bytes lie there as they are, and a magic trailer sends readers to their end.
                end = data.find(b"\x01\xff\xfe", at)
                found.xmp = data[at + 14 : end] if end > 0 else None
            at += 2
        else:
            at += 1  # nothing, as Pillow sees it
            continue
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return found


_WEBP_CHUNKS = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "}


def survey_webp(data: Data) -> Survey:
    """What the chunks of a WebP file say."""
    found = Survey()
    at, size = 12, int.from_bytes(data[4:8], "little") + 8
    if size > len(data):
        found.fault = TRUNCATED
    while at + 8 <= min(size, len(data)):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind == b"VP8 " and length > 10 and _ends_in_a_hole(data[at + 8 : at + 8 + length]):
            found.fault = "a part of its data is missing"
        if kind not in _WEBP_CHUNKS:
            found.drop(f"the chunk {kind.decode('latin-1')!r}")
        at += 8 + length + (length & 1)
    found.drop_behind(data, size + (size & 1))
    return found


def _ends_in_a_hole(stream: bytes) -> bool:
    """Whether a VP8 key frame (RFC 6386) ends in more zeros than plain pictures do: these have
    some, but hardly a quarter of a bit for each square of 16 pixels; this allows four."""
    width, height = struct.unpack("<HH", stream[6:10])
    squares = -(-(width & 0x3FFF) // 16) * -(-(height & 0x3FFF) // 16)
    return len(stream) - len(stream.rstrip(b"\0")) > 64 + squares // 2


def survey_bmp(data: Data) -> Survey:
    """What the header of a BMP file says."""
    found = Survey()
    size = int.from_bytes(data[14:18], "little")
    if size >= 40 and len(data) >= 54:
        x, y = struct.unpack("<ii", data[38:46])
        if x > 0 and y > 0:
            found.density = Density(x / 39.37, y / 39.37, 2)
    if size >= 124 and data[70:74] == b"DEBM":  # an embedded profile, backwards as all tags
        at, length = struct.unpack("<II", data[126:134])
        profile = data[14 + at : 14 + at + length]
        if length and len(profile) == length:
            found.icc = profile
    elif size >= 108 and data[70:74] == bytes(4) and any(data[74:122]):
        found.drop("colours given by numbers (end points and gamma)")
    bits, method = struct.unpack("<HI", data[28:34]) if size >= 40 else (0, 0)
    if bits in (16, 32) and method in (3, 6):  # masks say where channels lie
        masks = struct.unpack("<4I", data[54:70])
        found.depth = max(8, *(mask.bit_count() for mask in masks[:3]))
        if bits == 16 and masks[3] and (size >= 56 or method == 6):
            found.drop("its alpha, of less than 8 bits")
    elif bits > 32:
        found.depth = 16
    return found


_PNM = re.compile(rb"P([1-6])" + 3 * rb"(?:\s|#[^\n]*\n)+(\d+)(?:#[^\n]*\n)?" + rb"\s")


def survey_pnm(data: Data) -> Survey:
    """What lies behind the pixels of PGM and PPM."""
    found, head = Survey(), _PNM.match(data[:4096])
    if head and head[1] in b"56":
        width, height, white = (int(number) for number in head.groups()[1:])
        row = width * (3 if head[1] == b"6" else 1) * (2 if white > 255 else 1)
        found.drop_behind(data, head.end() + height * row)
    return found


_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_EXIF_UUID = b"JpgTiffExif->JP2"


def survey_jpeg_2000(data: Data) -> Survey:
    """Boxes, and the codestream's size segment (ISO 15444-1, A.5.1)."""
    found = Survey()
    at = data.find(_J2K)
    if 0 <= at < len(data) - 42:
        count = int.from_bytes(data[at + 40 : at + 42])
        depths = data[at + 42 : at + 42 + 3 * count : 3]
        found.depth = max(8, *((d & 0x7F) + 1 for d in depths), 8)
    for box in boxes(data, 0, len(data)) if data[4:8] == b"jP  " else ():
        if box.end > len(data):
            found.fault = TRUNCATED
        if box.kind == b"uuid":
            name, body = data[box.at : box.at + 16], data[box.at + 16 : box.end]
            if name == _XMP_UUID:
                found.xmp = body
            elif name == _EXIF_UUID:
                found.exif = body
            else:
                found.drop("data of an unknown kind (a UUID box)")
        elif box.kind == b"xml ":
            found.drop("XML")
    return found


def survey_psd(data: Data) -> Survey:
    """What the header and the sections of a Photoshop file say."""
    found = Survey()
    found.depth = max(8, int.from_bytes(data[22:24]))
    channels, mode = int.from_bytes(data[12:14]), int.from_bytes(data[24:26])
    kept = {3: 4, 4: 4, 9: 3}.get(mode, 1)  # RGB and alpha, CMYK, Lab
    found.drop_several("a further channel", "further channels", max(0, channels - kept))
    if mode == 8:
        found.drop("the colours of its inks (a duotone)")
    at = 30 + int.from_bytes(data[26:30])  # behind the colour table
    end = at + 4 + int.from_bytes(data[at : at + 4])
    at += 4
    while at + 12 <= end:
        number = int.from_bytes(data[at + 4 : at + 6])
        at += 6 + (data[at + 6] + 2 & ~1)  # a name of even length, its own length included
        length = int.from_bytes(data[at : at + 4])
        body = data[at + 4 : at + 4 + length]
        at += 4 + (length + 1 & ~1)
        if number == 1005 and length >= 16:
            x, unit, _, y = struct.unpack(">IHHI", body[:12])
            found.density = Density(x / 65536, y / 65536, 2)
        elif number == 1058:
            found.exif = body
        elif number == 1060:
            found.xmp = body
        elif number == 1028:
            found.drop("IPTC data")
        elif number in (1033, 1036):
            found.drop("a thumbnail")
    if int.from_bytes(data[end : end + 4]) > 4:
        found.drop("layers")
    return found


def survey_qoi(data: Data) -> Survey:
    """Whether a QOI file is whole."""
    is_whole = data[-8:] == bytes(7) + b"\1"
    return Survey(fault="" if is_whole else TRUNCATED)


def survey_dds(data: Data) -> Survey:
    """What the header of a DDS file says."""
    is_deep = data[84:88] == b"DX10" and int.from_bytes(data[128:132], "little") in _DEEP_DDS
    found = Survey(depth=16 if is_deep else 8)
    if int.from_bytes(data[28:32], "little") > 1:
        found.drop("smaller copies")
    return found
