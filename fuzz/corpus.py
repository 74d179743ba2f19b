"""Install the tests' tiny model and write the files that fuzzing begins with, under build/fuzz/.

python fuzz/corpus.py        # needs the lab extra, for the model
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from targets import BUILD, TARGETS, load_model, prepare  # noqa: E402
from tiny import photo, release_tiny  # noqa: E402

from picocodec.coders.av1 import encode_av1  # noqa: E402
from picocodec.coders.lossless import encode_lossless  # noqa: E402
from picocodec.encoding.encoder import encode_picture  # noqa: E402
from picocodec.format import container  # noqa: E402
from picocodec.format.pieces import CoderId, Piece  # noqa: E402
from picocodec.format.tiles import layout  # noqa: E402
from picocodec.images.canvas import with_margin  # noqa: E402
from picocodec.images.picture import Picture  # noqa: E402


def pictures() -> dict[str, Picture]:
    gray = np.repeat(photo(9, 30)[:, :, :1], 3, axis=2)
    alpha = photo(12, 20, seed=3)[:, :, 0]
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    return {
        "one": Picture(photo(1, 1)),
        "photo": Picture(photo(40, 50)),
        "gray": Picture(gray, gray=True),
        "all": Picture(photo(12, 20), alpha, icc=b"profile", exif=exif, xmp=b"<x/>"),
        "drawing": Picture(np.repeat(np.arange(0, 240, 8, np.uint8), 600).reshape(30, 200, 3)),
        "two-tiles": Picture(photo(5, 580)),
    }


def files() -> dict[str, bytes]:
    found = {}
    for name, picture in pictures().items():
        for level in (0, 300, 1000):
            found[f"{name}-{level}"] = encode_picture(picture, level, "tiny.v1", threads=1)
    data = found["two-tiles-300"]
    header = container.read_header(data)
    own = [container.payload(header, data, number) for number in range(2)]
    learned = [Piece(payload, CoderId.LEARNED, 300, margin=True) for payload in own]
    both = pictures()["two-tiles"].rgb
    right = both[:, 504:]
    photo = av1(with_margin(both, layout(580, 5)[1]))
    cases = {
        "realism": (1000, learned),
        "lossless-tile": (300, [learned[0], Piece(lossless(right), CoderId.LOSSLESS, 300)]),
        "lossless-block": (300, [Piece(lossless(both), CoderId.LOSSLESS, 300, columns=2)]),
        "av1-tile": (300, [learned[0], Piece(av1(right), CoderId.AV1, 300)]),
        "av1-block": (300, [Piece(av1(both), CoderId.AV1, 300, columns=2)]),
        "av1-photo": (300, [learned[0], Piece(photo, CoderId.AV1, 300, margin=True)]),
    }
    for name, (level, pieces) in cases.items():
        is_first = name == "realism"
        found[name] = container.write(
            width=header.width,
            height=header.height,
            level=level,
            model=header.model,
            pieces=pieces,
            realism=128 if is_first else None,
            chunks=[(b"next", b"unknown")] if is_first else [],
        )
    return found


def av1(pixels: np.ndarray) -> bytes:
    stream = encode_av1(np.ascontiguousarray(pixels), 30)
    assert stream is not None
    return stream


def lossless(pixels: np.ndarray) -> bytes:
    return encode_lossless(np.ascontiguousarray(pixels))


def payloads() -> dict[str, bytes]:
    """Symbols, some of them escaped, under all tables: as `targets.entropy_target` takes them."""
    rng = np.random.default_rng(0)
    coder = load_model("tiny.v1", 1).coder
    found = {}
    for count in (0, 1, 5, 60, 200):
        for spread in (1, 5, 3000):
            indices = rng.integers(0, 64, count).astype(np.uint8)
            symbols = np.rint(rng.laplace(0, spread, count)).astype(np.int32)
            symbols[indices < coder.skip_below] = 0
            groups = [(symbols, indices), (symbols[::-1], indices[::-1])]
            data = bytes([count]) + indices.tobytes() + coder.encode(groups)
            found[f"{count}-{spread}"] = data
    return found


def main() -> None:
    prepare()
    release_tiny(BUILD / "models")
    whole = files()
    for target in TARGETS:
        folder = BUILD / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in (payloads() if target == "entropy" else whole).items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
