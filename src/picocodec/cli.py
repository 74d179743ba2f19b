"""The commands picoenc, picodec and picoinfo: 0 is success, 1 failure, 2 wrong usage, 3 a
picture from a damaged file (picodec --allow-damaged).

Messages go to standard error, so that standard output can carry a picture.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import math
import mmap
import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from picocodec import __version__, batch, image
from picocodec.api import Info, checked_quality, checked_realism, read_info
from picocodec.batch import DAMAGED, STREAM, Report
from picocodec.codec.rate import DEFAULT_QUALITY, level_of_quality
from picocodec.errors import DamagedPicture, PicoError, UnsupportedImage
from picocodec.format import container
from picocodec.image import Picture
from picocodec.writers import FORMATS, write_picture

if TYPE_CHECKING:
    from picocodec.codec.decoder import OpenPicture

METADATA = ("exif", "xmp", "icc")
_UNITS = {"": 1, "k": 1000, "ki": 1 << 10, "m": 1000**2, "mi": 1 << 20}


def picoenc(argv: Sequence[str] | None = None) -> int:
    """Photos to .pico files; returns the exit code. Raises `SystemExit(2)` on wrong usage."""
    parser = _parser("picoenc", "Compress photos to .pico files.", "IN [OUT]", ".pico")
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument(
        "-q",
        "--quality",
        type=_quality,
        default=DEFAULT_QUALITY,
        metavar="0..100",
        help="more is better and larger (default: %(default)g)",
    )
    rate.add_argument(
        "--target-size",
        type=_size,
        metavar="BYTES",
        help="of each file, as 50000, 200k, 1.5M or 64Ki: the quality is found that fills it, "
        "and it is never exceeded",
    )
    rate.add_argument(
        "--target-bpp", type=_bpp, metavar="BITS", help="the same, in bits for each pixel"
    )
    parser.add_argument("--model", metavar="NAME", help="an installed model, as name.vN")
    args = parser.parse_intermixed_args(argv)
    names = batch.pairs(parser, args, ".pico", image.EXTENSIONS)
    return batch.run(parser.prog, names, args, partial(_encode, args))


def _encode(args: argparse.Namespace, source: str, out: BinaryIO) -> Report:
    from picocodec.codec.encoder import encode_picture, encode_to_size
    from picocodec.codec.networks import DEFAULT_MODEL

    picture = image.read(io.BytesIO(_read(source)) if source == STREAM else source)
    _strip(picture, args.strip)
    height, width = picture.rgb.shape[:2]
    size = args.target_size or int((args.target_bpp or 0) * width * height / 8)
    model, threads = args.model or DEFAULT_MODEL, batch.threads_of_each(args)
    bar = batch.bar(source, args)
    if args.target_size or args.target_bpp:
        data = encode_to_size(picture, max(size, 1), model, threads, bar)
    else:
        data = encode_picture(picture, level_of_quality(args.quality), model, threads, bar)
    out.write(data)
    info = read_info(data)
    text = f"{info.bytes} bytes  {info.bpp:.2f} bpp"
    if args.target_size or args.target_bpp:
        text += f"  quality {info.quality:g}"
    return Report(f"{text}  {_description(info)}" if args.verbose else text)


def picodec(argv: Sequence[str] | None = None) -> int:
    """.pico files to images; returns the exit code. Raises `SystemExit(2)` on wrong usage."""
    parser = _parser("picodec", "Turn .pico files into images.", "IN.pico [OUT]", ".png")
    parser.add_argument(
        "--format",
        choices=sorted(FORMATS),
        metavar="EXT",
        help=f"of the output, unless its name tells: {', '.join(FORMATS)} (default: png)",
    )
    parser.add_argument(
        "--realism",
        type=_realism,
        metavar="R",
        help="0: the closest pixels, 1: the most convincing texture (default: what the file or "
        "its model recommends)",
    )
    parser.add_argument(
        "--region", type=_region, metavar="X,Y,W,H", help="decode this part only, in pixels"
    )
    parser.add_argument(
        "--scale",
        type=_scale,
        default=1,
        metavar="1/N",
        help="divide the sides by 2, 4 or 8: a smaller picture in less time and memory",
    )
    parser.add_argument(
        "--allow-damaged",
        action="store_true",
        help="conceal tiles that are damaged or missing, leave out damaged metadata, say so, and "
        f"exit with {DAMAGED}",
    )
    args = parser.parse_intermixed_args(argv)
    suffix = f".{args.format or 'png'}"
    names = batch.pairs(parser, args, suffix, {"pico"})
    target = names[0][1]
    named = "png" if target == STREAM else os.path.splitext(target)[1].lstrip(".").lower()
    extension = args.format or named
    if extension not in FORMATS:
        parser.error(f"{target}: the name does not tell a known format; give --format")
    return batch.run(parser.prog, names, args, partial(_decode, args, extension))


def _decode(args: argparse.Namespace, extension: str, source: str, out: BinaryIO) -> Report:
    from picocodec.codec.decoder import open_picture

    data = _map(source)
    damage: list[PicoError] | None = [] if args.allow_damaged else None
    threads, part = batch.threads_of_each(args), (args.region, args.scale)
    try:
        picture = open_picture(data, args.max_pixels, threads, args.realism, damage, *part)
    except ValueError as error:  # a region beyond the picture
        raise UnsupportedImage(str(error)) from None
    _strip(picture, args.strip)
    write_picture(out, extension, picture, batch.bar(source, args))
    text = f"{picture.width}x{picture.height}"
    if args.verbose and not damage:
        text += f"  {_description(read_info(data[:]))}"
    return Report(text, str(DamagedPicture(damage)) if damage else "")


def picoinfo(argv: Sequence[str] | None = None) -> int:
    """Say what .pico files hold; returns the exit code. Raises `SystemExit(2)` on wrong usage."""
    parser = argparse.ArgumentParser("picoinfo", description="Say what .pico files hold.")
    parser.add_argument("files", nargs="+", metavar="FILE", help='"-" is standard input')
    parser.add_argument("--json", action="store_true", help="one JSON object a line for each file")
    parser.add_argument("-V", "--version", action="version", version=f"%(prog)s {__version__}")
    args = parser.parse_intermixed_args(argv)
    failed = False
    for name in args.files:
        try:
            info = read_info(_read(name))
        except (PicoError, OSError) as error:
            batch.say(f"{parser.prog}: {name}: {batch.reason(error, name)}")
            failed = True
            continue
        if args.json:
            print(json.dumps({"file": name, **dataclasses.asdict(info)}))
        else:
            # A file name may hold bytes that are no text.
            print(os.fsencode(name).decode("utf-8", "backslashreplace"))
            print(f"  {info.width}x{info.height} {info.mode}  ", end="")
            print(f"{info.bytes} bytes  {info.bpp:.2f} bpp  {_description(info)}")
    return int(failed)


def _parser(name: str, description: str, usage: str, suffix: str) -> argparse.ArgumentParser:
    """The options that picoenc and picodec have in common."""
    parser = argparse.ArgumentParser(
        name,
        usage=f"%(prog)s [options] {usage}\n       %(prog)s [options] IN ... [-o FOLDER]",
        description=f"{description} Without OUT, each output lies beside its input, named {suffix}."
        ' "-" is standard input or output.',
    )
    add = parser.add_argument
    add("files", nargs="+", metavar="IN", help="input files, the last may be the output")
    add("-o", "--output", metavar="OUT", help="output file, or folder, which is then created")
    add("-r", "--recursive", action="store_true", help="also take the pictures in folders")
    add("-j", "--jobs", type=_jobs, default=1, metavar="N", help="files at once (default: 1)")
    add(
        "--threads",
        type=_count,
        default=0,
        metavar="N",
        help="for each file; 0: all cores, shared by the jobs (default)",
    )
    add("--skip-existing", action="store_true", help="leave out files whose output exists")
    add("--strip", type=_metadata, default=(), metavar="LIST", help="drop all, or exif,xmp,icc")
    limit = container.MAX_PIXELS
    add("--max-pixels", type=_count, default=limit, metavar="N", help=f"default: {limit}")
    add("--no-overwrite", action="store_true", help="refuse to replace files")
    add("--quiet", action="store_true", help="only tell of errors")
    add("-v", "--verbose", action="store_true", help="tell more of each file")
    add("-V", "--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _quality(text: str) -> float:
    try:
        return checked_quality(float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 100") from None


def _size(text: str) -> int:
    """A number of bytes, with a unit or without."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(|[kKM]i?)[bB]?", text)
    if not found or not (size := int(float(found[1]) * _UNITS[found[2].lower()])):
        raise argparse.ArgumentTypeError(f"{text!r} is no size, as 50000, 200k, 1.5M or 64Ki")
    return size


def _bpp(text: str) -> float:
    try:
        if 0 < float(text) < math.inf:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def _region(text: str) -> tuple[int, int, int, int]:
    parts = text.split(",")
    if len(parts) != 4 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,WIDTH,HEIGHT in pixels")
    left, top, width, height = map(int, parts)
    return left, top, width, height


def _scale(text: str) -> int:
    known = {"1": 1, "1/2": 2, "1/4": 4, "1/8": 8}
    if text not in known:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(known)}")
    return known[text]


def _realism(text: str) -> float:
    try:
        return checked_realism(float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1") from None


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _jobs(text: str) -> int:
    return max(_count(text), 1)


def _metadata(text: str) -> tuple[str, ...]:
    names = METADATA if text == "all" else tuple(text.split(","))
    if not set(names) <= set(METADATA):
        raise argparse.ArgumentTypeError(f"{text!r} is neither all nor some of exif,xmp,icc")
    return names


def _read(name: str) -> bytes:
    if name == STREAM:
        return sys.stdin.buffer.read()
    with open(name, "rb") as file:
        return file.read()


def _map(name: str) -> bytes | mmap.mmap:
    """A file's bytes, of which only those that are used are read."""
    if name == STREAM:
        return _read(name)
    with open(name, "rb") as file:
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # a pipe, an empty file
            return file.read()


def _strip(picture: Picture | OpenPicture, names: Sequence[str]) -> None:
    for name in names:
        setattr(picture, name, None)


def _description(info: Info) -> str:
    kept = [name for name in (*METADATA, "alpha") if getattr(info, f"has_{name}")]
    return (
        f"quality {info.quality:g}  model {info.model} ({info.model_sha256})  "
        f"format {info.format_version}  tiles {info.tiles} ({info.learned_tiles} learned)  "
        f"with {', '.join(kept) or 'no metadata'}"
    )
