"""`picolab search`: a better shape for a device, at the time that the base shape takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

UNTIL = ("cost", "time", "train")


def add_parser(commands: argparse._SubParsersAction) -> None:
    _add_search(commands)
    _add_variants(commands)


def _add_search(commands: argparse._SubParsersAction) -> None:
    search = commands.add_parser(
        "search",
        help="search for a shape: cost of all, time of some, training of few",
        description="The same command goes on from where it was ended. Ctrl-C and SIGTERM end it "
        "at checkpoints.",
    )
    search.add_argument("space", type=Path, help="TOML file of choices (configs/spaces/photo.toml)")
    search.add_argument("--side", default="decoder", choices=("decoder", "encoder"))
    search.add_argument("-o", "--output", type=Path, help="folder (runs/search-SIDE)")
    search.add_argument("--until", choices=UNTIL, default="train", help="the last stage (train)")
    search.add_argument("--seed", type=int, default=0, help="of what is drawn (%(default)s)")
    _add_timing(search.add_argument_group("stage 2, time"))
    _add_training(search.add_argument_group("stages 3 and 4, training"))
    search.set_defaults(run=run, extra="eval")


def _add_timing(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--timed", type=int, default=500, help="configurations (%(default)s)")
    group.add_argument("--tile", type=int, default=512, help="side of a tile (%(default)s)")
    group.add_argument("--target", type=float, default=1.0, help="share of the base's time (1)")
    group.add_argument("--tolerance", type=float, default=0.05, help="(%(default)s)")
    group.add_argument("--threads", type=int, default=1, help="of ONNX Runtime (%(default)s)")
    group.add_argument("--provider", default="CPUExecutionProvider", help="(%(default)s)")
    group.add_argument(
        "--device-command",
        metavar="COMMAND",
        help="in place of ONNX Runtime here: a command that times {file} and prints seconds; "
        "{shapes} are its inputs",
    )
    group.add_argument(
        "--pause-pid",
        type=int,
        action="append",
        default=[],
        metavar="PID",
        help="a process, such as a training run, held still while the clock runs; several times "
        "for several. It goes on whichever way this ends",
    )


def _add_training(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--shapes", type=int, default=24, help="of the first round (%(default)s)")
    group.add_argument("--finalists", type=int, default=4, help="(%(default)s)")
    group.add_argument("--hours", type=float, default=6, help="for all stages (%(default)s)")
    group.add_argument("--pixels", type=float, default=0, help="of the first round, not --hours")
    group.add_argument("--final-pixels", type=float, default=0, help="of the last round")
    group.add_argument("--recipe", type=Path, help="in place of the space's")
    group.add_argument("--chosen", type=Path, help="where the best shape goes (beside the base)")
    _add_engine(group)


def _add_engine(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--tiles", type=Path, help="folder of tiles, in place of the recipe's")
    group.add_argument("--held-out", type=int, default=24, help="tiles to compare on (24)")
    group.add_argument("--processes", type=int, default=1, help="trainings at once (%(default)s)")
    group.add_argument("--ray", metavar="ADDRESS", help="train over a Ray cluster; `here` for one")
    group.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    group.add_argument("--float32", action="store_true", help="not in bfloat16")
    group.add_argument("--no-compile", action="store_true", help="without torch.compile")


def _add_variants(commands: argparse._SubParsersAction) -> None:
    variants = commands.add_parser(
        "variants",
        help="train variants of a shape on the engine of `train`, and tell what parts are worth",
        description="The paper's ablation. The same command goes on from where it was ended.",
    )
    variants.add_argument("recipe", type=Path, help="how all are trained (recipes/search.toml)")
    variants.add_argument(
        "--pixels", type=float, required=True, help="of the recipe's last stage, each (1e9)"
    )
    variants.add_argument("--variants", type=_names, help="comma-separated names (all)")
    variants.add_argument("-o", "--output", type=Path, help="folder (runs/NAME-variants)")
    _add_engine(variants.add_argument_group("training"))
    variants.set_defaults(run=run_variants, extra="eval")


def _names(text: str) -> list[str]:
    return text.split(",")


def run(args: argparse.Namespace) -> int:
    from picolab.search.main import search

    return _print(search, args)


def run_variants(args: argparse.Namespace) -> int:
    from picolab.search.main import compare_variants

    return _print(compare_variants, args)


def _print(work: Callable[[argparse.Namespace], str], args: argparse.Namespace) -> int:
    from picolab.search.devices import DeviceFailed
    from picolab.search.workers import Stopped, WorkerFailed

    try:
        print(work(args))
    except (KeyboardInterrupt, Stopped):
        print("picolab: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except (DeviceFailed, WorkerFailed) as error:
        print(f"picolab: {error}", file=sys.stderr)
        return 1
    return 0
