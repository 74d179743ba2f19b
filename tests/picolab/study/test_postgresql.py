"""A study in PostgreSQL: the same commands, and raters who answer at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("psycopg", reason="needs pip install 'psycopg[binary]'")
if os.name == "nt":
    pytest.skip("servers are asked for over Unix sockets here", allow_module_level=True)

from studies import SMALL
from test_service import DISPLAY, expected
from test_study_commands import run

from picolab.study import export, planning, schema
from picolab.study.service import Service
from picolab.study.tasks import Stage


def _programs() -> Path | None:
    """Where initdb and pg_ctl are: Debian has them outside of the path."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "pg_ctl").is_file()), None)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL, without a database's name, of a server of this test's own."""
    programs = _programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl: apt-get install postgresql")
    # Not below pytest's folders, which only their owner enters: the server refuses to be root's.
    folder = Path(tempfile.mkdtemp(prefix="study-postgresql-"))
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)

    def call(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, capture_output=True, user=user, cwd=folder, timeout=120)

    try:
        call("initdb", "-U", "study", "--auth=trust", "--no-sync", "-E", "UTF8")
        options = f"-k {folder} -c listen_addresses="
        call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://study@/NAME?host={folder}"
        finally:
            call("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> str:
    """An empty database for each test."""
    from sqlalchemy import create_engine, text

    name = request.node.name[:60]
    engine = create_engine(server.replace("NAME", "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'create database "{name}"'))
    engine.dispose()
    return server.replace("NAME", name)


def test_from_plan_to_report(gallery, url: str, tmp_path: Path, capsys) -> None:
    rules = ["--crop", "96", "--plates", "2", "--screens", "2", "--trials", "24", "--raters", "4"]
    assert run(["plan", str(gallery.folder), url, *rules]) == 0
    with pytest.raises(ValueError, match="take an empty one"):
        run(["plan", str(gallery.folder), url])
    assert run(["simulate", "raters", url, "--count", "5", "--truth", "psnr"]) == 0
    assert run(["rate", url, "-o", str(tmp_path), "--method", "laplace"]) == 0
    text = capsys.readouterr().out
    assert "## Perceptual BD-rate" in text and "| webp |" in text
    assert run(["rate", str(tmp_path / "votes.csv"), "-o", str(tmp_path / "again"),
                  "--method", "laplace"]) == 0  # fmt: skip
    assert (tmp_path / "again" / "ratings.csv").is_file()


def test_raters_at_once_lose_nothing(gallery, url: str) -> None:
    engine = schema.connect(url, new=True)
    planning.plan(gallery, engine, SMALL)
    kept: dict[str, str] = {}
    failed: list[BaseException] = []

    def attend() -> None:
        service = Service(schema.connect(url))
        try:
            token = service.begin()
            state = service.display(token, DISPLAY)
            while state.tasks:
                key = state.tasks[0].key
                answer = expected(service, key)
                kept[key] = answer
                state = service.answer(token, key, answer, 900, 0)
            assert state.stage == Stage.DONE
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            service.engine.dispose()

    raters = [threading.Thread(target=attend) for _ in range(4)]
    for rater in raters:
        rater.start()
    for rater in raters:
        rater.join(60)
    assert not failed
    rows = list(export.rows(engine))
    assert len({row["rater"] for row in rows}) == 4
    assert sorted(row["answer"] for row in rows) == sorted(kept.values())
    assert len(rows) == len(kept) == 4 * 10
    engine.dispose()
