"""What the commands have in common: their options, and how the words of these are read."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from picocodec import __version__
from picocodec.api import checked_quality, checked_realism
from picocodec.cli.shell import show, tell
from picocodec.format import container

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


METADATA = ("exif", "xmp", "icc")
_UNITS = {"": 1, "k": 1000, "ki": 1 << 10, "m": 1000**2, "mi": 1 << 20}


class Parser(argparse.ArgumentParser):
    """One that does not swallow the errors of standard output."""

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        if message and file is sys.stdout:
            tell(message.rstrip("\n"))
        elif message:
            show(message)


def parser_of(name: str, description: str, usage: str, suffix: str) -> argparse.ArgumentParser:
    """The options that picoenc and picodec have in common."""
    parser = Parser(
        name,
        usage=f"%(prog)s [options] {usage}\n       %(prog)s [options] IN ... [-o FOLDER]",
        description=f"{description} Without OUT, each output lies beside its input, named {suffix}."
        ' "-" is standard input or output.',
    )
    add = parser.add_argument
    add("files", nargs="*", metavar="IN", help="input files, the last may be the output")
    add("-o", "--output", metavar="OUT", help="output file, or folder, which is then created")
    add("-r", "--recursive", action="store_true", help="also take the pictures in folders")
    add("-j", "--jobs", type=jobs, default=1, metavar="N", help="files at once (default: 1)")
    add(
        "--threads",
        type=count,
        default=0,
        metavar="N",
        help="for each file; 0: all cores, shared by the jobs (default)",
    )
    add("--skip-existing", action="store_true", help="leave out files whose output exists")
    add("--strip", type=metadata, default=(), metavar="LIST", help="drop all, or exif,xmp,icc")
    limit = container.MAX_PIXELS
    add("--max-pixels", type=count, default=limit, metavar="N", help=f"default: {limit}")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files, also where their names were not given (default: only a named OUT)",
    )
    existing.add_argument("--no-overwrite", action="store_true", help="refuse to replace files")
    add("--quiet", action="store_true", help="only tell of errors")
    add("-v", "--verbose", action="store_true", help="tell more of each file")
    add("-V", "--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of a program, those of `sys.argv` for None; options may stand between names,
    and behind `--` all are names. Raises `SystemExit(2)` on wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    names: list[str] = []
    if "--" in words:
        end = words.index("--")
        words, names = words[:end], words[end + 1 :]
    args = parser.parse_intermixed_args(words)
    args.files += names
    if not args.files:
        parser.error("the following arguments are required: IN")
    return args


def quality(text: str) -> float:
    """A quality, 0 to 100; raises `ArgumentTypeError`, as all of these do for other text."""
    try:
        return checked_quality(float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 100") from None


def output_quality(text: str) -> int:
    """The quality of an output file that Pillow writes, 1 to 100."""
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 100")
    return int(text)


def size(text: str) -> int:
    """A number of bytes, with a unit or without."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(|[kKM]i?)[bB]?", text)
    if not found or not (size := int(float(found[1]) * _UNITS[found[2].lower()])):
        raise argparse.ArgumentTypeError(f"{text!r} is no size, as 50000, 200k, 1.5M or 64Ki")
    return size


def bpp(text: str) -> float:
    """A positive number of bits a pixel."""
    try:
        if 0 < float(text) < math.inf:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def region(text: str) -> tuple[int, int, int, int]:
    """Left, top, width and height in pixels, of `X,Y,WIDTH,HEIGHT`."""
    parts = text.split(",")
    if len(parts) != 4 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,WIDTH,HEIGHT in pixels")
    left, top, width, height = map(int, parts)
    return left, top, width, height


def scale(text: str) -> int:
    """What sides are divided by, 1, 2, 4 or 8, of `1`, `1/2`, `1/4` or `1/8`."""
    known = {"1": 1, "1/2": 2, "1/4": 4, "1/8": 8}
    if text not in known:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(known)}")
    return known[text]


def realism(text: str) -> float:
    """A realism, 0 to 1."""
    try:
        return checked_realism(float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1") from None


def count(text: str) -> int:
    """A whole number that is not negative."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def jobs(text: str) -> int:
    """A number of processes, at least 1."""
    return max(count(text), 1)


def metadata(text: str) -> tuple[str, ...]:
    """Names of metadata, separated by commas; `all` is every one."""
    names = METADATA if text == "all" else tuple(text.split(","))
    if not set(names) <= set(METADATA):
        raise argparse.ArgumentTypeError(f"{text!r} is neither all nor some of exif,xmp,icc")
    return names
