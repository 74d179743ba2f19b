"""Write the hostile files, each into the folder of the error that it must give.

    python tests/hostile/make.py

What fuzzing finds is added beside them under a name of its own. All name small.v0, which every
version of picocodec reads.
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
from picocodec.model.store import load_model

FOLDER = Path(__file__).parent
MODEL = load_model("small.v0", 1).identity


def a_file(tile: bytes = b"", side: int = 20, **parts: object) -> bytes:
    """A picture of one tile, its checksums right."""
    given = {"width": side, "height": side, "level": 500, "model": MODEL, "tiles": [tile]} | parts
    return container.write(**given)  # type: ignore[arg-type]


def header(
    width: int, height: int, *, flags: int = 0, level: int = 500, name: bytes = b"small", rest=b""
) -> bytes:
    """Any header, its checksum right; `rest` is its tables."""
    sides = b"".join(_varint(side - 1) for side in (width, height))
    out = container.SIGNATURE + bytes([1, flags]) + sides + struct.pack("<H", level)
    out += bytes([len(name)]) + name + bytes([0]) + MODEL.check + rest
    return out + struct.pack("<H", binascii.crc_hqx(out, 0xFFFF))


def _varint(value: int, groups: int = 1) -> bytes:
    out = bytearray()
    while value >= 0x80 or len(out) + 1 < groups:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def entry(length: int, data: bytes = b"") -> bytes:
    return _varint(length) + struct.pack("<I", zlib.crc32(data))


def joined(data: bytes, checked: bytes | None = None) -> bytes:
    """A tile table's entry of mode 4."""
    return struct.pack("<BH", 4, 500) + entry(len(data), data if checked is None else checked)


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


def lossless(tile: bytes) -> bytes:
    return a_file(tile, tile_modes=[(1, 500)])


def webp_of_version(version: int) -> bytes:
    plain = bytearray(webp(lossless=True))
    plain[24] |= version << 5
    return bytes(plain)


def webp_with_a_tail() -> bytes:
    """A stream of an odd number of bytes, and behind it a byte that is not zero."""
    data = webp(lossless=True)[20:] + b"\0"
    assert len(data) % 2
    size = struct.pack("<I", 12 + len(data) + 1)
    return b"RIFF" + size + b"WEBPVP8L" + struct.pack("<I", len(data)) + data + b"\1"


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
    tile = entry(0)
    return {
        "picture": {  # odd, but allowed
            "empty-tile": a_file(),
            "empty-tile-of-full-size": a_file(side=568),
            "unknown-chunk": with_chunk(b"zzzz", noise),
            "no-chunks-announced": header(20, 20, flags=4, rest=tile + b"\0"),
        },
        "NotAPicoFile": {"png": png(20, 20), "signature-of-another": b"\x8aPID" + a_file()[4:]},
        "UnsupportedVersion": {
            "version-2": a_file()[:4] + b"\2" + a_file()[5:],
            "tile-mode-9": a_file(tile_modes=[(9, 500)]),
            "chunk-that-must-be-understood": with_chunk(b"Zoom", b""),
        },
        "LimitExceeded": {
            "gigapixels-in-60-bytes": header(1 << 20, 1 << 13, rest=tile),
            "terapixels-in-60-bytes": header(1 << 20, 1 << 20, rest=tile),
        },
        "Truncated": {
            "tile-table-cut": header(16_384, 16_384, rest=tile * 500),
            "tile-missing": header(20, 20, rest=entry(1 << 24)),
            "chunk-missing": header(20, 20, flags=4, rest=tile + b"\1exif" + entry(1 << 26)),
            "signature-only": container.SIGNATURE,
        },
        "CorruptHeader": {
            "tile-over-limit": header(20, 20, rest=entry((1 << 24) + 1)),
            "chunk-over-limit": header(
                20, 20, flags=4, rest=tile + b"\1exif" + entry((1 << 26) + 1)
            ),
            "chunk-type-no-letters": header(20, 20, flags=4, rest=tile + b"\1\0\0\0\0" + tile),
            "65-chunks": header(20, 20, flags=4, rest=tile + b"\x41" + (b"zzzz" + tile) * 65),
            "side-over-limit": header((1 << 20) + 1, 1, rest=tile),
            "number-not-in-shortest-form": header(20, 20, rest=_varint(0, 2) + tile[1:]),
            "number-of-six-bytes": header(20, 20, rest=b"\x80" * 5 + b"\1" + tile[1:]),
            "level-above-1000": header(20, 20, level=1001, rest=tile),
            "unknown-flag": header(20, 20, flags=32, rest=tile),
            "path-as-model": header(20, 20, name=b"../../small", rest=tile),
            "bytes-after-the-end": a_file() + b"x",
        },
        "UnknownModel": {
            "not-installed": a_file(model=ModelId("unheard-of", 7, b"1234")),
            "other-weights": a_file(model=ModelId("small", 0, b"1234")),
        },
        "CorruptTile": {
            "all-ones": a_file(b"\xff" * 4000),
            "noise": a_file(noise),
            "empty-last-word": a_file(b"\1\0\0\0\0\0\0\0"),
            "odd-length": a_file(b"abc"),
            "lossless-of-another-size": lossless(webp(21, 20, lossless=True)),
            "lossless-cut": lossless(webp(lossless=True)[:-4]),
            "lossless-in-name-only": lossless(webp()),
            "lossless-with-a-profile": lossless(webp(lossless=True, icc_profile=bytes(1 << 16))),
            "block-without-its-first-tile": a_file(
                width=600, tiles=[noise, b""], tile_modes=[(0, 500), (2, 500)]
            ),
            "block-of-another-size": a_file(
                width=600, tiles=[webp(600, 21, lossless=True), b""], tile_modes=[(2, 500)] * 2
            ),
            "block-of-two-modes": a_file(
                width=600,
                tiles=[webp(600, 20, lossless=True), b""],
                tile_modes=[(2, 500), (4, 500)],
            ),
            "block-with-a-learned-tile": a_file(
                width=600, tiles=[stream(600), b""], tile_modes=[(4, 500), (0, 500)]
            ),
            "block-with-data-of-another-tile": a_file(
                width=600, tiles=[stream(600), noise], tile_modes=[(4, 500)] * 2
            ),
            "block-with-a-checksum-of-nothing": header(
                600, 20, flags=1, rest=joined(stream(600)) + joined(b"", noise)
            )
            + stream(600),
            "lossless-of-version-1": lossless(webp_of_version(1)),
            "lossless-with-a-tail": lossless(webp_with_a_tail()),
            "stream-empty": a_file(b"", tile_modes=[(3, 500)]),
            "stream-of-noise": a_file(noise, tile_modes=[(3, 500)]),
            "stream-in-a-file": a_file(webp(lossless=True), tile_modes=[(3, 500)]),
            "block-stream-cut": a_file(
                width=600,
                tiles=[stream(600)[: len(stream(600)) // 2], b""],
                tile_modes=[(4, 500)] * 2,
            ),
            "av1-empty": a_file(b"", tile_modes=[(5, 500)]),
            "av1-of-noise": a_file(noise, tile_modes=[(5, 500)]),
            "av1-of-another-size": a_file(screen(21, 20), tile_modes=[(5, 500)]),
            "av1-of-four-gigapixels": a_file(screen_of_size(16), tile_modes=[(5, 500)]),
            "av1-cut": a_file(screen()[:-3], tile_modes=[(5, 500)]),
            "av1-with-a-tail": a_file(screen() + b"\x12\0", tile_modes=[(5, 500)]),
            "av1-twice": a_file(screen() * 2, tile_modes=[(5, 500)]),
            "av1-frame-of-noise": a_file(
                screen()[: 2 + screen()[1]] + unit(0x32, noise), tile_modes=[(5, 500)]
            ),
            "av1-block-of-another-size": a_file(
                width=600, tiles=[screen(504, 20), b""], tile_modes=[(6, 500)] * 2
            ),
            "av1-photo-without-margin": a_file(screen(), tile_modes=[(7, 500)]),
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
