"""Write a release's golden files; what is there is never replaced.

    python tests/golden/make.py MODEL        # such as small.v0

For each case: NAME.pico, NAME.png (what it decoded to) and NAME.sha256 (of its symbols).
`webp-tile` and `webp-block` of small-preview.v1 are in modes 1 and 2, which are no longer written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "picocodec" / "format")]

from test_golden import symbols_digest  # noqa: E402
from tiny import drawing, photo, screen, sign  # noqa: E402

from picocodec.decoding.decoder import decode_picture  # noqa: E402
from picocodec.encoding.encoder import encode_picture  # noqa: E402
from picocodec.images.picture import Picture, to_pillow  # noqa: E402

FOLDER = Path(__file__).parent


def cases() -> dict[str, tuple[Picture, int]]:
    """Name to picture and level."""
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
        "lossless-tile": (Picture(np.hstack([drawing(60, 480), photo(60, 120)])), 600),
        "lossless-block": (Picture(np.tile(drawing(300, 150), (2, 4, 1))), 500),
        "av1-tile": (Picture(np.hstack([screen(150, 504), photo(150, 100)])), 300),
        "av1-photo": (Picture(np.hstack([sign(150, 504), photo(150, 100)])), 300),
        "av1-block": (Picture(np.tile(screen(150, 420), (2, 2, 1))), 200),
    }


def main() -> None:
    model = sys.argv[1]
    for name, (picture, level) in cases().items():
        path = FOLDER / model / f"{name}.pico"
        if path.exists():
            continue
        path.parent.mkdir(exist_ok=True)
        data = encode_picture(picture, level, model, threads=1)
        path.write_bytes(data)
        to_pillow(decode_picture(data, threads=1)).save(path.with_suffix(".png"), optimize=True)
        path.with_suffix(".sha256").write_text(symbols_digest(data) + "\n")


if __name__ == "__main__":
    main()
