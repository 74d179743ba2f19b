"""Cameras' raw files, developed by LibRaw through the package rawpy where that is installed."""

from __future__ import annotations

import importlib
import warnings
from typing import BinaryIO

from PIL import Image

from picocodec.errors import LimitExceeded, UnsupportedImage
from picocodec.images.containers import Survey
from picocodec.images.picture import Picture, from_array


def develop(source: BinaryIO, found: Survey) -> Picture:
    """The picture in a raw file, upright, sRGB of 8 bits: LibRaw's defaults with the camera's white
    balance, and the EXIF that `found` has. A warning says so, and what is not kept.

    Raises `UnsupportedImage` for what LibRaw cannot read, `LimitExceeded`.
    """
    rawpy = importlib.import_module("rawpy")
    source.seek(0)
    try:
        with rawpy.imread(source) as raw:
            _check_size(raw.sizes.width, raw.sizes.height)
            pixels = raw.postprocess(use_camera_wb=True, output_bps=8)
    except rawpy.LibRawError as error:
        words = error.args[0] if error.args else type(error).__name__
        words = words.decode(errors="replace") if isinstance(words, bytes) else words
        raise UnsupportedImage(
            f"LibRaw cannot develop this raw file ({words}): develop it with the camera's own "
            "software, darktable or RawTherapee, to PNG or TIFF of 8 bits"
        ) from None
    picture = from_array(pixels)
    picture.exif = found.exif
    text = "a raw file, developed by LibRaw's defaults with the camera's white balance"
    if found.dropped:
        text += f"; not kept: {', '.join(found.dropped)}"
    warnings.warn(text, stacklevel=3)
    return picture


def _check_size(width: int, height: int) -> None:
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        raise LimitExceeded(
            f"the raw file has {width}x{height} pixels, more than the limit of "
            f"{Image.MAX_IMAGE_PIXELS}: raise it (--max-pixels or PIL.Image.MAX_IMAGE_PIXELS)"
        )
