"""Whether more quality is always more bytes and less LPIPS, and what each quality typically costs.

    python benchmarks/monotonic.py kodak dev --max-megapixels 2 -o runs/evaluation > docs/quality.md

Encodes, decodes and measures every picture at qualities 0, 10 ... 100 with the default model, as
`picolab evaluate` does and in the same cache, so that a run that was stopped goes on where it was.
Exits with 1 if any step of quality takes fewer bytes, or gives a higher LPIPS, than the one before.
"""

from __future__ import annotations

import argparse
import itertools
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from picolab.evaluation.images import find, megapixels
from picolab.evaluation.peers.pico import Pico
from picolab.evaluation.runner import ALL, Outcome, groups, measure_all
from picolab.evaluation.sets import DEFAULT_SETS

QUALITIES = tuple(range(0, 101, 10))
METRIC = "lpips_alex"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", help="files, folders or sets; default: kodak dev")
    parser.add_argument("--max-megapixels", type=float, default=float("inf"), metavar="N")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="processes (%(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=Path("evaluation"), help="folder")
    args = parser.parse_args()
    images = [i for i in find(args.images or DEFAULT_SETS) if megapixels(i) <= args.max_megapixels]
    kinds = {image.name: image.kind for image in images}
    codec = Pico("picocodec")
    codec.rates = QUALITIES
    outcomes = measure_all(images, [codec], [METRIC], args.output / "cache", args.jobs)
    curves: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.failures:
            raise SystemExit(f"{outcome.image} at {outcome.rate:g}: {outcome.failures}")
        curves[outcome.image].append(outcome)
    print("# What each quality costs\n")
    command = shlex.join(["python", "benchmarks/monotonic.py", *sys.argv[1:]])
    print(f"Generated, never typed: `{command}`, with {codec.version}.\n")
    for kind in groups(kinds):
        chosen = [curves[name] for name in curves if kind in (ALL, kinds[name])]
        print(f"## {kind.capitalize()} ({len(chosen)} pictures)\n")
        print("| quality | bpp, median | least | most | LPIPS (AlexNet), median |")
        print("| --- | --- | --- | --- | --- |")
        for points in zip(*chosen, strict=True):
            bpp = [point.bpp for point in points]
            numbers = [median(bpp), min(bpp), max(bpp), median(p.metrics[METRIC] for p in points)]
            print(f"| {points[0].rate:g} | " + " | ".join(f"{n:.3f}" for n in numbers) + " |")
        print()
    found = [line for curve in curves.values() for line in violations(curve)]
    steps = len(curves) * (len(QUALITIES) - 1)
    print("## Where quality is not monotonic\n")
    print(f"{len(found)} of {2 * steps} steps of bytes and LPIPS" + (":\n" if found else "."))
    if found:
        print(
            "| picture | from | to | what | before | after |\n| --- | --- | --- | --- | --- | --- |"
        )
        print("\n".join(found))
    return 1 if found else 0


def violations(curve: Sequence[Outcome]) -> Iterator[str]:
    """Rows of the table, of one picture's outcomes by growing quality."""
    for a, b in itertools.pairwise(curve):
        where = f"| {a.image} | {a.rate:g} | {b.rate:g} |"
        if b.bytes < a.bytes:
            yield f"{where} bytes | {a.bytes} | {b.bytes} |"
        before, after = a.metrics[METRIC], b.metrics[METRIC]
        if after > before:
            yield f"{where} LPIPS | {before:.5f} | {after:.5f} |"


if __name__ == "__main__":
    sys.exit(main())
