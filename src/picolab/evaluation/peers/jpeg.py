"""JPEG by better encoders than libjpeg-turbo. Decoded by libjpeg-turbo, as readers would."""

from __future__ import annotations

import io
from importlib.metadata import version

import numpy as np
from PIL import Image

from picolab.evaluation.peers.pillow import JPEG_QUALITIES
from picolab.evaluation.peers.protocol import Picture, require


class MozJPEG:
    """mozjpeg inside libvips: trellis quantisation, progressive, the tables of its author."""

    name = "mozjpeg"
    settings = (
        "pyvips.Image.jpegsave_buffer(Q={rate}, optimize_coding=True, interlace=True, "
        "optimize_scans=True, trellis_quant=True, overshoot_deringing=True, quant_table=3, "
        "subsample_mode='on', keep='none')"
    )
    rates: tuple[float, ...] = JPEG_QUALITIES
    extension = ".jpg"

    def __init__(self) -> None:
        vips = require("pyvips", "pyvips and pyvips-binary")
        number = ".".join(str(vips.version(part)) for part in range(3))
        self.version = f"mozjpeg of libvips {number}, pyvips {version('pyvips')}"

    def encode(self, image: Picture, rate: float) -> bytes:
        vips = require("pyvips", "pyvips and pyvips-binary")
        return vips.Image.new_from_array(image).jpegsave_buffer(
            Q=int(rate),
            optimize_coding=True,
            interlace=True,
            optimize_scans=True,
            trellis_quant=True,
            overshoot_deringing=True,
            quant_table=3,
            subsample_mode="on",
            keep="none",
        )

    def decode(self, data: bytes) -> Picture:
        return decode_jpeg(data)


class Jpegli:
    """jpegli at its defaults: adaptive quantisation, 4:2:0."""

    name = "jpegli"
    settings = "pyjpegli.encode(rgb, width, height, quality={rate})"
    rates: tuple[float, ...] = JPEG_QUALITIES
    extension = ".jpg"

    def __init__(self) -> None:
        require("pyjpegli", "pyjpegli")
        self.version = f"pyjpegli {version('pyjpegli')}"

    def encode(self, image: Picture, rate: float) -> bytes:
        height, width, _ = image.shape
        encoder = require("pyjpegli", "pyjpegli")
        return encoder.encode(image.tobytes(), width, height, quality=int(rate))

    def decode(self, data: bytes) -> Picture:
        return decode_jpeg(data)


def decode_jpeg(data: bytes) -> Picture:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return np.array(image.convert("RGB"))
