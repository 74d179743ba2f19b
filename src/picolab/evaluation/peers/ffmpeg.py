"""Codecs inside ffmpeg: VVC by vvenc, AV1 in 10 bits by libaom and SVT-AV1."""

from __future__ import annotations

import io
import re
import shutil
import struct
import subprocess
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from picolab.evaluation.peers.protocol import Picture, Unavailable, require

SCALING = "flags=lanczos+accurate_rnd+full_chroma_int+full_chroma_inp"
# BT.601 in full range is what readers of AVIF assume where a file says nothing.
TO_YUV = f"scale=in_range=pc:out_range=pc:out_color_matrix=bt601:{SCALING}"
TO_RGB = f"scale=in_range=pc:out_range=pc:in_color_matrix=bt601:{SCALING},format=rgb24"
COLOUR = "-color_range pc -colorspace smpte170m -color_primaries bt709 -color_trc iec61966-2-1"


class FFmpegCodec:
    """One picture through an encoder of ffmpeg; the file is what its muxer writes.

    With `even` the picture is continued to even sides, as 4:2:0 needs, and the file begins with
    its true width and height (4 bytes that count): such bare bitstreams have no place for them.
    """

    def __init__(
        self,
        name: str,
        encoder: str,
        options: str,
        pixels: str,
        muxer: str,
        rates: tuple[float, ...],
        extension: str,
        even: bool,
    ) -> None:
        self.name = name
        self.version = f"{encoder} of {_ffmpeg_version()}"
        self.pixels = pixels
        self.muxer = muxer
        self.arguments = f"-c:v {encoder} {options} {COLOUR} -f {muxer}"
        self.settings = f"ffmpeg -i RGB -vf {TO_YUV},format={pixels} {self.arguments}"
        self.rates = rates
        self.extension = extension
        self.even = even

    def encode(self, image: Picture, rate: float) -> bytes:
        height, width, _ = image.shape
        header = b""
        if self.even:
            header = struct.pack("<HH", width, height)
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        size = f"{image.shape[1]}x{image.shape[0]}"
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-i", "-"]
        arguments = self.arguments.format(rate=int(rate)).split()
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            filters = ["-vf", f"{TO_YUV},format={self.pixels}"]
            _run([*raw, *filters, *arguments, str(out)], image.tobytes())
            return header + out.read_bytes()

    def decode(self, data: bytes) -> Picture:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "in"
            file.write_bytes(data[4:] if self.even else data)
            source = ["-f", "vvc"] if self.muxer == "vvc" else []
            still = ["-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "-"]
            shown = _run([*source, "-i", str(file), "-vf", TO_RGB, *still], b"")
        picture = np.array(Image.open(io.BytesIO(shown), formats=["PPM"]))
        if self.even:
            width, height = struct.unpack_from("<HH", data)
            picture = picture[:height, :width]
        return picture


def vvc(preset: str) -> FFmpegCodec:
    """H.266 by vvenc, 10-bit 4:2:0 (it has no 4:4:4), tuned for PSNR as the reference software is
    measured: its perceptual adaptation is off."""
    return FFmpegCodec(
        f"vvc-{preset}",
        "libvvenc",
        f"-preset {preset} -qp {{rate}} -qpa 0",
        "yuv420p10le",
        "vvc",
        (46, 43, 40, 37, 34, 31),
        ".266",
        even=True,
    )


def av1_libaom() -> FFmpegCodec:
    """AVIF in 10-bit 4:4:4, libaom at its second slowest, tuned for looks."""
    return FFmpegCodec(
        "avif-aom-10bit-444-s1",
        "libaom-av1",
        "-cpu-used 1 -crf {rate} -usage allintra -still-picture 1 -aom-params tune=iq",
        "yuv444p10le",
        "avif",
        (60, 56, 52, 47, 42, 37, 32, 26, 20, 12),
        ".avif",
        even=False,
    )


def av1_svt() -> FFmpegCodec:
    """AVIF in 10-bit 4:2:0, SVT-AV1 at its slowest sane preset, tuned for looks."""
    return FFmpegCodec(
        "avif-svt-10bit-s0",
        "libsvtav1",
        "-preset 0 -crf {rate} -svtav1-params avif=1:tune=3",
        "yuv420p10le",
        "avif",
        (60, 56, 52, 47, 42, 37, 32, 26, 20, 12),
        ".avif",
        even=False,
    )


def _run(arguments: list[str], data: bytes) -> bytes:
    command = [_ffmpeg(), "-v", "error", "-y", *arguments]
    done = subprocess.run(command, input=data, capture_output=True)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise RuntimeError(f"ffmpeg failed: {reason[-1] if reason else done.returncode}")
    return done.stdout


@cache
def _ffmpeg() -> str:
    """The one of imageio-ffmpeg, which is known to have vvenc and VVC; otherwise the PATH's."""
    try:
        return require("imageio_ffmpeg", "imageio-ffmpeg").get_ffmpeg_exe()
    except (Unavailable, RuntimeError):
        found = shutil.which("ffmpeg")
        if found is None:
            raise Unavailable("needs the package imageio-ffmpeg, or ffmpeg on the PATH") from None
        return found


@cache
def _ffmpeg_version() -> str:
    shown = subprocess.run([_ffmpeg(), "-version"], capture_output=True, text=True).stdout
    found = re.search(r"ffmpeg version (\S+)", shown)
    try:
        package = f" of imageio-ffmpeg {version('imageio-ffmpeg')}"
    except ImportError:
        package = ""
    return f"ffmpeg {found[1] if found else 'unknown'}{package}"
