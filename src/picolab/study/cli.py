"""`picolab study`: plan, serve, rate, simulate."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from picolab.arguments import names, rates


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Register the command; `args.run(args)` returns the exit code."""
    study = commands.add_parser(
        "study",
        help="ask people, or simulated ones, which decoded picture is closer to the original",
        description="From a gallery of picolab evaluate to Elo ratings and perceptual BD-rates. "
        "Needs pip install './lab[study]'.",
    )
    study.set_defaults(extra="study")
    parts = study.add_subparsers(dest="subcommand", required=True)
    _add_plan(parts)
    _add_serve(parts)
    _add_rate(parts)
    _add_simulate(parts)


def _add_plan(parts: argparse._SubParsersAction) -> None:
    plan = parts.add_parser(
        "plan",
        help="write a study into a database",
        description="Takes the files of a gallery as they are; no picture is encoded again.",
    )
    plan.add_argument("gallery", type=Path, help="what -o of picolab evaluate was")
    plan.add_argument("database", help="a new SQLite file, or the URL of an empty database")
    plan.add_argument("--codecs", type=names, help="comma-separated (all of the gallery)")
    plan.add_argument(
        "--rates",
        type=rates,
        action="append",
        default=[],
        metavar="CODEC=R,R,...",
        help="of the gallery's rates of a codec, only these",
    )
    plan.add_argument("--pictures", type=names, help="comma-separated names (all)")
    rules = plan.add_argument_group("rules, fixed from then on")
    rules.add_argument("--title")
    rules.add_argument("--contact", help="shown to raters, such as an address for questions")
    rules.add_argument("--minutes", type=int, help="how long raters are told it takes")
    rules.add_argument("--crop", type=int, help="side of what raters see, in pixels")
    rules.add_argument("--crop-rule", help="detail, centre or random: chosen on the original alone")
    rules.add_argument("--reference", help="middle, where the window has room, or on demand")
    rules.add_argument("--plates", type=int, help="colour plates each rater sees")
    rules.add_argument("--plates-wrong", type=int, help="of which so many may be answered wrongly")
    rules.add_argument("--screens", type=int, help="pairs with a known answer before the trials")
    rules.add_argument("--screens-wrong", type=int, help="of which so many may be wrong")
    rules.add_argument("--trials", type=int, help="comparisons of each rater")
    rules.add_argument("--trap-every", type=int, help="one trap in so many trials")
    rules.add_argument("--break-every", type=int, help="trials between two breaks")
    rules.add_argument("--raters", type=int, help="how many may finish")
    rules.add_argument(
        "--comparisons", type=int, help="instead of --raters: how many comparisons are wanted"
    )
    rules.add_argument("--random-share", type=float, help="pairs left to chance, 0 to 1")
    rules.add_argument("--crowd-parameter", help="of a crowd platform's links, as PROLIFIC_PID")
    rules.add_argument("--completion-code", help="the same for all (default: one for each rater)")
    rules.add_argument("--completion-link", help="back to the platform; {code} is filled in")
    rules.add_argument("--seed", type=int, help="of random crops, plates and noise")
    _add_exclusion(plan.add_argument_group("who is left out of the ratings, fixed too"))
    plan.set_defaults(run=_plan)


def _add_serve(parts: argparse._SubParsersAction) -> None:
    serve = parts.add_parser(
        "serve",
        help="run the study's website",
        description="Prints the addresses for raters and for the admin. The admin's token is "
        "$PICOLAB_STUDY_TOKEN, or else a new one each time.",
    )
    serve.add_argument("database", help="what picolab study plan wrote, file or URL")
    serve.add_argument("--host", default="127.0.0.1", help="to listen on (%(default)s)")
    serve.add_argument("--port", type=int, default=8000, help="(%(default)s)")
    serve.add_argument("--name", action="append", default=[], help="answer only to this host name")
    serve.add_argument(
        "--https", action="store_true", help="raters come over HTTPS, by a proxy: secure cookies"
    )
    serve.add_argument(
        "--proxy", metavar="ADDRESS", help="trust this proxy's word on where requests come from"
    )
    serve.add_argument(
        "--sessions-per-minute",
        type=float,
        default=10,
        help="from one address; more for a laboratory (%(default)s)",
    )
    serve.add_argument(
        "--requests-per-second", type=float, default=20, help="from one address (%(default)s)"
    )
    serve.add_argument("--no-choosing", action="store_true", help="random pairs, no live ratings")
    serve.set_defaults(run=_serve)


def _add_rate(parts: argparse._SubParsersAction) -> None:
    rate = parts.add_parser(
        "rate",
        help="Elo and perceptual BD-rates from votes",
        description="Votes are a study's database or a CSV file in the form of docs/study.md. "
        "Writes report.md, ratings.csv, bd_rate.csv, elo.png, elo.svg, votes.csv and votes.md.",
    )
    rate.add_argument("votes", help="a study's database (file or URL), or a .csv file")
    rate.add_argument("-o", "--output", type=Path, required=True, help="folder")
    rate.add_argument(
        "--method",
        choices=("nuts", "laplace"),
        default="nuts",
        help="full sampling, or its quick approximation (%(default)s)",
    )
    rate.add_argument("--draws", type=int, default=2000, help="of each chain (%(default)s)")
    rate.add_argument("--warmup", type=int, default=500, help="of each chain (%(default)s)")
    rate.add_argument("--chains", type=int, default=4, help="(%(default)s)")
    rate.add_argument("--seed", type=int, default=0, help="of the chains (%(default)s)")
    rate.add_argument(
        "--metrics",
        type=names,
        default=[],
        help="comma-separated, of picolab evaluate: how far each agrees with the raters; a study's "
        "database only",
    )
    _add_exclusion(rate.add_argument_group("who is left out; a .csv file only: plans have it"))
    rate.set_defaults(run=_rate)


def _add_exclusion(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--least-wrong", type=int, help="who got at least so many traps wrong (2) ..."
    )
    group.add_argument(
        "--wrong-share", type=float, help="... and more than this share of those seen (0.25)"
    )
    group.add_argument(
        "--least-median-ms",
        type=float,
        help="who answered faster than in so many milliseconds, in the median (600)",
    )


def _add_simulate(parts: argparse._SubParsersAction) -> None:
    simulate = parts.add_parser("simulate", help="raters that are not people")
    kinds = simulate.add_subparsers(dest="kind", required=True)
    raters = kinds.add_parser(
        "raters",
        help="take part in a study",
        description="Simulated raters go through the study's screening and trials, without HTTP. "
        "What they perceive is a metric of the pictures they are shown.",
    )
    raters.add_argument("database", help="file or URL")
    raters.add_argument("--count", type=int, default=20, help="raters (%(default)s)")
    raters.add_argument("--truth", default="ssimulacra2", help="a metric (%(default)s)")
    raters.add_argument(
        "--spread",
        type=float,
        default=1.3,
        help="of the truth over all pictures, in logits (%(default)s)",
    )
    raters.add_argument("--cheats", type=float, default=0.05, help="share of them (%(default)s)")
    raters.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    raters.set_defaults(run=_simulate_raters)
    for name, what in (
        ("coverage", "whether 95 %% intervals hold the truth in 95 %% of studies"),
        ("width", "how wide intervals are after so many comparisons, by how pairs are chosen"),
    ):
        kind = kinds.add_parser(name, help=what)
        kind.add_argument("--studies", type=int, default=200 if name == "coverage" else 12)
        kind.add_argument("--first", type=int, default=0, help="seed of the first (%(default)s)")
        kind.add_argument("-o", "--output", type=Path, required=True, help="CSV file, added to")
        kind.set_defaults(run=_simulate_coverage if name == "coverage" else _simulate_width)
        if name == "coverage":
            kind.add_argument("--method", choices=("laplace", "nuts"), default="laplace")
    tables = kinds.add_parser("tables", help="the document of both, from their CSV files")
    tables.add_argument("folder", type=Path, help="with coverage.csv and width.csv")
    tables.add_argument("-o", "--output", type=Path, required=True, help="the .md file")
    tables.set_defaults(run=_simulate_tables)


def _given(args: argparse.Namespace, record: type) -> dict[str, Any]:
    """Options that were given, by the fields of a record that they are named after."""
    from dataclasses import fields

    given = {f.name: getattr(args, f.name, None) for f in fields(record)}
    return {name: value for name, value in given.items() if value is not None}


def _plan(args: argparse.Namespace) -> int:
    from picolab.evaluation.results import Run

    _need("sqlalchemy")
    from picolab.study import planning, schema
    from picolab.study.settings import ExclusionRule, Settings

    exclusion = ExclusionRule(**_given(args, ExclusionRule))
    settings = Settings(**_given(args, Settings), exclusion=exclusion)
    if args.comparisons:
        settings = settings.for_comparisons(args.comparisons)
    run = Run(args.gallery)
    with schema.opened(args.database, new=True) as engine:
        try:
            made = planning.plan(
                run, engine, settings, args.codecs, dict(args.rates), args.pictures
            )
        except BaseException:
            engine.dispose()
            if "://" not in args.database:
                Path(args.database).unlink(missing_ok=True)
            raise
    print(
        f"{args.database}: {made.pictures} pictures, {made.conditions} codecs at their rates, "
        f"{made.pairs} pairs, {made.megabytes:.1f} MB; {settings.raters} raters of "
        f"{settings.trials} trials"
    )
    return 0


def _serve(args: argparse.Namespace) -> int:
    for package in ("sqlalchemy", "fastapi", "uvicorn"):
        _need(package)
    from picolab.study import running
    from picolab.study.guard import Limits

    token = os.environ.get("PICOLAB_STUDY_TOKEN") or secrets.token_urlsafe(18)
    limits = Limits(
        burst=6 * args.requests_per_second,
        per_second=args.requests_per_second,
        sessions_per_minute=args.sessions_per_minute,
    )
    return running.serve(
        running.Serving(
            database=args.database,
            host=args.host,
            port=args.port,
            names=tuple(args.name),
            https=args.https,
            proxy=args.proxy,
            limits=limits,
            choosing=not args.no_choosing,
            token=token,
        )
    )


def _rate(args: argparse.Namespace) -> int:
    if not args.votes.endswith(".csv"):
        _need("sqlalchemy")
    if args.method == "nuts":
        _need("numpyro")
    from picolab.study.report import Sampling, rate
    from picolab.study.settings import ExclusionRule

    sampling = Sampling(args.method, args.draws, args.warmup, args.chains, args.seed)
    given = _given(args, ExclusionRule)
    rule = ExclusionRule(**given) if given else None
    made = rate(args.votes, args.output, sampling, args.metrics, rule)
    print(made.markdown)
    for warning in made.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def _simulate_raters(args: argparse.Namespace) -> int:
    _need("sqlalchemy")
    from picolab.study.attending import attend

    made = attend(args.database, args.count, args.truth, args.spread, args.cheats, args.seed)
    print(
        f"{args.database}: {made.finished} of {args.count} raters finished, {made.rejected} were "
        f"not admitted, {made.cheats} were cheats; {made.answers} answers"
    )
    return 0


def _simulate_coverage(args: argparse.Namespace) -> int:
    if args.method == "nuts":
        _need("numpyro")
    from picolab.study import experiments

    for seed in range(args.first, args.first + args.studies):
        for crowd in experiments.CROWDS:
            experiments.append(args.output, [experiments.coverage(seed, crowd, args.method)])
    return 0


def _simulate_width(args: argparse.Namespace) -> int:
    from picolab.study import experiments

    for seed in range(args.first, args.first + args.studies):
        for how in experiments.HOWS:
            rows = list(experiments.widths(seed, how, experiments.SIZES))
            experiments.append(args.output, rows)
    return 0


def _simulate_tables(args: argparse.Namespace) -> int:
    from picolab.study.tables import write

    write(args.folder, args.output)
    return 0


def _need(module: str) -> None:
    """Raises `ValueError` with what to install where `module` is not there."""
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise ValueError(f"needs the package {module}: pip install './lab[study]'")
