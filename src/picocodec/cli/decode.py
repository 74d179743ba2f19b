"""picodec: .pico files to images."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import partial
from typing import BinaryIO

from picocodec.api import read_info
from picocodec.cli import arguments, batch
from picocodec.cli.batch import DAMAGED, Report
from picocodec.cli.info import description
from picocodec.cli.shell import command, say
from picocodec.cli.streams import STREAM, mapped
from picocodec.errors import DamagedPicture, PicoError, UnsupportedImage
from picocodec.images.metadata import as_part
from picocodec.images.plugins import need_writer
from picocodec.images.writing import FORMATS, LOSSY, write_picture


def parser() -> argparse.ArgumentParser:
    """That of picodec."""
    parser = arguments.parser_of(
        "picodec", "Turn .pico files into images.", "IN.pico [OUT]", ".png"
    )
    parser.add_argument(
        "--format",
        choices=sorted(FORMATS),
        metavar="EXT",
        help=f"of the output, unless its name tells: {', '.join(FORMATS)} (default: png)",
    )
    parser.add_argument(
        "--output-quality",
        type=arguments.output_quality,
        metavar="1..100",
        help="of JPEG, WebP, AVIF, HEIC and JPEG XL (default: WebP and JPEG XL without loss, "
        "the others 95)",
    )
    parser.add_argument(
        "--realism",
        type=arguments.realism,
        metavar="R",
        help="0: the closest pixels, 1: the most convincing texture (default: what the file or "
        "its model recommends)",
    )
    parser.add_argument(
        "--region",
        type=arguments.region,
        metavar="X,Y,W,H",
        help="decode this part only, in pixels",
    )
    parser.add_argument(
        "--scale",
        type=arguments.scale,
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
    return parser


@command
def picodec(argv: Sequence[str] | None = None) -> int:
    """.pico files to images; returns the exit code. Raises `SystemExit(2)` on wrong usage."""
    options = parser()
    args = arguments.parse(options, argv)
    suffix = f".{args.format or 'png'}"
    names = batch.pairs(options, args, suffix, {"pico"})
    target = names[0][1]
    named = "png" if target == STREAM else os.path.splitext(target)[1].lstrip(".").lower()
    extension = args.format or named
    if extension not in FORMATS:
        options.error(f"{target}: the name does not tell a known format; give --format")
    if target != STREAM and FORMATS.get(named, FORMATS[extension]) != FORMATS[extension]:
        options.error(f"{target}: the name says {named}, --format {extension}: give one of them")
    if args.output_quality and FORMATS[extension] not in LOSSY:
        options.error(f"--output-quality has no effect on {extension}, which keeps all pixels")
    try:
        need_writer(FORMATS[extension])
    except UnsupportedImage as error:
        say(f"{options.prog}: {error}")
        return 1
    return batch.run(options.prog, names, args, partial(_decode, args, extension))


def _decode(args: argparse.Namespace, extension: str, source: str, out: BinaryIO) -> Report:
    from picocodec.decoding.decoder import open_picture

    data = mapped(source)
    damage: list[PicoError] | None = [] if args.allow_damaged else None
    threads, part = batch.threads_of_each(args), (args.region, args.scale)
    try:
        picture = open_picture(data, args.max_pixels, threads, args.realism, damage, *part)
    except ValueError as error:  # a region beyond the picture
        raise UnsupportedImage(str(error)) from None
    if args.region or args.scale > 1:
        as_part(picture)
    bar = batch.bar(source, args)
    write_picture(out, extension, picture, bar, args.strip, args.output_quality)
    text = f"{picture.width}x{picture.height}"
    if args.verbose and not damage:
        text += f"  {description(read_info(data[:]))}"
    return Report(text, str(DamagedPicture(damage)) if damage else "")
