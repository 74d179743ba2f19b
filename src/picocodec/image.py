"""Files and pixels: what kinds of picture there are, and how each becomes RGB and returns."""

from __future__ import annotations

import importlib
import os
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import ExifTags, Image

from picocodec import peek
from picocodec.errors import LimitExceeded, PicoError, UnsupportedImage
from picocodec.format.container import MAX_SIDE

# Pillow modes that become eight bits of gray or RGB without a change of colour, and what they
# become; "A" is added to those that carry transparency.
_MODES = {
    "1": "L", "L": "L", "LA": "L", "La": "L",
    "P": "RGB", "PA": "RGB", "RGB": "RGB", "RGBA": "RGB", "RGBa": "RGB", "RGBX": "RGB",
    "YCbCr": "RGB",
}  # fmt: skip
_HDR_TRANSFERS = (16, 18)  # PQ and HLG, as ITU-T H.273 numbers them
_TOO_DEEP = (
    "the image has more than 8 bits a channel, which cannot be kept: "
    "convert it to 8 bits first, or store it as PNG or TIFF"
)

# File name extensions of what people keep pictures in, for who looks through folders.
EXTENSIONS = frozenset(
    "avif bmp gif heic heif hif j2k jfif jp2 jpe jpeg jpg jpx jxl npy pbm pgm png pnm ppm tga tif "
    "tiff webp".split()
)

_NPY = b"\x93NUMPY"  # how NumPy's files begin

EXIF_PREFIX = b"Exif\0\0"  # JPEG's, which Pillow keeps in `info`; a Picture has EXIF without it
_SUB_IFDS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
# What a TIFF file says about its picture; its other tags are about the file.
_TIFF_EXIF = (
    ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model,
    ExifTags.Base.Software, ExifTags.Base.DateTime, ExifTags.Base.Artist,
    ExifTags.Base.HostComputer, ExifTags.Base.Copyright, *_SUB_IFDS,
)  # fmt: skip


class Pixels(Protocol):
    """RGB pixels, uint8 `[H, W, 3]`, that need not all be in memory: an array has them, or
    `FilePixels`, or `PillowPixels`. Slices are arrays."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[np.uint8]: ...


class PillowPixels:
    """The colours of a Pillow image of mode L, LA, RGB or RGBA, taken from it piece by piece:
    it holds four bytes a pixel, and an array of all of them would come on top."""

    def __init__(self, im: Image.Image) -> None:
        self._im = im
        self.shape = (im.height, im.width, 3)

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[np.uint8]:
        top, bottom, _ = key[0].indices(self.shape[0])
        left, right, _ = key[1].indices(self.shape[1])
        return _colours(np.atleast_3d(np.asarray(self._im.crop((left, top, right, bottom)))))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:, :].astype(dtype or np.uint8, copy=False)


class FilePixels:
    """Pixels `[H, W, 1 or 3]` that lie in a file as they are. Each slice is mapped to memory by
    itself, so that what was seen does not stay."""

    def __init__(self, path: str, offset: int, height: int, width: int, channels: int) -> None:
        self._path, self._offset = path, offset
        self._row = width, channels
        self.shape = (height, width, 3)

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[np.uint8]:
        top, bottom, _ = key[0].indices(self.shape[0])
        width, channels = self._row
        place = self._offset + top * width * channels
        rows = np.memmap(self._path, np.uint8, "r", place, (bottom - top, width, channels))
        return _colours(np.array(rows[:, key[1]]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:, :].astype(dtype or np.uint8, copy=False)


@dataclass
class Picture:
    """What a .pico file holds, decoded, or is to hold.

    `rgb` uint8 `[H, W, 3]`, sRGB unless `icc` says otherwise; `alpha` uint8 `[H, W]`, not
    premultiplied; `gray` says that the picture has one channel, then `rgb` has three equal ones.
    Pixels are stored as they come: an orientation in `exif` is kept there, never applied.
    """

    rgb: Pixels
    alpha: NDArray[np.uint8] | None = None
    gray: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None


def from_array(array: ArrayLike) -> Picture:
    """A picture from uint8 pixels: `[H, W]` or `[H, W, 1]` gray, `[H, W, 2]` gray and alpha,
    `[H, W, 3]` RGB, `[H, W, 4]` RGB and alpha.

    Raises `TypeError` for other types, `ValueError` for other shapes, `UnsupportedImage` for
    sides of no or too many pixels.
    """
    pixels = np.asarray(array)
    if pixels.dtype != np.uint8:
        raise TypeError(
            f"pixels must be uint8 in 0..255, not {pixels.dtype}; scale and convert them first"
        )
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise ValueError(
            f"pixels of shape {pixels.shape} are no picture: expected [H, W] or [H, W, 1 to 4]"
        )
    height, width, channels = pixels.shape
    _check_sides(width, height)
    return Picture(
        rgb=_colours(pixels),
        alpha=pixels[:, :, -1] if channels in (2, 4) else None,
        gray=channels <= 2,
    )


def to_array(picture: Picture) -> NDArray[np.uint8]:
    """Pixels as uint8 `[H, W, 3]`; gray `[H, W]`; with alpha `[H, W, 4]` or, gray, `[H, W, 2]`."""
    rgb = picture.rgb[:, :]
    colours = rgb[:, :, :1] if picture.gray else rgb
    if picture.alpha is not None:
        return np.concatenate([colours, picture.alpha[:, :, None]], axis=2)
    return colours[:, :, 0] if picture.gray else colours


def from_pillow(im: Image.Image) -> Picture:
    """A picture from a Pillow image (of several frames, the current one) and its metadata.

    Palettes, bilevel, premultiplied and YCbCr pixels are converted. Raises `UnsupportedImage`
    for what would lose meaning: more than 8 bits a channel, CMYK, LAB, high dynamic range.
    """
    # Pillow reads deep colour as 8-bit without a word; only before loading can it be seen.
    head = _head(im)
    if peek.bits_per_channel(head) > 8 or any(
        _has_16_bits(*tile) for tile in getattr(im, "tile", ())
    ):
        raise UnsupportedImage(_TOO_DEEP)
    primaries, transfer = peek.code_points(head)
    if "icc_profile" not in im.info and (primaries not in (1, 2) or transfer in _HDR_TRANSFERS):
        raise UnsupportedImage(
            f"the image's colours are given by code points (primaries {primaries}, transfer "
            f"{transfer}) and not by a profile, which cannot be kept: convert it to sRGB first"
        )
    im.load()
    if im.mode in ("I", "F") or im.mode.startswith("I;16"):
        raise UnsupportedImage(_TOO_DEEP)
    if im.mode not in _MODES:
        raise UnsupportedImage(
            f"the image is {im.mode}, not RGB or gray: convert it first, through its colour "
            "profile if it has one, since a plain conversion shifts colours"
        )
    mode = _MODES[im.mode] + ("A" if im.has_transparency_data else "")
    _check_sides(*im.size)
    pixels = im if im.mode == mode else im.convert(mode)
    picture = Picture(PillowPixels(pixels), gray=mode in ("L", "LA"))
    if mode in ("LA", "RGBA"):
        picture.alpha = np.asarray(pixels.getchannel("A"))
    _take_metadata(picture, im)
    return picture


def _take_metadata(picture: Picture, im: Image.Image) -> None:
    picture.icc = im.info.get("icc_profile") or None
    exif = im.info.get("exif") or (_tiff_exif(im) if im.format == "TIFF" else b"")
    if exif and im.format == "JXL" and not getattr(im, "jpeg", False):
        exif = _upright(exif)
    picture.exif = exif.removeprefix(EXIF_PREFIX) or None
    xmp = im.info.get("xmp")
    picture.xmp = (xmp.encode() if isinstance(xmp, str) else xmp) or None


def to_pillow(picture: Picture) -> Image.Image:
    """A Pillow image of mode L, LA, RGB or RGBA, with metadata in `info` as Pillow names it."""
    im = Image.fromarray(to_array(picture))
    im.info.update(pillow_info(picture.icc, picture.exif, picture.xmp))
    return im


def pillow_info(icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> dict[str, bytes]:
    """Metadata under the names, and with the prefix, that Pillow's own plug-ins use."""
    items = {"icc_profile": icc, "exif": exif and EXIF_PREFIX + exif, "xmp": xmp}
    return {name: data for name, data in items.items() if data}


def read(source: str | os.PathLike[str] | BinaryIO) -> Picture:
    """The picture in an image file of any format that Pillow reads, of HEIC and JPEG XL if
    pillow-heif and pillow-jxl-plugin are installed, or in a NumPy file, from a
    path or a seekable binary stream; of an animation, the first frame, with a warning. Pixels
    that lie in the file as they are stay there.

    Raises `UnsupportedImage`, `LimitExceeded` (Pillow's limit, `PIL.Image.MAX_IMAGE_PIXELS`),
    and `OSError` where the file system fails.
    """
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            return read(file)
    head = source.read(len(_NPY))
    source.seek(0)
    if not head:
        raise UnsupportedImage("the file is empty")
    if head == _NPY:
        return _read_npy(source)
    try:
        with _open(source) as im:
            if getattr(im, "is_animated", False):
                warnings.warn(
                    "of several pictures in the file only the first is kept", stacklevel=2
                )
            return _mapped(im, source) or from_pillow(im)
    except PicoError:
        raise
    except Image.UnidentifiedImageError:
        raise UnsupportedImage("not an image file, or of a kind that is not known") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitExceeded(
            f"{error} Raise the limit (--max-pixels or PIL.Image.MAX_IMAGE_PIXELS) "
            "if you trust the file"
        ) from None
    except Exception as error:  # Pillow's readers raise almost anything on damaged files
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnsupportedImage(f"the image cannot be read: {error}") from None


def _read_npy(file: BinaryIO) -> Picture:
    """The picture in an array that NumPy has saved, mapped to memory if it lies in a file."""
    try:
        mapped = np.lib.format.open_memmap(file.name, "r") if hasattr(file, "name") else None
        picture = from_array(np.lib.format.read_array(file) if mapped is None else mapped)
    except (TypeError, ValueError) as error:
        raise UnsupportedImage(f"the array cannot be coded: {error}") from None
    height, width = picture.rgb.shape[:2]
    if mapped is not None and mapped.flags.c_contiguous and picture.alpha is None:
        channels = mapped.size // (height * width)
        picture.rgb = FilePixels(file.name, mapped.offset, height, width, channels)
    if Image.MAX_IMAGE_PIXELS is not None and height * width > Image.MAX_IMAGE_PIXELS:
        raise LimitExceeded(
            f"the array has {width}x{height} pixels, more than the limit of "
            f"{Image.MAX_IMAGE_PIXELS}: raise it (--max-pixels or PIL.Image.MAX_IMAGE_PIXELS)"
        )
    return picture


def _colours(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB `[H, W, 3]` of pixels `[H, W, 1 to 4]`; of gray ones a view that repeats them."""
    if pixels.shape[2] <= 2:
        return np.broadcast_to(pixels[:, :, :1], (*pixels.shape[:2], 3))
    return pixels[:, :, :3]


def _check_sides(width: int, height: int) -> None:
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise UnsupportedImage(
            f"the picture has {width}x{height} pixels; its sides must be of 1 to {MAX_SIDE}"
        )


def _head(im: Image.Image) -> bytes:
    """The first bytes of the file behind an image, while Pillow still has it open."""
    file = getattr(im, "fp", None)
    if file is None or file.closed:
        return b""
    place = file.tell()
    file.seek(0)
    head = file.read(peek.HEAD)
    file.seek(place)
    return head


def _open(source: BinaryIO) -> Image.Image:
    """As `Image.open`, with the plug-ins for HEIC and JPEG XL if they are installed."""
    try:
        return Image.open(source)
    except Image.UnidentifiedImageError:
        with suppress(ImportError):
            importlib.import_module("pillow_heif").register_heif_opener()
        with suppress(ImportError):
            importlib.import_module("pillow_jxl")
        source.seek(0)
        return Image.open(source)


def _mapped(im: Image.Image, file: BinaryIO) -> Picture | None:
    """An image whose pixels lie in its file as they are (PPM, TIFF without compression): mapped
    to memory instead of loaded. None for any other."""
    plain_format = im.format in ("PPM", "TIFF")
    if (
        not plain_format
        or not hasattr(file, "name")
        or im.mode not in ("L", "RGB")
        or im.has_transparency_data
    ):
        return None
    if im.format == "TIFF" and im.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        return None
    pieces = getattr(im, "tile", ())
    row = im.width * len(im.mode)
    place, top = None, 0
    for codec, (left, upper, right, lower), offset, args in pieces:
        plain = args in (im.mode, (im.mode, 0, 1), (im.mode, row, 1))
        follows = place in (None, offset - top * row) and upper == top
        if codec != "raw" or not plain or not follows or (left, right) != (0, im.width):
            return None
        place, top = offset - top * row, lower
    if place is None or top != im.height:
        return None
    _check_sides(*im.size)
    if os.fstat(file.fileno()).st_size < place + im.height * row:
        raise UnsupportedImage("the image cannot be read: the file is truncated")
    pixels = FilePixels(file.name, place, im.height, im.width, len(im.mode))
    picture = Picture(pixels, gray=im.mode == "L")
    _take_metadata(picture, im)
    return picture


def _has_16_bits(codec: str, extents: Any, offset: int, args: Any) -> bool:
    """Whether a piece of a file that Pillow is about to load has channels of 16 bits."""
    if codec in ("ppm", "ppm_plain") and isinstance(args, tuple):
        return args[1] > 255  # the value of white
    raw_mode = args[0] if isinstance(args, tuple) and args else args
    return ";16" in str(raw_mode) or "16" in codec


def _upright(exif: bytes) -> bytes:
    """EXIF without an orientation, for pixels that are turned already: a JPEG XL codestream has
    an orientation of its own, and the one in EXIF does not count."""
    tags = Image.Exif()
    tags.load(exif)
    tags.pop(ExifTags.Base.Orientation, None)
    return tags.tobytes()


def _tiff_exif(im: Image.Image) -> bytes:
    """EXIF for a TIFF image, which has it among its own tags.

    Pillow has applied the orientation of a TIFF image on loading, so it is not among them.
    """
    exif, kept = im.getexif(), Image.Exif()
    for tag in _TIFF_EXIF:
        if tag in _SUB_IFDS and tag in exif:
            # Without the third level: its entry is a place in the file that is left behind.
            kept[tag] = {k: v for k, v in exif.get_ifd(tag).items() if k != ExifTags.IFD.Interop}
        elif tag in exif:
            kept[tag] = exif[tag]
    return kept.tobytes() if kept else b""
