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
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, cast

from PIL import Image

from picocodec import __version__, image
from picocodec.api import Info, checked_quality, checked_realism, read_info
from picocodec.codec.rate import DEFAULT_QUALITY, level_of_quality
from picocodec.errors import DamagedPicture, PicoError, UnsupportedImage
from picocodec.format import container
from picocodec.image import Picture
from picocodec.writers import FORMATS, open_writer

if TYPE_CHECKING:
    from picocodec.codec.decoder import OpenPicture

STREAM = "-"  # the name of standard input and standard output
METADATA = ("exif", "xmp", "icc")
_UNITS = {"": 1, "k": 1000, "ki": 1 << 10, "m": 1000**2, "mi": 1 << 20}
DAMAGED = 3  # pictures were written, but what is damaged in one was concealed
_SPOOL_BYTES = 1 << 25  # of output for a stream, before it waits on the disk
INTERRUPTED = 130  # what shells report for a command stopped by Ctrl-C

# Reads the file of the first name and writes to the stream; returns what to report.
Convert = Callable[[str, BinaryIO], str]


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
    pairs = _pairs(parser, args, ".pico", lambda name: name.lower().endswith(".pico"))

    def convert(source: str, out: BinaryIO) -> str:
        from picocodec.codec.encoder import encode_picture, encode_to_size
        from picocodec.codec.networks import DEFAULT_MODEL

        picture = image.read(io.BytesIO(_read(source)) if source == STREAM else source)
        _strip(picture, args.strip)
        height, width = picture.rgb.shape[:2]
        size = args.target_size or int((args.target_bpp or 0) * width * height / 8)
        settings = args.model or DEFAULT_MODEL, args.threads, _bar(source, args)
        if args.target_size or args.target_bpp:
            data = encode_to_size(picture, max(size, 1), *settings)
        else:
            data = encode_picture(picture, level_of_quality(args.quality), *settings)
        out.write(data)
        info = read_info(data)
        text = f"{info.bytes} bytes  {info.bpp:.2f} bpp"
        if args.target_size or args.target_bpp:
            text += f"  quality {info.quality:g}"
        return f"{text}  {_description(info)}" if args.verbose else text

    return _run(parser.prog, pairs, args, convert)


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
        help="divide the sides by 2, 4 or 8, for a smaller picture in little memory",
    )
    parser.add_argument(
        "--allow-damaged",
        action="store_true",
        help="conceal tiles that are damaged or missing, leave out damaged metadata, say so, and "
        f"exit with {DAMAGED}",
    )
    args = parser.parse_intermixed_args(argv)
    suffix = f".{args.format or 'png'}"
    pairs = _pairs(parser, args, suffix, lambda name: not name.lower().endswith(".pico"))
    target = pairs[0][1]
    named = "png" if target == STREAM else os.path.splitext(target)[1].lstrip(".").lower()
    extension = args.format or named
    if extension not in FORMATS:
        parser.error(f"{target}: the name does not tell a known format; give --format")
    any_damaged = False

    def convert(source: str, out: BinaryIO) -> str:
        from picocodec.codec.decoder import open_picture

        data = _map(source)
        damage: list[PicoError] | None = [] if args.allow_damaged else None
        try:
            picture = open_picture(
                data,
                args.max_pixels,
                args.threads,
                args.realism,
                damage,
                args.region,
                args.scale,
            )
        except ValueError as error:  # a region beyond the picture
            raise UnsupportedImage(str(error)) from None
        _strip(picture, args.strip)
        writer = open_writer(
            out,
            extension,
            picture.width,
            picture.height,
            picture.channels,
            icc=picture.icc,
            exif=picture.exif,
            xmp=picture.xmp,
        )
        for rows in picture.rows(_bar(source, args)):
            writer.write(rows)
        writer.close()
        if damage:
            nonlocal any_damaged
            any_damaged = True
            _say(f"{parser.prog}: {source}: {DamagedPicture(damage)}")
        text = f"{picture.width}x{picture.height}"
        if args.verbose and not damage:
            text += f"  {_description(read_info(data[:]))}"
        return text

    code = _run(parser.prog, pairs, args, convert)
    return DAMAGED if code == 0 and any_damaged else code


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
            _say(f"{parser.prog}: {name}: {_reason(error, name)}")
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
    add("-j", "--threads", type=_count, default=0, metavar="N", help="0: all cores (default)")
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


def _metadata(text: str) -> tuple[str, ...]:
    names = METADATA if text == "all" else tuple(text.split(","))
    if not set(names) <= set(METADATA):
        raise argparse.ArgumentTypeError(f"{text!r} is neither all nor some of exif,xmp,icc")
    return names


def _pairs(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    suffix: str,
    names_output: Callable[[str], bool],
) -> list[tuple[str, str]]:
    """Names of inputs and outputs. The second of two names is the output only if it looks like
    one: `picoenc *.jpg` must not overwrite the second photo of two."""
    inputs, output = args.files, args.output
    if output is None and len(inputs) == 2 and (inputs[1] == STREAM or names_output(inputs[1])):
        inputs, output = inputs[:1], inputs[1]
    if len(inputs) > 1 and STREAM in (*inputs, output):
        parser.error("standard input and output are for one picture")
    if inputs == [STREAM] and output is None:
        output = STREAM
    separators = tuple(filter(None, (os.sep, os.altsep)))
    is_folder = output not in (None, STREAM) and (
        len(inputs) > 1 or output.endswith(separators) or os.path.isdir(output)
    )
    if inputs == [STREAM] and is_folder:
        parser.error("with standard input, -o must name a file")
    if output is not None and not is_folder:
        return [(inputs[0], output)]
    outputs = [os.path.splitext(name)[0] + suffix for name in inputs]
    if is_folder:
        outputs = [os.path.join(output, os.path.basename(name)) for name in outputs]
        try:
            os.makedirs(output, exist_ok=True)
        except OSError as error:
            parser.error(f"{output}: {error.strerror}")
    return list(zip(inputs, outputs, strict=True))


def _run(
    program: str, pairs: list[tuple[str, str]], args: argparse.Namespace, convert: Convert
) -> int:
    """Convert every file, or say why not and go on with the next; returns the exit code."""
    failed = False
    written: dict[str, str] = {}
    for source, target in pairs:
        try:
            with _warnings_told(program, source, args):
                start = time.perf_counter()
                path = os.path.realpath(target)
                if path in written:
                    raise UnsupportedImage(f"its output {target} is that of {written[path]}")
                if target != STREAM and os.path.exists(target):
                    if args.no_overwrite:
                        raise UnsupportedImage(f"{target} exists already")
                    if source != STREAM and os.path.samefile(source, target):
                        raise UnsupportedImage("it would be overwritten: name another output")
                written[path] = source
                with _output(target) as out:
                    report = convert(source, out)
                if not args.quiet:
                    seconds = time.perf_counter() - start
                    _say(f"{source} -> {target}  {report}  {seconds:.1f} s")
        except (PicoError, OSError, MemoryError) as error:
            _say(f"{program}: {source}: {_reason(error, source)}")
            failed = True
        except KeyboardInterrupt:
            _say(f"{program}: interrupted")
            return INTERRUPTED
    return int(failed)


@contextmanager
def _output(target: str) -> Iterator[BinaryIO]:
    """A stream whose bytes come to be under the name `target` only when the block succeeds."""
    path = os.path.realpath(target)
    if target == STREAM or (os.path.exists(path) and not os.path.isfile(path)):
        # Neither a stream nor a device can be replaced by a file.
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
            yield cast(BinaryIO, spool)
            spool.seek(0)
            with open(1 if target == STREAM else path, "wb", closefd=target != STREAM) as out:
                shutil.copyfileobj(spool, out)
        return
    temporary = os.path.join(os.path.dirname(path), f".pico-{os.getpid()}.tmp")
    try:
        file = open(temporary, "w+b")
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from None
    try:
        with file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.remove(temporary)
        raise


@contextmanager
def _warnings_told(program: str, name: str, args: argparse.Namespace) -> Iterator[None]:
    """Warnings become messages about a file, and Pillow's limit of pixels that of `args`."""
    pillow_limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if args.quiet else "always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.showwarning = lambda message, *_: _say(f"{program}: {name}: warning: {message}")
        Image.MAX_IMAGE_PIXELS = args.max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = pillow_limit


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


def _bar(name: str, args: argparse.Namespace) -> Callable[[int, int], None] | None:
    """A progress bar over tiles, for people only."""
    if args.quiet or not sys.stderr.isatty():
        return None

    def draw(done: int, total: int) -> None:
        bar = "#" * (30 * done // total)
        print(f"\r{name}  [{bar:<30}] {done}/{total} tiles", end="", file=sys.stderr, flush=True)

    return draw


def _say(text: str) -> None:
    """A line on standard error, over the progress bar if there is one."""
    print(f"\r\033[K{text}" if sys.stderr.isatty() else text, file=sys.stderr)


def _description(info: Info) -> str:
    kept = [name for name in (*METADATA, "alpha") if getattr(info, f"has_{name}")]
    return (
        f"quality {info.quality:g}  model {info.model} ({info.model_sha256})  "
        f"format {info.format_version}  tiles {info.tiles}  with {', '.join(kept) or 'no metadata'}"
    )


def _reason(error: BaseException, name: str) -> str:
    """What to say of an error about the file `name`."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        other = error.filename is not None and os.fspath(error.filename) != name
        return f"{error.filename}: {error.strerror}" if other else error.strerror
    return str(error)
