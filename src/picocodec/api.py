"""The Python interface: pictures to the bytes of .pico files and back."""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass, field
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from picocodec.encoding.effort import DEFAULT_EFFORT
from picocodec.encoding.rate import DEFAULT_QUALITY, level_of_quality, quality_of_level
from picocodec.errors import DamagedPicture, PicoError
from picocodec.format import container
from picocodec.format.pieces import CoderId
from picocodec.images import exif as exif_bytes
from picocodec.images.kinds import from_pillow
from picocodec.images.metadata import read_metadata
from picocodec.images.orientation import make_upright, turned
from picocodec.images.picture import EXIF_PREFIX, Picture, from_array
from picocodec.images.reading import read
from picocodec.pipeline import Progress

# The encoder and the decoder are imported where they are called: they bring ONNX Runtime, which
# is slow to load and which whoever only asks for a file's size has no use for.


Buffer: TypeAlias = bytes | bytearray | memoryview
Source: TypeAlias = str | os.PathLike[str] | BinaryIO | Buffer
"""A file: its path, an open binary file, or its bytes."""
_Item: TypeAlias = bytes | None


@dataclass(frozen=True)
class Info:
    """What a file says of itself, read without decoding it."""

    width: int
    height: int
    mode: str  # "RGB", "L", "RGBA" or "LA"
    quality: float  # 0 to 100
    level: int  # what the networks get of the quality, in thousandths
    model: str  # "name.vN"
    model_sha256: str  # the first eight hexadecimal digits
    format_version: int
    tiles: int
    learned_tiles: int  # of them, those from the networks, whose finest texture may be invented
    bytes: int
    bpp: float  # bits of the whole file for each pixel
    has_icc: bool
    has_exif: bool
    has_xmp: bool
    has_alpha: bool
    realism: float | None  # 0 to 1, what the file recommends to its decoder; None: nothing
    orientation: int  # how the pixels are to be turned, 1 to 8 as EXIF numbers it; 1: not at all
    lossless: bool  # the pixels are exactly those that were encoded
    icc: _Item = field(default=None, repr=False)
    exif: _Item = field(default=None, repr=False)  # begins with "II" or "MM"
    xmp: _Item = field(default=None, repr=False)


def encode(
    image: Source | Image.Image | ArrayLike,
    quality: float = DEFAULT_QUALITY,
    *,
    lossless: bool = False,
    target_size: int | None = None,
    effort: int = DEFAULT_EFFORT,
    target_bpp: float | None = None,
    model: str | None = None,
    threads: int = 0,
    progress: Progress | None = None,
    exif: bytes | None = None,
    icc: bytes | None = None,
    xmp: bytes | None = None,
) -> bytes:
    """The .pico file of a picture: an image file (its path, an open binary file, or its bytes), a
    Pillow image, or uint8 pixels `[H, W]` or `[H, W, 1 to 4]`, gray or in RGB order.

    `quality` is 0 to 100. In its place: `lossless` keeps every pixel, in a much larger file;
    `target_size`, in bytes, or `target_bpp`, in bits a pixel, is never exceeded, and missed by at
    most 2 % where the steps of quality allow that; it takes up to six passes to find. `effort` is
    0 to 9: how many other ways than the networks are tried for each tile, and how carefully.
    `model` is the name of an installed one, None the default; `threads` 0 means all cores.
    `progress` is called with the tiles done, and all tiles, of each pass.

    Files and Pillow images bring their own EXIF, ICC profile and XMP along; `exif`, `icc` and `xmp`
    replace them, and `b""` leaves them out; without EXIF the pixels are turned as it says. A
    warning names what else there was beside the image. Raises `TypeError` for what is no picture,
    `ValueError` for arguments out of range, `UnsupportedImage`, `UnknownModel`, `TargetTooSmall`,
    and `OSError` for files that cannot be read.

        >>> data = picocodec.encode("photo.jpg", quality=60)
        >>> len(picocodec.encode("photo.jpg", target_size=1_000)) <= 1000
        True
    """
    from picocodec.encoding.encoder import encode_picture, encode_to_size
    from picocodec.model.store import DEFAULT_MODEL

    level = level_of_quality(checked_quality(quality))
    if sum((lossless, target_size is not None, target_bpp is not None)) > 1:
        raise ValueError("lossless, target_size and target_bpp exclude one another: give one")
    picture = _picture(image)
    _replace_metadata(picture, exif, icc, xmp)
    if lossless:
        from picocodec.exact import encode_exactly

        return encode_exactly(picture, threads, progress)
    if target_bpp is not None:
        height, width = picture.rgb.shape[:2]
        target_size = max(1, int(checked_bpp(target_bpp) * width * height / 8))
    if target_size is not None:
        size = checked_target(target_size)
        return encode_to_size(picture, size, model or DEFAULT_MODEL, threads, progress, effort)
    return encode_picture(picture, level, model or DEFAULT_MODEL, threads, progress, effort)


def decode(
    data: Source,
    *,
    max_pixels: int = container.MAX_PIXELS,
    threads: int = 0,
    progress: Progress | None = None,
    realism: float | None = None,
    allow_damaged: bool = False,
    region: tuple[int, int, int, int] | None = None,
    scale: float = 1,
    upright: bool = False,
) -> NDArray[np.uint8]:
    """The pixels of a .pico file (its path, an open binary file, or its bytes), in RGB order: uint8
    `[H, W, 3]`, gray `[H, W]`, with alpha `[H, W, 4]` or `[H, W, 2]`.

    `realism` is 0 (the closest pixels) to 1 (the most convincing texture); None is what the file
    recommends, or else the model's default. `progress` is called with the tiles done, and all of
    them. Raises a `PicoError` that says what is wrong with the file, `LimitExceeded` for more than
    `max_pixels`, `TypeError` for what is no file, `ValueError` for realism out of range.

    `region` is `(x, y, width, height)` of a part, in pixels, identical to that part of the whole
    picture; only tiles that it touches, or comes within 4 pixels of, are read. `scale` is 1, 1/2,
    1/4 or 1/8: sides are divided and rounded up. Its pixels are means of the picture's, or nearly
    so: of opaque pictures at the model's own realism they come from a preview, in a quarter of the
    time or less, where the model has one and `region` begins at multiples of the divisor.
    `ValueError` for any others.

    With `upright`, pixels are turned as the file's EXIF says, after everything else; otherwise they
    come as they are stored, and `read_info` says how to turn them.

    With `allow_damaged`, tiles that are damaged or missing are concealed from their neighbours,
    alpha and metadata that are damaged left out, and a `DamagedPicture` warning says which; only
    a damaged header still is an error.

        >>> picocodec.decode("photo.pico", region=(10, 20, 16, 8), realism=0).shape
        (8, 16, 3)
    """
    from picocodec.decoding.decoder import SCALES, open_picture

    at = None if realism is None else checked_realism(realism)
    divisor = next((n for n in SCALES if scale == 1 / n), None)
    if divisor is None:
        raise ValueError(f"scale must be 1, 1/2, 1/4 or 1/8, not {scale!r}")
    damage: list[PicoError] | None = [] if allow_damaged else None
    picture = open_picture(_contents(data), max_pixels, threads, at, damage, region, divisor)
    pixels = picture.read(progress)
    if damage:
        warnings.warn(DamagedPicture(damage), stacklevel=2)
    if upright:
        pixels = turned(pixels, exif_bytes.orientation(picture.exif))
    return pixels[:, :, 0] if picture.channels == 1 else pixels


def read_info(data: Source) -> Info:
    """What a .pico file (its path, an open binary file, or its bytes) says of itself. The picture
    is not decoded, so there is no limit to its size and its model need not be installed.

    Raises a `PicoError` for what is not a whole file, `TypeError` for what is no file.

        >>> info = picocodec.read_info("photo.pico")
        >>> info.width, info.height, info.mode, info.quality
        (60, 40, 'RGB', 50.0)
    """
    data = _contents(data)
    header = container.read_header(data, container.MAX_SIDE**2)
    container.check_size(header, len(data))
    metadata = read_metadata(header, data)
    return Info(
        width=header.width,
        height=header.height,
        mode=("L" if header.gray else "RGB") + ("A" if metadata.has_alpha else ""),
        quality=quality_of_level(header.level),
        level=header.level,
        model=str(header.model),
        model_sha256=header.model.check.hex(),
        format_version=container.VERSION,
        tiles=header.columns * header.rows,
        learned_tiles=header.learned_tiles,
        bytes=len(data),
        bpp=8 * len(data) / (header.width * header.height),
        has_icc=metadata.icc is not None,
        has_exif=metadata.exif is not None,
        has_xmp=metadata.xmp is not None,
        has_alpha=metadata.has_alpha,
        realism=None if header.realism is None else header.realism / 255,
        orientation=exif_bytes.orientation(metadata.exif),
        lossless=all(piece.coder == CoderId.LOSSLESS for piece in header.pieces),
        icc=metadata.icc,
        exif=metadata.exif,
        xmp=metadata.xmp,
    )


def models() -> list[str]:
    """The names, as `name.vN`, of the models that are installed: those that come with the package,
    and those in the folders that `$PICOCODEC_MODELS` lists.

        >>> picocodec.read_info("photo.pico").model in picocodec.models()
        True
    """
    from picocodec.model.store import available_models

    return available_models()


def checked_quality(quality: object) -> float:
    """`quality` as a number; raises `ValueError` unless it is one from 0 to 100."""
    if isinstance(quality, int | float | np.integer | np.floating) and 0 <= quality <= 100:
        return float(quality)
    raise ValueError(f"quality must be a number from 0 to 100, not {quality!r}")


def checked_target(size: object) -> int:
    """A target in bytes as a number; raises `ValueError` unless it is a positive whole one."""
    if isinstance(size, int | np.integer) and size > 0:
        return int(size)
    raise ValueError(f"target_size must be a positive number of bytes, not {size!r}")


def checked_realism(realism: object) -> float:
    """`realism` as a number; raises `ValueError` unless it is one from 0 to 1."""
    if isinstance(realism, int | float | np.integer | np.floating) and 0 <= realism <= 1:
        return float(realism)
    raise ValueError(f"realism must be a number from 0 to 1, not {realism!r}")


def checked_bpp(bpp: object) -> float:
    """A target in bits a pixel as a number; raises `ValueError` unless it is a positive one."""
    if isinstance(bpp, int | float | np.integer | np.floating) and 0 < bpp < float("inf"):
        return float(bpp)
    raise ValueError(f"target_bpp must be a positive number of bits, not {bpp!r}")


def _replace_metadata(
    picture: Picture, exif: bytes | None, icc: bytes | None, xmp: bytes | None
) -> None:
    if icc is not None:
        picture.icc = icc
    if exif == b"":
        make_upright(picture)
    elif exif is not None:
        picture.exif = exif.removeprefix(EXIF_PREFIX)
    if xmp is not None:
        picture.xmp = xmp


def _picture(image: object) -> Picture:
    if isinstance(image, Image.Image):
        return from_pillow(image)
    if isinstance(image, str | os.PathLike):
        return read(image)
    if isinstance(image, bytes | bytearray) or _is_flat(image):
        return read(io.BytesIO(image))  # type: ignore[arg-type]
    if hasattr(image, "read"):
        return read(_binary(image))
    if hasattr(image, "__array__") or isinstance(image, list | tuple | memoryview):
        return from_array(image)
    raise TypeError(
        "expected a picture (a path, an open binary file, its bytes, a Pillow image, or uint8 "
        f"pixels), not {type(image).__name__}"
    )


def _contents(data: object) -> bytes:
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if isinstance(data, str | os.PathLike):
        with open(data, "rb") as file:
            return file.read()
    if hasattr(data, "read"):
        return _binary(data).read()
    raise TypeError(
        "expected a .pico file (its path, an open binary file, or its bytes), not "
        f"{type(data).__name__}"
    )


def _is_flat(data: object) -> bool:
    """Whether it is the bytes of a file, and no pixels."""
    return isinstance(data, memoryview) and data.ndim == 1


def _binary(file: object) -> BinaryIO:
    if isinstance(file, io.TextIOBase):
        raise TypeError('the file is open as text: open it with mode "rb"')
    return file  # type: ignore[return-value]
