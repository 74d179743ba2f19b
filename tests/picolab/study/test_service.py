"""A rater's way, without HTTP."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select, update
from studies import SMALL

from picolab.study import export, refreshing, schema
from picolab.study.pairing import PairSource
from picolab.study.schema import session, task
from picolab.study.service import Full, Refused, Service, State, Unknown
from picolab.study.tasks import Stage

DISPLAY = {"width": 1000}


def expected(service: Service, key: str) -> str:
    with service.engine.connect() as connection:
        row = connection.execute(select(task.c.expected).where(task.c.key == key))
        return row.scalar_one() or "left"


def through(service: Service, token: str, state: State, until: Stage) -> State:
    """Answer as one should until a stage begins."""
    while state.stage != until:
        key = state.tasks[0].key
        state = service.answer(token, key, expected(service, key), 1500, 1)
    return state


def rows(service: Service) -> list[dict]:
    return list(export.rows(service.engine))


def test_a_whole_session(database: Path) -> None:
    service = Service(schema.connect(database))
    token = service.begin()
    assert service.state(token).stage == Stage.DISPLAY
    state = service.display(token, DISPLAY)
    assert (state.stage, state.total, len(state.tasks)) == (Stage.PLATES, 2, 2)
    state = through(service, token, state, Stage.SCREENING)
    state = through(service, token, state, Stage.TRIALS)
    pauses = []
    while state.tasks:
        pauses.append(state.pause)
        key = state.tasks[0].key
        state = service.answer(token, key, expected(service, key), 900, 0)
    assert pauses == [False, False, False, False, True, False]
    assert state.stage == Stage.DONE
    assert len(state.code) == 10
    kinds = [row["kind"] for row in rows(service)]
    assert [kinds.count(k) for k in ("plate", "screen", "trap", "pair")] == [2, 2, 2, 4]
    pairs = [row for row in rows(service) if row["kind"] == "pair"]
    assert len({frozenset((p["left_codec"] + p["left_rate"], p["picture"])) for p in pairs}) > 1
    assert all(p["left_bpp"] and p["expected"] == "" for p in pairs)
    assert next(export.codes(service))["code"] == state.code


def test_tasks_survive_a_restart_and_answers_count_once(database: Path) -> None:
    first = Service(schema.connect(database))
    token = first.begin()
    state = first.display(token, DISPLAY)
    key = state.tasks[0].key
    answered = first.answer(token, key, expected(first, key), 1000, 0)
    again = Service(schema.connect(database))
    assert again.state(token) == answered
    assert again.answer(token, key, "none", 1000, 0) == answered
    assert [row["answer"] for row in rows(again)] == [expected(again, key)]


@pytest.mark.parametrize("stage", [Stage.PLATES, Stage.SCREENING])
def test_who_fails_the_screening_is_not_admitted(database: Path, stage: Stage) -> None:
    service = Service(schema.connect(database))
    token = service.begin("worker 7")
    state = service.display(token, DISPLAY)
    if stage == Stage.SCREENING:
        state = through(service, token, state, Stage.SCREENING)
    while state.tasks:
        wrong = "none" if stage == Stage.PLATES else "tie"
        state = service.answer(token, state.tasks[0].key, wrong, 1000, 0)
    assert state == State(Stage.REJECTED)
    # Nor by another browser with the same link; a late answer does nothing.
    assert service.state(service.begin("worker 7")).stage == Stage.REJECTED


def test_errors_within_the_limit_are_forgiven(with_rules: Callable[..., Path]) -> None:
    service = Service(schema.connect(with_rules(screens_wrong=1)))
    token = service.begin()
    state = service.display(token, DISPLAY)
    state = through(service, token, state, Stage.SCREENING)
    state = service.answer(token, state.tasks[0].key, "tie", 1000, 0)
    assert through(service, token, state, Stage.TRIALS).stage == Stage.TRIALS


def test_a_crowd_link_resumes_and_numbers_are_not_kept(database: Path) -> None:
    service = Service(schema.connect(database))
    first = service.begin("worker 9")
    state = service.display(first, DISPLAY)
    second = service.begin("worker 9")
    assert second != first
    assert service.state(second) == state
    with pytest.raises(Unknown):
        service.state(first)
    with service.engine.connect() as connection:
        kept = connection.execute(select(session)).one()
    assert not {"worker 9", first, second} & {str(value) for value in kept}


def test_the_study_fills_up(with_rules: Callable[..., Path]) -> None:
    clock = [0]
    service = Service(schema.connect(with_rules(raters=2)), lambda: clock[0])
    service.begin()
    service.begin()
    with pytest.raises(Full, match="all the raters it needs"):
        service.begin()
    clock[0] += 3 * 3600 * 1000  # those two do not come back
    service.begin()


def test_stages_without_tasks_are_skipped(with_rules: Callable[..., Path]) -> None:
    service = Service(schema.connect(with_rules(plates=0, screens=0)))
    assert service.display(service.begin(), DISPLAY).stage == Stage.TRIALS


def test_what_is_not_one_s_own_is_refused(database: Path) -> None:
    service = Service(schema.connect(database))
    one, other = service.begin(), service.begin()
    state = service.display(one, DISPLAY)
    key = state.tasks[0].key
    with pytest.raises(Unknown):
        service.answer(other, key, "5", 1000, 0)
    with pytest.raises(Refused, match="2, 3"):
        service.answer(one, key, "left", 1000, 0)
    with pytest.raises(Unknown):
        service.picture("0" * 32, "left")
    with pytest.raises(Unknown):
        service.picture(key, "reference")  # a plate has none
    assert service.picture(key, "left")[:4] == b"RIFF"


def test_sides_are_random_and_pairs_of_both_kinds(with_rules: Callable[..., Path]) -> None:
    path = with_rules(trials=40, trap_every=20, break_every=50, plates=0, screens=0)
    engine = schema.connect(path)
    refreshing.refresh(engine, 60)
    service = Service(engine)
    for _ in range(3):
        token = service.begin()
        through(service, token, service.display(token, DISPLAY), Stage.DONE)
    pairs = [row for row in rows(service) if row["kind"] == "pair"]
    ways = [row["how"] for row in pairs]
    assert 20 < ways.count("active") < 90
    keys = [(r["rater"], r["picture"], *sorted((f"{r['left_codec']}{r['left_rate']}",
             f"{r['right_codec']}{r['right_rate']}"))) for r in pairs]  # fmt: skip
    assert len(set(keys)) == len(keys), "a rater saw a pair twice"
    left_first = sum(r["left_codec"] < r["right_codec"] for r in pairs)
    differ = sum(r["left_codec"] != r["right_codec"] for r in pairs)
    assert 0.25 < left_first / differ < 0.75
    refreshing.refresh(engine, 30)
    with engine.connect() as connection:
        assert connection.execute(select(func.max(schema.queue.c.batch))).scalar() == 2
        table = connection.execute(select(schema.snapshot.c.ratings)).scalar_one()
    assert len(table) == 8
    assert all(row["low"] < row["elo"] < row["high"] for row in table)


def test_no_pair_comes_twice_while_one_is_left(database: Path) -> None:
    engine = schema.connect(database)
    source = PairSource(engine, random_share=1.0, rng=random.Random(0))
    seen: set[frozenset[int]] = set()
    most = sum(len(rows) * (len(rows) - 1) // 2 for rows in source.of_picture.values())
    last = None
    with engine.connect() as connection:
        for _ in range(most):
            pair = source.next(connection, seen, last)
            ids = frozenset((pair.left.id, pair.right.id))
            assert ids not in seen
            seen.add(ids)
            last = pair.left.picture
        assert len(seen) == most
        assert source.next(connection, seen, last)  # a repeated pair tells something, too
    engine.dispose()


def test_a_study_is_checked_when_opened(database: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="picolab study plan makes one"):
        schema.connect(tmp_path / "no.sqlite")
    with pytest.raises(FileExistsError):
        schema.connect(database, new=True)
    (tmp_path / "other.sqlite").touch()
    with pytest.raises(ValueError, match="is no study"):
        schema.connect(tmp_path / "other.sqlite")
    with pytest.raises(ValueError, match="cannot be used"):
        schema.connect("nosuch://database")
    engine = schema.connect(database)
    with engine.begin() as connection:
        connection.execute(update(schema.study).values(settings='{"crop": 4}'))
    with pytest.raises(ValueError, match="64 to 1024"):
        Service(engine)
    assert SMALL.trials == 6
