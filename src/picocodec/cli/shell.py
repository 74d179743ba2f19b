"""A good citizen of the shell: standard streams that are closed or full, signals, exit codes.

Messages go to standard error, so that standard output can carry a picture.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
FAILED = 1
INTERRUPTED = 130  # what shells report for a command stopped by Ctrl-C
SIGNALLED = 128  # and, with the number of the signal added, by any other

_STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

Main = Callable[[Sequence[str] | None], int]


class Stopped(BaseException):
    """A signal asks the program to end: raised where it is at work, so that what is half done is
    taken back on the way out."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


def command(main: Main) -> Callable[..., int]:
    """`main`, of a program's arguments, as what a shell may call: it returns the exit code,
    whatever becomes of the standard streams, and also for Ctrl-C, SIGTERM and SIGHUP."""

    @functools.wraps(main)
    def guarded(argv: Sequence[str] | None = None) -> int:
        name = main.__name__
        open_standard_streams()
        try:
            with signals_raised(is_last=argv is None):
                try:
                    return main(argv)
                finally:
                    _flush()
        except KeyboardInterrupt:
            say(f"{name}: interrupted")
            return INTERRUPTED
        except Stopped as stop:
            say(f"{name}: stopped by {signal.Signals(stop.number).name}")
            return SIGNALLED + stop.number
        except OSError as error:  # of standard output: nobody reads it, or it is full
            if error.errno != errno.EPIPE:
                say(f"{name}: standard output: {error.strerror}")
            return FAILED

    return guarded


def open_standard_streams() -> None:
    """See to it that no file gets the number of a standard stream that was closed, since what
    libraries say there would end in it."""
    while True:
        null = os.open(os.devnull, os.O_RDWR)
        if null > 2:
            os.close(null)
            return
        os.set_inheritable(null, True)


@contextmanager
def signals_raised(is_last: bool = False) -> Iterator[None]:
    """Within the block the first of Ctrl-C, SIGTERM and SIGHUP raises `KeyboardInterrupt` or
    `Stopped`; those that come after it are ignored, so that nothing disturbs the way out.

    What was ignored from outside stays so (`nohup`). After the block all is as before, unless it
    `is_last` in its process and a signal ended it: then they stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():  # Python hears signals there only
        yield
        return
    before = {number: signal.getsignal(number) for number in _STOPPING}
    heard = [n for n, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in heard:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        was_heard = any(signal.getsignal(number) is signal.SIG_IGN for number in heard)
        if not (is_last and was_heard):
            for number in heard:
                signal.signal(number, before[number])


def _raise(number: int, _: FrameType | None) -> None:
    for other in _STOPPING:
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt if number == signal.SIGINT else Stopped(number)


def say(text: str) -> None:
    """A line on standard error, over the progress bar if there is one."""
    line = one_line(text)
    show(f"\r\033[K{line}\n" if is_watched() else f"{line}\n")


def one_line(text: str) -> str:
    """Text whose control characters, of file names most likely, neither end the line nor reach the
    terminal."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def show(text: str) -> None:
    """Text on standard error, at once, since several processes may speak; where nobody can hear
    it, it is lost, and nothing else."""
    if sys.stderr is None:
        return
    try:
        write(sys.stderr, text)
        sys.stderr.flush()
    except OSError:
        _give_up(sys.stderr)
    except ValueError:  # closed
        pass


def write(stream: TextIO, text: str) -> None:
    """Write to a stream whose encoding may lack some of the characters."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def tell(text: str) -> None:
    """A line on standard output; raises `OSError` where that is closed."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    write(sys.stdout, f"{text}\n")


def is_watched() -> bool:
    """Whether standard error is a terminal."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # closed
        return False


def _flush() -> None:
    """What was written to standard output reaches it now, or an `OSError` says why not."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        _give_up(sys.stdout)
        raise


def _give_up(stream: TextIO) -> None:
    """What waits in a stream, and all that follows, goes nowhere: else Python tries again as it
    ends, and exits with a code of its own."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
