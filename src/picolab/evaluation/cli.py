"""`picolab evaluate` and `picolab report`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from picolab.evaluation import metrics as metric_list
from picolab.evaluation import peers
from picolab.evaluation.images import DEFAULT_SETS, SETS, find, megapixels


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Register both commands; `args.run(args)` returns the exit code."""
    evaluate = commands.add_parser(
        "evaluate",
        help="compare codecs on real pictures",
        description="Encode, decode and measure pictures with many codecs, in real files. A run "
        "that was stopped goes on where it was when started again with the same -o.",
    )
    evaluate.add_argument(
        "images",
        nargs="*",
        help=f"files, folders or sets ({', '.join(SETS)}: folders of $PICOLAB_EVAL); "
        f"default: {' '.join(DEFAULT_SETS)}",
    )
    evaluate.add_argument(
        "--codecs",
        type=_names,
        help=f"comma-separated, or all; of {', '.join(peers.CODECS)}; "
        f"default: {','.join(peers.DEFAULT)}",
    )
    evaluate.add_argument(
        "--rates",
        type=_rates,
        action="append",
        default=[],
        metavar="CODEC=R,R,...",
        help="other rates of a codec than its usual ones, from few bytes to many; for several "
        "codecs, give it several times",
    )
    known = [*metric_list.METRICS, *metric_list.SET_METRICS]
    evaluate.add_argument(
        "--metrics",
        type=_names,
        help=f"comma-separated, or all; of {', '.join(known)}; "
        f"default: {','.join(metric_list.DEFAULT)}",
    )
    evaluate.add_argument(
        "--max-megapixels",
        type=float,
        default=float("inf"),
        metavar="N",
        help="leave out larger pictures; some metrics take a minute for one of 12",
    )
    evaluate.add_argument("-j", "--jobs", type=int, default=os.cpu_count(), help="processes")
    evaluate.add_argument("-o", "--output", type=Path, default=Path("evaluation"), help="folder")
    evaluate.add_argument("--anchor", default="jpeg-420", help="of the BD-rates (%(default)s)")
    evaluate.add_argument(
        "--bpp-range",
        type=_range,
        metavar="LOW..HIGH",
        help="BD-rates only where the anchor takes so many bits per pixel, such as 0.15..0.8",
    )
    evaluate.add_argument(
        "--cost", type=Path, metavar="PHOTO", help="measure seconds and memory on this photo too"
    )
    evaluate.add_argument("--cost-rounds", type=int, default=3, help="(%(default)s)")
    evaluate.add_argument(
        "--gallery",
        action="store_true",
        help="also write gallery/index.html: every picture by every codec at matched bytes, in the "
        "comparison viewer (it encodes them again: for few pictures)",
    )
    evaluate.add_argument("--no-page", action="store_true", help="write no index.html")
    evaluate.set_defaults(run=_evaluate)

    report = commands.add_parser(
        "report",
        help="write the Markdown report of a finished evaluation",
        description="Everything in it comes from the run's folder.",
    )
    report.add_argument("folder", type=Path, help="what -o of picolab evaluate was")
    report.add_argument("-o", "--output", type=Path, required=True, help="the .md file")
    report.set_defaults(run=_report)


def _evaluate(args: argparse.Namespace) -> int:
    from picolab.evaluation import cost, gallery, page, plots, report, runner
    from picolab.evaluation.images import read
    from picolab.evaluation.results import Run

    found = find(args.images or DEFAULT_SETS)
    images = [image for image in found if megapixels(image) <= args.max_megapixels]
    if not images:
        raise ValueError(f"no picture of at most {args.max_megapixels:g} megapixels")
    names = list(peers.CODECS) if args.codecs == ["all"] else args.codecs or peers.DEFAULT
    codecs, left_out = peers.load(names)
    rates = dict(args.rates)
    for codec in codecs:
        codec.rates = rates.pop(codec.name, codec.rates)
    if rates:
        raise ValueError(f"--rates of {', '.join(rates)}: not among the codecs of this run")
    metrics, missing = _metrics(args.metrics)
    left_out |= metric_list.LEFT_OUT | missing
    left_out |= {
        image.name: f"more than {args.max_megapixels:g} megapixels"
        for image in found
        if image not in images
    }
    if not codecs or not metrics:
        raise ValueError("nothing to do: " + "; ".join(f"{k}: {v}" for k, v in left_out.items()))
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    anchor = args.anchor
    if anchor not in (codec.name for codec in codecs):
        raise ValueError(f"the anchor {anchor} is not among the codecs of this run")
    outcomes = runner.evaluate(
        images,
        codecs,
        metrics,
        args.output,
        args.jobs,
        anchor=anchor,
        bpp_range=args.bpp_range,
        left_out=left_out,
        command=shlex.join(["picolab", *sys.argv[1:]]),
    )
    if args.cost:
        cost.measure(codecs, args.cost, args.output, args.cost_rounds)
    run = Run(args.output)
    plots.draw(run)
    report.write_bd_rates(run)
    (args.output / "results.md").write_text(report.markdown(run, "plots"))
    if not args.no_page:
        page.write(run, {codec.name: codec for codec in codecs})
    if args.gallery:
        originals = {image.name: read(image.path) for image in images}
        print(f"look at {gallery.write(run, codecs, originals)}")
    print((args.output / "bd_rate.md").read_text())
    failed = sum(bool(outcome.failures) for outcome in outcomes)
    if failed:
        print(f"{failed} failed: see {args.output / 'failures.csv'}", file=sys.stderr)
    return 1 if failed else 0


def _report(args: argparse.Namespace) -> int:
    from picolab.evaluation.report import write_markdown
    from picolab.evaluation.results import Run

    write_markdown(Run(args.folder), args.output)
    return 0


def _metrics(names: list[str] | None) -> tuple[list[str], dict[str, str]]:
    """Those that can run, and why the others cannot. One asked for by name must be able to."""
    known = [*metric_list.METRICS, *metric_list.SET_METRICS]
    every = names == ["all"]
    wanted = known if every else names or list(metric_list.DEFAULT)
    usable, missing = [], {}
    for name in wanted:
        if name not in known:
            raise ValueError(f"no metric is called {name}; there are {', '.join(known)}")
        try:
            metric_list.check(name)
        except metric_list.Missing as reason:
            if names is not None and not every:
                raise ValueError(f"{name}: {reason}") from reason
            missing[name] = str(reason)
            continue
        usable.append(name)
    return usable, missing


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _rates(text: str) -> tuple[str, tuple[float, ...]]:
    codec, _, rates = text.partition("=")
    try:
        return codec, tuple(float(rate) for rate in rates.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: write it like webp=1,20,60") from None


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(".."))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: write it like 0.15..0.8") from None
    if not 0 < low < high:
        raise argparse.ArgumentTypeError(f"{text}: the bounds must be positive and grow")
    return low, high
