"""Files and pixels: what kinds of picture there are, and how each becomes RGB and returns."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from picocodec.errors import LimitExceeded, PicoError, UnsupportedImage
from picocodec.format.container import MAX_SIDE

# Pillow modes that become eight bits of gray or RGB without a change of colour, and what they
# become; "A" is added to those that carry transparency.
_MODES = {
    "1": "L", "L": "L", "LA": "L", "La": "L",
    "P": "RGB", "PA": "RGB", "RGB": "RGB", "RGBA": "RGB", "RGBa": "RGB", "RGBX": "RGB",
    "YCbCr": "RGB",
}  # fmt: skip
_TOO_DEEP = (
    "the image has more than 8 bits a channel, which cannot be kept: "
    "convert it to 8 bits first, or store it as PNG or TIFF"
)

# File name extensions that `write` knows, and Pillow's names for their formats.
FORMATS = {
    "png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP", "tif": "TIFF", "tiff": "TIFF",
    "ppm": "PPM", "pgm": "PPM", "bmp": "BMP", "npy": "NPY",
}  # fmt: skip
_HOLD_ALPHA = {"PNG", "WEBP", "TIFF", "NPY"}
_HOLD_METADATA = {"PNG", "JPEG", "WEBP", "TIFF"}
# A decoded picture should not lose again what the codec has kept, nor wait longer for PNG's
# usual compression, a tenth smaller, than for decoding.
_OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {"compress_level": 1},
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"lossless": True, "exact": True},
}

EXIF_PREFIX = b"Exif\0\0"  # JPEG's, which Pillow keeps in `info`; a Picture has EXIF without it
_XMP_TAG = 700
_SUB_IFDS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
# What a TIFF file says about its picture; its other tags are about the file.
_TIFF_EXIF = (
    ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model,
    ExifTags.Base.Software, ExifTags.Base.DateTime, ExifTags.Base.Artist,
    ExifTags.Base.HostComputer, ExifTags.Base.Copyright, *_SUB_IFDS,
)  # fmt: skip


@dataclass
class Picture:
    """What a .pico file holds, decoded.

    `rgb` uint8 `[H, W, 3]`, sRGB unless `icc` says otherwise; `alpha` uint8 `[H, W]`, not
    premultiplied; `gray` says that the picture has one channel, then `rgb` has three equal ones.
    Pixels are stored as they come: an orientation in `exif` is kept there, never applied.
    """

    rgb: NDArray[np.uint8]
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
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise UnsupportedImage(
            f"the picture has {width}x{height} pixels; its sides must be of 1 to {MAX_SIDE}"
        )
    gray = channels <= 2
    return Picture(
        rgb=np.repeat(pixels[:, :, :1], 3, axis=2) if gray else pixels[:, :, :3],
        alpha=pixels[:, :, -1] if channels in (2, 4) else None,
        gray=gray,
    )


def to_array(picture: Picture) -> NDArray[np.uint8]:
    """Pixels as uint8 `[H, W, 3]`; gray `[H, W]`; with alpha `[H, W, 4]` or, gray, `[H, W, 2]`."""
    colours = picture.rgb[:, :, :1] if picture.gray else picture.rgb
    if picture.alpha is not None:
        return np.concatenate([colours, picture.alpha[:, :, None]], axis=2)
    return colours[:, :, 0] if picture.gray else colours


def from_pillow(im: Image.Image) -> Picture:
    """A picture from a Pillow image (of several frames, the current one) and its metadata.

    Palettes, bilevel, premultiplied and YCbCr pixels are converted. Raises `UnsupportedImage`
    for what would lose meaning: more than 8 bits a channel, CMYK, LAB.
    """
    # Pillow reads 16-bit colour as 8-bit without a word; only before loading can it be seen.
    if any(_has_16_bits(*tile) for tile in getattr(im, "tile", ())):
        raise UnsupportedImage(_TOO_DEEP)
    im.load()
    if im.mode in ("I", "F") or im.mode.startswith("I;16"):
        raise UnsupportedImage(_TOO_DEEP)
    if im.mode not in _MODES:
        raise UnsupportedImage(
            f"the image is {im.mode}, not RGB or gray: convert it first, through its colour "
            "profile if it has one, since a plain conversion shifts colours"
        )
    mode = _MODES[im.mode] + ("A" if im.has_transparency_data else "")
    picture = from_array(np.asarray(im if im.mode == mode else im.convert(mode)))
    picture.icc = im.info.get("icc_profile") or None
    exif = im.info.get("exif") or (_tiff_exif(im) if im.format == "TIFF" else b"")
    picture.exif = exif.removeprefix(EXIF_PREFIX) or None
    xmp = im.info.get("xmp")
    picture.xmp = (xmp.encode() if isinstance(xmp, str) else xmp) or None
    return picture


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
    """The picture in an image file of any format that Pillow reads, from a path or a seekable
    binary stream; of an animation, the first frame, with a warning.

    Raises `UnsupportedImage`, `LimitExceeded` (Pillow's limit, `PIL.Image.MAX_IMAGE_PIXELS`),
    and `OSError` where the file system fails.
    """
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            return read(file)
    if not source.read(1):
        raise UnsupportedImage("the file is empty")
    try:
        with Image.open(source) as im:
            if getattr(im, "is_animated", False):
                warnings.warn(
                    "of several pictures in the file only the first is kept", stacklevel=2
                )
            return from_pillow(im)
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


def write(picture: Picture, stream: BinaryIO, extension: str) -> None:
    """Write an image file to a seekable binary stream; `extension`, without a dot, is a key of
    `FORMATS`. JPEG is written at its quality 95, everything else without loss.

    Metadata that the format cannot hold is dropped with a warning. Raises `UnsupportedImage` for
    an unknown extension, for transparency that the format cannot hold, and for pictures or
    metadata too large for it.
    """
    format = FORMATS.get(extension.lower())
    if format is None:
        raise UnsupportedImage(f"no format {extension!r}; known are {', '.join(FORMATS)}")
    if picture.alpha is not None and format not in _HOLD_ALPHA:
        raise UnsupportedImage(
            f"{format} cannot hold the picture's transparency: write PNG, WebP or TIFF"
        )
    info = pillow_info(picture.icc, picture.exif, picture.xmp)
    if info and format not in _HOLD_METADATA:
        warnings.warn(f"{format} cannot hold {', '.join(info)}: dropped", stacklevel=2)
    if format == "NPY":
        np.save(stream, to_array(picture))
        return
    try:
        options = _OPTIONS.get(format, {}) | info
        if format == "PNG" and picture.xmp:
            options["pnginfo"] = PngInfo()
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", picture.xmp.decode())
        if format == "TIFF":
            options["exif"] = Image.Exif()
            if picture.exif:
                options["exif"].load(picture.exif)
            if picture.xmp:
                options["exif"][_XMP_TAG] = picture.xmp
        im = Image.fromarray(to_array(picture))
        im.save(stream, format, **options)
    except (OSError, ValueError, SyntaxError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnsupportedImage(f"the picture cannot be written as {format}: {error}") from None


def _has_16_bits(codec: str, extents: Any, offset: int, args: Any) -> bool:
    """Whether a piece of a file that Pillow is about to load has channels of 16 bits."""
    if codec in ("ppm", "ppm_plain") and isinstance(args, tuple):
        return args[1] > 255  # the value of white
    raw_mode = args[0] if isinstance(args, tuple) and args else args
    return ";16" in str(raw_mode) or "16" in codec


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
