"""Files to files, one after the other or by several processes: names, messages, exit codes.

Each failure is told and the rest done. Messages go to standard error, so that standard output can
carry a picture.
"""

from __future__ import annotations

import argparse
import io
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import BinaryIO

from PIL import Image

from picocodec.cli.shell import INTERRUPTED, is_watched, one_line, say, show
from picocodec.cli.streams import STREAM, output
from picocodec.errors import PicoError, UnsupportedImage
from picocodec.pipeline import available_cores

DAMAGED = 3  # exit code: pictures were written, but what is damaged in one was concealed


@dataclass(frozen=True)
class Report:
    """What to say of a file that was converted, and of damage that was concealed in it; how many
    bytes were read, where the file cannot tell."""

    text: str
    damage: str = ""
    read: int = 0


# Reads the file of the first name and writes to the stream.
Convert = Callable[[str, BinaryIO], Report]


class Result(Enum):
    DONE = "done"
    DAMAGED = "damaged"
    SKIPPED = "skipped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Job:
    source: str
    target: str
    clash: str = ""  # an earlier input with the same output


@dataclass(frozen=True)
class Outcome:
    result: Result
    read: int = 0  # bytes
    written: int = 0


def pairs(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    suffix: str,
    is_input: Container[str],
) -> list[tuple[str, str]]:
    """Names of inputs and outputs; `is_input` has the extensions to look for in folders. The
    second of two names is the output only if it looks like one: `picoenc *.jpg` must not
    overwrite the second photo of two. Names that the user did not give are of files that must not
    be replaced without `--overwrite`: `args.no_overwrite` then says so."""
    inputs, output = args.files, args.output
    if output is None and len(inputs) == 2:
        is_pico = inputs[1].lower().endswith(".pico")
        if inputs[1] == STREAM or is_pico == (suffix == ".pico"):
            inputs, output = inputs[:1], inputs[1]
    if len(inputs) > 1 and STREAM in (*inputs, output):
        parser.error("standard input and output are for one picture")
    if inputs == [STREAM] and output is None:
        output = STREAM
    walks = args.recursive and any(os.path.isdir(name) for name in inputs)
    separators = tuple(filter(None, (os.sep, os.altsep)))
    is_folder = output not in (None, STREAM) and (
        walks or len(inputs) > 1 or output.endswith(separators) or os.path.isdir(output)
    )
    if inputs == [STREAM] and is_folder:
        parser.error("with standard input, -o must name a file")
    if output is not None and not is_folder:
        return [(inputs[0], output)]
    args.no_overwrite = not args.overwrite
    found: list[tuple[str, str]] = []  # inputs, and what they are called in an output folder
    for name in inputs:
        if args.recursive and os.path.isdir(name):
            files = list(_walk(name, is_input))
            if not files:
                parser.error(f"{name}: no pictures in this folder")
            found += [(path, os.path.relpath(path, name)) for path in files]
        else:
            found.append((name, os.path.basename(name)))
    outputs = [os.path.splitext(name)[0] + suffix for name, _ in found]
    if is_folder:
        outputs = [os.path.join(output, os.path.splitext(name)[0] + suffix) for _, name in found]
        try:
            for folder in sorted({os.path.dirname(name) for name in outputs} | {output}):
                os.makedirs(folder, exist_ok=True)
        except OSError as error:
            parser.error(f"{output}: {error.strerror}")
    return [(name, target) for (name, _), target in zip(found, outputs, strict=True)]


def _walk(folder: str, is_input: Container[str]) -> Iterator[str]:
    for path, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if os.path.splitext(name)[1].lower().lstrip(".") in is_input:
                yield os.path.join(path, name)


def run(
    program: str, names: Sequence[tuple[str, str]], args: argparse.Namespace, convert: Convert
) -> int:
    """Convert every file, or say why not and go on with the next; returns the exit code.

    With several processes `convert` must be picklable.
    """
    start = time.perf_counter()
    jobs: list[Job] = []
    owners: dict[str, str] = {}
    for source, target in names:
        path = os.path.realpath(target)
        jobs.append(Job(source, target, owners.get(path, "")))
        owners.setdefault(path, source)
    task = partial(_convert, program, args, convert)
    outcomes: list[Outcome] = []
    try:
        for outcome in _several(task, jobs, args.jobs) if args.jobs > 1 else map(task, jobs):
            outcomes.append(outcome)
            if outcome.result is Result.INTERRUPTED:
                raise KeyboardInterrupt
            if len(jobs) > 1 and not args.quiet and is_watched():
                show(f"\r{len(outcomes)} of {len(jobs)} files")
    except KeyboardInterrupt:
        say(f"{program}: interrupted")
        return INTERRUPTED
    counts = Counter(outcome.result for outcome in outcomes)
    if len(jobs) > 1 and not args.quiet:
        told = ", ".join(f"{counts[result]} {result.value}" for result in Result if counts[result])
        read = sum(outcome.read for outcome in outcomes)
        written = sum(outcome.written for outcome in outcomes)
        say(
            f"{program}: {len(jobs)} files: {told}; {sizes(read, written)} in "
            f"{time.perf_counter() - start:.1f} s"
        )
    if counts[Result.FAILED]:
        return 1
    return DAMAGED if counts[Result.DAMAGED] else 0


def _several(
    task: Callable[[Job], Outcome], jobs: Sequence[Job], processes: int
) -> Iterator[Outcome]:
    """Outcomes as they come, of jobs in processes of their own."""
    from picocodec.cli.workers import Workers  # few need it, and it is slow to load

    before = {job: _identity(job.target) for job in jobs}
    for done in Workers(task, processes).results(jobs):
        job, outcome = done.job, done.result
        if outcome is None and _identity(job.target) not in (None, before[job]):
            # Killed after the file had its name: what has a name is whole.
            outcome = Outcome(Result.DONE, _size(job.source), _size(job.target))
        if outcome is None:  # for want of memory, say
            say(f"{job.source}: a process was killed before this was done")
            outcome = Outcome(Result.FAILED)
        yield outcome


def _identity(name: str) -> tuple[int, int, int] | None:
    """What tells a file from one that takes its place; None where there is none."""
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def size_of(name: str, read: str | BinaryIO) -> int:
    """The bytes of an input, of which `read` is what `streams.readable` gave."""
    return len(read.getbuffer()) if isinstance(read, io.BytesIO) else _size(name)


def _size(name: str) -> int:
    """The bytes of a file; 0 of a stream, a pipe, or one that is gone."""
    try:
        return os.path.getsize(name)
    except OSError:
        return 0


def sizes(read: int, written: int) -> str:
    """What became of so many bytes, in words: 2.31 MB -> 94.2 kB (4.1 %)."""
    if not read:  # nobody knows
        return in_units(written)
    text = f"{in_units(read)} -> {in_units(written)}"
    percent = 100 * written / read
    if percent > 100:
        return text
    digits = 0 if percent >= 10 else 1 if percent >= 1 else 2
    return f"{text} ({percent:.{digits}f} %)"


def in_units(count: int) -> str:
    """A number of bytes in three digits, never rounded to nothing."""
    if count < 1000:
        return f"{count} bytes"
    value, unit = count / 1000, "kB"
    if value >= 999.5:
        value, unit = value / 1000, "MB"
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {unit}"


def _convert(program: str, args: argparse.Namespace, convert: Convert, job: Job) -> Outcome:
    source, target = job.source, job.target
    try:
        with _warnings_told(program, source, args):
            start = time.perf_counter()
            if job.clash:
                raise UnsupportedImage(f"its output {target} is that of {job.clash}")
            if target != STREAM and os.path.exists(target):
                if args.skip_existing:
                    return Outcome(Result.SKIPPED)
                if source != STREAM and os.path.samefile(source, target):
                    raise UnsupportedImage("it would be overwritten: name another output")
                if args.no_overwrite:
                    raise UnsupportedImage(
                        f"{target} exists already: give --overwrite to replace it, or -o to name "
                        "another"
                    )
            with output(target) as out:
                report = convert(source, out)
                written = out.tell()
            if report.damage:
                say(f"{program}: {source}: {report.damage}")
            if not args.quiet:
                seconds = time.perf_counter() - start
                say(f"{source} -> {target}  {report.text}  {seconds:.1f} s")
            result = Result.DAMAGED if report.damage else Result.DONE
            return Outcome(result, report.read or _size(source), written)
    except (PicoError, OSError, MemoryError) as error:
        say(f"{program}: {source}: {reason(error, source)}")
        return Outcome(Result.FAILED)
    except KeyboardInterrupt:
        return Outcome(Result.INTERRUPTED)


def threads_of_each(args: argparse.Namespace) -> int:
    """The threads that one file may use: all cores, shared among the files at work."""
    if args.threads or args.jobs == 1:
        return args.threads
    return max(1, available_cores() // args.jobs)


@contextmanager
def _warnings_told(program: str, name: str, args: argparse.Namespace) -> Iterator[None]:
    """Warnings become messages about a file, and Pillow's limit of pixels that of `args`."""
    pillow_limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if args.quiet else "always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.showwarning = lambda message, *_: say(f"{program}: {name}: warning: {message}")
        Image.MAX_IMAGE_PIXELS = args.max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = pillow_limit


def bar(name: str, args: argparse.Namespace) -> Callable[[int, int], None] | None:
    """A progress bar over the tiles of one file, for people only."""
    if args.quiet or args.jobs > 1 or not is_watched():
        return None

    def draw(done: int, total: int) -> None:
        filled = "#" * (30 * done // total)
        show(f"\r{one_line(name)}  [{filled:<30}] {done}/{total} tiles")

    return draw


def reason(error: BaseException, name: str) -> str:
    """What to say of an error about the file `name`."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        other = error.filename is not None and os.fspath(error.filename) != name
        return f"{error.filename}: {error.strerror}" if other else error.strerror
    return str(error)
