"""The codecs an evaluation can compare, by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial

from picolab.evaluation.peers import executables, ffmpeg, jpeg, pico, pillow
from picolab.evaluation.peers.protocol import Codec, Picture, Unavailable

__all__ = ["CODECS", "DEFAULT", "Codec", "Picture", "Unavailable", "load", "make"]

CODECS: dict[str, Callable[[], Codec]] = {
    "picocodec": partial(pico.Pico, "picocodec"),
    "picocodec-closest": partial(pico.Pico, "picocodec-closest", 0.0),
    "picocodec-fullest": partial(pico.Pico, "picocodec-fullest", 1.0),
    "jpeg-420": partial(pillow.jpeg, "4:2:0"),
    "jpeg-444": partial(pillow.jpeg, "4:4:4"),
    "mozjpeg": jpeg.MozJPEG,
    "jpegli": jpeg.Jpegli,
    "webp": pillow.webp,
    "jxl-e7": partial(pillow.jpeg_xl, 7),
    "jxl-e9": partial(pillow.jpeg_xl, 9),
    "avif-420-s6": partial(pillow.avif, "avif-420-s6", "aom", "4:2:0", 6, "iq"),
    "avif-444-s6": partial(pillow.avif, "avif-444-s6", "aom", "4:4:4", 6, "iq"),
    "avif-444-s1": partial(pillow.avif, "avif-444-s1", "aom", "4:4:4", 1, "iq"),
    "avif-444-s6-psnr": partial(pillow.avif, "avif-444-s6-psnr", "aom", "4:4:4", 6, "psnr"),
    "avif-svt-s6": partial(pillow.avif, "avif-svt-s6", "svt", "4:2:0", 6, "3"),
    "avif-aom-10bit-444-s1": ffmpeg.av1_libaom,
    "avif-svt-10bit-s0": ffmpeg.av1_svt,
    "heic-420": partial(pillow.heic, "heic-420", 420, "medium"),
    "heic-444-slower": partial(pillow.heic, "heic-444-slower", 444, "slower"),
    "vvc-faster": partial(ffmpeg.vvc, "faster"),
    "vvc-medium": partial(ffmpeg.vvc, "medium"),
    "png": pillow.png,
    "bpg": executables.bpg,
    **{name: partial(executables.wrapped, name) for name in executables.WRAPPED},
}

# What people would pick instead, each at its default or usual preset, and the best of the rest.
DEFAULT = (
    "picocodec",
    "jpeg-420",
    "mozjpeg",
    "jpegli",
    "webp",
    "jxl-e7",
    "avif-420-s6",
    "avif-444-s6",
    "avif-svt-s6",
    "heic-420",
    "vvc-faster",
)


def make(name: str) -> Codec:
    """The codec of a name in `CODECS`, or of `picocodec-NAME.vN` for another model than the
    default; raises `ValueError` for any other, `Unavailable` if this machine cannot run it."""
    if name in CODECS:
        return CODECS[name]()
    if re.fullmatch(r"picocodec-.+\.v\d+", name):
        return pico.Pico(name, model=name.removeprefix("picocodec-"))
    raise ValueError(f"no codec is called {name}; there are {', '.join(CODECS)}")


def load(names: Iterable[str]) -> tuple[list[Codec], dict[str, str]]:
    """The codecs that this machine can run, and why it cannot run the others, by name.

    Raises `ValueError` as `make` does.
    """
    codecs: list[Codec] = []
    left_out: dict[str, str] = {}
    for name in names:
        try:
            codecs.append(make(name))
        except Unavailable as reason:
            left_out[name] = str(reason)
    return codecs, left_out
