"""`picolab corpus`."""

from __future__ import annotations

import argparse
import sys
import time


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Register the command; `args.run(args)` returns the exit code."""
    corpus = commands.add_parser(
        "corpus",
        help="encode or decode folders over a cluster",
        description="Turns all pictures under SOURCE into .pico files in the same places under "
        "TARGET, each on one core of a Ray cluster. Both are folders as fsspec names them: paths, "
        "s3://bucket/folder, ... What fails is listed and the rest done. Needs "
        "pip install './lab[cluster]'.",
    )
    corpus.add_argument("source", metavar="SOURCE")
    corpus.add_argument("target", metavar="TARGET")
    corpus.add_argument("--decode", action="store_true", help=".pico files to PNG instead")
    corpus.add_argument("-q", "--quality", type=float, default=50, help="0 to 100 (%(default)s)")
    corpus.add_argument("--model", help="one installed on all machines, as name.vN")
    corpus.add_argument("--skip-existing", action="store_true", help="leave out what is there")
    corpus.add_argument(
        "--table", metavar="FILE", help="name, bytes, bpp, seconds, error of each: .csv or .parquet"
    )
    corpus.add_argument("--address", help="of a running cluster, or auto (default: start one here)")
    corpus.add_argument("--workers", type=int, help="of a cluster here (default: all cores)")
    corpus.set_defaults(run=_corpus, extra="cluster")


def _corpus(args: argparse.Namespace) -> int:
    from picocodec.api import checked_quality
    from picolab.corpus import Conversion, convert, write_table

    quality = checked_quality(args.quality)
    conversion = Conversion(args.source, args.target, quality, args.model, args.decode)
    start = time.perf_counter()
    rows, skipped = convert(
        conversion,
        skip_existing=args.skip_existing,
        address=args.address,
        workers=args.workers,
    )
    if args.table:
        write_table(rows, args.table)
    failed = [row for row in rows if row["error"]]
    for row in failed:
        print(f"{row['name']}: {row['error']}", file=sys.stderr)
    done = len(rows) - len(failed)
    size = sum(row["bytes"] or 0 for row in rows)
    print(
        f"{len(rows) + skipped} pictures: {done} done, {skipped} skipped, {len(failed)} failed; "
        f"{size / 1e6:.1f} MB of .pico files in {time.perf_counter() - start:.1f} s",
        file=sys.stderr,
    )
    return 1 if failed else 0
