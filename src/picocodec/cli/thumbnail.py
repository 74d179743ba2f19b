"""pico-thumbnailer: a small PNG of a .pico file, as file managers ask for it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from PIL import Image, ImageOps

from picocodec.cli import arguments
from picocodec.cli.shell import command, say
from picocodec.cli.streams import output
from picocodec.errors import LimitExceeded


def parser() -> argparse.ArgumentParser:
    """That of pico-thumbnailer."""
    parser = arguments.Parser(
        "pico-thumbnailer",
        description="Write a small PNG of a .pico file, upright; no side is longer than N.",
    )
    parser.add_argument("source", metavar="IN.pico")
    parser.add_argument("target", metavar="OUT.png")
    parser.add_argument(
        "-s",
        "--size",
        type=arguments.jobs,
        default=256,
        metavar="N",
        help="in pixels (%(default)s)",
    )
    return parser


@command
def pico_thumbnailer(argv: Sequence[str] | None = None) -> int:
    """A thumbnail; returns the exit code. Raises `SystemExit(2)` on wrong usage."""
    options = parser()
    args = options.parse_args(argv)
    source, target = args.source, args.target
    try:
        with Image.open(source, formats=["PICO"]) as im:
            im.thumbnail((args.size, args.size))  # decodes no more than that needs
            small = ImageOps.exif_transpose(im)
            with output(target) as out:
                profile = small.info.get("icc_profile")
                small.save(out, "PNG", icc_profile=profile)
    except (OSError, LimitExceeded, Image.DecompressionBombError) as error:
        say(f"{options.prog}: {source}: {error}")
        return 1
    return 0
