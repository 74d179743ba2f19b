"""Files and pictures through the whole codec, with a tiny random model and the released one."""

from __future__ import annotations

import binascii
import hashlib
import io
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tiny import photo
from written import learned, payloads

from picocodec.coders import av1
from picocodec.coders.learned import LearnedCoder, decode_symbols
from picocodec.decoding.decoder import decode_picture
from picocodec.encoding.allocation import level_offsets
from picocodec.encoding.encoder import encode_picture
from picocodec.encoding.features import look_at
from picocodec.errors import (
    CorruptChunk,
    CorruptTile,
    PicoError,
    Truncated,
    UnknownModel,
    UnsupportedImage,
    UnsupportedVersion,
)
from picocodec.format import container
from picocodec.format.tiles import TILE, layout
from picocodec.images.canvas import with_margin
from picocodec.images.picture import Picture
from picocodec.model.model import FILES, Model
from picocodec.model.store import DEFAULT_MODEL, MODEL_PATH_VARIABLE, load_model

SIZES = [(1, 1), (1, 40), (33, 1), (63, 65), (64, 129), (200, 131)]


@pytest.fixture(autouse=True)
def tiny_is_installed(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(model_folder.parent))


def encode(picture: Picture, level: int = 700) -> bytes:
    """By the networks wherever that is possible: nobody trained these."""
    return encode_picture(picture, level, "tiny.v1", threads=1, effort=0)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_pictures_of_any_size(height: int, width: int) -> None:
    picture = decode_picture(encode(Picture(photo(height, width))))
    assert picture.rgb.shape == (height, width, 3) and picture.rgb.dtype == np.uint8


def test_the_decoder_reads_the_symbols_that_the_encoder_wrote(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = photo(150, 90)
    tile = layout(90, 150)[0]
    written: list[np.ndarray] = []
    original = model.coder.encode

    def spy(groups):
        written.extend(symbols for symbols, _ in groups)
        return original(groups)

    monkeypatch.setattr(model.coder, "encode", spy)
    for level in (0, 400, 1000):
        written.clear()
        payload = LearnedCoder(model).encode(with_margin(rgb, tile), level).payload
        z, symbols = decode_symbols(model, payload, tile, level)
        assert np.array_equal(z, written[0]) and np.array_equal(symbols, written[1])
        assert symbols.any()


def test_no_symbol_lies_beyond_the_picture(model: Model) -> None:
    rgb = photo(20, 30)
    tile = layout(30, 20)[0]
    payload = LearnedCoder(model).encode(with_margin(rgb, tile), 1000).payload
    _, symbols = decode_symbols(model, payload, tile, 1000)
    rows, columns = tile.y_used
    assert (rows, columns) == (2, 3) and symbols.shape[1:] == (4, 4)
    assert symbols[:, :rows, :columns].any()
    assert not symbols[:, rows:].any() and not symbols[:, :, columns:].any()


def test_gray_alpha_and_metadata_are_kept() -> None:
    gray = np.repeat(photo(40, 50)[:, :, :1], 3, axis=2)
    alpha = photo(40, 50, seed=5)[:, :, 0]
    source = Picture(gray, alpha, True, icc=b"profile" * 100, exif=b"MM\0*", xmp=b"<x/>")
    out = decode_picture(encode(source))
    assert np.array_equal(out.alpha, alpha)
    assert out.gray and (out.rgb == out.rgb[:, :, :1]).all()
    assert (out.icc, out.exif, out.xmp) == (source.icc, source.exif, source.xmp)


def test_metadata_is_compressed() -> None:
    plain = len(encode(Picture(photo(8, 8))))
    assert len(encode(Picture(photo(8, 8), icc=b"profile " * 1000))) < plain + 100


def test_metadata_over_the_limit_is_refused() -> None:
    with pytest.raises(UnsupportedImage, match="exif"):
        encode(Picture(photo(8, 8), exif=bytes((1 << 26) + 1)))


def test_metadata_of_the_very_limit_is_read_again() -> None:
    data = encode(Picture(photo(8, 8), icc=bytes(1 << 26)))
    assert len(data) < 100_000 and decode_picture(data).icc == bytes(1 << 26)


def with_chunk(kind: bytes, content: bytes, size: int = 8) -> bytes:
    """A file with a chunk of any content, its checksum right."""
    model = load_model("tiny.v1").identity
    side = dict(width=size, height=size)
    parts = dict(level=500, model=model, pieces=[learned(b"")])
    return container.write(**side, **parts, chunks=[(kind, content)])


@pytest.mark.parametrize("kind", [b"iccp", b"exif", b"xmp "])
def test_metadata_that_unfolds_beyond_the_limit_is_refused(kind: bytes) -> None:
    bomb = zlib.compress(bytes((1 << 26) + 1), 9)
    for content in (bomb, bomb[:-1], b"", b"not deflate", zlib.compress(b"x") + b"x"):
        with pytest.raises(CorruptChunk, match=kind.decode().strip()):
            decode_picture(with_chunk(kind, content))


def png(mode: str = "L", size: int = 8, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (size, size)).save(out, "PNG", **options)
    return out.getvalue()


def png_with(kind: bytes, content: bytes) -> bytes:
    """An alpha PNG with a chunk more, before its pixels."""
    plain = png()
    check = zlib.crc32(kind + content).to_bytes(4, "big")
    return plain[:33] + len(content).to_bytes(4, "big") + kind + content + check + plain[33:]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        png("RGB"),
        png("1"),
        png("I;16"),
        png(size=9),
        png()[:-1],
        png()[:60],
        png() + b"x",
        png_with(b"tEXt", b"key\0text"),
        png_with(b"iCCP", b"name\0\0" + zlib.compress(bytes(1 << 20))),
        png_with(b"IDAT", b"noise"),
    ],
)
def test_alpha_is_a_plain_png_or_refused(content: bytes) -> None:
    decode_picture(with_chunk(b"alph", png()))
    with pytest.raises(CorruptChunk, match="alpha"):
        decode_picture(with_chunk(b"alph", content))


def test_pillows_limit_is_not_that_of_alpha(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert decode_picture(with_chunk(b"alph", png())).alpha is not None


def test_alpha_that_no_file_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MAX_CHUNK_BYTES", 100)
    alpha = np.random.default_rng(0).integers(0, 256, (20, 20), np.uint8)
    with pytest.raises(UnsupportedImage, match="alph data needs"):
        encode(Picture(photo(20, 20), alpha))


def test_encoding_is_reproducible() -> None:
    assert encode(Picture(photo(90, 70))) == encode(Picture(photo(90, 70)))


def test_every_flipped_bit_is_told() -> None:
    data = encode(Picture(photo(24, 24), exif=b"MM\0*"), 300)
    for bit in range(len(data) * 8):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PicoError):
            decode_picture(bytes(broken))


def test_every_truncation_is_told() -> None:
    data = encode(Picture(photo(24, 24)), 300)
    for length in range(1, len(data)):
        with pytest.raises(Truncated):
            decode_picture(data[:length])


def forged(payload: bytes) -> bytes:
    """A file whose checksums are right and whose one tile holds `payload`."""
    return container.write(
        width=64,
        height=64,
        level=500,
        model=load_model("tiny.v1").identity,
        pieces=[learned(payload)],
    )


@pytest.mark.parametrize("payload", [b"abc", b"\1\0\0\0\0\0\0\0", b"\xff" * 4000])
def test_forged_tiles_are_refused(payload: bytes) -> None:
    with pytest.raises(CorruptTile, match="tile 0"):
        decode_picture(forged(payload))


def test_forged_noise_never_crashes() -> None:
    rng = np.random.default_rng(0)
    for size in (0, 4, 8, 40, 400):
        for _ in range(5):
            payload = rng.integers(0, 256, size, np.uint8).tobytes()
            try:
                picture = decode_picture(forged(payload))
            except CorruptTile:
                continue
            assert picture.rgb.shape == (64, 64, 3)


def test_unknown_coders_are_named() -> None:
    data = bytearray(forged(b""))
    size = container.read_header(bytes(data)).size
    at = size - 2 - 6
    assert data[at] == 4  # learned, with its margin
    data[at] = 3
    data[size - 2 : size] = binascii.crc_hqx(data[: size - 2], 0xFFFF).to_bytes(2, "little")
    with pytest.raises(UnsupportedVersion, match="tile 0 has a coder that is unknown"):
        decode_picture(bytes(data))


def test_an_alpha_chunk_of_another_size_is_refused() -> None:
    small = Picture(photo(8, 8), alpha=photo(8, 8)[:, :, 0])
    header = container.read_header(encode(small))
    png = container.chunk_data(header, encode(small))[b"alph"]
    data = container.write(
        width=64,
        height=64,
        level=500,
        model=load_model("tiny.v1").identity,
        pieces=[learned(b"")],
        chunks=[(b"alph", png)],
    )
    with pytest.raises(CorruptChunk, match="alpha"):
        decode_picture(data)


def test_a_model_that_is_not_installed_is_named() -> None:
    with pytest.raises(UnknownModel, match="nothing.v3 is not installed"):
        encode_picture(Picture(photo(8, 8)), 500, "nothing.v3")


def test_other_weights_of_the_same_name_are_refused() -> None:
    data = encode(Picture(photo(8, 8)))
    at = data.index(b"tiny") + 5
    header = container.read_header(data)
    changed = container.write(
        width=8,
        height=8,
        level=header.level,
        model=container.ModelId("tiny", 1, b"\0\0\0\0"),
        pieces=[learned(data[header.size :])],
    )
    assert changed[at : at + 4] == b"\0\0\0\0"
    with pytest.raises(UnknownModel, match="other weights"):
        decode_picture(changed)


@pytest.mark.parametrize("name", FILES)
def test_an_altered_model_file_is_refused(
    name: str, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tiny.v1"
    shutil.copytree(model_folder, folder)
    altered = bytearray((folder / name).read_bytes())
    altered[-1] ^= 1
    (folder / name).write_bytes(altered)
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(tmp_path))
    with pytest.raises(UnknownModel, match=name):
        decode_picture(encode(Picture(photo(8, 8))))


def test_a_models_identity_is_the_hash_of_its_files(model: Model, model_folder: Path) -> None:
    hashes = [hashlib.sha256((model_folder / n).read_bytes()).hexdigest() for n in FILES]
    assert (
        model.identity.check
        == hashlib.sha256("".join([*hashes, str(model.skip_below)]).encode()).digest()[:4]
    )


def test_no_float_lies_on_the_way_to_the_symbols(model: Model) -> None:
    """What selects a table is integers throughout, in the arrays and in the ONNX file."""
    import onnx

    graph = onnx.load(model.folder / "scale_decoder.onnx").graph
    inferred = onnx.shape_inference.infer_shapes(onnx.load(model.folder / "scale_decoder.onnx"))
    integer = {onnx.TensorProto.UINT8, onnx.TensorProto.INT8, onnx.TensorProto.INT32,
               onnx.TensorProto.INT64}  # fmt: skip
    assert {t.data_type for t in graph.initializer} <= integer
    values = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
    assert len(values) > 30
    assert {v.type.tensor_type.elem_type for v in values} <= integer
    assert all(a.dtype.kind in "iu" for a in model._tables.values())


# -- the released model ---------------------------------------------------------------------------


def test_the_released_model_reproduces_a_photo() -> None:
    rgb = photo(180, 240)
    sizes, errors = [], []
    for level in (100, 400, 700, 1000):
        data = encode_picture(Picture(rgb), level, DEFAULT_MODEL)
        sizes.append(len(data))
        decoded = decode_picture(data).rgb.astype(float)
        errors.append(np.square(decoded - rgb).mean())
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)
    assert errors[-1] < 40


def test_the_released_model_leaves_no_seam() -> None:
    """The error along a border between tiles is no larger than elsewhere."""
    rgb = photo(64, 1100)
    decoded = decode_picture(encode_picture(Picture(rgb), 500, DEFAULT_MODEL)).rgb
    error = np.abs(decoded.astype(float) - rgb).mean((0, 2))
    border = error[[502, 503, 504, 505]].mean()
    assert border < 1.5 * error.mean()


def half_smooth() -> NDArray[np.uint8]:
    """Two tiles: a slope with a little grain, and noise."""
    generator = np.random.default_rng(0)
    rgb = np.empty((80, 2 * TILE, 3), np.uint8)
    slope = np.linspace(90, 120, TILE)[:, None]
    rgb[:, :TILE] = slope + generator.normal(0, 0.7, (80, TILE, 3))
    rgb[:, TILE:] = generator.integers(0, 256, (80, TILE, 3))
    return rgb


def test_smooth_tiles_get_a_higher_level_and_busy_ones_a_lower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(av1, "is_available", lambda: False)  # whose tiles have the picture's
    rgb = half_smooth()
    header = container.read_header(encode(Picture(rgb), 400))
    halves = rgb[:, :TILE], rgb[:, TILE:]
    offsets = level_offsets([look_at(half) for half in halves])
    assert [piece.level - 400 for piece in header.pieces] == offsets
    assert offsets[0] > 0 > offsets[1]
    assert header.level == 400


@pytest.mark.parametrize("level", [0, 1000])
def test_levels_of_tiles_stay_levels(level: int) -> None:
    header = container.read_header(encode(Picture(half_smooth()), level))
    levels = [piece.level for piece in header.pieces]
    assert level in levels and all(0 <= own <= 1000 for own in levels)


def test_tiles_at_the_level_of_the_picture_say_none() -> None:
    noise = half_smooth()[:, TILE:]
    data = encode(Picture(np.concatenate([noise, noise], 1)), 400)
    header = container.read_header(data)
    plain = container.write(
        width=header.width,
        height=header.height,
        level=400,
        model=header.model,
        pieces=[learned(payload, 400) for payload in payloads(data)],
    )
    assert data == plain and header.size == 4 + 2 + 2 + 1 + 2 + 4 + 5 + 2 * 7 + 2
