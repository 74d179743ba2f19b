"""Damage stays local: a broken tile is named, and concealed if that is allowed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from tiny import photo
from written import learned, payloads, unlearned

import picocodec
from picocodec import cli
from picocodec.decoding.concealment import GRAY, conceal
from picocodec.decoding.decoder import decode_picture
from picocodec.encoding.encoder import encode_picture
from picocodec.errors import CorruptChunk, CorruptTile, DamagedPicture, Truncated
from picocodec.format import container
from picocodec.format.tiles import MARGIN, Tile, layout
from picocodec.images.picture import Picture
from picocodec.model.store import MODEL_PATH_VARIABLE

HEIGHT, WIDTH = 580, 1090  # 2 rows of 3 tiles
LAYOUT = layout(WIDTH, HEIGHT)
ALPHA = np.full((HEIGHT, WIDTH), 200, np.uint8)


@pytest.fixture(autouse=True)
def tiny_is_installed(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(model_folder.parent))


@pytest.fixture(scope="module")
def data(model_folder: Path) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODEL_PATH_VARIABLE, str(model_folder.parent))
        picture = Picture(photo(HEIGHT, WIDTH), ALPHA, exif=b"MM\0*", xmp=b"<x/>")
        return encode_picture(picture, 300, "tiny.v1", threads=1)


@pytest.fixture(scope="module")
def whole(data: bytes, model_folder: Path) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODEL_PATH_VARIABLE, str(model_folder.parent))
        return picocodec.decode(data)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def own(picture: np.ndarray, tile: Tile) -> np.ndarray:
    return picture[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]


def inside(picture: np.ndarray, tile: Tile) -> np.ndarray:
    """What a tile owns less what fades into its neighbours."""
    return own(picture, tile.grown(-MARGIN))


@pytest.mark.parametrize("lost", range(len(LAYOUT)))
def test_any_one_tile_may_be_lost(data: bytes, whole: np.ndarray, lost: int) -> None:
    header = container.read_header(data)
    broken = flipped(data, header.offsets[lost])
    with pytest.raises(CorruptTile, match=f"tile {lost} ") as raised:
        picocodec.decode(broken)
    assert raised.value.tile == lost
    with pytest.warns(DamagedPicture, match=f"tile {lost}$") as told:
        decoded = picocodec.decode(broken, allow_damaged=True)
    warning = told[0].message
    assert isinstance(warning, DamagedPicture) and warning.tiles == (lost,)
    for i, tile in enumerate(LAYOUT):
        assert np.array_equal(inside(decoded, tile), inside(whole, tile)) == (i != lost)


def test_a_whole_file_gives_no_warning(data: bytes, whole: np.ndarray, recwarn) -> None:
    assert np.array_equal(picocodec.decode(data, allow_damaged=True), whole)
    assert not recwarn.list


def test_contents_no_encoder_writes_are_damage_too(data: bytes, whole: np.ndarray) -> None:
    header = container.read_header(data)
    pieces = [
        learned(payload, entry.level)
        for payload, entry in zip(payloads(data), header.pieces, strict=True)
    ]
    pieces[4] = replace(pieces[4], payload=b"\xff" * 40)
    pieces[2] = unlearned("lossless", b"noise")
    forged = container.write(
        width=WIDTH,
        height=HEIGHT,
        level=header.level,
        model=header.model,
        pieces=pieces,
    )
    with pytest.warns(DamagedPicture) as told:
        decoded = picocodec.decode(forged, allow_damaged=True)
    assert told[0].message.tiles == (2, 4)
    assert np.array_equal(inside(decoded, LAYOUT[3]), inside(whole, LAYOUT[3])[:, :, :3])


def test_of_a_truncated_file_what_came_is_shown(data: bytes, whole: np.ndarray) -> None:
    header = container.read_header(data)
    for length, lost in (
        (header.offsets[2], (2, 3, 4, 5)),
        (header.offsets[5] + 1, (5,)),
        (header.size, tuple(range(6))),
        (len(data) - 1, ()),
    ):
        with pytest.raises(Truncated):
            picocodec.decode(data[:length])
        with pytest.warns(DamagedPicture, match=f"ends after {length} of") as told:
            decoded = picocodec.decode(data[:length], allow_damaged=True)
        assert told[0].message.tiles == lost
        assert decoded.shape == (HEIGHT, WIDTH, 3)  # alpha lies at the end
        for i in set(range(6)) - set(lost):
            kept = inside(whole, LAYOUT[i])[..., :3]
            assert np.array_equal(inside(decoded, LAYOUT[i]), kept)


def test_a_damaged_header_is_always_an_error(data: bytes) -> None:
    header = container.read_header(data)
    for at in range(header.size):
        with pytest.raises(picocodec.PicoError):
            picocodec.decode(flipped(data, at), allow_damaged=True)
    with pytest.raises(Truncated):
        picocodec.decode(data[: header.size - 1], allow_damaged=True)


def test_damaged_chunks_are_left_out(data: bytes, whole: np.ndarray) -> None:
    header = container.read_header(data)
    offset = header.offsets[-1]
    for chunk in header.chunks:
        broken = flipped(data, offset)
        with pytest.raises(CorruptChunk, match=chunk.kind.decode().strip()):
            decode_picture(broken)
        damage: list[picocodec.PicoError] = []
        picture = decode_picture(broken, damage=damage)
        assert [str(e) for e in damage] == [
            f"the {chunk.kind.decode().strip()} chunk does not match its checksum"
        ]
        kept = {b"exif": picture.exif, b"xmp ": picture.xmp, b"alph": picture.alpha}
        assert [kind for kind, value in kept.items() if value is None] == [chunk.kind]
        assert np.array_equal(picture.rgb, whole[:, :, :3])
        offset += chunk.length


def test_bytes_after_the_end_are_told(data: bytes, whole: np.ndarray) -> None:
    with pytest.warns(DamagedPicture, match="1 bytes follow"):
        assert np.array_equal(picocodec.decode(data + b"x", allow_damaged=True), whole)


def test_concealment_continues_its_neighbours() -> None:
    """A slope across the lost tile comes out as a slope; gray needs no neighbours."""
    tiles = layout(1500, 1200)
    ramp = np.linspace(40, 220, 1500).astype(np.uint8)[None, :, None]
    picture = np.broadcast_to(ramp, (1200, 1500, 3)).copy()
    hidden = picture.copy()
    middle = tiles[4]
    assert 0 < middle.top and middle.top + middle.height < 1200
    own(hidden, middle)[:] = 0
    conceal(hidden, tiles, 3, [4])
    error = np.abs(hidden.astype(int) - picture)
    assert error.max() < 40 and error.mean() < 3
    assert not error[: middle.top].any() and not error[middle.top + middle.height :].any()
    border = hidden[middle.top, middle.left : middle.left + middle.width].astype(int)
    assert np.abs(border - picture[0, middle.left : middle.left + middle.width]).max() <= 3
    conceal(hidden, tiles, 3, range(len(tiles)))
    assert (hidden == GRAY).all()


def test_gray_pictures_stay_gray() -> None:
    gray = np.repeat(photo(40, 600)[:, :, :1], 3, axis=2)
    data = encode_picture(Picture(gray, gray=True), 300, "tiny.v1", threads=1)
    with pytest.warns(DamagedPicture):
        assert picocodec.decode(data[:-1], allow_damaged=True).shape == (40, 600)


def test_the_command_conceals_says_so_and_has_an_exit_code_of_its_own(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    header = container.read_header(data)
    Path("good.pico").write_bytes(data)
    Path("bad.pico").write_bytes(flipped(data, header.offsets[1]))
    Path("cut.pico").write_bytes(data[: header.offsets[3] + 2])
    assert cli.picodec(["bad.pico"]) == 1
    assert "picodec: bad.pico: tile 1 (row 0, column 1)" in capsys.readouterr().err
    assert not Path("bad.png").exists()
    assert cli.picodec(["--allow-damaged", "good.pico"]) == 0
    capsys.readouterr()
    options = ["--allow-damaged", "--quiet", "--overwrite"]
    assert cli.picodec([*options, "bad.pico", "good.pico", "cut.pico"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "picodec: bad.pico: damaged: concealed from what lies around: tile 1"
    assert lines[1].startswith("picodec: cut.pico: damaged: the file ends after")
    assert lines[1].endswith("tile 3 to 5") and len(lines) == 2
    with Image.open("bad.png") as im:
        assert im.size == (WIDTH, HEIGHT)
    Path("none.pico").write_bytes(data[:9])
    assert cli.picodec(["--allow-damaged", "bad.pico", "none.pico", "-o", "out"]) == 1


def test_pillow_decides_with_its_own_switch(
    data: bytes, whole: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cut.pico"
    path.write_bytes(data[: container.read_header(data).offsets[5] + 1])
    with pytest.raises(OSError, match="ends after"):
        Image.open(path).load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.warns(DamagedPicture, match="tile 5$"), Image.open(path) as im:
        assert im.mode == "RGB"
        shown = inside(np.asarray(im), LAYOUT[4])
        assert np.array_equal(shown, inside(whole, LAYOUT[4])[:, :, :3])


def test_pillow_loses_a_damaged_alpha_with_its_mode(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = container.read_header(data)
    chunks = container.chunk_data(header, data)
    path = tmp_path / "alpha.pico"
    path.write_bytes(
        container.write(
            width=WIDTH,
            height=HEIGHT,
            level=header.level,
            model=header.model,
            pieces=[learned(payload, 300) for payload in payloads(data)],
            chunks=[(b"alph", chunks[b"alph"][:40])],
        )
    )
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.warns(DamagedPicture, match="alpha"), Image.open(path) as im:
        im.load()
        assert im.mode == "RGB" and np.asarray(im).shape == (HEIGHT, WIDTH, 3)
