"""Kinds of Pillow images, and how each becomes a picture without loss of meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import ExifTags, Image

from picocodec.errors import UnsupportedImage
from picocodec.images import peek
from picocodec.images.picture import EXIF_PREFIX, Picture, PillowPixels, check_sides

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
_SUB_IFDS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
# What a TIFF file says about its picture; its other tags are about the file.
_TIFF_EXIF = (
    ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model,
    ExifTags.Base.Software, ExifTags.Base.DateTime, ExifTags.Base.Artist,
    ExifTags.Base.HostComputer, ExifTags.Base.Copyright, *_SUB_IFDS,
)  # fmt: skip


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
    check_sides(*im.size)
    pixels = im if im.mode == mode else im.convert(mode)
    picture = Picture(PillowPixels(pixels), gray=mode in ("L", "LA"))
    if mode in ("LA", "RGBA"):
        picture.alpha = np.asarray(pixels.getchannel("A"))
    take_metadata(picture, im)
    return picture


def take_metadata(picture: Picture, im: Image.Image) -> None:
    picture.icc = im.info.get("icc_profile") or None
    exif = im.info.get("exif") or (_tiff_exif(im) if im.format == "TIFF" else b"")
    if exif and im.format == "JXL" and not getattr(im, "jpeg", False):
        exif = _upright(exif)
    picture.exif = exif.removeprefix(EXIF_PREFIX) or None
    xmp = im.info.get("xmp")
    picture.xmp = (xmp.encode() if isinstance(xmp, str) else xmp) or None


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
