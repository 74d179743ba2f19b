"""What is fuzzed: functions of any bytes, which may end in a typed error and in nothing else.

The networks behind them are the tests' tiny model, which fuzz/corpus.py installs, so that most
of the time goes to the code that reads files.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from repair import repaired

from picocodec.decoding.decoder import open_picture
from picocodec.errors import CorruptTile, PicoError
from picocodec.format import container
from picocodec.format.entropy import ESCAPE_BITS, SymbolCoder
from picocodec.format.pieces import CoderId, Piece
from picocodec.format.rans import ConstrictionCoder, PythonCoder
from picocodec.images.metadata import read_metadata
from picocodec.images.writing import open_writer
from picocodec.model.store import MODEL_PATH_VARIABLE, load_model

BUILD = Path(__file__).parent.parent / "build" / "fuzz"
MODEL = "tiny.v1"
MAX_PIXELS = 1 << 15  # so that an execution takes milliseconds


def prepare() -> None:
    """Set what is global: where the model lies, and Pillow's limit, which also warnings keep."""
    os.environ.setdefault(MODEL_PATH_VARIABLE, str(BUILD / "models"))
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def container_target(data: bytes) -> None:
    """Header, tables, checksums and chunks, as they come and with checksums repaired. What is
    accepted without an error is, written again, the same file."""
    for form in (data, repaired(data)):
        damage: list[PicoError] = []
        try:
            header = container.read_header(form, container.MAX_SIDE**2)
            container.check_size(header, len(form))
            count = min(len(header.pieces), 100)
            payloads = [container.payload(header, form, number) for number in range(count)]
            read_metadata(header, form, damage)
            chunks = container.chunk_data(header, form)
        except PicoError:
            continue
        known = all(entry.coder in list(CoderId) for entry in header.pieces)
        if known and count == len(header.pieces):
            again = container.write(
                width=header.width,
                height=header.height,
                level=header.level,
                model=header.model,
                pieces=[
                    Piece(payload, e.coder, e.level, e.rows, e.columns, e.margin)
                    for payload, e in zip(payloads, header.pieces, strict=True)
                ],
                chunks=list(chunks.items()),
                gray=header.gray,
                realism=header.realism,
            )
            assert again == form, "another file says the same"


def entropy_target(data: bytes) -> None:
    """Symbols from any payload: bounded integers, the same by both engines, and no two payloads
    for the same symbols."""
    if len(data) < 2:
        return
    count = data[0]
    indices = np.frombuffer(data[1 : 1 + count], np.uint8) % 64
    payload = data[1 + count :]
    coders = _coders()
    for whole in {payload, payload[: len(payload) & ~3]}:
        groups, error = _read(coders[0], whole, indices)
        assert all(_read(coder, whole, indices) == (groups, error) for coder in coders[1:])
        limit = max((coders[0]._radii[i] for i in indices), default=0) + (1 << ESCAPE_BITS)
        symbols = [np.array(group, np.int32) for group in groups]
        assert all(np.abs(group).max(initial=0) <= limit for group in symbols)
        assert not any(group[indices < coders[0].skip_below].any() for group in symbols[:1])
        if not error:
            for coder in coders:
                again = coder.encode([(symbols[0], indices), (symbols[1], indices[::-1])])
                assert again == whole, "two payloads for the same symbols"


def _read(
    coder: SymbolCoder, payload: bytes, indices: NDArray[np.uint8]
) -> tuple[list[list[int]], str]:
    """Two groups, or those before what is wrong, and what that is."""
    groups = []
    try:
        reader = coder.reader(payload)
        for at in (indices, indices[::-1]):
            groups.append(reader.read(at).tolist())
        reader.finish()
    except CorruptTile as error:
        return groups, str(error)
    return groups, ""


def decoder_target(data: bytes) -> None:
    """Whole files with checksums repaired, with damage refused and allowed, and on to files of
    other formats, which carry the metadata along."""
    for damage in (None, []):
        try:
            picture = open_picture(repaired(data), MAX_PIXELS, 1, realism=0.5, damage=damage)
            pixels = picture.read()
            assert pixels.shape == (picture.height, picture.width, picture.channels)
            metadata = {"icc": picture.icc, "exif": picture.exif, "xmp": picture.xmp}
            for extension in ("tiff", "png"):
                size = picture.width, picture.height, picture.channels
                writer = open_writer(io.BytesIO(), extension, *size, **metadata)
                writer.write(pixels)
                writer.close()
        except PicoError:
            continue


def pillow_target(data: bytes) -> None:
    """Pillow opening and loading a file, with checksums repaired."""
    try:
        with Image.open(io.BytesIO(repaired(data)), formats=["PICO"]) as im:
            im.load()
            assert len(im.getbands()) * im.width * im.height == np.asarray(im).size
    except (OSError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        pass


TARGETS: dict[str, Callable[[bytes], None]] = {
    "container": container_target,
    "entropy": entropy_target,
    "decoder": decoder_target,
    "pillow": pillow_target,
}


@cache
def _coders() -> list[SymbolCoder]:
    """One for each engine."""
    model = load_model(MODEL, 1)
    tables = np.split(model._tables["tables"], np.cumsum(model._tables["table_lengths"])[:-1])
    return [SymbolCoder(tables, model.skip_below, e) for e in (ConstrictionCoder, PythonCoder)]
