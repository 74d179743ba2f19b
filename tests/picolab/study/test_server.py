"""The study over HTTP: what is told, to whom, and what is refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs pip install './lab[study]'")

from asking import HOST, Visitor
from sqlalchemy import select

from picolab.study import refreshing, schema
from picolab.study.ballots import COLUMNS
from picolab.study.guard import Bucket, Limits
from picolab.study.planning import decode
from picolab.study.server import build
from picolab.study.service import Service

TOKEN = "a token for the admin"
DISPLAY = {"width": 1280, "height": 800, "ratio": 1.5, "zoom": 1.0, "touch": False, "layout": "row"}


@pytest.fixture
def service(database: Path) -> Iterator[Service]:
    engine = schema.connect(database)
    yield Service(engine)
    engine.dispose()


@pytest.fixture
def rater(service: Service) -> Visitor:
    return Visitor(build(service, TOKEN))


def test_a_rater_may_go_all_the_way(rater: Visitor, service: Service) -> None:
    assert rater.get("/api/study").json["word"] == ""
    rater.begin(crowd="W1")
    assert rater.get("/api/study").json["word"] == rater.word
    state = rater.post("/api/display", DISPLAY).json
    assert (state["stage"], state["done"], state["total"]) == ("plates", 0, 2)
    while state["tasks"]:
        key = state["tasks"][0]["key"]
        with service.engine.connect() as connection:
            column = schema.task.c.expected
            found = connection.execute(select(column).where(schema.task.c.key == key))
            answer = found.scalar_one() or "tie"
        body = {"key": key, "answer": answer, "response_ms": 1200, "looks": 1}
        state = rater.post("/api/answer", body).json
    assert state["stage"] == "done"
    assert state["code"] == rater.post("/api/state", {}).json["code"] != ""


def test_nothing_tells_codecs_or_answers(rater: Visitor, service: Service) -> None:
    rater.begin()
    told = [rater.post("/api/display", DISPLAY)]
    for _ in range(4):
        key = told[-1].json["tasks"][0]["key"]
        with service.engine.connect() as connection:
            column = schema.task.c.expected
            expected = connection.execute(select(column).where(schema.task.c.key == key)).scalar()
        body = {"key": key, "answer": expected, "response_ms": 1200}
        told.append(rater.post("/api/answer", body))
    state = told[-1].json
    assert state["stage"] == "trials"
    for task in state["tasks"]:
        assert set(task) == {"key", "kind", "width", "height"}
        assert task["kind"] == "trial"
        for side in ("left", "right", "reference"):
            picture = rater.get(f"/picture/{task['key']}/{side}")
            assert picture.headers["content-type"] == "image/webp"
            assert "immutable" in picture.headers["cache-control"]
            assert decode(picture.body).shape == (96, 96, 3)
    words = b" ".join(answer.body for answer in told)
    assert not [w for w in (b"jpeg", b"webp", b"expected", b"trap", b"pair") if w in words]


def test_pictures_come_as_they_were_decoded(rater: Visitor, service: Service) -> None:
    rater.begin()
    key = rater.post("/api/display", DISPLAY).json["tasks"][0]["key"]
    with service.engine.connect() as connection:
        data = connection.execute(
            select(schema.image.c.data)
            .join(schema.task, schema.task.c.left_image == schema.image.c.id)
            .where(schema.task.c.key == key)
        ).scalar_one()
    assert np.array_equal(decode(rater.get(f"/picture/{key}/left").body), decode(data))


def test_every_answer_has_the_headers(rater: Visitor) -> None:
    for answer in (rater.get("/"), rater.get("/nowhere"), rater.post("/api/state", {})):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
    page = rater.get("/").body
    assert b"<script>" not in page and b"style=" not in page and b"onclick" not in page


def test_cookies_are_out_of_reach_of_scripts(service: Service) -> None:
    rater = Visitor(build(service, TOKEN, secure=True))
    cookie = rater.post("/api/begin", {"consent": True}).headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and "secure" in cookie


def test_other_sites_and_forged_requests_are_refused(rater: Visitor) -> None:
    rater.begin()
    assert rater.post("/api/state", {}, sec_fetch_site="cross-site").status == 403
    assert rater.post("/api/state", {}, origin="http://evil.example").status == 403
    assert rater.post("/api/state", {}, x_study="guessed").status == 403
    assert rater.post("/api/state", {}, content_type="text/plain").status == 415
    assert rater.post("/api/state", b" " * 5000).status == 413
    assert rater.ask("PUT", "/api/state", b"", {}).status == 405
    assert rater.post("/api/state", {}).status == 200
    assert Visitor(rater.app).post("/api/state", {}).status == 404


@pytest.mark.parametrize(
    "body",
    [
        {"key": "x", "answer": "left", "response_ms": 5},
        {"key": "0" * 32, "answer": "left", "response_ms": -1},
        {"key": "0" * 32, "answer": "left", "response_ms": "5"},
        {"key": "0" * 32, "answer": "left", "response_ms": 5, "more": 1},
        [],
        b"{",
    ],
)
def test_what_is_not_in_the_form_is_refused_in_words(rater: Visitor, body: object) -> None:
    rater.begin()
    answer = rater.post("/api/answer", body)
    assert answer.status == 422
    assert answer.json == {"error": "The request is not in the form expected."}


def test_without_consent_there_is_no_session(rater: Visitor) -> None:
    assert rater.post("/api/begin", {"consent": False}).status == 422
    assert rater.post("/api/begin", {}).status == 422


def test_limits_are_by_address(service: Service) -> None:
    app = build(service, TOKEN, Limits(burst=5, per_second=0.001, sessions_per_minute=1))
    one, other = Visitor(app), Visitor(app, "192.0.2.2")
    one.begin()
    refused = one.post("/api/begin", {"consent": True})
    assert (refused.status, refused.headers["retry-after"]) == (429, "5")
    assert [one.get("/").status for _ in range(5)] == [200, 200, 200, 429, 429]
    other.begin()


def test_buckets_refill_and_forget() -> None:
    bucket = Bucket(2, 1.0)
    assert [bucket.take(b"a", 0.0) for _ in range(3)] == [True, True, False]
    assert bucket.take(b"a", 1.0)
    assert not bucket.take(b"a", 1.5)


def test_only_known_hosts_where_they_are_named(service: Service) -> None:
    assert Visitor(build(service, TOKEN, hosts=("other.example",))).get("/").status == 400
    assert Visitor(build(service, TOKEN, hosts=(HOST,))).get("/").status == 200


def test_the_admin_sees_progress_and_votes(rater: Visitor, service: Service) -> None:
    rater.begin()
    state = rater.post("/api/display", DISPLAY).json
    key = state["tasks"][0]["key"]
    rater.post("/api/answer", {"key": key, "answer": "2", "response_ms": 1200})
    refreshing.refresh(service.engine, 10)
    admin = Visitor(rater.app)
    assert admin.get("/admin").status == 200
    for path in ("/admin/state", "/admin/votes.csv", "/admin/codes.csv"):
        assert admin.get(path).status == 401
        assert admin.get(path, authorization="Bearer wrong").status == 401
    assert admin.post("/admin/login", {"token": "wrong"}).status == 401
    logged = admin.post("/admin/login", {"token": TOKEN})
    assert "samesite=strict" in logged.headers["set-cookie"].lower()
    assert TOKEN not in logged.headers["set-cookie"]
    found = admin.get("/admin/state").json
    assert found["progress"] == {"sessions plates": 1, "answers plate": 1}
    assert len(found["ratings"]) == 8
    table = list(csv.DictReader(io.StringIO(admin.get("/admin/votes.csv").body.decode())))
    assert list(table[0]) == list(COLUMNS)
    assert table[0]["answer"] == "2"
    assert Visitor(rater.app).get("/admin/state", authorization=f"Bearer {TOKEN}").status == 200


def test_a_short_admin_token_is_refused(service: Service) -> None:
    with pytest.raises(ValueError, match="at least 16"):
        build(service, "short")
