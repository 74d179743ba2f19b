"""picolab: the workbench's commands.

Each command owns its parser, in its own package, and imports what it needs when it runs: help and
wrong usage are told at once, and without PyTorch.
"""

from __future__ import annotations

import argparse
import sys

from picolab.data import cli as data
from picolab.evaluation import cli as evaluation
from picolab.experiments import cli as experiments
from picolab.fetch import cli as fetch
from picolab.networks import cli as networks
from picolab.release import command as release
from picolab.search import command as search
from picolab.study import cli as study
from picolab.training import command as training
from picolab.training import curve, keep

# In the order of a model's life.
COMMANDS = (
    fetch,
    data,
    networks,
    training,
    curve,
    keep,
    experiments,
    search,
    release,
    evaluation,
    study,
)


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        return int(args.run(args))
    except ModuleNotFoundError as error:
        if (error.name or "picolab").startswith("picolab"):
            raise
        extra = getattr(args, "extra", None)
        install = f"'./lab[{extra}]'" if extra else "./lab"
        return _failed(
            f"{args.command} needs {error.name}, which is not installed: in a checkout of "
            f"picocodec, pip install ./ {install}"
        )
    except Exception as error:
        if not _is_told(error):
            raise
        return _failed(str(error))


def parser() -> argparse.ArgumentParser:
    """Of all commands. `run` of what it parses takes that and returns the exit code; `extra` is the
    extra of the distribution picolab that the command wants, absent where it wants none."""
    made = argparse.ArgumentParser(prog="picolab", description="The workbench of picocodec.")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return made


def _is_told(error: Exception) -> bool:
    """Whether its message was written for who typed the command."""
    if isinstance(error, ValueError | OSError):
        return True
    from picocodec.errors import PicoError

    return isinstance(error, PicoError)


def _failed(message: str) -> int:
    print(f"picolab: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
