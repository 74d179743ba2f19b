"""Write the hostile files, each into the folder of the error that it must give.

    python tests/hostile/make.py

What fuzzing finds is added beside them under a name of its own. All name the default model.
"""

from __future__ import annotations

import binascii
import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from picocodec.coders.av1 import encode_av1
from picocodec.format import container
from picocodec.format.container import ModelId
from picocodec.format.pieces import CoderId, Piece
from picocodec.model.store import DEFAULT_MODEL, load_model

FOLDER = Path(__file__).parent
MODEL = load_model(DEFAULT_MODEL, 1).identity
NAME = MODEL.name.encode()
# The first bytes of pieces in the table.
LEARNED, LOSSLESS, AV1, AV1_PHOTO = 4, 1, 2, 6
OWN_LEVEL, TWO_ROWS, TWO_COLUMNS = 8, 16, 64


def a_file(tile: bytes = b"", side: int = 20, **parts: object) -> bytes:
    """A picture of one tile, learned if nothing else is said, its checksums right."""
    pieces = [Piece(tile, CoderId.LEARNED, 500, margin=True)]
    given = {"width": side, "height": side, "level": 500, "model": MODEL, "pieces": pieces} | parts
    return container.write(**given)  # type: ignore[arg-type]


def unlearned(coder: CoderId, payload: bytes, columns: int = 1, margin: bool = False) -> bytes:
    """A picture of one piece, of 20x20 pixels a tile, or 600x20 of two."""
    piece = Piece(payload, coder, 500, columns=columns, margin=margin)
    return a_file(width=20 if columns == 1 else 600, pieces=[piece])


def header(
    width: int, height: int, *, flags: int = 0, level: int = 500, name: bytes = NAME, rest=b""
) -> bytes:
    """Any header, its checksum right; `rest` is its tables."""
    sides = b"".join(_varint(side - 1) for side in (width, height))
    first = flags | len(name) - 1 << 4
    out = container.SIGNATURE + bytes([container.VERSION, first]) + sides
    out += struct.pack("<H", level) + name + bytes([MODEL.version]) + MODEL.check + rest
    return out + struct.pack("<H", binascii.crc_hqx(out, 0xFFFF))


def _varint(value: int, groups: int = 1) -> bytes:
    out = bytearray()
    while value >= 0x80 or len(out) + 1 < groups:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def entry(length: int, data: bytes = b"") -> bytes:
    return _varint(length) + struct.pack("<I", zlib.crc32(data))


def piece(kind: int = LEARNED, length: int = 0, level: int | None = None) -> bytes:
    """An entry of the piece table."""
    own = b"" if level is None else struct.pack("<H", level)
    return bytes([kind]) + own + entry(length)


def png(width: int, height: int, mode: str = "L") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height)).save(out, "PNG")
    return out.getvalue()


def png_with(kind: bytes, data: bytes) -> bytes:
    plain = png(20, 20)
    check = zlib.crc32(kind + data)
    return (
        plain[:33]
        + struct.pack(">I4s", len(data), kind)
        + data
        + struct.pack(">I", check)
        + plain[33:]
    )


def png_of_size(width: int, height: int) -> bytes:
    """A PNG file of 20x20 pixels that says it has more."""
    start = b"IHDR" + struct.pack(">II5B", width, height, 8, 0, 0, 0, 0)
    plain = png(20, 20)
    return plain[:12] + start + struct.pack(">I", zlib.crc32(start)) + plain[33:]


def webp(width: int = 20, height: int = 20, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "WEBP", **options)
    return out.getvalue()


def stream(width: int = 20, height: int = 20) -> bytes:
    return webp(width, height, lossless=True)[25:]


def screen(width: int = 20, height: int = 20) -> bytes:
    data = encode_av1(np.zeros((height, width, 3), np.uint8), 50)
    assert data is not None
    return data


def unit(kind: int, data: bytes) -> bytes:
    """An OBU of AV1."""
    return bytes([kind]) + _varint(len(data)) + data


def screen_of_size(side_bits: int) -> bytes:
    """A stream whose sequence header, right otherwise, gives sides of 2**side_bits pixels."""
    size = f"{side_bits - 1:04b}" * 2 + "1" * side_bits * 2
    colours = "01" + f"{1:08b}{13:08b}{6:08b}" + "1"
    bits = "001" + "11" + "11111" + size + "000000" + colours + "00" + "1"
    header = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))
    return unit(0x0A, header) + unit(0x32, bytes(20))


def with_chunk(kind: bytes, data: bytes) -> bytes:
    return a_file(chunks=[(kind, data)])


def cases() -> dict[str, dict[str, bytes]]:
    bomb = zlib.compress(bytes((1 << 26) + 1), 9)
    noise = np.random.default_rng(0).integers(0, 256, 4000, np.uint8).tobytes()
    tile, chunk = piece(), entry(0)
    return {
        "picture": {  # odd, but allowed
            "empty-tile": a_file(),
            "empty-tile-of-full-size": a_file(side=568),
            "unknown-chunk": with_chunk(b"zzzz", noise),
        },
        "NotAPicoFile": {"png": png(20, 20), "signature-of-another": b"\x8aPID" + a_file()[4:]},
        "UnsupportedVersion": {
            "version-1": a_file()[:4] + b"\1" + a_file()[5:],
            "version-3": a_file()[:4] + b"\3" + a_file()[5:],
            "coder-3": header(20, 20, rest=piece(3)),
            "chunk-that-must-be-understood": with_chunk(b"Zoom", b""),
        },
        "LimitExceeded": {
            "gigapixels-in-60-bytes": header(1 << 20, 1 << 13, rest=tile),
            "terapixels-in-60-bytes": header(1 << 20, 1 << 20, rest=tile),
        },
        "Truncated": {
            "piece-table-cut": header(16_384, 16_384, rest=tile * 500 + tile[:-3]),
            "payload-missing": header(20, 20, rest=piece(length=1 << 24)),
            "chunk-missing": header(20, 20, flags=4, rest=tile + b"\1exif" + entry(1 << 26)),
            "signature-only": container.SIGNATURE,
        },
        "CorruptHeader": {
            "piece-over-limit": header(20, 20, rest=piece(length=(1 << 24) + 1)),
            "chunk-over-limit": header(
                20, 20, flags=4, rest=tile + b"\1exif" + entry((1 << 26) + 1)
            ),
            "chunk-type-no-letters": header(20, 20, flags=4, rest=tile + b"\1\0\0\0\0" + chunk),
            "65-chunks": header(20, 20, flags=4, rest=tile + b"\x41" + (b"zzzz" + chunk) * 65),
            "no-chunks-announced": header(20, 20, flags=4, rest=tile + b"\0"),
            "side-over-limit": header((1 << 20) + 1, 1, rest=tile),
            "number-not-in-shortest-form": header(
                20, 20, rest=bytes([LEARNED]) + _varint(0, 2) + bytes(4)
            ),
            "number-of-six-bytes": header(
                20, 20, rest=bytes([LEARNED]) + b"\x80" * 5 + b"\1" + bytes(4)
            ),
            "level-above-1000": header(20, 20, level=1001, rest=tile),
            "level-of-a-piece-above-1000": header(
                20, 20, rest=piece(LEARNED | OWN_LEVEL, level=1001)
            ),
            "level-said-twice": header(20, 20, rest=piece(LEARNED | OWN_LEVEL, level=500)),
            "learned-without-margin": header(20, 20, rest=piece(0)),
            "learned-of-two-tiles": header(600, 20, rest=piece(LEARNED | TWO_COLUMNS)),
            "lossless-with-a-margin": header(20, 20, rest=piece(LOSSLESS | 4)),
            "av1-photo-of-two-tiles": header(600, 20, rest=piece(AV1_PHOTO | TWO_COLUMNS)),
            "piece-beyond-the-right": header(600, 20, rest=tile + piece(AV1 | TWO_COLUMNS)),
            "piece-beyond-the-bottom": header(20, 600, rest=tile + piece(AV1 | TWO_ROWS)),
            "piece-over-another": header(
                600, 600, rest=tile + piece(AV1 | TWO_ROWS) + piece(LOSSLESS | TWO_COLUMNS)
            ),
            "unknown-flag": header(20, 20, flags=8, rest=tile),
            "path-as-model": header(20, 20, name=b"../../small", rest=tile),
            "bytes-after-the-end": a_file() + b"x",
        },
        "UnknownModel": {
            "not-installed": a_file(model=ModelId("unheard-of", 7, b"1234")),
            "other-weights": a_file(model=ModelId(MODEL.name, MODEL.version, b"1234")),
        },
        "CorruptTile": {
            "all-ones": a_file(b"\xff" * 4000),
            "noise": a_file(noise),
            "empty-last-word": a_file(b"\1\0\0\0\0\0\0\0"),
            "odd-length": a_file(b"abc"),
            "lossless-empty": unlearned(CoderId.LOSSLESS, b""),
            "lossless-of-noise": unlearned(CoderId.LOSSLESS, noise),
            "lossless-in-a-file": unlearned(CoderId.LOSSLESS, webp(lossless=True)),
            "lossless-cut": unlearned(CoderId.LOSSLESS, stream(300, 20)[:12]),
            "lossless-block-cut": unlearned(
                CoderId.LOSSLESS, stream(600)[: len(stream(600)) // 2], columns=2
            ),
            "av1-empty": unlearned(CoderId.AV1, b""),
            "av1-of-noise": unlearned(CoderId.AV1, noise),
            "av1-of-another-size": unlearned(CoderId.AV1, screen(21, 20)),
            "av1-of-four-gigapixels": unlearned(CoderId.AV1, screen_of_size(16)),
            "av1-cut": unlearned(CoderId.AV1, screen()[:-3]),
            "av1-with-a-tail": unlearned(CoderId.AV1, screen() + b"\x12\0"),
            "av1-twice": unlearned(CoderId.AV1, screen() * 2),
            "av1-frame-of-noise": unlearned(
                CoderId.AV1, screen()[: 2 + screen()[1]] + unit(0x32, noise)
            ),
            "av1-block-of-another-size": unlearned(CoderId.AV1, screen(504, 20), columns=2),
            "av1-photo-without-margin": unlearned(CoderId.AV1, screen(), margin=True),
            "words-left-over": a_file(noise + b"\xff\xff\xff\xff" * 1000),
        },
        "CorruptChunk": {
            "exif-bomb": with_chunk(b"exif", bomb),
            "icc-not-deflate": with_chunk(b"iccp", noise),
            "xmp-cut": with_chunk(b"xmp ", zlib.compress(noise)[:-5]),
            "exif-with-a-tail": with_chunk(b"exif", zlib.compress(b"x") + b"x"),
            "exif-twice": a_file(chunks=[(b"exif", zlib.compress(b"x"))] * 2),
            "alpha-of-another-size": with_chunk(b"alph", png(21, 20)),
            "alpha-in-colour": with_chunk(b"alph", png(20, 20, "RGB")),
            "alpha-of-a-gigapixel": with_chunk(b"alph", png_of_size(1 << 15, 1 << 15)),
            "alpha-cut": with_chunk(b"alph", png(20, 20)[:-20]),
            "alpha-with-a-profile-bomb": with_chunk(
                b"alph", png_with(b"iCCP", b"name\0\0" + zlib.compress(bytes(1 << 20), 9))
            ),
            "alpha-empty": with_chunk(b"alph", b""),
        },
    }


def main() -> None:
    for error, files in cases().items():
        (FOLDER / error).mkdir(exist_ok=True)
        for name, data in files.items():
            (FOLDER / error / f"{name}.pico").write_bytes(data)


if __name__ == "__main__":
    main()
