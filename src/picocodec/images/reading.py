"""Image files to pictures, those that lie in their files as they are without loading them."""

from __future__ import annotations

import io
import os
import re
import warnings
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, features

from picocodec.errors import LimitExceeded, PicoError, UnsupportedImage
from picocodec.images import plugins, raw
from picocodec.images.containers import Survey, jxl, png, survey, tiff
from picocodec.images.kinds import from_pillow, refuse, refuse_kind, take_metadata
from picocodec.images.peek import contents, path_of
from picocodec.images.picture import FilePixels, Picture, check_sides, from_array

# File name extensions of what people keep pictures in, for who looks through folders.
EXTENSIONS = frozenset(
    "avif bmp gif heic heif hif j2k jfif jp2 jpe jpeg jpg jpx jxl npy pbm pgm png pnm ppm tga tif "
    "tiff webp".split()
)

_KNOWN = {
    b"\x89PNG": "PNG", b"\xff\xd8": "JPEG", b"GIF8": "GIF", b"BM": "BMP", b"8BPS": "PSD",
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF", b"qoif": "QOI",
}  # fmt: skip
_NPY = b"\x93NUMPY"  # how NumPy's files begin


def read(source: str | os.PathLike[str] | BinaryIO) -> Picture:
    """The picture in an image file of any format that Pillow reads, of HEIC, JPEG XL and cameras'
    raw files if pillow-heif, pillow-jxl-plugin and rawpy are installed, or in a NumPy file, from a
    path or a binary stream; of an animation, the first frame, with a warning, as for whatever else
    of the file is not kept. Pixels that lie in the file as they are stay there.

    Raises `UnsupportedImage`, also for files that are not whole, `LimitExceeded` (Pillow's limit,
    `PIL.Image.MAX_IMAGE_PIXELS`), and `OSError` where the file system fails.
    """
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            return read(file)
    if not source.seekable():
        source = io.BytesIO(source.read())
    head = source.read(len(_NPY))
    source.seek(0)
    if not head:
        raise UnsupportedImage("the file is empty")
    if head == _NPY:
        return _read_npy(source)
    found = survey(contents(source))
    if found.refusal == tiff.RAW and plugins.RAW.is_there:
        return raw.develop(source, found)
    refuse_kind(found)
    return _read_image(source, found)


def _read_image(source: BinaryIO, found: Survey) -> Picture:
    try:
        with _open(source) as im:
            if getattr(im, "is_animated", False):
                warnings.warn(
                    "of several pictures in the file only the first is kept", stacklevel=3
                )
            return _mapped(im, source, found) or from_pillow(im, found)
    except PicoError:
        raise
    except Image.UnidentifiedImageError:
        if found.fault:
            raise UnsupportedImage(f"the image cannot be read: {found.fault}") from None
        raise UnsupportedImage(_unknown(source)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(str(error)) from None
    except Exception as error:  # Pillow's readers raise almost anything on damaged files
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if png.TOO_LONG in str(error):
            return _read_image(io.BytesIO(png.without_texts(contents(source))), found)
        # Its own words may be about a stream in memory, of which nobody knows.
        told = str(error) if isinstance(error, OSError | SyntaxError | ValueError) else ""
        words = re.sub(r" ?<[^<>]* object at 0x[0-9a-f]+>", "", told) or "it is damaged"
        raise UnsupportedImage(f"the image cannot be read: {found.fault or words}") from None


def _unknown(source: BinaryIO) -> str:
    """Why nothing here reads a file, and what would."""
    source.seek(0)
    head = source.read(512)
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return _damaged(plugins.HEIF)
    if head[4:8] == b"ftyp" and head[8:11] == b"avi":
        return "the AVIF file is damaged" if features.check("avif") else plugins.NO_AVIF
    if head.startswith((jxl.CODESTREAM, jxl.CONTAINER)):
        return _damaged(plugins.JXL)
    if b"<svg" in head or head.startswith(b"%PDF"):
        return "a drawing or document, not an image file: render it first, to PNG"
    if head[8:12] == b"WEBP":
        return "the WebP file is damaged"
    if head.startswith((b"P7\n", b"P7 ")):
        return "a PAM file, which is not read here: convert it to PNG or PPM first"
    for start, title in _KNOWN.items():
        if head.startswith(start):
            return f"the {title} file is damaged, or of a kind that Pillow does not read"
    if head[4:8] == b"ftyp" or head.startswith((b"\x1aE\xdf\xa3", b"RIFF")):
        return "a video or sound, or of a kind that is not known: not an image file"
    return "not an image file, or of a kind that is not known"


def _damaged(plugin: plugins.Plugin) -> str:
    return f"the {plugin.title} file is damaged" if plugin.is_there else plugin.missing


def _too_large(words: str) -> LimitExceeded:
    """In the numbers of the limit in force: Pillow's speak of twice that."""
    size = re.search(r"\((\d+) pixels\)", words)
    return LimitExceeded(
        f"the image has {size[1] if size else 'more'} pixels, more than the limit of "
        f"{Image.MAX_IMAGE_PIXELS}: raise the limit (--max-pixels or PIL.Image.MAX_IMAGE_PIXELS) "
        "if you trust the file"
    )


def _read_npy(file: BinaryIO) -> Picture:
    """The picture in an array that NumPy has saved, mapped to memory if it lies in a file."""
    path = path_of(file)
    try:
        mapped = np.lib.format.open_memmap(path, "r") if path else None
        if mapped is not None:
            picture = from_array(mapped)
        else:  # from memory: NumPy takes other streams for files on the disk
            picture = from_array(np.lib.format.read_array(io.BytesIO(file.read())))
    except (TypeError, ValueError) as error:
        raise UnsupportedImage(f"the array cannot be coded: {error}") from None
    height, width = picture.rgb.shape[:2]
    if path and mapped is not None and mapped.flags.c_contiguous and picture.alpha is None:
        channels = mapped.size // (height * width)
        picture.rgb = FilePixels(path, mapped.offset, height, width, channels)
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
        if not any([plugin.is_there for plugin in plugins.PLUGINS.values()]):
            raise
        source.seek(0)
        return Image.open(source)


def _mapped(im: Image.Image, file: BinaryIO, found: Survey) -> Picture | None:
    """An image whose pixels lie in its file as they are (PPM, TIFF without compression): mapped
    to memory instead of loaded. None for any other."""
    path = path_of(file)
    if (
        path is None
        or im.format not in ("PPM", "TIFF")
        or im.mode not in ("L", "RGB")
        or im.has_transparency_data
    ):
        return None
    if im.format == "TIFF" and im.tag_v2.get(ExifTags.Base.Orientation, 1) != 1:  # type: ignore[attr-defined]
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
    refuse(im, found)
    if os.fstat(file.fileno()).st_size < place + im.height * row:
        raise UnsupportedImage("the image cannot be read: the file is truncated")
    pixels = FilePixels(path, place, im.height, im.width, len(im.mode))
    picture = Picture(pixels, gray=im.mode == "L")
    take_metadata(picture, im, found)
    return picture
