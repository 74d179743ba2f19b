"""Files to upright sRGB pixels, and what a quick look at a picture tells."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms, ImageOps

from picolab.data.likeness import HASHED, perceptual_hash

with suppress(ImportError):  # of the extra `eval`; without it such files are passed over
    import pillow_heif

    pillow_heif.register_heif_opener()
with suppress(ImportError):
    import pillow_jxl  # noqa: F401

LOSSY = {"JPEG", "MPO", "WEBP", "HEIF", "AVIF", "JXL"}
STANDARD_MEAN = 57.625  # of the luma table of quality 50 (ITU-T T.81, table K.1)
GLANCE = 512  # pixels: JPEGs are decoded for a glance at the least scale that keeps so many
QUARTER_TURNS = 5  # from which on EXIF's orientations change width and height
DEEP = ("I", "F")  # first letters of the modes of more than 8 bits


class Unreadable(Exception):
    """A picture that is damaged, or of a kind that nothing here reads."""


@dataclass(frozen=True)
class Glance:
    """What is known of a picture without decoding it in full.

    `quality` is a JPEG's (libjpeg's scale, guessed from its tables), 0 for other lossy formats and
    100 for lossless ones; `deviation` that of its brightness; `hash` 64 bits (`likeness`).
    """

    width: int
    height: int
    format: str
    quality: int
    deviation: float
    hash: int


def glance(data: bytes) -> Glance:
    """Raises `Unreadable`."""
    with _opened(data) as image:
        kind, quality = image.format or "", _quality(image)
        width, height = image.size
        if _orientation(image) >= QUARTER_TURNS:
            width, height = height, width
        if kind == "JPEG" and image.mode in ("RGB", "L"):
            image.draft(image.mode, (GLANCE, GLANCE))
        grey = _upright(image).convert("L")
    small = grey.resize((HASHED, HASHED), Image.Resampling.BOX)
    deviation = float(np.asarray(grey, np.float32).std())
    return Glance(width, height, kind, quality, deviation, perceptual_hash(small))


class Photo:
    """An upright picture in full, whose parts are had in sRGB. Raises `Unreadable`."""

    def __init__(self, data: bytes) -> None:
        with _opened(data) as image:
            self.transform = _to_srgb(image)
            self.image = _upright(image)

    def part(self, box: tuple[float, float, float, float], size: tuple[int, int]) -> Image.Image:
        """The part in `box` (left, top, right, bottom), reduced to `size` (width, height)."""
        if (box[2] - box[0], box[3] - box[1]) == size:
            left, top = round(box[0]), round(box[1])
            part = self.image.crop((left, top, left + size[0], top + size[1]))
        else:
            part = self.image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
        if self.transform is not None:
            ImageCms.applyTransform(part, self.transform, inPlace=True)
        return part


class _opened:
    """An image file, whose every failure is `Unreadable`."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __enter__(self) -> Image.Image:
        try:
            self.image = Image.open(io.BytesIO(self.data))
        except Image.DecompressionBombError as error:
            raise Unreadable("too large") from error
        except Exception as error:  # plug-ins raise whatever they like on hostile bytes
            raise Unreadable("no picture that can be read here") from error
        return self.image

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.image.close()
        if isinstance(error, Exception) and not isinstance(error, Unreadable):
            raise Unreadable(f"damaged ({error})") from error


def _quality(image: Image.Image) -> int:
    if image.format not in LOSSY:
        return 100
    tables = getattr(image, "quantization", None)
    if not tables:
        return 0
    scale = 100 * float(np.mean(tables[min(tables)])) / STANDARD_MEAN
    return round(100 - scale / 2 if scale <= 100 else 5000 / scale)


def _orientation(image: Image.Image) -> int:
    """That of EXIF, from 1, upright, to 8."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # of JPEG XL the plug-in's EXIF is none that Pillow reads
        return 1


def _upright(image: Image.Image) -> Image.Image:
    """RGB as it is to be seen; what is transparent shows white."""
    if image.mode.startswith(DEEP) or image.mode == "CMYK":
        raise Unreadable(f"of the kind {image.mode}, which is not used")
    upright = ImageOps.exif_transpose(image) if _orientation(image) > 1 else image
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(white, upright)
    return upright.convert("RGB")


def _to_srgb(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    """From the colours of a tagged picture; None where it is in sRGB or its profile is no use."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode in ("L", "LA"):
        return None
    try:
        given = ImageCms.getOpenProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(given).lower():
            return None
        return ImageCms.buildTransform(given, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None
