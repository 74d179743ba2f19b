"""`picolab model info`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Register the command; `args.run(args)` returns the exit code."""
    model = commands.add_parser("model", help="about model configurations")
    info = model.add_subparsers(dest="subcommand", required=True).add_parser(
        "info", help="parameters and MACs per pixel"
    )
    info.add_argument("config", type=Path)
    info.set_defaults(run=_info)


def _info(args: argparse.Namespace) -> int:
    from picolab.networks.cost import cost_table

    print(cost_table(args.config))
    return 0
