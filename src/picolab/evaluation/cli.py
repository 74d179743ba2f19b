"""`picolab evaluate`, `report`, `results` and `encode`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from picolab.arguments import names, rates
from picolab.evaluation import metrics as metric_list
from picolab.evaluation import peers
from picolab.evaluation.sets import DEFAULT_SETS, SETS

if TYPE_CHECKING:
    from picolab.evaluation.images import TestImage
    from picolab.evaluation.peers.protocol import Codec
    from picolab.evaluation.runner import Known


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Register the commands; `args.run(args)` returns the exit code."""
    _add_evaluate(commands)
    _add_report(commands)
    _add_results(commands)
    _add_encode(commands)


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
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
        type=names,
        help=f"comma-separated, or all; of {', '.join(peers.CODECS)}; "
        f"default: {','.join(peers.DEFAULT)}",
    )
    evaluate.add_argument(
        "--rates",
        type=rates,
        action="append",
        default=[],
        metavar="CODEC=R,R,...",
        help="other rates of a codec than its usual ones, from few bytes to many; for several "
        "codecs, give it several times",
    )
    known = [*metric_list.METRICS, *metric_list.SET_METRICS]
    evaluate.add_argument(
        "--metrics",
        type=names,
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
    evaluate.add_argument(
        "--known",
        type=Path,
        metavar="RUN",
        help="a finished run, or one of docs/results: codecs that it had in the same version, with "
        "the same settings, rates, pictures and metrics are taken over (their decoded pictures "
        "are not, so that it needs --no-page)",
    )
    evaluate.add_argument("-j", "--jobs", type=int, default=os.cpu_count(), help="processes")
    evaluate.add_argument("-o", "--output", type=Path, default=Path("evaluation"), help="folder")
    _add_what_comes_of_it(evaluate)
    evaluate.set_defaults(run=_evaluate, extra="eval")


def _add_what_comes_of_it(evaluate: argparse.ArgumentParser) -> None:
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


def _add_report(commands: argparse._SubParsersAction) -> None:
    report = commands.add_parser(
        "report",
        help="write the Markdown report of a finished evaluation",
        description="Everything in it comes from the run's folder.",
    )
    report.add_argument("folder", type=Path, help="what -o of picolab evaluate was")
    report.add_argument("-o", "--output", type=Path, required=True, help="the .md file")
    report.set_defaults(run=_report, extra="eval")


def _add_results(commands: argparse._SubParsersAction) -> None:
    results = commands.add_parser(
        "results",
        help="write the page of all published results, and keep a run among them",
        description="FOLDER has MODEL/ENCODER/RUN with the CSV files of each published run. The "
        "page's tables and plots are made of these alone.",
    )
    results.add_argument("folder", type=Path, help="docs/results")
    results.add_argument("-o", "--output", type=Path, required=True, help="the .md file beside it")
    results.add_argument(
        "--add", type=Path, action="append", default=[], metavar="RUN", help="a finished run"
    )
    results.add_argument("--model", help="of the runs that are added (default: the installed one)")
    results.set_defaults(run=_results, extra="eval")


def _add_encode(commands: argparse._SubParsersAction) -> None:
    encode = commands.add_parser(
        "encode",
        help="the smallest file that is as good as asked for",
        description="Encodes, decodes and measures at up to 8 qualities, and writes the smallest "
        "file found that is as good as asked for or better; none, and an error, where quality 100 "
        "is not.",
    )
    encode.add_argument("input", type=Path, metavar="IN", help="a picture")
    encode.add_argument("output", type=Path, metavar="OUT", help="the .pico file")
    encode.add_argument(
        "--target-metric",
        type=_target,
        required=True,
        metavar="NAME=VALUE",
        help="such as lpips=0.05 or ssimulacra2=80; names are those of picolab evaluate --metrics",
    )
    encode.add_argument("--model", help="an installed one, as name.vN")
    encode.add_argument("--threads", type=int, default=0, help="0: all cores (default)")
    encode.set_defaults(run=_encode, extra="eval")


def _evaluate(args: argparse.Namespace) -> int:
    from picolab.evaluation import cost, gallery, page, plots, report, runner
    from picolab.evaluation.images import find, megapixels, read
    from picolab.evaluation.results import Run

    found = find(args.images or DEFAULT_SETS)
    images = [image for image in found if megapixels(image) <= args.max_megapixels]
    if not images:
        raise ValueError(f"no picture of at most {args.max_megapixels:g} megapixels")
    wanted = list(peers.CODECS) if args.codecs == ["all"] else args.codecs or peers.DEFAULT
    codecs, left_out = peers.load(wanted)
    other_rates = dict(args.rates)
    for codec in codecs:
        codec.rates = other_rates.pop(codec.name, codec.rates)
    if other_rates:
        raise ValueError(f"--rates of {', '.join(other_rates)}: not among the codecs of this run")
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
        known=_known(args, images, codecs, metrics),
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


def _known(
    args: argparse.Namespace,
    images: Sequence[TestImage],
    codecs: Sequence[Codec],
    metrics: Sequence[str],
) -> Known:
    """What `--known` has, told on the way."""
    from picolab.evaluation.known import from_run
    from picolab.evaluation.runner import Known

    if not args.known:
        return Known()
    if not args.no_page:
        raise ValueError("--known takes no decoded pictures over: add --no-page")
    judges = [metric_list.METRICS[name]() for name in metrics if name in metric_list.METRICS]
    of_sets = [name for name in metrics if name in metric_list.SET_METRICS]
    known = from_run(args.known, images, codecs, judges, of_sets)
    found = ", ".join(sorted(known.codecs)) or "nothing: no codec is as it was there"
    print(f"taken over from {args.known}: {found}", file=sys.stderr)
    return known


def _report(args: argparse.Namespace) -> int:
    from picolab.evaluation.report import write_markdown
    from picolab.evaluation.results import Run

    write_markdown(Run(args.folder), args.output)
    return 0


def _results(args: argparse.Namespace) -> int:
    from picocodec.model.store import DEFAULT_MODEL
    from picolab.evaluation.published import publish, write_page
    from picolab.evaluation.results import Run

    for folder in args.add:
        print(publish(Run(folder), args.folder, args.model or DEFAULT_MODEL))
    write_page(args.folder, args.output)
    print(args.output)
    return 0


def _encode(args: argparse.Namespace) -> int:
    from picocodec.encoding.rate import quality_of_level
    from picolab.evaluation.metrics import Missing
    from picolab.evaluation.target import encode_to_metric

    name, target = args.target_metric
    try:
        found, passes = encode_to_metric(args.input, name, target, args.model, args.threads)
    except Missing as reason:
        raise ValueError(f"{name}: {reason}") from reason
    args.output.write_bytes(found.data)
    quality = quality_of_level(found.level)
    print(
        f"{args.input} -> {args.output}  {len(found.data)} bytes  quality {quality:g}  "
        f"{name} {found.value:.4g}  {passes} passes"
    )
    return 0


def _metrics(given: list[str] | None) -> tuple[list[str], dict[str, str]]:
    """Those that can run, and why the others cannot. One asked for by name must be able to, and
    so must the one that codecs are compared by."""
    known = [*metric_list.METRICS, *metric_list.SET_METRICS]
    every = given == ["all"]
    wanted = known if every else given or list(metric_list.DEFAULT)
    usable, missing = [], {}
    for name in wanted:
        if name not in known:
            raise ValueError(f"no metric is called {name}; there are {', '.join(known)}")
        try:
            metric_list.check(name)
        except metric_list.Missing as reason:
            if given is not None and not every:
                raise ValueError(f"{name}: {reason}") from reason
            if name == metric_list.ANCHOR:
                raise ValueError(
                    f"{name}, which codecs are compared by first, is missing: {reason}. To do "
                    "without it, name others: --metrics psnr,ms_ssim"
                ) from reason
            missing[name] = str(reason)
            continue
        usable.append(name)
    return usable, missing


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(".."))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: write it like 0.15..0.8") from None
    if not 0 < low < high:
        raise argparse.ArgumentTypeError(f"{text}: the bounds must be positive and grow")
    return low, high


def _target(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, as lpips=0.05") from None
