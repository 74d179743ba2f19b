"""Kinds of Pillow images, and how each becomes a picture without loss of meaning."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageFile, JpegImagePlugin

from picocodec.errors import UnsupportedImage
from picocodec.images import exif as exif_bytes
from picocodec.images import profiles
from picocodec.images.containers import Survey, survey, xmp
from picocodec.images.containers.survey import Calibration, Density
from picocodec.images.peek import contents
from picocodec.images.picture import EXIF_PREFIX, Picture, PillowPixels, check_sides

# Pillow modes that become eight bits of gray or RGB without a change of colour, and what they
# become; "A" is added to those that carry transparency.
_MODES = {
    "1": "L", "L": "L", "LA": "L", "La": "L",
    "P": "RGB", "PA": "RGB", "RGB": "RGB", "RGBA": "RGB", "RGBa": "RGB", "RGBX": "RGB",
    "YCbCr": "RGB",
}  # fmt: skip
# Code points, as ITU-T H.273 numbers them, of pictures that everybody shows as sRGB: its primaries
# or none; its transfer, that of BT.709 and its kin, or none.
_PLAIN_PRIMARIES, _PLAIN_TRANSFERS = (1, 2), (1, 2, 6, 13, 14, 15)
_TOO_DEEP = (
    "the image has more than 8 bits a channel, which cannot be kept: "
    "convert it to 8 bits first, or store it as PNG or TIFF"
)
_NARROW_RAW_MODES = (";15", ";16")  # after BGR: five or six bits a channel, in 16 of a pixel
_SUB_IFDS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
# What a TIFF file says about its picture; its other tags are about the file.
_TIFF_EXIF = (
    ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model,
    ExifTags.Base.Software, ExifTags.Base.DateTime, ExifTags.Base.Artist,
    ExifTags.Base.HostComputer, ExifTags.Base.Copyright, *_SUB_IFDS,
)  # fmt: skip


def from_pillow(im: Image.Image, found: Survey | None = None) -> Picture:
    """A picture from a Pillow image (of several frames, the current one) and its metadata.

    Palettes, bilevel, premultiplied and YCbCr pixels are converted. `found` is what the structure
    of its file says; None: it is looked at here, while Pillow has it open. What else is in the
    file is named by a warning. Raises `UnsupportedImage` for what would lose meaning (more than 8
    bits a channel, CMYK, LAB, high dynamic range, cameras' raw files) and for files that are not
    whole.
    """
    found = survey_of(im) if found is None else found
    refuse(im, found)
    pixels = _loaded(im, found)
    if found.crop and im.format == "AVIF":
        pixels = pixels.crop(found.crop)
    if found.transparent is not None and pixels.mode == "L" and "transparency" in pixels.info:
        pixels = pixels.copy()
        pixels.info["transparency"] = found.transparent
    if pixels.mode in ("I", "F") or pixels.mode.startswith("I;16"):
        raise UnsupportedImage(_TOO_DEEP)
    if pixels.mode not in _MODES:
        raise UnsupportedImage(
            f"the image is {pixels.mode}, not RGB or gray: convert it first, through its colour "
            "profile if it has one, since a plain conversion shifts colours"
        )
    mode = _MODES[pixels.mode] + ("A" if pixels.has_transparency_data else "")
    check_sides(*pixels.size)
    pixels = pixels if pixels.mode == mode else pixels.convert(mode)
    picture = Picture(PillowPixels(pixels), gray=mode in ("L", "LA"))
    if mode in ("LA", "RGBA"):
        picture.alpha = np.asarray(pixels.getchannel("A"))
    take_metadata(picture, im, found)
    return picture


def survey_of(im: Image.Image) -> Survey:
    """What the file behind an image says, while Pillow has it open and nothing was loaded; of a
    frame that is not the first, nothing is known."""
    file = getattr(im, "fp", None)
    if file is None or file.closed or getattr(im, "_im", None) is not None:
        return Survey()
    if im.format != "HEIF" and getattr(im, "tell", int)():
        return Survey()
    return survey(contents(file))


def refuse_kind(found: Survey) -> None:
    """Raise `UnsupportedImage` for what cannot be kept, whether Pillow reads it or not."""
    if found.refusal:
        raise UnsupportedImage(found.refusal)
    if found.depth > 8:
        raise UnsupportedImage(_TOO_DEEP)


def refuse(im: Image.Image, found: Survey) -> None:
    """Raise `UnsupportedImage` for what cannot be kept, or is not all there."""
    refuse_kind(found)
    if found.fault and not ImageFile.LOAD_TRUNCATED_IMAGES:
        raise UnsupportedImage(f"the image cannot be read: {found.fault}")
    if any(_has_16_bits(*tile) for tile in getattr(im, "tile", ())):
        raise UnsupportedImage(_TOO_DEEP)
    code = found.code_points
    if code is None or (im.format != "PNG" and "icc_profile" in im.info):
        return
    is_plain = code.primaries in _PLAIN_PRIMARIES and code.transfer in _PLAIN_TRANSFERS
    if not is_plain or not code.is_full_range:
        raise UnsupportedImage(
            f"the image's colours are given by code points (primaries {code.primaries}, transfer "
            f"{code.transfer}{'' if code.is_full_range else ', narrow range'}) and not by a "
            "profile, which cannot be kept: convert it to sRGB first"
        )


def _loaded(im: Image.Image, found: Survey) -> Image.Image:
    """The image with its pixels; of JPEG from a decoder that misses what is missing, if that is
    possible, since Pillow's own goes on with gray."""
    is_untouched = getattr(im, "_im", None) is None and im.format in ("JPEG", "MPO")
    if found.strict is not None and is_untouched and not ImageFile.LOAD_TRUNCATED_IMAGES:
        strict = JpegImagePlugin.JpegImageFile(io.BytesIO(found.strict))
        if (strict.size, strict.mode) == (im.size, im.mode):  # not a draft
            strict.load()
            im.im, im.tile = strict.im, []  # type: ignore[attr-defined]
            if im._exclusive_fp and im._close_exclusive_fp_after_loading:  # type: ignore[attr-defined]
                im.fp.close()  # type: ignore[attr-defined]
                im.fp = None  # type: ignore[attr-defined]
    im.load()
    return im


def take_metadata(picture: Picture, im: Image.Image, found: Survey) -> None:
    """What an image and its file carry beside pixels; what is lost of it is named by a warning."""
    _take_profile(picture, im, found)
    exif = _exif(im, found)
    if exif and found.is_turned:
        # A JPEG XL codestream has an orientation of its own, and the one in EXIF does not count.
        exif = exif_bytes.without_orientation(exif)
    if im.format in ("ICO", "ICNS") and len(im.info.get("sizes", ())) > 1:
        found.drop("smaller copies")
    density = found.density
    if density is None and (not found.is_known or im.format == "JPEG2000"):
        density = _density(im)
    picture.exif = exif_bytes.with_resolution(exif, density) if density else exif
    packet = im.info.get("xmp")
    packet = (packet.encode() if isinstance(packet, str) else packet) or None
    if found.xmp and (packet is None or b"HasExtendedXMP" in packet):
        packet = found.xmp
    picture.xmp = packet
    for name, item in (("EXIF", exif), ("XMP", packet)):
        if name in found.compressed and not item:
            found.drop(f"{name} compressed by Brotli")
    if found.dropped:
        text = f"not kept: {', '.join(found.dropped)}"
        still = [what for what in xmp.announced(packet or b"") if _is_among(what, found.dropped)]
        if still:
            text += f" (the XMP still announces {', '.join(still)})"
        warnings.warn(text, stacklevel=3)


def _is_among(what: str, dropped: list[str]) -> bool:
    return any(what.removeprefix("a ").removeprefix("an ") in one for one in dropped)


def _take_profile(picture: Picture, im: Image.Image, found: Survey) -> None:
    picture.icc = im.info.get("icc_profile") or found.icc
    if found.has_icc and not picture.icc:
        found.drop("an ICC profile, which is damaged")
    if found.is_srgb and picture.icc:
        picture.icc = None
        found.drop("an ICC profile, which counts less than the code points of sRGB beside it")
    calibration = found.calibration if found.is_known else _calibration(im)
    if calibration and not picture.icc:
        picture.icc = profiles.profile_of(calibration, picture.gray)
        if picture.icc is None:
            found.drop("primaries that make no colours")


def _calibration(im: Image.Image) -> Calibration | None:
    """Of a PNG image that was loaded before it came here, what Pillow has noted."""
    if "srgb" in im.info:
        return None
    from picocodec.images.containers import png

    gamma, points = im.info.get("gamma"), im.info.get("chromaticity")
    numbers = isinstance(gamma, float), isinstance(points, tuple) and len(points) == 8
    return png.calibration(
        gamma if numbers[0] else 0.0,  # type: ignore[arg-type]
        list(points) if numbers[1] else [],  # type: ignore[arg-type]
    )


def _exif(im: Image.Image, found: Survey) -> bytes | None:
    exif = im.info.get("exif") or found.exif
    if found.is_turned and exif and found.exif and exif.endswith(found.exif):
        exif = found.exif  # without what the plug-in leaves in front of it
    if not exif and im.format == "TIFF" and not found.is_known:
        exif = _tiff_exif(im)
    while exif and exif.startswith(EXIF_PREFIX):  # some software writes it twice
        exif = exif.removeprefix(EXIF_PREFIX)
    return exif or None


def _density(im: Image.Image) -> Density | None:
    """Of an image that was loaded before it came here, what Pillow has noted."""
    dpi = im.info.get("dpi")
    try:
        x, y = dpi  # type: ignore[misc]
        return None if x == y == 1 else Density(float(x), float(y), 2)  # 1: of TIFF without any
    except (TypeError, ValueError):
        return None


def _has_16_bits(codec: str, extents: Any, offset: int, args: Any) -> bool:
    """Whether a piece of a file that Pillow is about to load has channels of 16 bits."""
    if codec in ("ppm", "ppm_plain") and isinstance(args, tuple):
        return args[1] > 255  # the value of white
    raw_mode = str(args[0] if isinstance(args, tuple) and args else args)
    if raw_mode.startswith("BGR") and raw_mode.rstrip("Z").endswith(_NARROW_RAW_MODES):
        return False
    return ";16" in raw_mode or "16" in codec


def _tiff_exif(im: Image.Image) -> bytes | None:
    """EXIF for a TIFF image whose file is closed, or not at its first page: what Pillow knows.

    Pillow has applied the orientation of a TIFF image on loading, so it is not among them.
    """
    try:
        exif, kept = im.getexif(), Image.Exif()
        for tag in _TIFF_EXIF:
            if tag in _SUB_IFDS and tag in exif:
                # Without the third level: its entry is a place in the file that is left behind.
                inner = exif.get_ifd(tag)
                kept[tag] = {k: v for k, v in inner.items() if k != ExifTags.IFD.Interop}
            elif tag in exif:
                kept[tag] = exif[tag]
        return kept.tobytes() if kept else None
    except MemoryError:
        raise
    except Exception:  # Pillow raises almost anything on damaged tags
        warnings.warn("not kept: EXIF, which is damaged", stacklevel=4)
        return None
