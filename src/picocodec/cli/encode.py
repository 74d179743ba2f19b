"""picoenc: photos to .pico files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import BinaryIO

from picocodec.api import read_info
from picocodec.cli import arguments, batch
from picocodec.cli.batch import Report
from picocodec.cli.info import brief, description
from picocodec.cli.shell import command
from picocodec.cli.streams import readable
from picocodec.encoding.effort import DEFAULT_EFFORT, MOST_EFFORT
from picocodec.encoding.rate import DEFAULT_QUALITY, level_of_quality
from picocodec.errors import TargetTooSmall
from picocodec.images.orientation import strip
from picocodec.images.reading import EXTENSIONS, read


def parser() -> argparse.ArgumentParser:
    """That of picoenc."""
    parser = arguments.parser_of("picoenc", "Compress photos to .pico files.", "IN [OUT]", ".pico")
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument(
        "-q",
        "--quality",
        type=arguments.quality,
        default=DEFAULT_QUALITY,
        metavar="0..100",
        help="more is better and larger (default: %(default)g)",
    )
    rate.add_argument(
        "--target-size",
        type=arguments.size,
        metavar="BYTES",
        help="of each file, as 50000, 200k, 1.5M or 64Ki: the quality is found that fills it, "
        "and it is never exceeded",
    )
    rate.add_argument(
        "--target-bpp", type=arguments.bpp, metavar="BITS", help="the same, in bits for each pixel"
    )
    rate.add_argument(
        "--lossless", action="store_true", help="keep every pixel, in much larger files"
    )
    parser.add_argument(
        "-e",
        "--effort",
        type=int,
        choices=range(MOST_EFFORT + 1),
        default=DEFAULT_EFFORT,
        metavar=f"0..{MOST_EFFORT}",
        help="more finds smaller files and takes longer (default: %(default)s)",
    )
    parser.add_argument("--model", metavar="NAME", help="an installed model, as name.vN")
    return parser


@command
def picoenc(argv: Sequence[str] | None = None) -> int:
    """Photos to .pico files; returns the exit code. Raises `SystemExit(2)` on wrong usage."""
    options = parser()
    args = arguments.parse(options, argv)
    names = batch.pairs(options, args, ".pico", EXTENSIONS)
    return batch.run(options.prog, names, args, partial(_encode, args))


def _encode(args: argparse.Namespace, source: str, out: BinaryIO) -> Report:
    from picocodec.encoding.encoder import encode_picture, encode_to_size
    from picocodec.exact import encode_exactly
    from picocodec.model.store import DEFAULT_MODEL

    input = readable(source)
    picture = read(input)
    strip(picture, args.strip)
    height, width = picture.rgb.shape[:2]
    size = args.target_size or int((args.target_bpp or 0) * width * height / 8)
    model, threads = args.model or DEFAULT_MODEL, batch.threads_of_each(args)
    bar = batch.bar(source, args)
    if args.lossless:
        data = encode_exactly(picture, threads, bar)
    elif args.target_size or args.target_bpp:
        try:
            data = encode_to_size(picture, max(size, 1), model, threads, bar, args.effort)
        except TargetTooSmall as error:
            if args.target_size:
                raise
            raise TargetTooSmall(f"{error} ({args.target_bpp:g} bits a pixel)") from None
    else:
        level = level_of_quality(args.quality)
        data = encode_picture(picture, level, model, threads, bar, args.effort)
    out.write(data)
    info, length = read_info(data), batch.size_of(source, input)
    text = f"{batch.sizes(length, info.bytes)}  {brief(info)}"
    return Report(f"{text}  {description(info)}" if args.verbose else text, read=length)
