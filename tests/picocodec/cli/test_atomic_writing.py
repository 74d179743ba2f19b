"""Whatever stops picoenc or picodec, what was there before stays, or nothing: never half a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from tiny import photo

import picocodec
from picocodec import cli
from picocodec.model.store import MODEL_PATH_VARIABLE

resource = pytest.importorskip("resource", reason="limits of a process are needed, as Unix has")

OUTPUTS = {"picoenc": "out.pico", "picodec": "out.png"}
ARGUMENTS = {
    "picoenc": ["photo.png", "out.pico", "--model", "tiny.v1"],
    "picodec": ["photo.pico", "out.png"],
}
# Where the program is stopped in its own tracks.
MOMENTS = {
    "while it computes": "picocodec.format.entropy.SymbolCoder._order",
    "when bytes are written": "os.fsync",
    "before they get their name": "os.replace",
}
KILLED_AT = """
import os, signal, sys
from unittest import mock
import picocodec.cli, picocodec.decoding.decoder, picocodec.encoding.encoder
with mock.patch(sys.argv[1], lambda *_: os.kill(os.getpid(), signal.SIGKILL)):
    sys.exit(getattr(picocodec.cli, sys.argv[2])(sys.argv[3:]))
"""
PLAIN = "import sys; from picocodec import cli; sys.exit(getattr(cli, sys.argv[1])(sys.argv[2:]))"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> dict[str, bytes]:
    """What each command writes when nothing stops it, and its inputs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODEL_PATH_VARIABLE, str(model_folder.parent))
        patch.chdir(tmp_path_factory.mktemp("whole"))
        Image.fromarray(photo(40, 600)).save("photo.png")
        Path("photo.pico").write_bytes(picocodec.encode(photo(40, 600), model="tiny.v1", effort=0))
        assert cli.picoenc([*ARGUMENTS["picoenc"], "--quiet"]) == 0
        assert cli.picodec([*ARGUMENTS["picodec"], "--quiet"]) == 0
        return {path.name: path.read_bytes() for path in Path().iterdir()}


@pytest.fixture
def folder(
    tmp_path: Path, made: dict[str, bytes], model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(model_folder.parent))
    for name in ("photo.png", "photo.pico"):
        (tmp_path / name).write_bytes(made[name])
    return tmp_path


def run(folder: Path, code: str, *args: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=300)


@pytest.mark.parametrize("command", OUTPUTS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_command_leaves_what_was_there(folder: Path, command: str, moment: str) -> None:
    out = folder / OUTPUTS[command]
    out.write_bytes(b"old")
    done = run(folder, KILLED_AT, MOMENTS[moment], command, *ARGUMENTS[command])
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert out.read_bytes() == b"old"


@pytest.mark.parametrize("command", OUTPUTS)
def test_at_any_time_there_is_the_old_file_or_the_new(
    folder: Path, command: str, made: dict[str, bytes]
) -> None:
    out = folder / OUTPUTS[command]
    for delay in (0.4, 0.8):
        out.write_bytes(b"old")
        args = [sys.executable, "-c", PLAIN, command, *ARGUMENTS[command]]
        with subprocess.Popen(args, cwd=folder, stderr=subprocess.DEVNULL) as process:
            time.sleep(delay)
            process.kill()
        assert out.read_bytes() in (b"old", made[out.name])


@pytest.mark.parametrize("command", OUTPUTS)
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_disk_that_is_full_leaves_what_was_there(
    folder: Path, command: str, old: bytes | None, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """A process that may write no more than 100 bytes to a file stands for the full disk."""
    out = folder / OUTPUTS[command]
    if old is not None:
        out.write_bytes(old)
    before = sorted(folder.iterdir())
    monkeypatch.chdir(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        code = getattr(cli, command)(ARGUMENTS[command])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1 and "File too large" in capsys.readouterr().err
    assert (out.read_bytes() if out.exists() else None) == old
    assert sorted(folder.iterdir()) == before  # nothing else is left either


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("command", OUTPUTS)
def test_a_full_device_is_told(
    folder: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(folder)
    source, _, *options = ARGUMENTS[command]
    if command == "picodec":
        options = ["--format", "png"]
    assert getattr(cli, command)([source, "-o", "/dev/full", *options]) == 1
    assert "No space left on device" in capsys.readouterr().err


def test_the_temporary_file_is_new(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that someone left under its name is not followed."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("os.urandom", lambda n: b"known")
    (folder / "victim").write_bytes(b"untouched")
    (folder / f".pico-{b'known'.hex()}.tmp").symlink_to("victim")
    assert cli.picoenc(ARGUMENTS["picoenc"]) == 1
    assert (folder / "victim").read_bytes() == b"untouched"
    assert not (folder / "out.pico").exists()
