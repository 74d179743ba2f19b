"""Every codec that Pillow or one of its plug-ins writes."""

from __future__ import annotations

import io
import os
from importlib.metadata import version
from typing import Any

import numpy as np
from PIL import Image, features

from picolab.evaluation.peers.protocol import Picture, Unavailable, require

# Each from about 0.1 bits per pixel, or as few as the codec can, to about 1.
JPEG_QUALITIES = (6, 10, 20, 30, 50, 70)
WEBP_QUALITIES = (1, 10, 20, 40, 60, 80)
JXL_QUALITIES = (1, 10, 20, 40, 60, 80)
AVIF_QUALITIES = (10, 20, 30, 40, 50, 70)
HEIC_QUALITIES = (5, 10, 20, 30, 40, 50)


class PillowCodec:
    """Encodes with `Image.save(format=...)` and decodes with `Image.open`."""

    def __init__(
        self,
        name: str,
        format: str,
        version: str,
        rates: tuple[float, ...],
        extension: str,
        rate_option: str | None = "quality",
        **options: Any,
    ) -> None:
        self.name = name
        self.format = format
        self.version = version
        self.rates = rates
        self.extension = extension
        self.rate_option = rate_option
        self.options = options
        words = [f"format={format!r}"]
        words += [f"{rate_option}={{rate}}"] if rate_option else []
        words += [f"{key}={value!r}" for key, value in options.items()]
        self.settings = f"PIL.Image.save({', '.join(words)})"

    def encode(self, image: Picture, rate: float) -> bytes:
        _register(self.format)
        options = dict(self.options)
        if self.rate_option:
            options[self.rate_option] = int(rate)
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format=self.format, **options)
        if options.get("codec") == "svt" and hasattr(os, "sched_setscheduler"):
            # Run by root, SVT-AV1 makes the thread a real-time one, and all others of the machine
            # wait for whatever it does next.
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        return buffer.getvalue()

    def decode(self, data: bytes) -> Picture:
        _register(self.format)
        with Image.open(io.BytesIO(data), formats=[self.format]) as image:
            return np.array(image.convert("RGB"))


def _register(format: str) -> None:
    """Make Pillow know the format, in whichever process this runs."""
    if format == "AVIF":
        # SVT-AV1 reads this once and otherwise prints a page of settings for each picture.
        os.environ.setdefault("SVT_LOG", "1")
        require("pillow_avif", "pillow-avif-plugin")
    elif format == "JXL":
        require("pillow_jxl", "pillow-jxl-plugin")
    elif format == "HEIF":
        require("pillow_heif", "pillow-heif").register_heif_opener()


def jpeg(subsampling: str) -> PillowCodec:
    library = "libjpeg-turbo" if features.check_feature("libjpeg_turbo") else "libjpeg"
    number = features.version_feature("libjpeg_turbo") or features.version_codec("jpg")
    return PillowCodec(
        "jpeg-" + subsampling.replace(":", ""),
        "JPEG",
        f"{library} {number}, {_pillow()}",
        JPEG_QUALITIES,
        ".jpg",
        optimize=True,
        subsampling=subsampling,
    )


def webp() -> PillowCodec:
    if not features.check_module("webp"):
        raise Unavailable("this Pillow was built without WebP")
    return PillowCodec(
        "webp",
        "WEBP",
        f"libwebp {features.version_module('webp')}, {_pillow()}",
        WEBP_QUALITIES,
        ".webp",
        method=6,
        use_sharp_yuv=True,
    )


def png() -> PillowCodec:
    return PillowCodec(
        "png",
        "PNG",
        f"zlib {features.version_codec('zlib')}, {_pillow()}",
        (0,),
        ".png",
        rate_option=None,
        optimize=True,
    )


def jpeg_xl(effort: int) -> PillowCodec:
    require("pillow_jxl", "pillow-jxl-plugin")
    return PillowCodec(
        f"jxl-e{effort}",
        "JXL",
        f"pillow-jxl-plugin {version('pillow-jxl-plugin')} with its own libjxl, {_pillow()}",
        JXL_QUALITIES,
        ".jxl",
        effort=effort,
    )


def heic(name: str, chroma: int, preset: str) -> PillowCodec:
    plugin = require("pillow_heif", "pillow-heif")
    info = plugin.libheif_info()
    encoder = info["encoders"].get("x265")
    if encoder is None:
        raise Unavailable("this pillow-heif was built without x265")
    return PillowCodec(
        name,
        "HEIF",
        f"{encoder}, libheif {info['libheif']}, pillow-heif {plugin.__version__}",
        HEIC_QUALITIES,
        ".heic",
        chroma=chroma,
        enc_params={"preset": preset},
    )


def avif(name: str, codec: str, subsampling: str, speed: int, tune: str) -> PillowCodec:
    """`tune` is in the words of the encoder: names for libaom, numbers for SVT-AV1 (3 is IQ)."""
    plugin = require("pillow_avif.AvifImagePlugin", "pillow-avif-plugin")
    encoder = plugin.get_codec_version(codec)
    if encoder is None:
        raise Unavailable(f"this pillow-avif-plugin was built without {codec}")
    return PillowCodec(
        name,
        "AVIF",
        f"{codec} {encoder}, libavif {plugin._avif.libavif_version}, "
        f"pillow-avif-plugin {version('pillow-avif-plugin')}",
        AVIF_QUALITIES,
        ".avif",
        codec=codec,
        speed=speed,
        subsampling=subsampling,
        # Tiles would be chosen by the number of processors, and cost bytes.
        autotiling=False,
        advanced={"tune": tune},
    )


def _pillow() -> str:
    return f"Pillow {version('pillow')}"
