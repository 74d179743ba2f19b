"""Folders over a local cluster of two workers."""

from __future__ import annotations

import csv
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from installed import need
from PIL import Image
from tiny import photo

import picocodec
import picocodec.corpus
from picocodec import cli
from picocodec.corpus import Conversion
from picocodec.errors import UnknownModel

need("ray", "pyarrow", extra="pip install '.[cluster]'")

BROKEN = "b/broken.jpg"


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # or a busy machine keeps the workers waiting
    import ray

    # A cluster of its own, also where another one runs on this machine.
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "b").mkdir()
    for number, name in enumerate(("1.png", "2.webp", "b/3.png", "b/3.bmp")):
        Image.fromarray(photo(40, 56, number)).save(folder / name)
    (folder / BROKEN).write_bytes(b"no picture")
    (folder / "notes.txt").write_text("left alone")
    return folder


def corpus(*words: object) -> int:
    return cli.picocorpus([*map(str, words)])


@pytest.mark.usefixtures("cluster")
def test_folders_there_and_back(pictures, tmp_path, capsys):
    files, table = tmp_path / "files", tmp_path / "table.csv"
    (files / "b").mkdir(parents=True)
    (files / "2.pico").write_bytes(b"from before")
    options = ("-q", 30, "--skip-existing", "--table", table)
    assert corpus(pictures, files, *options) == 1
    assert (files / "2.pico").read_bytes() == b"from before"
    expected = picocodec.encode(np.array(Image.open(pictures / "1.png")), 30)
    assert (files / "1.pico").read_bytes() == expected
    told = capsys.readouterr().err
    assert "5 pictures: 2 done, 1 skipped, 2 failed" in told
    assert "bits a pixel on average" in told and "1 x UnsupportedImage" in told
    assert f"{BROKEN}: UnsupportedImage: not an image file" in told
    assert "b/3.png: its output b/3.pico is that of b/3.bmp" in told
    rows = {row["name"]: row for row in csv.DictReader(table.read_text().splitlines())}
    assert list(rows) == ["1.png", "b/3.bmp", "b/3.png", BROKEN]
    assert int(rows["1.png"]["bytes"]) == len(expected) and rows["1.png"]["error"] == ""
    assert int(rows["1.png"]["read"]) == (pictures / "1.png").stat().st_size
    assert float(rows["1.png"]["bpp"]) == pytest.approx(8 * len(expected) / (40 * 56), rel=1e-5)
    assert float(rows["b/3.bmp"]["seconds"]) > 0 == len(rows[BROKEN]["bytes"])

    (files / "2.pico").unlink()
    assert corpus(files, tmp_path / "back", "--decode") == 0
    for name in ("1", "b/3"):
        decoded = np.array(Image.open(tmp_path / "back" / f"{name}.png"))
        assert (decoded == picocodec.decode((files / f"{name}.pico").read_bytes())).all()


@pytest.mark.usefixtures("cluster")
def test_another_file_system(pictures, tmp_path, server):
    from pyarrow import parquet

    # Where fsspec keeps what is not whole yet, on servers of FTP.
    (tmp_path / "store" / "tmp").mkdir(parents=True)
    address = server(tmp_path / "store")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a b.png").write_bytes((pictures / "1.png").read_bytes())
    setting = ("--table", f"{address}/table.parquet")
    assert corpus(tmp_path / "one", f"{address}/files/deep", *setting) == 0
    assert corpus(f"{address}/files", f"{address}/back", "--decode", *setting) == 0
    data = (tmp_path / "store" / "files" / "deep" / "a b.pico").read_bytes()
    decoded = np.array(Image.open(tmp_path / "store" / "back" / "deep" / "a b.png"))
    assert (decoded == picocodec.decode(data)).all()
    table = parquet.read_table(tmp_path / "store" / "table.parquet").to_pylist()
    assert [(row["name"], row["bytes"]) for row in table] == [("deep/a b.pico", len(data))]


@pytest.mark.usefixtures("cluster")
def test_target_size(pictures, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.png").write_bytes((pictures / "1.png").read_bytes())
    assert corpus(tmp_path / "in", tmp_path / "out", "--target-size", 700) == 0
    assert 500 < (tmp_path / "out" / "1.pico").stat().st_size <= 700


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-q", "101"], "'101' is not a number from 0 to 100"),
        (["--target-size", "0"], "'0' is no size"),
        (["--target-size", "9k", "--decode"], "not allowed with"),
        (["--table", "a.xlsx"], "neither in .csv nor in .parquet"),
        (["--retries", "-1"], "--retries"),
    ],
)
def test_wrong_options_are_refused_at_once(pictures, tmp_path, capsys, words, told):
    with pytest.raises(SystemExit) as stop:
        corpus(pictures, tmp_path / "out", *words)
    assert stop.value.code == 2 and told in capsys.readouterr().err


def test_what_could_not_work_is_refused_before_a_cluster_starts(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    for options, error, words in (
        ({"model": "nothing.v9"}, UnknownModel, r"nothing\.v9 is not installed"),
        ({"quality": 101}, ValueError, "from 0 to 100"),
        ({"target_size": 0}, ValueError, "positive number of bytes"),
        ({"target_size": 9, "decode": True}, ValueError, "to be decoded"),
        ({"retries": -1}, ValueError, "from 0"),
    ):
        with pytest.raises(error, match=words):
            Conversion("in", "out", **options)


def test_storage_is_asked_again(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("picocodec.corpus.PAUSE", 0)
    refusals = iter([ConnectionResetError("reset"), TimeoutError("slow")])
    write = picocodec.corpus._write

    def flaky(path: str, data: bytes) -> None:
        for refusal in refusals:
            raise refusal
        write(path, data)

    monkeypatch.setattr("picocodec.corpus._write", flaky)
    row = {"name": "1.png", "output": "1.pico", "error": ""}
    done = Conversion(str(pictures), str(tmp_path))(row)
    assert done["error"] == "" and (tmp_path / "1.pico").stat().st_size == done["bytes"]
    refusals = iter([ConnectionResetError("reset")])
    once = Conversion(str(pictures), str(tmp_path), retries=0)(row)
    assert once["error"] == "ConnectionResetError: reset"
    missing = Conversion(str(pictures), str(tmp_path))({**row, "name": "no.png"})
    assert missing["error"].startswith("FileNotFoundError")


def test_a_source_without_pictures_is_told(tmp_path, capsys):
    assert corpus(tmp_path, tmp_path / "out") == 1
    assert "no pictures in this folder" in capsys.readouterr().err


@pytest.fixture
def server() -> Iterator:
    """A function that serves a folder by FTP, to be read and written, and returns its address."""
    authorizers = pytest.importorskip("pyftpdlib.authorizers")
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

    started = []

    def start(folder: Path) -> str:
        authorizer = authorizers.DummyAuthorizer()
        authorizer.add_user("me", "secret", str(folder), perm="elradfmwMT")
        handler = type("Handler", (FTPHandler,), {"authorizer": authorizer})
        server = FTPServer(("127.0.0.1", 0), handler)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                server.serve_forever(timeout=0.05, blocking=False)
            server.close_all()

        thread = threading.Thread(target=serve)
        thread.start()
        started.append((stop, thread))
        return f"ftp://me:secret@127.0.0.1:{server.address[1]}"

    yield start
    for stop, thread in started:
        stop.set()
        thread.join()
