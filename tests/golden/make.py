"""Write a release's golden files; what is there is never replaced.

    python tests/golden/make.py MODEL        # its name.vN; tools/remake.py does all

For each case: NAME.pico, NAME.png (what it decoded to) and NAME.sha256 (of its symbols).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "picocodec" / "format")]

from test_golden import symbols_digest  # noqa: E402
from tiny import drawing, photo, screen, sign  # noqa: E402
from written import kinds  # noqa: E402

from picocodec.coders.learned import LearnedCoder  # noqa: E402
from picocodec.decoding.decoder import decode_picture  # noqa: E402
from picocodec.encoding.encoder import encode_picture  # noqa: E402
from picocodec.format import container  # noqa: E402
from picocodec.format.pieces import CoderId, Piece  # noqa: E402
from picocodec.format.tiles import layout  # noqa: E402
from picocodec.images.canvas import with_margin  # noqa: E402
from picocodec.images.metadata import chunks_of  # noqa: E402
from picocodec.images.picture import Picture, to_pillow  # noqa: E402
from picocodec.model.model import Model  # noqa: E402
from picocodec.model.store import load_model  # noqa: E402

FOLDER = Path(__file__).parent


def photos() -> dict[str, tuple[Picture, int]]:
    """Name to picture and level of what is learned, whatever an encoder would take."""
    rgb = photo(90, 130)
    gray = np.repeat(photo(40, 33)[:, :, :1], 3, axis=2)
    alpha = photo(24, 50, seed=3)[:, :, 0]
    return {
        "photo-low": (Picture(rgb), 50),
        "photo-middle": (Picture(rgb), 500),
        "photo-high": (Picture(rgb), 1000),
        "one-pixel": (Picture(rgb[:1, :1].copy()), 300),
        "two-tiles": (Picture(photo(17, 600)), 400),
        "gray": (Picture(gray, gray=True), 600),
        "alpha-and-metadata": (
            Picture(photo(24, 50), alpha=alpha, icc=b"profile", exif=b"MM\0*", xmp=b"<x/>"),
            700,
        ),
    }


def mixtures() -> dict[str, tuple[Picture, int, str]]:
    """The same of what an encoder takes other coders for, and the kind of its first tile."""
    words, window, letters = drawing(60, 480), screen(150, 504), sign(150, 504)
    return {
        "lossless-tile": (Picture(np.hstack([words, photo(60, 120)])), 1000, "lossless"),
        "lossless-block": (Picture(np.tile(drawing(300, 150), (2, 4, 1))), 500, "lossless block"),
        "av1-tile": (Picture(np.hstack([window, photo(150, 100)])), 300, "AV1"),
        "av1-photo": (Picture(np.hstack([letters, photo(150, 100)])), 300, "AV1 margin"),
        "av1-block": (Picture(np.tile(screen(150, 420), (2, 2, 1))), 200, "AV1 block"),
    }


def learned_file(picture: Picture, level: int, model: Model) -> bytes:
    """A file of learned tiles, the first at the level, the next 50 lower each."""
    height, width = picture.rgb.shape[:2]
    pieces = []
    for i, tile in enumerate(layout(width, height)):
        own = level - 50 * i
        payload = LearnedCoder(model).encode(with_margin(picture.rgb, tile), own).payload
        pieces.append(Piece(payload, CoderId.LEARNED, own, margin=True))
    return container.write(
        width=width,
        height=height,
        level=level,
        model=model.identity,
        pieces=pieces,
        chunks=chunks_of(picture),
        gray=picture.gray,
    )


def main() -> None:
    name = sys.argv[1]
    model = load_model(name, threads=1)
    files = {case: learned_file(*source, model) for case, source in photos().items()}
    for case, (picture, level, kind) in mixtures().items():
        files[case] = encode_picture(picture, level, name, threads=1)
        found = kinds(files[case])[0]
        if found != kind:
            raise SystemExit(f"{case}: the encoder takes {found}, not {kind}: choose another level")
    for case, data in files.items():
        path = FOLDER / name / f"{case}.pico"
        if path.exists():
            continue
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        to_pillow(decode_picture(data, threads=1)).save(path.with_suffix(".png"), optimize=True)
        path.with_suffix(".sha256").write_text(symbols_digest(data) + "\n")


if __name__ == "__main__":
    main()
