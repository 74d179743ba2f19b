"""The study as raters see it, in a real browser."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs pip install './lab[study]'")
pytest.importorskip("websocket", reason="needs pip install './lab[dev]'")

from browser import executable
from browsing import TOKEN, RaterPage, served

from picolab.study.planning import decode

pytestmark = pytest.mark.skipif(executable() is None, reason="no Chromium on the PATH")

KEYS = {"left": "ArrowLeft", "right": "ArrowRight", "tie": "ArrowDown", "none": "n"}


def asked(database: Path, script: str, *values: object) -> list[tuple]:
    connection = sqlite3.connect(database)
    found = connection.execute(script, values).fetchall()
    connection.close()
    return found


def right_answer(database: Path, key: str) -> str:
    return asked(database, "select expected from task where key = ?", key)[0][0] or "tie"


def answer(tab: RaterPage, database: Path, before: str, wrong: bool = False) -> str:
    """Answer the task that comes after the one of key `before`, by a key or a finger."""
    key = tab.ready(before)
    said = "tie" if wrong else right_answer(database, key)
    if tab.touch:
        tab.click(f'[data-answer="{said}"]')
    else:
        tab.press(KEYS.get(said, said))
    return key


def to_the_trials(tab: RaterPage, database: Path) -> str:
    tab.click("#go")
    key = ""
    for _ in range(2):
        key = answer(tab, database, key)
    tab.see("A few for practice")
    tab.click("#go")
    for _ in range(2):
        key = answer(tab, database, key)
    tab.see("Now the study")
    tab.click("#go")
    return key


def shown_pixels(tab: RaterPage, selector: str) -> np.ndarray:
    """The pixels of the screen where a picture lies."""
    ratio = tab.run("devicePixelRatio")
    box = tab.run(
        f"(({{x, y, width, height}}) => [x, y, width, height])"
        f"(document.querySelector({selector!r}).getBoundingClientRect())"
    )
    x, y, width, height = (round(value * ratio) for value in box)
    return tab.screenshot()[y : y + height, x : x + width]


def stored(database: Path, key: str, side: str) -> np.ndarray:
    query = f"select data from image join task on task.{side}_image = image.id where key = ?"
    return decode(asked(database, query, key)[0][0])


def test_a_whole_session_by_keys(database: Path, tmp_path: Path) -> None:
    with (
        served(database, "--no-choosing") as address,
        RaterPage(tmp_path / "profile", 1000, 700) as tab,
    ):
        tab.visit(address)
        tab.see("Your answers, how long each took")
        assert tab.run("document.getElementById('begin').disabled")
        tab.consent(f"{address}/?WORKER=W7")
        tab.see("Zoom: 100 %")
        key = to_the_trials(tab, database)
        # Pixel by pixel, the original in the middle, and over both copies while space is down.
        first = tab.ready(key)
        assert tab.run("document.querySelector('main').dataset.layout") == "row"
        for side in ("left", "reference", "right"):
            assert np.array_equal(shown_pixels(tab, f"#{side}"), stored(database, first, side))
        tab.press(" ", release=False)
        for side in ("left", "right"):
            assert np.array_equal(
                shown_pixels(tab, f"#{side}"), stored(database, first, "reference")
            )
        tab.release(" ")
        assert np.array_equal(shown_pixels(tab, "#left"), stored(database, first, "left"))
        for number in range(6):
            key = answer(tab, database, key)
            if number == 1:  # a reload goes on with the same pair
                waiting = tab.ready(key)
                tab.visit(address)
                assert tab.ready() == waiting
            if number == 3:
                tab.see("A short break")
                tab.click("#go")
        tab.see("Your completion code")
        assert not tab.run("document.getElementById('back').offsetWidth")
        tab.visit(address)
        tab.see("Thank you")
        # The admin sees it.
        tab.visit(f"{address}/admin")
        tab.until("document.getElementById('login').hidden === false")
        tab.run(f"document.getElementById('token').value = {TOKEN!r}")
        tab.click("#enter")
        tab.see("1 / 5")
    rows = asked(database, "select kind, answer, looks, response_ms from task order by place")
    assert [row[0] for row in rows].count("trap") == 2
    assert all(row[1] and row[3] > 250 for row in rows)
    assert rows[4][2] == 1
    assert asked(database, "select stage, answered from session") == [("done", 6)]


def test_the_width_of_a_phone_and_fingers(with_rules: Callable[..., Path], tmp_path: Path) -> None:
    database = with_rules(reference="demand")
    with (
        served(database, "--no-choosing") as address,
        RaterPage(tmp_path / "profile", 390, 844, ratio=3, touch=True) as tab,
    ):
        tab.consent(address)
        key = tab.ready(to_the_trials(tab, database))
        assert tab.run("document.querySelector('main').dataset.layout") == "pair"
        assert tab.run("document.documentElement.scrollWidth") <= 390
        assert tab.run("document.documentElement.scrollHeight") <= 844
        assert np.array_equal(shown_pixels(tab, "#right"), stored(database, key, "right"))
        tab.finger(*tab.middle("#figure-left"))
        assert np.array_equal(shown_pixels(tab, "#right"), stored(database, key, "reference"))
        tab.lift()
        assert np.array_equal(shown_pixels(tab, "#right"), stored(database, key, "right"))
        buttons = "[...document.querySelectorAll('[data-answer]')].map((b) => b.offsetHeight)"
        assert min(tab.run(buttons)) >= 44
        answer(tab, database, "")
        tab.ready(key)
    assert asked(database, "select looks from task where key = ?", key) == [(1,)]


def test_screening_failed_a_small_window_and_two_raters_at_once(
    database: Path, tmp_path: Path
) -> None:
    with (
        served(database, "--no-choosing") as address,
        RaterPage(tmp_path / "one", 1000, 700) as one,
        RaterPage(tmp_path / "two", 1000, 700) as two,
    ):
        one.consent(address)
        two.consent(address)
        size = {"deviceScaleFactor": 1, "mobile": False}
        two.call("Emulation.setDeviceMetricsOverride", width=300, height=200, **size)
        two.see("Please make it larger")
        assert two.run("document.getElementById('go').disabled")
        two.call("Emulation.setDeviceMetricsOverride", width=1000, height=700, **size)
        two.see("large enough")
        one.click("#go")
        two.click("#go")
        keys = ["", ""]
        for _ in range(2):
            keys = [answer(tab, database, k) for tab, k in zip((one, two), keys, strict=True)]
        for tab in (one, two):
            tab.see("A few for practice")
            tab.click("#go")
        for number in range(2):
            keys[0] = answer(one, database, keys[0])
            keys[1] = answer(two, database, keys[1], wrong=number == 0)
        one.see("Now the study")
        two.see("Thank you for coming")
    assert asked(database, "select stage from session order by id") == [("trials",), ("rejected",)]
