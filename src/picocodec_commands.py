"""The entrances of picoenc, picodec and picoinfo: Ctrl-C has its exit code, and no traceback, from
the first moment on, while everything else is still being loaded, and to the last.

A module of its own, since whatever lies in a package waits for all of that package.
"""

from __future__ import annotations

import signal
import sys

INTERRUPTED = 130


def picoenc() -> int:
    return _run("picoenc")


def picodec() -> int:
    return _run("picodec")


def picoinfo() -> int:
    return _run("picoinfo")


def _run(name: str) -> int:
    try:
        from picocodec import cli

        code: int = getattr(cli, name)()
    except KeyboardInterrupt:
        code = INTERRUPTED
        if sys.stderr is not None:
            sys.stderr.write(f"{name}: interrupted\n")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Python still has to tidy up
    return code
