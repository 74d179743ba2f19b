"""Image files to pictures, those that lie in their files as they are without loading them."""

from __future__ import annotations

import importlib
import os
import warnings
from contextlib import suppress
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image

from picocodec.errors import LimitExceeded, PicoError, UnsupportedImage
from picocodec.images.kinds import from_pillow, take_metadata
from picocodec.images.picture import FilePixels, Picture, check_sides, from_array

# File name extensions of what people keep pictures in, for who looks through folders.
EXTENSIONS = frozenset(
    "avif bmp gif heic heif hif j2k jfif jp2 jpe jpeg jpg jpx jxl npy pbm pgm png pnm ppm tga tif "
    "tiff webp".split()
)

_NPY = b"\x93NUMPY"  # how NumPy's files begin


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
    check_sides(*im.size)
    if os.fstat(file.fileno()).st_size < place + im.height * row:
        raise UnsupportedImage("the image cannot be read: the file is truncated")
    pixels = FilePixels(file.name, place, im.height, im.width, len(im.mode))
    picture = Picture(pixels, gray=im.mode == "L")
    take_metadata(picture, im)
    return picture
