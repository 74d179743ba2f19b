"""picocorpus: folders of pictures over a cluster."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from picocodec import __version__
from picocodec.cli import arguments
from picocodec.cli.shell import command, say
from picocodec.errors import PicoError

DESCRIPTION = (
    "Turn all pictures under SOURCE into .pico files in the same places under TARGET, each on one "
    "core of a Ray cluster. Both are folders as fsspec names them: paths, s3://bucket/folder, "
    "gs://bucket/folder ... What fails is listed and the rest done."
)


def parser() -> argparse.ArgumentParser:
    """That of picocorpus."""
    parser = arguments.Parser("picocorpus", description=DESCRIPTION)
    parser.add_argument("-V", "--version", action="version", version=f"%(prog)s {__version__}")
    add_options(parser)
    return parser


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of picocorpus, also where another program offers them."""
    add = parser.add_argument
    add("source", metavar="SOURCE")
    add("target", metavar="TARGET")
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument("--decode", action="store_true", help=".pico files to PNG instead")
    rate.add_argument(
        "-q",
        "--quality",
        type=arguments.quality,
        default=50.0,
        metavar="0..100",
        help="more is better and larger (default: %(default)g)",
    )
    rate.add_argument(
        "--target-size", type=arguments.size, metavar="BYTES", help="of each file at most, as 200k"
    )
    add("--model", metavar="NAME", help="one installed on all machines, as name.vN")
    add("--skip-existing", action="store_true", help="leave out what is there")
    add(
        "--retries",
        type=arguments.count,
        default=2,
        metavar="N",
        help="of each picture, where storage fails or a worker dies (default: %(default)s)",
    )
    add("--table", metavar="FILE", type=_table, help="a row for each picture: .csv or .parquet")
    add("--address", help="of a running cluster, or auto (default: start one here)")
    add("--workers", type=arguments.jobs, metavar="N", help="of one here (default: all cores)")


@command
def picocorpus(argv: Sequence[str] | None = None) -> int:
    """Folders over a cluster; returns the exit code. Raises `SystemExit(2)` on wrong usage."""
    options = parser()
    args = options.parse_args(argv)
    try:
        return convert_all(args)
    except (PicoError, ValueError, OSError) as error:
        say(f"{options.prog}: {error}")
        return 1


def _table(text: str) -> str:
    if not text.endswith((".csv", ".parquet")):
        raise argparse.ArgumentTypeError(f"{text!r} ends neither in .csv nor in .parquet")
    return text


def convert_all(args: argparse.Namespace) -> int:
    """What the options of `add_options` ask for; returns the exit code. Raises `PicoError`,
    `ValueError` and `OSError` for what concerns all pictures."""
    from picocodec.corpus import Conversion, convert, summary, write_table

    conversion = Conversion(
        args.source,
        args.target,
        quality=args.quality,
        model=args.model,
        decode=args.decode,
        target_size=args.target_size,
        retries=args.retries,
    )
    start = time.perf_counter()
    try:
        rows, skipped = convert(
            conversion,
            skip_existing=args.skip_existing,
            address=args.address,
            workers=args.workers,
        )
    except ModuleNotFoundError as error:
        raise ValueError(f"{error}: pip install 'picocodec[cluster]'") from error
    if args.table:
        write_table(rows, args.table)
    failed = [row for row in rows if row["error"]]
    for row in failed:
        say(f"{row['name']}: {row['error']}")
    say(summary(rows, skipped, time.perf_counter() - start))
    return 1 if failed else 0
