"""Write the conformance set of a released model, and the list of what belongs to the release.

    python conformance/make.py MODEL        # its name.vN; after tests/golden/make.py

What is there is never replaced: a case that exists is left as it is, and the list in
tests/released only grows.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cases import ROOT, Expectation
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageDraw, ImageFont
from symbols import digests

from picocodec.coders.av1 import Av1Coder
from picocodec.coders.learned import LearnedCoder
from picocodec.coders.lossless import LosslessCoder
from picocodec.decoding.decoder import decode_picture
from picocodec.format import container
from picocodec.format.pieces import CoderId, Piece
from picocodec.format.tiles import area_of, layout
from picocodec.images.canvas import part as own_part
from picocodec.images.canvas import with_margin
from picocodec.images.metadata import chunks_of
from picocodec.images.picture import EXIF_PREFIX, Picture, to_array
from picocodec.model.model import Model
from picocodec.model.store import load_model

REPOSITORY = ROOT.parent
PHOTOS = REPOSITORY / "examples" / "photos"
WHOLE = 20_000  # pixels; of larger photos the reference has some rows only

# Ten times what other processors came to (docs/conformance.md); enough for any
# order of adding float32.
PEAK_ERROR = 2
RMS_ERROR = 0.1
AV1_QUALITY = 80

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Part:
    """A piece: its coder, the tiles that it has side by side, and whether it has a margin."""

    coder: CoderId
    columns: int = 1
    margin: bool = False


LEARNED, AV1_PHOTO = Part(CoderId.LEARNED, margin=True), Part(CoderId.AV1, margin=True)
LOSSLESS, LOSSLESS_BLOCK = Part(CoderId.LOSSLESS), Part(CoderId.LOSSLESS, 4)
AV1, AV1_BLOCK = Part(CoderId.AV1), Part(CoderId.AV1, 4)


@dataclass
class Source:
    """A picture, and how it is to be written: `level` in thousandths, or one for each tile; its
    `pieces` in their order, a learned one for each tile if not told."""

    about: str
    picture: Picture
    level: int = 400
    tile_levels: tuple[int, ...] | None = None
    pieces: tuple[Part, ...] | None = None
    realism: int | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()


def sources() -> Iterator[tuple[str, Source]]:
    """Name and source of every case."""
    cat, cup = photo("chelsea.png"), photo("coffee.png")
    face, rocket = photo("astronaut.png"), photo("rocket.jpg")

    def of(about: str, rgb: Pixels, level: int = 400, **options) -> Source:
        return Source(about, Picture(np.ascontiguousarray(rgb)), level, **options)

    yield "1x1", of("the smallest picture", cat[:1, :1])
    yield "257x1", of("one row", cat[40:41, :257])
    yield "1x257", of("one column", cat[:257, 40:41])
    yield "56x56", of("fills its canvas of 64x64 with the margin", cat[60:116, 90:146])
    yield "57x55", of("one pixel more than a canvas of 64 holds, and one less", cat[60:115, 90:147])
    yield "127x101", of("sides that are primes", cat[50:151, 100:227])
    for side in (503, 504, 505):
        yield f"{side}x{side}", of("about the size of a tile", face[:side, :side], 250)
    yield "513x67", of("a remainder that the last tile takes", fill(face[200:], 67, 513))
    yield "568x40", of("the widest tile", cup[150:190, :568])
    yield "569x40", of("the narrowest second tile", cup[150:190, :569])
    yield "40x1073", of("three tiles below each other", fill(cup[:, 300:], 1073, 40))
    yield "1100x601", of("six tiles", stack([cat, cup, face, rocket], 601, 1100), 300)
    yield "12-megapixels", of("48 tiles", landscape(3000, 4000), 80)
    for quality in range(0, 101, 10):
        crop = face[60:132, 190:286]
        yield f"quality-{quality}", of(f"quality {quality}", crop, 10 * quality)
    yield "quality-33.3", of("a level that is no whole quality", face[60:132, 190:286], 333)
    yield (
        "levels-by-tile",
        of(
            "four tiles, each at a level of its own",
            stack([face, cat], 569, 569),
            tile_levels=(1000, 0, 333, 667),
        ),
    )
    alpha = np.asarray(Image.linear_gradient("L").resize((96, 72)))
    gray = np.repeat(rocket[100:172, 300:396, 1:2], 3, axis=2)
    yield "alpha", Source("transparency", Picture(cup[100:172, 200:296], alpha=alpha))
    yield "gray", Source("one channel", Picture(gray, gray=True))
    yield "gray-alpha", Source("one channel and transparency", Picture(gray, alpha, gray=True))
    yield "metadata", Source("ICC profile, EXIF and XMP", with_metadata(cup[100:172, 200:296]))
    yield (
        "unknown-chunk",
        of("a chunk that may be skipped", cup[100:172, 200:296], chunks=((b"note", b"hello"),)),
    )
    for realism in (0, 128, 255):
        yield (
            f"realism-{realism}",
            of(f"recommends realism {realism} of 255", face[60:132, 190:286], 200, realism=realism),
        )
    yield (
        "realism-tiles",
        of("four tiles at full realism", stack([face, cat], 569, 569), 200, realism=255),
    )
    yield "text", of("graphics with text", text(), 600)
    yield "pixels", of("a chequerboard of single pixels in full colours", chequers(), 900)
    yield "noise", of("noise, with symbols beyond their tables", noise(), 1000)
    drawing = fill(text(), 60, 2600)
    drawing[:, 2520:] = face[60:120, 190:270]
    yield "lossless", of("a lossless tile", text(), 600, pieces=(LOSSLESS,))
    yield (
        "lossless-gray-alpha",
        Source("the same in gray", Picture(gray, alpha, gray=True), pieces=(LOSSLESS,)),
    )
    yield (
        "lossless-blocks",
        of("a lossless piece of four tiles, a lossless and a learned tile", drawing,
           pieces=(LOSSLESS_BLOCK, LOSSLESS, LEARNED)),
    )  # fmt: skip
    yield "av1", of("a tile of AV1, with a photo in it", drawing[:, 2400:], pieces=(AV1,))
    yield (
        "av1-blocks",
        of("a piece of AV1 of four tiles, a tile of AV1 and a learned one", drawing,
           pieces=(AV1_BLOCK, AV1, LEARNED)),
    )  # fmt: skip
    yield (
        "av1-photos",
        of("two tiles of AV1 with a margin around a learned one, which fade into each other",
           fill(cup[:, 300:], 1073, 40), pieces=(AV1_PHOTO, LEARNED, AV1_PHOTO)),
    )  # fmt: skip
    yield "black", of("nothing at all", np.zeros((70, 90, 3), np.uint8), 500)
    yield "white", of("nothing at all, in white", np.full((70, 90, 3), 255, np.uint8), 500)


def photo(name: str) -> Pixels:
    with Image.open(PHOTOS / name) as image:
        return np.array(image.convert("RGB"))


def fill(rgb: Pixels, height: int, width: int) -> Pixels:
    """A picture of a size, of a smaller one and its mirror images."""
    rows, columns = max(0, height - rgb.shape[0]), max(0, width - rgb.shape[1])
    return np.pad(rgb, ((0, rows), (0, columns), (0, 0)), "symmetric")[:height, :width]


def stack(photos: list[Pixels], height: int, width: int) -> Pixels:
    """Photos below each other, each to its share of the height."""
    shares = np.linspace(0, height, len(photos) + 1).astype(int)
    return np.concatenate([fill(p, n, width) for p, n in zip(photos, np.diff(shares), strict=True)])


def with_metadata(rgb: Pixels) -> Picture:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "a cup of coffee"
    return Picture(
        rgb,
        icc=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        exif=exif.tobytes().removeprefix(EXIF_PREFIX),
        xmp=b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
    )


def landscape(height: int, width: int) -> Pixels:
    """A sky, a sun and hills: large and smooth."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    sky = np.stack([90 + y / 30, 140 + y / 40, 220 - y / 60], 2)
    sun = np.hypot(x - 0.7 * width, y - 0.25 * height) < 0.08 * width
    sky[sun] = (255, 236, 170)
    for k in range(4):
        top = height * (0.5 + 0.12 * k) + 120 * np.sin(x / (310 + 90 * k) + 2 * k)
        sky[y > top] = (70 - 12 * k, 110 - 14 * k, 80 - 16 * k)
    return sky.astype(np.uint8)


def text() -> Pixels:
    image = Image.new("RGB", (160, 90), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((8, 50, 70, 82), outline="navy", fill="gold")
    draw.line((80, 82, 152, 50), fill="crimson", width=2)
    draw.text((8, 8), "The same symbols\non every device", "black", ImageFont.load_default(16))
    return np.asarray(image)


def chequers() -> Pixels:
    y, x = np.mgrid[0:48, 0:80]
    return np.stack([(x + y) % 2, x // 20 % 2, y // 12 % 2], 2).astype(np.uint8) * 255


def noise() -> Pixels:
    return np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (64, 64, 3))


def piece_of(model: Model, rgb: Pixels, part: Part, first: int, level: int) -> Piece:
    """A piece from tile `first` on."""
    height, width = rgb.shape[:2]
    area = area_of(width, height, first, columns=part.columns)
    pixels = with_margin(rgb, area) if part.margin else np.ascontiguousarray(own_part(rgb, area))
    coders = {
        CoderId.LEARNED: LearnedCoder(model),
        CoderId.LOSSLESS: LosslessCoder(),
        CoderId.AV1: Av1Coder(AV1_QUALITY),
    }
    candidate = coders[part.coder].encode(pixels, level)
    assert candidate is not None
    columns, margin = part.columns, part.margin
    return Piece(candidate.payload, part.coder, level, columns=columns, margin=margin)


def write_case(folder: Path, source: Source, model: Model) -> None:
    picture = source.picture
    height, width = picture.rgb.shape[:2]
    tiles = layout(width, height)
    parts = source.pieces or (LEARNED,) * len(tiles)
    levels = source.tile_levels or (source.level,) * len(parts)
    pieces, first = [], 0
    for part, level in zip(parts, levels, strict=True):
        pieces.append(piece_of(model, np.asarray(picture.rgb), part, first, level))
        first += part.columns
    data = container.write(
        width=width,
        height=height,
        level=source.level,
        model=model.identity,
        pieces=pieces,
        chunks=[*chunks_of(picture), *source.chunks],
        gray=picture.gray,
        realism=source.realism,
    )
    pixels = to_array(decode_picture(data, threads=1))
    rows = None
    if height * width > WHOLE and source.pieces is None:
        edges = {t.top + d for t in tiles for d in range(0, t.height, 45)}
        rows = tuple(sorted(edges | {tile.top + tile.height - 1 for tile in tiles}))
        pixels = pixels[list(rows)]
    folder.mkdir(parents=True)
    (folder / "file.pico").write_bytes(data)
    Image.fromarray(pixels).save(folder / "reference.png", optimize=True)
    is_exact = LEARNED not in parts
    expected = Expectation(
        about=source.about,
        symbols=tuple(digests(data, model)),
        rows=rows,
        peak_error=0 if is_exact else PEAK_ERROR,
        rms_error=0 if is_exact else RMS_ERROR,
    )
    expected.write(folder / "case.json")


def released_files(model: Model) -> list[Path]:
    """Everything that belongs to a release and must never change."""
    name = model.folder.name
    golden = (REPOSITORY / "tests" / "golden" / name).iterdir()
    folders = (ROOT / name).glob("*/*")
    return sorted(p for p in [*model.folder.iterdir(), *golden, *folders] if p.is_file())


def list_release(model: Model) -> None:
    """Add to a model's list in tests/released, under the version of the format, what is not on it:
    SHA-256 and path, one a line."""
    folder = REPOSITORY / "tests" / "released" / f"format-{container.VERSION}"
    path = folder / f"{model.folder.name}.sha256"
    folder.mkdir(parents=True, exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    listed = {line.split("  ")[1] for line in lines}
    for file in released_files(model):
        name = file.relative_to(REPOSITORY).as_posix()
        if name not in listed:
            lines.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {name}")
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    model = load_model(sys.argv[1], threads=1)
    for name, source in sources():
        folder = ROOT / sys.argv[1] / name
        if folder.exists():
            print(f"{folder} exists and is left as it is")
        else:
            write_case(folder, source, model)
    list_release(model)


if __name__ == "__main__":
    main()
