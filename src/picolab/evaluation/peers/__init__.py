"""The codecs an evaluation can compare, by name; each is imported when it is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from picolab.evaluation.late import late
from picolab.evaluation.peers.protocol import Codec, Picture, Unavailable

__all__ = ["CODECS", "DEFAULT", "Codec", "Picture", "Unavailable", "load", "make"]

# Codecs whose own programs take no PNG, or which are research code without a program. Any of them
# joins an evaluation when two programs of these names are on the PATH:
#   picolab-NAME-encode IN.png RATE OUT       picolab-NAME-decode IN OUT.png
# and `picolab-NAME-encode --version` prints one line.
WRAPPED: dict[str, tuple[float, ...]] = {
    "vtm": (47, 42, 37, 32, 27, 22),
    "ecm": (47, 42, 37, 32, 27, 22),
    "av2": (235, 210, 185, 160, 135, 110),
    "jpeg-ai": (0.06, 0.12, 0.25, 0.5, 0.75, 1.0),
    "hific": (0, 1, 2),
    "dcvc-rt": (0, 10, 21, 32, 42, 53, 63),
    "cool-chic": (0.02, 0.005, 0.002, 0.001, 0.0005, 0.0002),
    "mlic++": (0.0018, 0.0035, 0.0067, 0.013, 0.025, 0.0483),
}

# Architectures of CompressAI's zoo.
COMPRESSAI = (
    "bmshj2018-factorized",
    "bmshj2018-hyperprior",
    "mbt2018-mean",
    "mbt2018",
    "cheng2020-anchor",
    "cheng2020-attn",
)

CODECS: dict[str, Callable[[], Codec]] = {
    "picocodec": late("peers.pico", "Pico", "picocodec"),
    "picocodec-closest": late("peers.pico", "Pico", "picocodec-closest", 0.0),
    "picocodec-fullest": late("peers.pico", "Pico", "picocodec-fullest", 1.0),
    "jpeg-420": late("peers.pillow", "jpeg", "4:2:0"),
    "jpeg-444": late("peers.pillow", "jpeg", "4:4:4"),
    "mozjpeg": late("peers.jpeg", "MozJPEG"),
    "jpegli": late("peers.jpeg", "Jpegli"),
    "webp": late("peers.pillow", "webp"),
    "jxl-e7": late("peers.pillow", "jpeg_xl", 7),
    "jxl-e9": late("peers.pillow", "jpeg_xl", 9),
    "avif-420-s6": late("peers.pillow", "avif", "avif-420-s6", "aom", "4:2:0", 6, "iq"),
    "avif-444-s6": late("peers.pillow", "avif", "avif-444-s6", "aom", "4:4:4", 6, "iq"),
    "avif-444-s1": late("peers.pillow", "avif", "avif-444-s1", "aom", "4:4:4", 1, "iq"),
    "avif-444-s6-psnr": late("peers.pillow", "avif", "avif-444-s6-psnr", "aom", "4:4:4", 6, "psnr"),
    "avif-svt-s6": late("peers.pillow", "avif", "avif-svt-s6", "svt", "4:2:0", 6, "3"),
    "avif-aom-10bit-444-s1": late("peers.ffmpeg", "av1_libaom"),
    "avif-svt-10bit-s0": late("peers.ffmpeg", "av1_svt"),
    "heic-420": late("peers.pillow", "heic", "heic-420", 420, "medium"),
    "heic-444-slower": late("peers.pillow", "heic", "heic-444-slower", 444, "slower"),
    "vvc-faster": late("peers.ffmpeg", "vvc", "faster"),
    "vvc-medium": late("peers.ffmpeg", "vvc", "medium"),
    **{f"compressai-{n}": late("peers.compressai", "CompressAI", n) for n in COMPRESSAI},
    "png": late("peers.pillow", "png"),
    "bpg": late("peers.executables", "bpg"),
    **{n: late("peers.executables", "wrapped", n, rates) for n, rates in WRAPPED.items()},
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
        return late("peers.pico", "Pico", name, None, name.removeprefix("picocodec-"))()
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
