"""The commands in a shell: closed and full streams, pipes, code pages, signals, killed workers."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image

import picocodec
from picocodec import cli
from picocodec.cli import batch, shell
from picocodec.cli.workers import Workers

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a Unix shell is needed")

PIXELS = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
CODE = "import sys; from picocodec import cli; sys.exit(getattr(cli, sys.argv[1])(sys.argv[2:]))"
# Says that it computes, and goes on doing so.
BUSY = """
import sys, time
from picocodec import cli
from picocodec.coders.learned import LearnedCoder
def wait(*args):
    print("busy", flush=True)
    while True:
        time.sleep(0.01)
if __name__ == "__main__":
    LearnedCoder.encode = wait
    sys.exit(cli.picoenc())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PIXELS).save("photo.png")
    Path("photo.pico").write_bytes(picocodec.encode(PIXELS))
    return tmp_path


@pytest.fixture(autouse=True)
def hearing() -> Iterator[None]:
    """Signals as a terminal leaves them: in the background of a script, where tests may run, some
    are ignored, and processes inherit that."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        is_interrupt = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ended(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a process that should end soon."""
    try:
        return process.wait(60)
    finally:
        process.kill()


def sh(script: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a script in which `picoenc` and the others are the commands under test."""
    functions = "".join(
        f'{name}() {{ "{sys.executable}" -c "{CODE}" {name} "$@"; }}\n'
        for name in ("picoenc", "picodec", "picoinfo")
    )
    return subprocess.run(
        ["/bin/sh", "-c", functions + script],
        capture_output=True,
        env=os.environ | environment,
        timeout=120,
    )


def quiet(done: subprocess.CompletedProcess[bytes]) -> bool:
    return b"Traceback" not in done.stderr and b"Exception" not in done.stderr


@pytest.mark.parametrize("options", ["a.pico", "-j 2 -o out/", "--quiet a.pico"])
def test_standard_error_may_be_closed(folder: Path, options: str) -> None:
    done = sh(f"picoenc photo.png {options} 2>&-")
    assert done.returncode == 0
    written = "out/photo.pico" if "out" in options else "a.pico"
    assert Path(written).read_bytes() == Path("photo.pico").read_bytes()


def test_all_streams_may_be_closed(folder: Path) -> None:
    """Nothing that libraries say on the numbers of these streams comes to be in the output."""
    assert sh("picoenc photo.png a.pico 0<&- >&- 2>&-").returncode == 0
    assert Path("a.pico").read_bytes() == Path("photo.pico").read_bytes()
    assert sh("picodec missing.pico out.png 0<&- >&- 2>&-").returncode == 1


@pytest.mark.parametrize(
    "script",
    [
        "picodec photo.pico - >&-",
        "picoinfo photo.pico >&-",
        "picoenc - a.pico 0<&-",
        "picodec - a.png 0<&-",
        "picoinfo - 0<&-",
    ],
)
def test_a_closed_stream_that_is_needed_is_told(folder: Path, script: str) -> None:
    done = sh(script)
    assert done.returncode == 1 and quiet(done)
    assert b"closed" in done.stderr or b"Bad file descriptor" in done.stderr


@pytest.mark.parametrize(
    "script", ["picodec photo.pico -", "picoinfo photo.pico", "picoinfo -h", "picoenc photo.png -"]
)
def test_nobody_reads(folder: Path, script: str) -> None:
    done = sh(f"exec 3>&1; {{ {script}; echo $? >code; }} | true")
    assert Path("code").read_text() in ("1\n", "0\n") and quiet(done)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("script", ["picodec photo.pico -", "picoinfo photo.pico", "picoenc -h"])
def test_a_full_disk_behind_standard_output(folder: Path, script: str) -> None:
    done = sh(f"{script} >/dev/full")
    assert done.returncode == 1 and quiet(done)
    assert b"No space left on device" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_disk_is_that_of_the_output(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.picodec(["photo.pico", "-o", "/dev/full", "--format", "png"]) == 1
    assert capsys.readouterr().err == ("picodec: photo.pico: /dev/full: No space left on device\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_disk_behind_standard_error(folder: Path) -> None:
    assert sh("picoenc photo.png a.pico 2>/dev/full").returncode == 0
    assert Path("a.pico").exists()


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "cp1252:strict", "utf-8"])
def test_names_that_the_code_page_has_no_letters_for(folder: Path, encoding: str) -> None:
    name = "日本 ß"
    os.rename("photo.png", f"{name}.png")
    done = sh(f"picoenc '{name}.png' && picoinfo '{name}.pico'", PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and quiet(done)
    assert b"30x20 RGB" in done.stdout
    shown = name.encode() if encoding == "utf-8" else b"\\u65e5"
    assert shown in done.stderr


def test_behind_two_dashes_all_are_names(folder: Path) -> None:
    os.rename("photo.png", "-d.png")
    assert cli.picoenc(["--", "-d.png"]) == 0
    assert cli.picoenc(["-q", "30", "--", "-d.png", "-e.pico"]) == 0
    assert cli.picodec(["-o-f.png", "--", "-e.pico"]) == 0
    assert cli.picoinfo(["--", "-d.pico"]) == 0
    assert {path.name for path in folder.iterdir()} == {
        "-d.png", "-d.pico", "-e.pico", "-f.png", "photo.pico",
    }  # fmt: skip
    for arguments in (["--"], ["-o", "--", "a"], ["--", "a", "-o", "b", "-"]):
        with pytest.raises(SystemExit) as caught:
            cli.picoenc(arguments)
        assert caught.value.code == 2


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no device that never ends")
@pytest.mark.parametrize("command", ["picoenc", "picodec", "picoinfo"])
def test_devices_are_not_read_without_end(
    folder: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = (
        [] if command == "picoinfo" else ["-o", "out.pico" if command == "picoenc" else "o.png"]
    )
    assert getattr(cli, command)(["/dev/zero", *output]) == 1
    assert capsys.readouterr().err == f"{command}: /dev/zero: it is a device, not a file\n"


def test_control_characters_of_names_stay_out_of_the_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.picoinfo(["new\nline\x1b[31m.pico"]) == 1
    assert capsys.readouterr().err == (
        "picoinfo: new\\nline\\x1b[31m.pico: No such file or directory\n"
    )


def test_pipes_are_read(folder: Path) -> None:
    os.mkfifo("pipe")
    for script in (
        "cat photo.png >pipe & picoenc pipe a.pico",
        "cat photo.png | picoenc /dev/stdin a.pico",
        "cat photo.png | picoenc - a.pico",
    ):
        Path("a.pico").unlink(missing_ok=True)
        done = sh(script)
        assert done.returncode == 0, done.stderr
        assert Path("a.pico").read_bytes() == Path("photo.pico").read_bytes()
    assert sh("cat photo.pico >pipe & picodec pipe a.ppm").returncode == 0
    assert sh("cat photo.pico | picoinfo /dev/stdin").returncode == 0
    assert sh("picodec photo.pico pipe --format ppm & cat pipe").stdout == (
        Path("a.ppm").read_bytes()
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize("twice", [False, True])
def test_signals_leave_nothing_behind(
    folder: Path, number: signal.Signals, code: int, twice: bool
) -> None:
    Path("script.py").write_text(BUSY)
    command = [sys.executable, "script.py", "photo.png", "photo.pico"]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"busy\n"
        assert any(path.name.startswith(".pico-") for path in folder.iterdir())
        for _ in range(1 + twice):
            process.send_signal(number)
        assert ended(process) == code
        told = process.stderr.read()
    assert told.count(b"\n") == 1 and b"Traceback" not in told
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_reach_the_workers(folder: Path, number: signal.Signals, code: int) -> None:
    """`slow` stands for a long conversion; the parent alone is told to end."""
    script = (
        "import sys, signal, test_shell\n"
        "from picocodec.cli import batch, shell\n"
        "def main(argv):\n"
        "    args = test_shell.arguments(2)\n"
        "    return batch.run('picoenc', [('a', 'a.out'), ('b', 'b.out')], args, test_shell.slow)\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(shell.command(main)(None))\n"
    )
    Path("script.py").write_text(script)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = os.environ | {"PYTHONPATH": path}
    for name in "ab":
        Path(name).touch()
    with subprocess.Popen(
        [sys.executable, "script.py"], env=environment, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        while not (Path("a.busy").exists() and Path("b.busy").exists()):
            time.sleep(0.02)
            assert process.poll() is None
        process.send_signal(number)
        assert ended(process) == code
        assert b"Traceback" not in process.stderr.read()
    assert not [path for path in folder.iterdir() if path.suffix in (".out", ".tmp")]


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_ctrl_c_while_everything_is_loaded(folder: Path, delay: float) -> None:
    """It says that it has begun when it looks for the package: before that line of the entrance,
    the interpreter answers by itself."""
    code = (
        "import sys, picocodec_commands\n"
        "class Told:\n"
        "    def find_spec(name, path, target=None):\n"
        "        if name == 'picocodec':\n"
        "            print('begun', flush=True)\n"
        "sys.meta_path.insert(0, Told)\n"
        "sys.exit(picocodec_commands.picoenc())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "photo.png", "a.pico"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        assert ended(process) in (0, 130)
        told = process.stderr.read()
    assert b"Traceback" not in told and b"Exception" not in told
    assert not list(folder.glob(".pico-*"))


def test_nohup_stays_deaf() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with shell.signals_raised():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_may_call_the_commands(folder: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(cli.picoenc, ["photo.png", "a.pico", "--quiet"]).result() == 0


def arguments(jobs: int) -> argparse.Namespace:
    return argparse.Namespace(
        jobs=jobs, quiet=True, max_pixels=100, skip_existing=False, no_overwrite=False
    )


def slow(source: str, out: BinaryIO) -> batch.Report:
    Path(f"{source}.busy").touch()
    time.sleep(60)
    raise AssertionError("nobody stopped this")


def dies(source: str, out: BinaryIO) -> batch.Report:
    """Write the output of everything; then, of "deadly" ones, be killed from outside."""
    out.write(b"done")
    if source.startswith("deadly"):
        os.kill(os.getpid(), signal.SIGKILL)
    return batch.Report("")


def test_a_killed_worker_takes_along_only_its_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["deadly-1", *"abc", "deadly-2", *"defg"]
    for name in names:
        Path(name).touch()
    pairs = [(name, f"{name}.out") for name in names]
    assert batch.run("picoenc", pairs, arguments(2), dies) == 1
    told = sorted(line.split(": ")[0] for line in capsys.readouterr().err.splitlines())
    assert told == ["deadly-1", "deadly-2"]
    assert sorted(path.stem for path in Path().glob("*.out")) == sorted("abcdefg")


def dies_after_writing(job: batch.Job) -> batch.Outcome:
    """The last moment there is: the file has its name, and nobody knows."""
    temporary = Path(f"{job.target}.new")
    temporary.write_bytes(b"done")
    os.replace(temporary, job.target)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_what_was_written_is_done_whatever_came_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("new").write_bytes(b"12")
    Path("old.out").write_bytes(b"old")
    jobs = [batch.Job("new", "new.out"), batch.Job("old", "old.out")]
    outcomes = list(batch._several(dies_after_writing, jobs, 2))
    assert {(o.result, o.read, o.written) for o in outcomes} == {
        (batch.Result.DONE, 2, 4),
        (batch.Result.DONE, 0, 4),
    }
    assert capsys.readouterr().err == ""


def double(number: int) -> int:
    return 2 * number


def test_workers_do_all_jobs() -> None:
    done = list(Workers(double, 3).results(range(20)))
    assert sorted((d.job, d.result) for d in done) == [(n, 2 * n) for n in range(20)]
    assert list(Workers(double, 3).results([])) == []
