"""`picolab data build`."""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Register the command; `args.run(args)` returns the exit code."""
    data = commands.add_parser("data", help="sets of training tiles")
    build = data.add_subparsers(dest="subcommand", required=True).add_parser(
        "build",
        help="photos of many sources, or of a folder, to one file of tiles",
        description="Cuts tiles of 512x512 pixels anywhere in photos, at several scales, and "
        "writes them with a table of what they are (tiles.u8, tiles.csv) and of licences "
        "(sources.md). Near-duplicates and whatever looks like an evaluation picture are left "
        "out; an original in 32 is marked as held out. Sources that are not here are named and "
        "passed over: nothing is downloaded. docs/data.md has the keys of the sources' file.",
    )
    build.add_argument(
        "sources", nargs="?", type=Path, metavar="SOURCES.toml", help="recipes/sources.toml"
    )
    build.add_argument("-o", "--output", type=Path, required=True, help="folder of the tiles")
    build.add_argument(
        "--snapshots", type=Path, help="folder of clones, each in owner+name or owner/name"
    )
    build.add_argument(
        "--packages", type=Path, help="folder of unpacked Debian packages, each in its name"
    )
    build.add_argument(
        "--folder", type=Path, action="append", default=[], help="of photos, as one more source"
    )
    build.add_argument("--licence", default="not stated", help="of the photos of --folder")
    build.add_argument(
        "--evaluation",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="of pictures that are evaluated on, to leave out what looks like them",
    )
    build.add_argument("--per-photo", type=int, default=16, help="tiles at most (%(default)s)")
    build.add_argument(
        "--most", type=int, default=12000, help="tiles in all, 0.8 MB each (%(default)s)"
    )
    build.add_argument("-j", "--threads", type=int, default=os.cpu_count() or 1)
    build.set_defaults(run=_build)


def _build(args: argparse.Namespace) -> int:
    from PIL import Image

    from picolab.data.build import Builder
    from picolab.data.originals import Places
    from picolab.data.sources import Review, Source, read_sources

    if args.sources is None and not args.folder:
        raise ValueError("data build: give a file of sources or --folder with photos")
    if min(args.per_photo, args.most, args.threads) < 1:
        raise ValueError("data build: --per-photo, --most and --threads are at least 1")
    for folder in (*args.folder, *args.evaluation):
        if not folder.is_dir():
            raise ValueError(f"data build: no folder {folder}")
    sources, review = read_sources(args.sources) if args.sources else ([], Review())
    for folder in args.folder:
        name = folder.resolve().name
        sources.append(Source(name=name, folder=str(folder), licence=args.licence))
    # Pillow would say on standard error that a picture is large; too large ones are named anyway.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    start = time.perf_counter()
    where = Places(args.snapshots, args.packages)
    builder = Builder(
        sources, review, where, args.evaluation, args.per_photo, args.most, args.threads
    )
    print(builder.run(args.output).text())
    print(f"{args.output}: {time.perf_counter() - start:.0f} s")
    return 0
