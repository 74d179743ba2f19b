"""picoinfo: what .pico files hold."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Sequence

from picocodec import __version__
from picocodec.api import Info, read_info
from picocodec.cli import arguments, batch
from picocodec.cli.arguments import METADATA
from picocodec.cli.shell import command, one_line, say, tell
from picocodec.cli.streams import read_all
from picocodec.errors import PicoError


def parser() -> argparse.ArgumentParser:
    """That of picoinfo."""
    parser = arguments.Parser("picoinfo", description="Say what .pico files hold.")
    parser.add_argument("files", nargs="*", metavar="FILE", help='"-" is standard input')
    parser.add_argument("--json", action="store_true", help="one JSON object a line for each file")
    parser.add_argument("-V", "--version", action="version", version=f"%(prog)s {__version__}")
    return parser


@command
def picoinfo(argv: Sequence[str] | None = None) -> int:
    """Say what .pico files hold; returns the exit code. Raises `SystemExit(2)` on wrong usage."""
    options = parser()
    args = arguments.parse(options, argv)
    failed = False
    for name in args.files:
        try:
            info = read_info(read_all(name))
        except (PicoError, OSError) as error:
            say(f"{options.prog}: {name}: {batch.reason(error, name)}")
            failed = True
            continue
        if args.json:
            told = dataclasses.asdict(info)
            tell(json.dumps({"file": name} | {k: v for k, v in told.items() if k not in METADATA}))
        else:
            # A file name may hold bytes that are no text.
            tell(one_line(os.fsencode(name).decode("utf-8", "backslashreplace")))
            tell(
                f"  {info.width}x{info.height} {info.mode}  "
                f"{info.bytes} bytes  {info.bpp:.2f} bpp  {description(info)}"
            )
    return int(failed)


def brief(info: Info) -> str:
    """Quality, bits a pixel, and the share of tiles from networks, which may invent texture."""
    quality = "lossless" if info.lossless else f"quality {info.quality:g}"
    return f"{quality}  {info.bpp:.2f} bpp  {_learned(info)} learned"


def _learned(info: Info) -> str:
    """Neither none nor all unless it is."""
    percent = round(100 * info.learned_tiles / info.tiles)
    if 0 < info.learned_tiles < info.tiles:
        percent = min(max(percent, 1), 99)
    return f"{percent} %"


def description(info: Info) -> str:
    """A line on a file's quality, model, tiles and metadata."""
    kept = [name for name in (*METADATA, "alpha") if getattr(info, f"has_{name}")]
    return (
        f"quality {info.quality:g}  model {info.model} ({info.model_sha256})  "
        f"format {info.format_version}  tiles {info.tiles} ({info.learned_tiles} learned)  "
        f"with {', '.join(kept) or 'no metadata'}"
    )
