"""What the structure of an image file says, beyond what Pillow reads of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from mmap import mmap

Data = bytes | mmap  # a whole file

TRUNCATED = "image file is truncated"  # in Pillow's words

UNSPECIFIED = 2  # of code points, as ITU-T H.273 numbers them


@dataclass(frozen=True)
class CodePoints:
    """Colours as ITU-T H.273 numbers them."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    is_full_range: bool = True


@dataclass(frozen=True)
class Calibration:
    """Colours by numbers: `gamma` is the exponent that pixels are stored with (1 is linear light),
    None that of sRGB; `white`, `red`, `green`, `blue` are x, y of CIE 1931, all None for sRGB's."""

    gamma: float | None = None
    white: tuple[float, float] | None = None
    red: tuple[float, float] | None = None
    green: tuple[float, float] | None = None
    blue: tuple[float, float] | None = None


@dataclass(frozen=True)
class Density:
    """Pixels in each unit of length: of inches (2) or centimetres (3), or of nothing (1): then only
    their ratio counts. As EXIF numbers units."""

    x: float
    y: float
    unit: int


@dataclass
class Survey:
    """What was found in a file; what could not be is at its default."""

    is_known: bool = False  # whether there was a file to look at
    fault: str = ""  # why the file is not a whole picture
    refusal: str = ""  # why it is one of a kind that cannot be kept, and the way out
    depth: int = 8  # bits a channel
    code_points: CodePoints | None = None
    calibration: Calibration | None = None
    is_srgb: bool = False  # it says so, and that counts more than any profile
    is_turned: bool = False  # whether the decoder turns pixels whatever EXIF says
    has_icc: bool = False  # a profile is there, whole or not
    icc: bytes | None = None  # where Pillow does not read it
    exif: bytes | None = None  # without JPEG's prefix
    xmp: bytes | None = None
    density: Density | None = None
    transparent: int | None = None  # the gray that is transparent, of eight bits, if Pillow errs
    crop: tuple[int, int, int, int] | None = None  # left, top, right, bottom, if Pillow keeps all
    compressed: set[str] = field(default_factory=set)  # "EXIF", "XMP", for whoever knows Brotli
    dropped: list[str] = field(default_factory=list)  # what else is in the file, in words
    strict: bytes | None = None  # the file once more, so that its decoder misses what is missing

    def drop(self, what: str) -> None:
        """Note something that will not be kept: "a video"."""
        if what not in self.dropped:
            self.dropped.append(what)

    def drop_behind(self, data: Data, at: int) -> None:
        """Note what lies behind a picture that ends at a place, unless it is nothing."""
        if data[at:].strip(b"\0\r\n\t \x1a"):
            self.drop(f"{len(data) - at} bytes behind the picture")

    def drop_several(self, one: str, several: str, count: int) -> None:
        """The same of so many: "a frame", or "frames"."""
        if count:
            self.drop(one if count == 1 else f"{count} {several}")
