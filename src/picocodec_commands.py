"""The entrances of the commands: Ctrl-C has its exit code, and no traceback, from
the first moment on, while everything else is still being loaded, and to the last.

A module of its own, since whatever lies in a package waits for all of that package.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130


def picoenc() -> int:
    return _run("picoenc")


def picodec() -> int:
    return _run("picodec")


def picoinfo() -> int:
    return _run("picoinfo")


def picocorpus() -> int:
    return _run("picocorpus")


def pico_thumbnailer() -> int:
    return _run("pico_thumbnailer")


def _run(name: str) -> int:
    def leave(number: int, frame: FrameType | None) -> None:
        """At once: nothing is begun yet, and libraries that are being loaded would make another
        error of a KeyboardInterrupt."""
        if sys.stderr is not None:
            sys.stderr.write(f"{name}: interrupted\n")
            sys.stderr.flush()
        os._exit(INTERRUPTED)

    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if heard:
            signal.signal(signal.SIGINT, leave)
        from picocodec import cli

        command = getattr(cli, name)
        if heard:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code: int = command()
    except KeyboardInterrupt:
        code = INTERRUPTED
        if sys.stderr is not None:
            sys.stderr.write(f"{name}: interrupted\n")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Python still has to tidy up
    return code
